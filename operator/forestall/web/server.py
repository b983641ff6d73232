"""The HTTP server of the probes and the metrics."""

from types import TracebackType
from typing import Self

from aiohttp import web

from forestall.web.health import Health
from forestall.web.telemetry import Telemetry


class WebServer:
    """Answers `/livez`, `/readyz` and `/metrics`; an asynchronous context manager."""

    def __init__(self, health: Health, telemetry: Telemetry, host: str = "", port: int = 8080) -> None:
        self._health = health
        self._telemetry = telemetry
        self._host = host or None
        self._port = port
        application = web.Application()
        application.router.add_get("/livez", self._livez)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)

    @property
    def port(self) -> int:
        """The port that it listens on, also where port 0 asked for any."""
        return int(self._runner.addresses[0][1])

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            OSError: the address can't be listened on.
        """
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    async def _livez(self, _: web.Request) -> web.Response:
        return _answer(self._health.dead())

    async def _readyz(self, _: web.Request) -> web.Response:
        return _answer(self._health.unready(), self._health.note)

    async def _metrics(self, _: web.Request) -> web.Response:
        body, content_type = self._telemetry.exposition()
        return web.Response(body=body, headers={"Content-Type": content_type})


def _answer(problem: str, note: str = "") -> web.Response:
    text = f"{problem or 'ok'}\n" + (f"{note}\n" if note else "")
    return web.Response(status=503 if problem else 200, text=text)
