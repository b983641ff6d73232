"""A receiver of notifications, which records each by its id beside the states of objects."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from benchmarks.safety.watch_recorder import WatchRecorder

KIND = "Notice"


@asynccontextmanager
async def receiver(recorder: WatchRecorder, namespace: str, lose: Callable[[], bool]) -> AsyncIterator[str]:
    """Receive notifications during the body, and respond unless `lose` returns true; yields the URL."""

    async def take(request: web.Request) -> web.Response:
        body: dict[str, Any] = await request.json()
        metadata = {"namespace": namespace, "name": body["id"], "uid": f"notice-{body['id']}", "resourceVersion": "0"}
        recorder.record({"kind": KIND, "metadata": metadata})
        if lose() and request.transport is not None:
            request.transport.abort()
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()
