"""Guards: each may stop an action and says why. They fail closed, and the first that holds is the reason."""

from collections.abc import Callable, Sequence

from forestall.core.decision import Hold
from forestall.core.guards.allowance import allowance
from forestall.core.guards.blackout import blackout
from forestall.core.guards.budget import budget
from forestall.core.guards.capacity import capacity
from forestall.core.guards.clock import clock
from forestall.core.guards.concurrency import concurrency
from forestall.core.guards.cooldown import cooldown
from forestall.core.guards.dependency import dependency
from forestall.core.guards.disruption import disruption
from forestall.core.guards.freshness import freshness
from forestall.core.guards.guard_input import (
    Constraints,
    DisruptionBudget,
    EndedRemediation,
    GuardInput,
    NodeAvailability,
    RecordedUsage,
    StormCheck,
    TokenBucket,
    WorkloadPods,
)
from forestall.core.guards.lockout import lockout
from forestall.core.guards.maintenance import maintenance
from forestall.core.guards.nodes import nodes
from forestall.core.guards.pause import pause
from forestall.core.guards.protection import protection
from forestall.core.guards.storm import storm

Guard = Callable[[GuardInput], Hold | None]

GUARDS: Sequence[Guard] = (
    clock,
    freshness,
    pause,
    storm,
    allowance,
    protection,
    blackout,
    maintenance,
    concurrency,
    dependency,
    lockout,
    cooldown,
    disruption,
    nodes,
    capacity,
    budget,
)
"""All guards, in the order in which they are checked and reported."""

NOTIFICATION_GUARDS: Sequence[Guard] = (clock, freshness, pause, storm, allowance)
"""The guards of actions that only notify."""


SKIPPED_TO_DECIDE: frozenset[Guard] = frozenset()
"""The guards that are skipped when a policy decides: none."""
SKIPPED_TO_CONFIRM: frozenset[Guard] = frozenset()
"""The guards that are skipped right before a Remediation is written, after other decisions of the cycle: none."""
SKIPPED_ON_RECHECK: frozenset[Guard] = frozenset({concurrency, cooldown, budget})
"""The guards that are skipped for a Remediation that exists: they passed before it was written, and would now hold it
because of itself. All other guards are checked again."""


def check(context: GuardInput, skipped: frozenset[Guard] = SKIPPED_TO_DECIDE) -> Hold | None:
    """Return the first Hold, or None where all guards that are not `skipped` pass."""
    guards = GUARDS if context.action.changes_cluster else NOTIFICATION_GUARDS
    return next((hold for guard in guards if guard not in skipped and (hold := guard(context)) is not None), None)


__all__ = [
    "GUARDS",
    "SKIPPED_ON_RECHECK",
    "SKIPPED_TO_CONFIRM",
    "SKIPPED_TO_DECIDE",
    "Constraints",
    "DisruptionBudget",
    "EndedRemediation",
    "Guard",
    "GuardInput",
    "NodeAvailability",
    "RecordedUsage",
    "StormCheck",
    "TokenBucket",
    "WorkloadPods",
    "check",
]
