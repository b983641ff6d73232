"""How long what is being done will still take.

It is told from what it usually costs, from the cores that are there and how busy they are, and, more and more, from how
long what is finished has really taken.
"""

import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")
_SERIAL: Final = 0.05
"""So much of a build runs on one core alone, as linking does."""
_PRIOR: Final = 0.05
"""The pace that is expected counts as much as so much of the whole, done at that pace."""


class Estimate:
    """Of things that are done one after the other, each of known cost (seconds of CPU time)."""

    def __init__(
        self, costs: Mapping[str, float], clock: Callable[[], float] = time.monotonic, expected: float | None = None
    ) -> None:
        """Begin; `expected` is the pace to begin with, that of this machine as busy as it is now where it is None."""
        self._costs = dict(costs)
        self._clock = clock
        self._prior = _PRIOR * sum(costs.values())
        self._expected = pace(cores(), load()) if expected is None else expected
        self._spent = self._completed = 0.0
        self._began: float | None = None
        self._name = ""

    def begin(self, name: str) -> None:
        """Say what is being done from now on; what was done before is done."""
        self._end()
        self._name, self._began = name, self._clock()

    def left(self) -> float:
        """Return the seconds until everything is done."""
        elapsed = 0.0 if self._began is None else self._clock() - self._began
        cost = self._costs.get(self._name, 0.0)
        learned = self._learned(0.0, 0.0)
        if elapsed > cost * learned:  # what takes longer than it should tells that all does
            learned = self._learned(cost, elapsed)
        remaining = sum(cost for name, cost in self._costs.items() if name != self._name)
        return remaining * learned + max(cost * learned - elapsed, 0.0)

    def _learned(self, cost: float, elapsed: float) -> float:
        """Return the pace of what is done, and of what has taken `elapsed` seconds so far and costs `cost`."""
        evidence = self._prior + self._completed + cost
        return (self._prior * self._expected + self._spent + elapsed) / evidence if evidence else self._expected

    def _end(self) -> None:
        if self._began is not None:
            self._spent += self._clock() - self._began
            self._completed += self._costs.pop(self._name, 0.0)
            self._began, self._name = None, ""


def pace(ours: float, foreign: float) -> float:
    """Return how many seconds a second of CPU time takes on so many cores, beside so many threads of others.

    What is done runs as many threads as there are cores, and each gets its part.
    """
    crowd = max(1.0, (foreign + 1) / ours)
    return _SERIAL * crowd + (1 - _SERIAL) * (ours + foreign) / ours**2


def cores() -> float:
    """Return how many cores this process may use: by its affinity, and by the quota of its control group."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _QUOTA.read_text(encoding="ascii").split()
        return min(float(allowed), int(quota) / int(period))
    except (OSError, ValueError):  # another system, or no quota
        return float(allowed)


def load() -> float:
    """Return how many threads wanted a core of ours on average over the last minute; 0 where nothing tells it.

    The system counts those of the whole machine: of them we meet as many as we have of its cores.
    """
    try:
        return os.getloadavg()[0] * min(1.0, cores() / (os.cpu_count() or 1))
    except (AttributeError, OSError):
        return 0.0


def left(seconds: float) -> str:
    """Return a time that is still to come, as roughly as it is known: ``about 12 min left``."""
    if seconds < 60:
        return "less than a minute left"
    return f"about {math.ceil(seconds / 60)} min left"
