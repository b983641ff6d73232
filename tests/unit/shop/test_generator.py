"""The load generator on a slow machine."""

import asyncio
import time

from aiohttp import web
from shop.generator import Plan, generate
from shop.traffic import Traffic


async def _generate(plan, behind, blocked=0.0):
    """Return the tally, and how many seconds it took; the server stops the event loop at its first answer."""
    left = [blocked]

    async def answer(_):
        if left:
            time.sleep(left.pop())  # noqa: ASYNC251 - a machine that is busy with something else
        return web.Response()

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    began = time.monotonic()
    try:
        return await generate(f"http://127.0.0.1:{port}/", plan, behind), time.monotonic() - began
    finally:
        await runner.cleanup()


def test_overdue_requests_are_dropped():
    """Kind: a delay delays everything after it, until the program is taken for dead."""
    plan = Plan(Traffic(3600.0, (50.0,) * 25), 0.0, 3600.0, duration=24.0)
    due = sum(1 for _ in plan.arrivals())
    overdue = sum(1 for at in plan.arrivals() if at < 20.0)
    tally, took = asyncio.run(_generate(plan, behind=22.0))
    assert tally.not_sent >= overdue
    assert tally.sent + tally.not_sent == due
    assert tally.sent > 0
    assert took < 20.0, "it does not begin anew"


def test_a_stall_drops_only_the_requests_of_its_time():
    plan = Plan(Traffic(3600.0, (50.0,) * 25), 0.0, 3600.0, duration=6.0)
    tally, _ = asyncio.run(_generate(plan, behind=0.0, blocked=3.0))
    assert tally.not_sent > 0
    assert tally.late > 0
    assert tally.sent + tally.not_sent == sum(1 for _ in plan.arrivals())
