"""What people do about disks that fill up: cordon the node when an alert fires, and give it back when that is over."""

import numpy as np

from forestall.sim.nodes import Bools
from forestall.sim.peers.base import LOOK, Seen, every, since


class DiskAlert:
    """An alert on the disk of each node with a runbook that cordons it, but never the last one of a service.

    `limit`: the share of the disk. It fires when that was passed for `lasting` s, and the node is given back when it
    was not for `calm` s.
    """

    def __init__(self, limit: float, lasting: float = 300.0, calm: float = 1800.0) -> None:
        self._limit, self._lasting, self._calm = limit, lasting, calm
        self._over_since = self._fine_since = np.full((1, 1), np.inf)

    def cordoned(self, seen: Seen) -> Bools:
        """See the protocol."""
        before = seen.nodes.cordoned
        if not every(seen, LOOK):
            return before
        over = seen.nodes.used(seen.now) > self._limit
        self._over_since = since(self._over_since, over, seen.now)
        self._fine_since = since(self._fine_since, ~over, seen.now)
        wanted = before & (seen.now - self._fine_since < self._calm)
        for service, node in np.argwhere(~wanted & (seen.now - self._over_since >= self._lasting)).tolist():
            there = seen.nodes.counts[service]
            wanted[service, node] = (~wanted[service, :there]).sum() > 1
        return np.asarray(wanted)
