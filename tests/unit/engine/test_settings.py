"""What follows from the interval, and by when the parts of a cycle end."""

import asyncio
import math

import pytest

from forestall.engine.deadlines import Deadlines, failure_text
from forestall.engine.settings import Settings
from forestall.errors import Unavailable


@pytest.mark.parametrize(
    ("interval", "times"),
    [
        # limit, values, past, backfill, turn, windows, calm
        (2.0, (8.0, 3.0, 2.3, 1.0, 4.0, 0.2, 20.0)),
        (5.0, (20.0, 4.0, 4.0, 2.5, 5.0, 0.5, 50.0)),
        (1.0, (4.0, 1.5, 1.15, 0.5, 2.0, 0.1, 10.0)),
        (9.0, (36.0, 6.0, 6.0, 4.5, 5.0, 0.9, 90.0)),
        (30.0, (120.0, 20.0, 20.0, 15.0, 15.0, 3.0, 300.0)),
        (60.0, (240.0, 20.0, 20.0, 30.0, 30.0, 6.0, 600.0)),
    ],
)
def test_times_follow_from_the_interval(interval, times):
    own = Settings(interval=interval)
    assert (own.limit, own.values, own.past, own.backfill, own.turn, own.windows, own.calm) == pytest.approx(times)


def test_a_day_and_the_longest_horizon_are_kept():
    own = Settings()
    assert own.horizons == (120.0, 600.0, 1800.0, 3600.0, 10_800.0)
    assert own.columns * own.interval == 86_400 + own.horizons[-1]
    assert Settings(interval=10.0).horizons == (40.0, 200.0, 600.0, 1200.0, 3600.0)


def test_what_is_not_set_has_these_values():
    own = Settings()
    assert (own.interval, own.at_risk_from, own.lease, own.concurrency, own.threads, own.series) == (
        30.0,
        0.8,
        None,
        16,
        True,
        50_000,
    )


async def test_each_part_of_a_cycle_has_what_those_before_it_leave():
    deadlines = Deadlines(Settings(interval=25.0))
    before = asyncio.get_running_loop().time()
    deadlines.begin()
    after = asyncio.get_running_loop().time()
    ends = {
        "values": 50.0,
        "observed": 70.0,
        "checked": 75.0,
        "decided": 80.0,
        "driven": 90.0,
        "written": 96.0,
        "over": 99.0,
    }
    for name, seconds in ends.items():
        end = getattr(deadlines, name)
        assert before + seconds <= end <= after + seconds or math.isclose(end, after + seconds), name


def test_error_without_a_message_is_described_as_a_timeout():
    assert failure_text(Unavailable("connection refused")) == "connection refused"
    assert failure_text(TimeoutError()) == "no time was left for it in this cycle"
