"""A proxy between a client and a server, which can fail requests.

A request that is being forwarded is completed even if its client dies, as on a network.
"""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

import aiohttp
from aiohttp import web

Fault = Literal["error", "throttle", "reset", "hang", "lose"]
"""error, throttle: respond 500 or 429 without forwarding. reset: cut before forwarding. hang: never respond.
lose: forward, and cut the response."""
HANG_S = 30.0
_HOP = frozenset({"host", "connection", "content-length", "transfer-encoding"})


@dataclass(frozen=True, slots=True)
class Call:
    """One forwarded request and its response."""

    at: float
    """Time of the response (s since the epoch)."""
    method: str
    path: str
    status: int
    body: bytes = field(repr=False)
    answer: bytes = field(repr=False)

    @property
    def version(self) -> int:
        """The resource version in the response, or 0. It grows over all objects of the cluster."""
        try:
            return int(json.loads(self.answer)["metadata"]["resourceVersion"])
        except (ValueError, KeyError, TypeError):
            return 0


class Proxy:
    """Forwards requests to `server` with the client's credentials."""

    def __init__(self, server: str, ca_path: str | None = None) -> None:
        self._server = server
        self._ca_path = ca_path
        self._session: aiohttp.ClientSession | None = None
        self._under_way: set[asyncio.Future[tuple[int, str, bytes]]] = set()
        self.url = ""
        self.fault: Callable[[web.BaseRequest], Fault | None] = lambda _: None
        """Returns the fault of a request; None forwards it."""
        self.change: Callable[[web.BaseRequest, bytes], bytes] = lambda _, answer: answer
        """Returns the changed response."""
        self.writes: list[Call] = []
        """All forwarded writes."""
        self.faults = 0
        """Number of failed requests."""

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        fault = self.fault(request)
        self.faults += fault is not None
        match fault:
            case "error":
                return _failure(500, "InternalError")
            case "throttle":
                return _failure(429, "TooManyRequests")
            case "reset":
                return _cut(request)
            case "hang":
                await asyncio.sleep(HANG_S)
                return _cut(request)
        body = await request.read()
        if "watch" in request.query:
            return await self._stream(request)
        passing = asyncio.ensure_future(self._pass_on(request, body))
        self._under_way.add(passing)
        passing.add_done_callback(self._under_way.discard)
        status, content_type, answer = await asyncio.shield(passing)
        if fault == "lose":
            return _cut(request)
        return web.Response(status=status, body=self.change(request, answer), headers={"Content-Type": content_type})

    async def _pass_on(self, request: web.BaseRequest, body: bytes) -> tuple[int, str, bytes]:
        assert self._session is not None
        async with self._session.request(
            request.method, self._server + request.path_qs, data=body or None, headers=self._headers(request)
        ) as answer:
            content = await answer.read()
        if request.method not in ("GET", "HEAD"):
            self.writes.append(Call(time.time(), request.method, request.path, answer.status, body, content))
        return answer.status, answer.headers.get("Content-Type", "application/json"), content

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        assert self._session is not None
        async with self._session.get(self._server + request.path_qs, headers=self._headers(request)) as answer:
            response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
            await response.prepare(request)
            with suppress(ConnectionResetError):  # who watched has gone
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
            return response

    def _headers(self, request: web.BaseRequest) -> dict[str, str]:
        return {name: value for name, value in request.headers.items() if name.lower() not in _HOP}

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["Proxy"]:
        """Listen on a free loopback port."""
        connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=self._ca_path), limit=0)
        session = aiohttp.ClientSession(
            connector=connector, timeout=aiohttp.ClientTimeout(total=None), auto_decompress=True, read_bufsize=2**22
        )
        async with session as self._session:
            server = web.Server(self, access_log=None, handler_cancellation=True)
            runner = web.ServerRunner(server, shutdown_timeout=0)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            try:
                yield self
            finally:
                await asyncio.wait_for(runner.cleanup(), 10)


def _failure(status: int, reason: str) -> web.Response:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "reason": reason}
    return web.json_response(body | {"message": "as it was told to"}, status=status)


def _cut(request: web.BaseRequest) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
