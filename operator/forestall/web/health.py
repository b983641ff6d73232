"""Whether the process lives and is ready, judged by facts: the cycle and the lease loop move, the objects are read."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

MISSED_CYCLES = 6
"""After how many intervals without a cycle the process counts as stuck."""
UNREADY_AFTER = 2
"""After how many cycles in a row that did not come to their end the process is not ready."""
DEAD_AFTER = 10
"""After how many of them it should be restarted, though it moves: nobody is served by it."""
DEAD_AFTER_SECONDS = 600.0
"""And only after this time without a whole cycle: what is restarted begins anew."""


@dataclass(slots=True)
class Health:
    """What the probes ask. A standby beats too: it observes and forecasts, and only does not act."""

    interval: float
    """The seconds between two cycles."""
    unsynced: Callable[[], tuple[str, ...]]
    """The kinds of objects that have not been read yet."""
    electing: Callable[[], bool]
    """Whether the lease loop moves."""
    clock: Callable[[], float] = time.monotonic
    note: str = ""
    """What `/readyz` tells besides: it does its work, but clocks are apart or metric sources do not answer."""
    _beat: float = field(init=False)
    _last_complete_cycle: float = field(init=False)
    _missed: int = 0
    _why: str = ""

    def __post_init__(self) -> None:
        self._beat = self._last_complete_cycle = self.clock()

    def beat(self) -> None:
        """Note that a cycle came to its end, or that it waited for something outside and will try again."""
        self._beat = self._last_complete_cycle = self.clock()
        self._missed = 0

    def missed(self, why: str) -> None:
        """Note that a cycle was begun and did not come to its end: the process moves, but does not do its work."""
        self._beat = self.clock()
        self._missed += 1
        self._why = why

    def dead(self) -> str:
        """Return why the process should be restarted; empty when it lives."""
        silence = self.clock() - self._beat
        if silence > self.interval * MISSED_CYCLES:
            return f"no cycle for {silence:.0f} s, one is due every {self.interval:g} s"
        if self._missed >= DEAD_AFTER and self.clock() - self._last_complete_cycle >= DEAD_AFTER_SECONDS:
            return self._unserved()
        return ""

    def unready(self) -> str:
        """Return why the process can't do its work yet; empty when it can."""
        if unsynced := self.unsynced():
            return f"not read yet: {', '.join(unsynced)}"
        if not self.electing():
            return "the lease loop does not move"
        return self._unserved() if self._missed >= UNREADY_AFTER else ""

    def _unserved(self) -> str:
        since = self.clock() - self._last_complete_cycle
        return f"{self._missed} cycles in a row did not come to their end, for {since:.0f} s: {self._why}"
