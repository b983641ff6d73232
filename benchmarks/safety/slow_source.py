"""A Prometheus with expensive queries: behind this proxy each of them takes a fixed time."""

import asyncio
from urllib.parse import parse_qs

from aiohttp import web
from benchmarks.safety.proxy import Proxy

DEAR = "dear_"
"""Prefix of expensive series: each occurrence in a query takes the fixed time."""


class SlowSource(Proxy):
    """Forwards queries to a Prometheus with a delay, and times out like it."""

    def __init__(self, server: str) -> None:
        super().__init__(server)
        self.seconds = 0.0

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        parameters = parse_qs(request.query_string) | parse_qs((await request.read()).decode())
        count = sum(query.count(DEAR) for query in parameters.get("query", ()))
        if not count:
            return await super().__call__(request)
        patience = float(parameters.get("timeout", ["120"])[0].removesuffix("s"))
        if count * self.seconds < patience:
            await asyncio.sleep(count * self.seconds)
            return await super().__call__(request)
        await asyncio.sleep(patience)
        message = "query timed out in expression evaluation"
        return web.json_response({"status": "error", "errorType": "timeout", "error": message}, status=503)
