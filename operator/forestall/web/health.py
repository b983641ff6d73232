"""Whether the process lives and is ready, judged by facts: the cycle and the lease loop move, the objects are read."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

MISSED_CYCLES = 6
"""After how many intervals without a cycle the process counts as stuck."""


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
    _beat: float = field(init=False)

    def __post_init__(self) -> None:
        self._beat = self.clock()

    def beat(self) -> None:
        """Note that a cycle came to its end, or that it waited for something outside and will try again."""
        self._beat = self.clock()

    def dead(self) -> str:
        """Return why the process should be restarted; empty when it lives."""
        silence = self.clock() - self._beat
        if silence > self.interval * MISSED_CYCLES:
            return f"no cycle for {silence:.0f} s, one is due every {self.interval:g} s"
        return ""

    def unready(self) -> str:
        """Return why the process can't do its work yet; empty when it can."""
        if unsynced := self.unsynced():
            return f"not read yet: {', '.join(unsynced)}"
        if not self.electing():
            return "the lease loop does not move"
        return ""
