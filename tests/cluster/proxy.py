"""A proxy between an operator and its API server that injects faults: cut connections, expired watches, refused tokens,
invalid objects.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from forestall.adapters.kubernetes import Access

GONE = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}}


class Proxy:
    """Forwards requests to a real API server, with that server's credentials, except for the faults that a test
    sets.
    """

    def __init__(self, access: Access) -> None:
        self._config = access.rest_config()
        self._session: aiohttp.ClientSession | None = None
        self._open: set[asyncio.Transport] = set()
        self.url = ""
        self.down = False
        """Whether to cut all connections."""
        self.forgetful = False
        """Whether to respond to every watch with 410, once for each kind."""
        self.token: str | None = None
        """The only token that is accepted."""
        self.spoil: tuple[bytes, bytes] = (b"\0", b"\0")
        """Texts to replace in responses, with their replacements."""
        self._forgotten: set[str] = set()

    def cut(self) -> None:
        """Cut all connections, and accept no new ones."""
        self.down = True
        for transport in self._open:
            transport.abort()

    def forget(self) -> None:
        """Respond to the next watch of each kind that its history has expired, and accept connections again."""
        self.forgetful, self.down = True, False
        self._forgotten.clear()

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        transport = request.transport
        self._open.add(transport)
        try:
            if self.down:
                transport.abort()
                return web.Response()
            if self.token is not None and request.headers.get("Authorization") != f"Bearer {self.token}":
                return web.json_response({"kind": "Status", "code": 401, "reason": "Unauthorized"}, status=401)
            if "watch" in request.query and self.forgetful and request.path not in self._forgotten:
                self._forgotten.add(request.path)
                return web.Response(text=json.dumps(GONE) + "\n")
            return await self._pass_on(request)
        finally:
            self._open.discard(transport)

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        assert self._session is not None
        url = f"{self._config.server}{request.path_qs}"
        async with self._session.get(url, headers={"Accept": request.headers["Accept"]}) as answer:
            response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
            await response.prepare(request)
            async for line in answer.content:
                await response.write(line.replace(*self.spoil))
            return response

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["Proxy"]:
        context = ssl.create_default_context(cafile=self._config.ca_path)
        if self._config.certificate_path:
            context.load_cert_chain(self._config.certificate_path, self._config.private_key_path)
        connector = aiohttp.TCPConnector(ssl=context)
        headers = {"Authorization": f"Bearer {self._config.token}"} if self._config.token else {}
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(
            connector=connector, headers=headers, timeout=timeout, read_bufsize=2**24
        ) as self._session:
            server = web.Server(self, access_log=None, handler_cancellation=True)  # type: ignore[arg-type]
            runner = web.ServerRunner(server, shutdown_timeout=0)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
            self.cut()
            await asyncio.wait_for(runner.cleanup(), 10)
