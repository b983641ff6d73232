"""The desired replicas and bounds of each service, which controllers and the operator write."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(slots=True)
class Scales:
    """Replicas and bounds by service. Every write makes a new version, like `resourceVersion`."""

    replicas: Ints
    """`spec.replicas` of the workload."""
    min_replicas: Ints
    """`minReplicas` of its autoscaler, where there is one."""
    max_replicas: Ints
    """`maxReplicas`."""
    version: int = 1
    workload_versions: Ints = field(init=False)
    """Versions of the workloads; those of their autoscalers are separate."""
    autoscaler_versions: Ints = field(init=False)

    def __post_init__(self) -> None:
        self.workload_versions = np.full(len(self.replicas), self.version, dtype=np.int64)
        self.autoscaler_versions = self.workload_versions.copy()

    def set_all(self, desired: Ints) -> None:
        """Set the desired replicas of each service, within the bounds."""
        desired = np.minimum(np.maximum(desired, self.min_replicas), self.max_replicas)
        changed = desired != self.replicas
        if changed.any():
            self.version += 1
            self.workload_versions[changed] = self.version
            self.replicas = np.where(changed, desired, self.replicas)

    def set_replicas(self, service: int, replicas: int) -> None:
        """Set the desired replicas of one service."""
        self.version += 1
        self.workload_versions[service] = self.version
        self.replicas[service] = replicas

    def set_min_replicas(self, service: int, min_replicas: int) -> None:
        """Set `minReplicas` of one service's autoscaler."""
        self.version += 1
        self.autoscaler_versions[service] = self.version
        self.min_replicas[service] = min_replicas

    def bump_version(self, service: int) -> None:
        """Make a new version of a workload after another change."""
        self.version += 1
        self.workload_versions[service] = self.version
