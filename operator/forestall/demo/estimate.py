"""How long what is being done will still take, from what it usually costs and from how fast it has gone so far."""

import math
import os
import time
from collections.abc import Callable, Mapping


class Estimate:
    """Of things that are done one after the other, each of known cost (seconds of CPU time)."""

    def __init__(self, costs: Mapping[str, float], clock: Callable[[], float] = time.monotonic) -> None:
        self._costs = dict(costs)
        self._clock = clock
        self._prior = 0.1 * sum(costs.values())
        """So many seconds of CPU time are taken as done at the usual pace."""
        self._usual = 1 / (os.cpu_count() or 1)
        self._spent = self._done = 0.0
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
        pace = (self._prior * self._usual + self._spent) / (self._prior + self._done or 1.0)
        if cost:  # what takes longer than it should tells that all does
            pace = max(pace, (self._spent + elapsed) / (self._done + cost) if self._done else elapsed / cost)
        rest = sum(each for name, each in self._costs.items() if name != self._name)
        return rest * pace + max(cost * pace - elapsed, 0.0)

    def _end(self) -> None:
        if self._began is not None:
            self._spent += self._clock() - self._began
            self._done += self._costs.pop(self._name, 0.0)
            self._began, self._name = None, ""


def left(seconds: float) -> str:
    """Return a time that is still to come, as roughly as it is known: ``about 12 min left``."""
    if seconds < 60:
        return "less than a minute left"
    return f"about {math.ceil(seconds / 60)} min left"
