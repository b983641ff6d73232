"""How many replicas a load needs."""

import math
from dataclasses import dataclass
from typing import Final

from forestall.core.precision import RELATIVE_PRECISION

_ROUNDED: Final = 8 * RELATIVE_PRECISION
"""The relative rounding error of a load that was computed in a few steps from float32 values."""
_OUTGROWN: Final = 1.25
"""By which factor the ready replicas must have grown before the indicator is expected to show it."""


@dataclass(frozen=True, slots=True)
class ReplicaCapacity:
    """The capacity of replicas, in units of an indicator.

    With `per_replica`, the indicator is a total and one replica carries that much of it. Without, the indicator is a
    level per replica that falls in proportion as replicas are added, as the HorizontalPodAutoscaler assumes.
    """

    per_replica: float | None
    headroom: float
    """The share of the capacity that is kept free, 0 to 1."""
    confidence: float = 0.5
    """The quantile of the forecast that the replicas must carry, above 0 and below 1."""


@dataclass(frozen=True, slots=True)
class LoadSample:
    """The value of an indicator, and the ready replicas at that time."""

    ready: int
    value: float

    def has_outgrown(self, before: "LoadSample") -> bool:
        """Return whether so many replicas were added that a level per replica must have fallen."""
        return before.ready > 0 and self.ready >= before.ready * _OUTGROWN

    def fell_like_level(self, before: "LoadSample") -> bool:
        """Return whether the value fell as a level per replica does, and did not stay as a total does.

        A level falls in proportion as replicas are added; a total stays. The threshold is the geometric mean of both,
        so that growth or noise of the load does not decide.
        """
        return self.value <= before.value * math.sqrt(before.ready / self.ready)


def replicas_for(load: float, limit: float, ready: int, capacity: ReplicaCapacity) -> int | None:
    """Return the replicas that carry `load` of the indicator; None where it can't be computed.

    `limit` is the indicator's limit and `ready` the replicas that were ready when it was measured; both are used only
    where the capacity is proportional. Source of the proportional rule: Kubernetes, "Horizontal Pod Autoscaling",
    algorithm details: desired = ceil(current * value / target).
    """
    usable = 1.0 - capacity.headroom
    carried = usable * (limit if capacity.per_replica is None else capacity.per_replica)
    replicas = ready if capacity.per_replica is None else 1
    # The product of two tiny positive factors can underflow to zero.
    if not (math.isfinite(load) and math.isfinite(carried)) or load < 0 or carried <= 0 or replicas <= 0:
        return None
    return _ceil(replicas * load / carried)


def bounded_replicas(desired: int, current: int, maximum: int, step: int | None) -> int:
    """Return `desired` within bounds: at least `current`, at most `maximum`, at most `step` above `current`."""
    ceiling = maximum if step is None else min(maximum, current + step)
    return max(current, min(desired, ceiling))


def _ceil(value: float) -> int | None:
    if not math.isfinite(value):
        return None  # the product of large finite factors overflows
    # A number just above an integer is that integer: three times 0.1, at 0.1 a replica, must not need a fourth, and a
    # forecast is no more exact than the values it was learned from.
    return max(1, math.ceil(value * (1.0 - _ROUNDED) - 1e-9))
