"""The nodes of modeled services: disk usage, placement of replicas, and cordons.

Every service has its own nodes, which are large enough. The disk usage is an input, and does not depend on the replicas
of a node.
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
    """Return the name of a node."""
    return f"service-{service:04d}-node-{node}"


class ModelNodes:
    """State of the nodes; arrays have the shape (services, nodes), and missing nodes are never full."""

    def __init__(self, counts: Sequence[int], disks: Sequence[Floats | None], replicas: int) -> None:
        """`counts`: nodes by service; `disks`: used share, shape (minutes, nodes); `replicas`: their maximum."""
        self.counts: Ints = np.array(counts, dtype=np.int64)
        self.host: Ints = np.arange(replicas) % np.maximum(self.counts, 1)[:, None]
        """The node of each replica, shape (services, replicas)."""
        widest = int(self.counts.max(initial=0))
        modeled = [disk for disk in disks if disk is not None]
        self.has_disks = bool(modeled)
        """Whether any disk is modeled."""
        minutes = min((len(disk) for disk in modeled), default=1)
        self._used = np.zeros((minutes, len(counts), widest))
        for service, disk in enumerate(disks):
            if disk is not None:
                self._used[:, service, : disk.shape[1]] = disk[:minutes]
        self._cordoned: Bools = np.zeros((len(counts), widest), dtype=np.bool_)
        self.cordons: list[tuple[float, int, int]] = []
        """Time (s after the start), service and node of each cordon."""

    @property
    def cordoned(self) -> Bools:
        """Which nodes are cordoned."""
        return self._cordoned.copy()

    def used(self, now: float) -> Floats:
        """Return the used share of each disk at `now` (s after the start)."""
        return np.asarray(self._used[min(int(now // _MINUTE), len(self._used) - 1)])

    def disks(self, service: int, now: float) -> dict[str, float]:
        """Return the used share of the disks of one service, by node name."""
        used = self.used(now)[service, : self.counts[service]].tolist()
        return {node_name(service, node): share for node, share in enumerate(used)}

    def is_on_full_disk(self, now: float) -> Bools:
        """Return whether the disk of each replica's node is full, shape (services, replicas)."""
        return np.asarray(np.take_along_axis(self.used(now) >= 1.0, self.host, axis=1))

    def has_spare(self, service: int, node: int) -> bool:
        """Return whether another node is schedulable."""
        is_other = np.arange(self.counts[service]) != node
        return bool((is_other & ~self._cordoned[service, : self.counts[service]]).any())

    def cordon(self, service: int, node: int, now: float, *, on: bool) -> None:
        """Cordon a node, or uncordon it."""
        if on and not self.has_spare(service, node):
            raise ValueError(f"{node_name(service, node)} is the last schedulable node")
        if on and not self._cordoned[service, node]:
            self.cordons.append((now, service, node))
        self._cordoned[service, node] = on

    def assign(self, added: Bools, running: Bools) -> None:
        """Assign each `added` replica to the schedulable node with the fewest replicas."""
        running = running & ~added
        for service, replica in np.argwhere(added & (self.counts > 0)[:, None]).tolist():
            count = self.counts[service]
            replicas_by_node = np.bincount(self.host[service, running[service]], minlength=count).astype(np.float64)
            replicas_by_node[self._cordoned[service, :count]] = np.inf
            self.host[service, replica] = replicas_by_node.argmin()
            running[service, replica] = True
