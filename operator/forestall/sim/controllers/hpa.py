"""The HorizontalPodAutoscaler on CPU utilization.

Source: Kubernetes, "Horizontal Pod Autoscaling", section "Algorithm details": desired = ceil(current x value / target)
over the pods that are ready; no change within the tolerance of 0.1; pods that are not ready yet count as using nothing
when it would scale up, and where that turns the direction round, nothing changes. Pods without metrics are taken to use
nothing when scaling up and all of it when scaling down; here, every pod that serves has metrics and every other is not
ready yet. Without metrics of any pod it leaves the replicas as they are. It syncs every 15 s.
"""

from typing import Final

import numpy as np

from forestall.sim.controllers.base import ROUNDING, Floats, Ints, Observation, is_due
from forestall.sim.controllers.behavior import Behavior

SYNC: Final = 15.0
TOLERANCE: Final = 0.1
CPU_WINDOW: Final = 30.0
"""Window of the metrics server's usage (s)."""


class Hpa:
    """The HPA. `target`: utilization of a replica's capacity, 0 to 1, by service."""

    def __init__(self, target: Floats, behavior: Behavior | None = None) -> None:
        self._target = target
        self._behavior = behavior or Behavior()

    def desired_replicas(self, observation: Observation) -> Ints:
        """See the protocol."""
        if not is_due(observation, SYNC) or not observation.record.covers(CPU_WINDOW):
            return observation.scales.replicas
        current, ready = observation.scales.replicas, np.minimum(observation.ready, observation.scales.replicas)
        # A new replica takes its share of the work at once: the mean is over the serving replicas.
        use = np.minimum(observation.record.mean_usage(CPU_WINDOW) / np.maximum(ready, 1), 1.0)
        return self._behavior.stabilize(by_utilization(current, ready, use, self._target), observation)


def by_utilization(current: Ints, ready: Ints, use: Floats, target: Floats) -> Ints:
    """Return the recommendation for `ready` of `current` pods that use `use` of their request each, on average."""
    ratio = use / target
    unready = current - ready
    # Pods that are not ready count as using nothing when it would scale up.
    counted = np.where((ratio > 1) & (unready > 0), current, ready)
    with_unready = np.divide(ratio * ready, counted, out=np.ones_like(ratio), where=counted > 0)
    desired = np.ceil(with_unready * counted - ROUNDING).astype(np.int64)
    unchanged = (np.abs(with_unready - 1) <= TOLERANCE + ROUNDING) | ((ratio > 1) & (with_unready < 1))
    unchanged |= (with_unready > 1) & (desired < current)
    unchanged |= ready == 0
    return np.where(unchanged, current, desired)
