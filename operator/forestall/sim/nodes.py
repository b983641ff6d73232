"""The nodes of modelled services: how full their disks are, who runs where, and which take nobody new.

Every service has nodes of its own, as large as it needs. How a disk fills up is given, whoever runs on the node.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_MINUTE: Final = 60.0


def node_name(service: int, node: int) -> str:
    """Return how a node is called."""
    return f"service-{service:04d}-node-{node}"


class Nodes:
    """State of the nodes; arrays are (services, nodes), and what a service has no node for is never full."""

    def __init__(self, counts: Sequence[int], disks: Sequence[Floats | None], replicas: int) -> None:
        """`counts`: of nodes; `disks`: the share used in each minute, (minutes, nodes); `replicas`: the most of any."""
        self.counts: Ints = np.array(counts, dtype=np.int64)
        self.host: Ints = np.arange(replicas) % np.maximum(self.counts, 1)[:, None]
        """The node of each replica: (services, replicas)."""
        widest = int(self.counts.max(initial=0))
        given = [disk for disk in disks if disk is not None]
        self.fill = bool(given)
        """Whether any disk is modelled."""
        minutes = min((len(disk) for disk in given), default=1)
        self._used = np.zeros((minutes, len(counts), widest))
        for service, disk in enumerate(disks):
            if disk is not None:
                self._used[:, service, : disk.shape[1]] = disk[:minutes]
        self._cordoned: Bools = np.zeros((len(counts), widest), dtype=np.bool_)
        self.cordons: list[tuple[float, int, int]] = []
        """When (s after the beginning) which node of which service was cordoned."""

    @property
    def cordoned(self) -> Bools:
        """Which nodes take no new replicas."""
        return self._cordoned.copy()

    def used(self, now: float) -> Floats:
        """Return the share of each disk that is used at `now` (s after the beginning)."""
        return np.asarray(self._used[min(int(now // _MINUTE), len(self._used) - 1)])

    def disks(self, service: int, now: float) -> dict[str, float]:
        """Return the same for one service, by the node's name."""
        used = self.used(now)[service, : self.counts[service]].tolist()
        return {node_name(service, node): share for node, share in enumerate(used)}

    def on_full(self, now: float) -> Bools:
        """Say of each replica whether its node's disk is full: (services, replicas)."""
        return np.asarray(np.take_along_axis(self.used(now) >= 1.0, self.host, axis=1))

    def spare(self, service: int, node: int) -> bool:
        """Say whether another node takes new replicas."""
        others = np.arange(self.counts[service]) != node
        return bool((others & ~self._cordoned[service, : self.counts[service]]).any())

    def cordon(self, service: int, node: int, now: float, *, on: bool) -> None:
        """Cordon a node, or give it back."""
        if on and not self.spare(service, node):
            raise ValueError(f"{node_name(service, node)} is the last one that takes replicas")
        if on and not self._cordoned[service, node]:
            self.cordons.append((now, service, node))
        self._cordoned[service, node] = on

    def place(self, added: Bools, there: Bools) -> None:
        """Find a node for each replica that is `added`: of those that take replicas the one with the fewest."""
        there = there & ~added
        for service, replica in np.argwhere(added & (self.counts > 0)[:, None]).tolist():
            count = self.counts[service]
            taken = np.bincount(self.host[service, there[service]], minlength=count).astype(np.float64)
            taken[self._cordoned[service, :count]] = np.inf
            self.host[service, replica] = taken.argmin()
            there[service, replica] = True
