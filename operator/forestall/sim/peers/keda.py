"""KEDA's Prometheus scaler, which feeds a HorizontalPodAutoscaler with an external metric.

Sources: KEDA, "Prometheus" scaler and "Scaling Deployments": the query's value is handed to an HPA with a target of
type AverageValue; Kubernetes, "Horizontal Pod Autoscaling": desired = ceil(value / target), no change where the value
for each replica is within the tolerance of the target. Readiness plays no part. With `minReplicaCount` above zero KEDA
itself does nothing more than answer. What is queried here is the rate of requests.
"""

import numpy as np

from forestall.sim.peers.base import HEADS, Floats, Ints, Seen, carrying, every
from forestall.sim.peers.behavior import Behavior
from forestall.sim.peers.hpa import SYNC, TOLERANCE


class Keda:
    """`target`: the share of its capacity that each replica should carry, for each service."""

    def __init__(self, target: Floats, behavior: Behavior | None = None) -> None:
        self._target = target
        self._behavior = behavior or Behavior()

    def wanted(self, seen: Seen) -> Ints:
        """See the protocol."""
        if not every(seen, SYNC):
            return seen.scales.replicas
        return self._behavior.settle(
            by_average_value(seen.scales.replicas, seen.rate, self._target * seen.capacity), seen
        )


def by_average_value(current: Ints, value: Floats, target: Floats) -> Ints:
    """Return the recommendation for an external metric of `value` in all and `target` for each replica."""
    ratio = value / (target * np.maximum(current, 1))
    return np.where(np.abs(ratio - 1) <= TOLERANCE + HEADS, current, carrying(value, target))
