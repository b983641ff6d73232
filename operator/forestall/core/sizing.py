"""How many replicas a load needs."""

import math
from dataclasses import dataclass
from typing import Final

from forestall.core.precision import RELATIVE

_ROUNDED: Final = 8 * RELATIVE
"""How far off a load may be that was computed in a few steps from rounded values."""
_OUTGROWN: Final = 1.25
"""By which factor more replicas must serve before the indicator is expected to show it."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What replicas can carry of an indicator.

    With `per_replica`, the indicator is a total and one replica carries that much of it. Without, the indicator is a
    level per replica that falls in proportion as replicas are added, as the HorizontalPodAutoscaler assumes.
    """

    per_replica: float | None
    headroom: float
    """The share that is kept free, 0 to 1."""
    confidence: float = 0.5
    """Which quantile of the forecast is to be carried, above 0 and below 1."""


@dataclass(frozen=True, slots=True)
class Load:
    """What an indicator was at, and how many replicas served then."""

    ready: int
    value: float

    def outgrew(self, before: "Load") -> bool:
        """Say whether so many more replicas serve than before that a level per replica must have fallen."""
        return before.ready > 0 and self.ready >= before.ready * _OUTGROWN

    def fell(self, before: "Load") -> bool:
        """Say whether the value is nearer to what a level per replica would have come to than to that of a total.

        A level falls as replicas are added, by their share; a total stays. Between the two lies their geometric mean,
        so that a load which grows meanwhile, or is noisy, is not taken for the other too soon.
        """
        return self.value <= before.value * math.sqrt(before.ready / self.ready)


def replicas_for(load: float, limit: float, ready: int, capacity: Capacity) -> int | None:
    """Return the replicas that carry `load` of the indicator; None where that can't be said.

    `limit` is the indicator's limit and `ready` the replicas that were serving when it was measured, both only used
    where the capacity is proportional. Source of the proportional rule: Kubernetes, "Horizontal Pod Autoscaling",
    algorithm details: desired = ceil(current * value / target).
    """
    usable = 1.0 - capacity.headroom
    carried = usable * (limit if capacity.per_replica is None else capacity.per_replica)
    replicas = ready if capacity.per_replica is None else 1
    # Two factors above zero, each tiny, can be zero together.
    if not (math.isfinite(load) and math.isfinite(carried)) or load < 0 or carried <= 0 or replicas <= 0:
        return None
    return _ceil(replicas * load / carried)


def bounded(wanted: int, current: int, most: int, step: int | None) -> int:
    """Return `wanted` within bounds: never below `current`, never above `most`, at most `step` above `current`."""
    reachable = most if step is None else min(most, current + step)
    return max(current, min(wanted, reachable))


def _ceil(value: float) -> int | None:
    if not math.isfinite(value):
        return None  # finite factors, too large together
    # A hair above a whole number is that number: three times 0.1, at 0.1 a replica, must not ask for a fourth, and a
    # load that is forecast is no more exact than what it was learned from.
    return max(1, math.ceil(value * (1.0 - _ROUNDED) - 1e-9))
