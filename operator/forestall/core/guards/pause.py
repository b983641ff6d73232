"""Hold during a pause, or while the policy is suspended."""

from forestall.core.decision import Hold
from forestall.core.guards.guard_input import GuardInput


def pause(context: GuardInput) -> Hold | None:
    """Hold while the cluster, the namespace, the objective or the policy is paused, or the policy is suspended."""
    if context.paused is not None:
        return Hold("Paused", context.paused)
    if context.suspended:
        return Hold("Suspended", "the policy is suspended (spec.suspend)")
    return None
