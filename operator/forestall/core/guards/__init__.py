"""Guards: each may stop an action and says why. They compose, fail closed, and the first that holds is the reason."""

from collections.abc import Callable, Sequence

from forestall.core.decision import Hold
from forestall.core.guards.allowance import allowance
from forestall.core.guards.blackout import blackout
from forestall.core.guards.budget import budget
from forestall.core.guards.clock import clock
from forestall.core.guards.concurrency import concurrency
from forestall.core.guards.cooldown import cooldown
from forestall.core.guards.dependency import dependency
from forestall.core.guards.disruption import disruption
from forestall.core.guards.freshness import freshness
from forestall.core.guards.guard_input import Bucket, Budget, Debt, Ended, GuardInput, Nodes, Pods, Storm, Surroundings
from forestall.core.guards.lockout import lockout
from forestall.core.guards.maintenance import maintenance
from forestall.core.guards.nodes import nodes
from forestall.core.guards.pause import pause
from forestall.core.guards.protection import protection
from forestall.core.guards.room import room
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
    room,
    budget,
)
"""In the order in which a person wants to hear of them."""

TELLING_GUARDS: Sequence[Guard] = (clock, freshness, pause, storm, allowance)
"""Those of actions that only tell: most of what guards are for can't happen."""


SKIPPED_TO_DECIDE: frozenset[Guard] = frozenset()
"""What is not asked when a policy decides: nothing."""
SKIPPED_TO_CONFIRM: frozenset[Guard] = frozenset()
"""What is not asked right before an intent is written down, when others may have been decided since: nothing."""
SKIPPED_ON_RECHECK: frozenset[Guard] = frozenset({concurrency, cooldown, budget})
"""What is not asked of an intent that is written down: it was found alone, cooled down and counted before, and stands
in its own way since. What may have changed meanwhile is asked again."""


def check(context: GuardInput, skipped: frozenset[Guard] = SKIPPED_TO_DECIDE) -> Hold | None:
    """Return the first Hold, or None when every guard that is not `skipped` lets the action pass."""
    guards = GUARDS if context.action.changes_cluster else TELLING_GUARDS
    return next((hold for guard in guards if guard not in skipped and (hold := guard(context)) is not None), None)


__all__ = [
    "GUARDS",
    "SKIPPED_ON_RECHECK",
    "SKIPPED_TO_CONFIRM",
    "SKIPPED_TO_DECIDE",
    "Bucket",
    "Budget",
    "Debt",
    "Ended",
    "Guard",
    "GuardInput",
    "Nodes",
    "Pods",
    "Storm",
    "Surroundings",
    "check",
]
