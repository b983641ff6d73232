"""How many replicas each service is to have, and within which bounds: what controllers and the operator write."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(slots=True)
class Scales:
    """A number for each service. Every write makes a new version, as resource versions do."""

    replicas: Ints
    """What the workload asks for."""
    least: Ints
    """`minReplicas` of its autoscaler, where it has one."""
    most: Ints
    """`maxReplicas`."""
    version: int = 1
    versions: Ints = field(init=False)
    """Of the workload, or of its autoscaler: who writes one does not read the other."""
    floors: Ints = field(init=False)

    def __post_init__(self) -> None:
        self.versions = np.full(len(self.replicas), self.version, dtype=np.int64)
        self.floors = self.versions.copy()

    def set_all(self, wanted: Ints) -> None:
        """Ask for so many replicas of each service, within the bounds."""
        wanted = np.minimum(np.maximum(wanted, self.least), self.most)
        changed = wanted != self.replicas
        if changed.any():
            self.version += 1
            self.versions[changed] = self.version
            self.replicas = np.where(changed, wanted, self.replicas)

    def set_replicas(self, service: int, replicas: int) -> None:
        """Ask for so many replicas of one service."""
        self.version += 1
        self.versions[service] = self.version
        self.replicas[service] = replicas

    def set_least(self, service: int, least: int) -> None:
        """Set the floor of one service's autoscaler."""
        self.version += 1
        self.floors[service] = self.version
        self.least[service] = least

    def touch(self, service: int) -> None:
        """Note that the workload was changed otherwise."""
        self.version += 1
        self.versions[service] = self.version
