"""What people do about leaks: restart every night, or when an alert on the memory fires."""

from collections.abc import Iterable
from typing import Final

import numpy as np

from forestall.sim.peers.base import LOOK, Floats, Seen, every, since

_DAY: Final = 86400.0


class Nightly:
    """A CronJob that restarts every service at `hour`, counted from the beginning of the run."""

    def __init__(self, hour: float = 3.0) -> None:
        self._at = hour * 3600.0

    def due(self, seen: Seen) -> Iterable[int]:
        """See the protocol."""
        return range(len(seen.capacity)) if seen.now % _DAY == self._at else ()


class MemoryAlert:
    """An alert on the fullest replica with a runbook that restarts.

    `target`: the share of the memory limit, for each service. It fires when that was passed for `lasting` s, at most
    once in `pause` s.
    """

    def __init__(self, target: Floats, lasting: float = 300.0, pause: float = 1800.0) -> None:
        self._target, self._lasting, self._pause = target, lasting, pause
        self._since = np.full(len(target), np.inf)
        self._done = np.full(len(target), -np.inf)

    def due(self, seen: Seen) -> Iterable[int]:
        """See the protocol."""
        if not seen.record.done or not every(seen, LOOK):
            return ()
        over = seen.record.memory[seen.record.done - 1] > self._target
        self._since = since(self._since, over, seen.now)
        firing = (seen.now - self._since >= self._lasting) & (seen.now - self._done >= self._pause)
        self._done = np.where(firing, seen.now, self._done)
        return np.flatnonzero(firing).tolist()
