"""The next time of low traffic that is still early enough, by the traffic of past days."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

DAY: Final = 86400.0
MIN_DAYS: Final = 2
"""The minimum of past days with data: one day is no pattern."""
LOW_TRAFFIC_SHARE: Final = 0.8
"""Traffic is low at or below this share of the present traffic."""


@dataclass(frozen=True, slots=True)
class TrafficHistory:
    """Past traffic: parallel sequences of ascending times (s) and values in any unit, `step` s apart."""

    times: Sequence[float]
    values: Sequence[float]
    step: float

    def expected(self, at: float, now: float) -> float:
        """Return the median of the past days' values at the time of day of `at`; NaN where too few days have one."""
        past = [value for day in range(1, 8) if not math.isnan(value := self._value_near(at - day * DAY, now))]
        return median(past) if len(past) >= MIN_DAYS else math.nan

    def _value_near(self, at: float, now: float) -> float:
        """Return the value at `at`, or within half a step of it; NaN where there is none, or `at` is in the future."""
        index_after = bisect_left(self.times, at)
        nearby = [
            index
            for index in (index_after - 1, index_after)
            if 0 <= index < len(self.times) and abs(self.times[index] - at) <= self.step / 2
        ]
        nearest = min(nearby, key=lambda index: abs(self.times[index] - at), default=None)
        return math.nan if nearest is None or at > now else self.values[nearest]


@dataclass(frozen=True, slots=True)
class LowTrafficTime:
    """A time of low traffic."""

    at: float
    """Seconds since the epoch."""
    share: float
    """The traffic expected then, as a share of the traffic expected now."""


def next_low_traffic(traffic: TrafficHistory, now: float, latest: float) -> LowTrafficTime | None:
    """Return the time with the lowest traffic after `now` and up to `latest`; None where none has low traffic.

    Compared are the values of past days at each time of day, so that the trend of today does not matter.
    """
    present = traffic.expected(now, now)
    if math.isnan(present) or present <= 0 or traffic.step <= 0:
        return None
    steps = int(max(0.0, latest - now) // traffic.step)
    moments = [now + step * traffic.step for step in range(1, steps + 1)]
    expected = [(value, at) for at in moments if not math.isnan(value := traffic.expected(at, now))]
    lowest, at = min(expected, default=(math.inf, now))
    share = lowest / present
    return LowTrafficTime(at, share) if share <= LOW_TRAFFIC_SHARE else None
