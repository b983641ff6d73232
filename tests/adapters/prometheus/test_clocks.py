"""The clock of a real Prometheus and of one that is wrong, compared with this process's.

Kind: the time of a decision differs from the time of its data.
"""

import time
from email.utils import formatdate

import pytest

from forestall.core.clock_skew import MAX_SKEW
from forestall.ports import Query


async def offset(adapter, source):
    """Return the offset of a source's clock from this process's."""
    answers = await adapter.instant(source, [Query(n, f"up + {n}") for n in range(120)], time.time())
    (clock,) = {answer.clock for answer in answers.values()}
    return clock.relative_to(time.time() - time.monotonic())


async def test_right_clock_has_no_offset(real):
    found = await offset(real, "real")
    assert found.low <= 0 <= found.high
    assert found.skew == 0.0


@pytest.mark.parametrize("ahead", [-3600, -60, 60, 3600])
async def test_wrong_clock_has_an_offset(broken, faulty, ahead):
    def behave(handler):
        handler.date_time_string = lambda *_: formatdate(time.time() + ahead, usegmt=True)
        handler.ones()

    faulty.behave = behave
    found = await offset(broken, "faulty")
    assert found.skew == pytest.approx(ahead, abs=MAX_SKEW)


async def test_cached_response_gives_no_clock(broken, faulty):
    def behave(handler):
        handler.date_time_string = lambda *_: formatdate(time.time() - 3600, usegmt=True)
        begin = handler.begin
        handler.begin = lambda status=200, **headers: begin(status, Age="3600", **headers)
        handler.ones()

    faulty.behave = behave
    answers = await broken.instant("faulty", [Query("q", "up")], time.time())
    assert answers["q"].clock is None
