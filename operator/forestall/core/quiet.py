"""The quietest moment that is still early enough, by the traffic of the past days."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

DAY: Final = 86400.0
LEAST_DAYS: Final = 2
"""With fewer days of history nothing is said: one day is no habit."""
WORTH: Final = 0.8
"""Waiting is worth it for traffic of at most this share of the present."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """The traffic of the past: parallel, times ascending (s), in any unit; `step` s from one point to the next."""

    times: Sequence[float]
    values: Sequence[float]
    step: float

    def expected(self, at: float, now: float) -> float:
        """Return the median of what the past days had at the time of day of `at`; NaN where too few of them have."""
        seen = [value for day in range(1, 8) if not math.isnan(value := self._near(at - day * DAY, now))]
        return median(seen) if len(seen) >= LEAST_DAYS else math.nan

    def _near(self, at: float, now: float) -> float:
        """Return the value at `at`, or within half a step of it; NaN where there is none, or it is in the future."""
        after = bisect_left(self.times, at)
        close = [n for n in (after - 1, after) if 0 <= n < len(self.times) and abs(self.times[n] - at) <= self.step / 2]
        best = min(close, key=lambda n: abs(self.times[n] - at), default=None)
        return math.nan if best is None or at > now else self.values[best]


@dataclass(frozen=True, slots=True)
class Quiet:
    """A moment that is worth waiting for."""

    at: float
    """s since the epoch."""
    share: float
    """The traffic expected then, as a share of what is expected now."""


def quietest(traffic: Traffic, now: float, latest: float) -> Quiet | None:
    """Return the quietest moment after `now`, at most `latest`; None where none is known to be quieter by much.

    What is compared is what past days had at each time of day, so that today's own trend does not matter.
    """
    present = traffic.expected(now, now)
    if math.isnan(present) or present <= 0 or traffic.step <= 0:
        return None
    steps = int(max(0.0, latest - now) // traffic.step)
    moments = [now + n * traffic.step for n in range(1, steps + 1)]
    known = [(value, at) for at in moments if not math.isnan(value := traffic.expected(at, now))]
    least, at = min(known, default=(math.inf, now))
    share = least / present
    return Quiet(at, share) if share <= WORTH else None
