"""The HorizontalPodAutoscaler on CPU utilisation.

Source: Kubernetes, "Horizontal Pod Autoscaling", section "Algorithm details": desired = ceil(current x value / target)
over the pods that are ready; no change within the tolerance of 0.1; pods that are not ready yet count as using nothing
when it would scale up, and where that turns the direction round, nothing changes. Pods without metrics are taken to use
nothing when scaling up and all of it when scaling down; here, every pod that serves has metrics and every other is not
ready yet. Without metrics of any pod it leaves the replicas as they are. It looks every 15 s.
"""

from typing import Final

import numpy as np

from forestall.sim.peers.base import HEADS, Floats, Ints, Seen, every
from forestall.sim.peers.behavior import Behavior

SYNC: Final = 15.0
TOLERANCE: Final = 0.1
CPU_WINDOW: Final = 30.0
"""Seconds that the metrics server's usage is taken over."""


class Hpa:
    """`target`: utilisation of what a replica can carry, 0 to 1, for each service."""

    def __init__(self, target: Floats, behavior: Behavior | None = None) -> None:
        self._target = target
        self._behavior = behavior or Behavior()

    def wanted(self, seen: Seen) -> Ints:
        """See the protocol."""
        if not every(seen, SYNC) or not seen.record.covers(CPU_WINDOW):
            return seen.scales.replicas
        current, ready = seen.scales.replicas, np.minimum(seen.ready, seen.scales.replicas)
        # A replica that has just begun to serve takes its share of the work: the mean is over those that serve now.
        use = np.minimum(seen.record.used_mean(CPU_WINDOW) / np.maximum(ready, 1), 1.0)
        return self._behavior.settle(by_utilisation(current, ready, use, self._target), seen)


def by_utilisation(current: Ints, ready: Ints, use: Floats, target: Floats) -> Ints:
    """Return the recommendation for `ready` of `current` pods that use `use` of their request each, on average."""
    ratio = use / target
    unready = current - ready
    # All that are not ready yet are counted in, as using nothing, when it would scale up.
    counted = np.where((ratio > 1) & (unready > 0), current, ready)
    with_unready = np.divide(ratio * ready, counted, out=np.ones_like(ratio), where=counted > 0)
    wanted = np.ceil(with_unready * counted - HEADS).astype(np.int64)
    stays = (np.abs(with_unready - 1) <= TOLERANCE + HEADS) | ((ratio > 1) & (with_unready < 1))
    stays |= (with_unready > 1) & (wanted < current)
    stays |= ready == 0
    return np.where(stays, current, wanted)
