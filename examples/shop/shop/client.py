"""The requests as their sender measures them: a pod that was killed can't count what it did not answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from shop.service import BUCKETS, LAG_BUCKETS, LAG_EVERY_S


class ClientMetrics:
    """Metrics with the names that the shop uses, so that the same queries read both."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.arrivals = Counter("shop_arrivals", "Requests that were sent.", registry=self._registry)
        self.duration = Histogram(
            "shop_request_duration_seconds",
            "From a request to its answer; the code is `error` without one.",
            ["code"],
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._lag = Histogram(
            "shop_loop_lag_seconds",
            "How late the sender's own event loop was: it measures the machine, not the shop.",
            buckets=LAG_BUCKETS,
            registry=self._registry,
        )

    @asynccontextmanager
    async def served(self, address: str) -> AsyncIterator[None]:
        """Serve `/metrics` at `address` (host and port) during the body, and measure the lag of the event loop."""
        app = web.Application()
        app.router.add_get("/metrics", self._answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        listen = urlsplit(f"//{address}")
        await web.TCPSite(runner, listen.hostname, listen.port).start()
        measuring = asyncio.create_task(self._measure_lag())
        try:
            yield
        finally:
            measuring.cancel()
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        del request
        headers = {"Content-Type": "text/plain; version=0.0.4"}
        return web.Response(body=generate_latest(self._registry), headers=headers)

    async def _measure_lag(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_EVERY_S
            await asyncio.sleep(LAG_EVERY_S)
            self._lag.observe(max(0.0, loop.time() - due))
