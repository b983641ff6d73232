"""The load generator on a slow machine, in virtual time."""

import asyncio

import pytest
from shop import generator
from shop.generator import Plan, generate
from shop.traffic import Traffic
from tests.support import virtual_time


@pytest.fixture
def generate_load(monkeypatch):
    """Return a function that runs a plan and returns its tally, and the seconds that the run took.

    The machine stands still for `stall` seconds when the first request is sent: nothing runs, and the clock goes on.
    """

    async def run(plan, behind, stall):
        loop = asyncio.get_running_loop()
        assert isinstance(loop, virtual_time.VirtualTimeLoop)
        stalls = [stall]

        async def request(session, url, tally):
            if stalls:
                loop.advance(stalls.pop())
            tally.codes["200"] += 1

        monkeypatch.setattr(generator, "_request", request)
        began = loop.time()
        return await generate("http://shop/", plan, behind), loop.time() - began

    return lambda plan, behind=0.0, stall=0.0: virtual_time.run(run(plan, behind, stall))


def test_overdue_requests_are_dropped(generate_load):
    """Kind: a delay delays everything after it, until the program is taken for dead."""
    plan = Plan(Traffic(3600.0, (50.0,) * 25), 0.0, 3600.0, duration=24.0)
    due = sum(1 for _ in plan.arrivals())
    overdue = sum(1 for at in plan.arrivals() if at < 20.0)
    tally, took = generate_load(plan, behind=22.0)
    assert tally.not_sent >= overdue
    assert tally.sent + tally.not_sent == due
    assert tally.codes["200"] == tally.sent > 0
    assert took <= 2.0, "it does not begin anew"


def test_a_stall_drops_only_the_requests_of_its_time(generate_load):
    plan = Plan(Traffic(3600.0, (50.0,) * 25), 0.0, 3600.0, duration=6.0)
    due = list(plan.arrivals())
    tally, _ = generate_load(plan, stall=3.0)
    # The second one was waited for when the stall began, so it is sent; what is more than a second overdue is not.
    stalled = sum(due[1] < at < due[0] + 3.0 - 1.0 for at in due)
    assert tally.not_sent == stalled > 0
    assert tally.late > 0
    assert tally.codes["200"] == tally.sent == len(due) - stalled
