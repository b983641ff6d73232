"""KEDA's Prometheus scaler, which feeds a HorizontalPodAutoscaler with an external metric.

Sources: KEDA, "Prometheus" scaler and "Scaling Deployments": the query's value is handed to an HPA with a target of
type AverageValue; Kubernetes, "Horizontal Pod Autoscaling": desired = ceil(value / target), no change where the value
for each replica is within the tolerance of the target. Readiness plays no part. With `minReplicaCount` above zero KEDA
itself only answers. The query here is the rate of requests.
"""

import numpy as np

from forestall.sim.controllers.base import ROUNDING, Floats, Ints, Observation, is_due, replicas_for
from forestall.sim.controllers.behavior import Behavior
from forestall.sim.controllers.hpa import SYNC, TOLERANCE


class Keda:
    """KEDA. `target`: the share of its capacity that each replica should carry, by service."""

    def __init__(self, target: Floats, behavior: Behavior | None = None) -> None:
        self._target = target
        self._behavior = behavior or Behavior()

    def desired_replicas(self, observation: Observation) -> Ints:
        """See the protocol."""
        if not is_due(observation, SYNC):
            return observation.scales.replicas
        return self._behavior.stabilize(
            by_average_value(observation.scales.replicas, observation.rate, self._target * observation.capacity),
            observation,
        )


def by_average_value(current: Ints, value: Floats, target: Floats) -> Ints:
    """Return the recommendation for an external metric with the total `value` and a `target` for each replica."""
    ratio = value / (target * np.maximum(current, 1))
    return np.where(np.abs(ratio - 1) <= TOLERANCE + ROUNDING, current, replicas_for(value, target))
