"""Hold for an objective that is a victim of another one."""

from forestall.core.decision import Hold
from forestall.core.guards.guard_input import GuardInput


def dependency(context: GuardInput) -> Hold | None:
    """Hold while an objective that this one depends on is at risk."""
    if context.victim_of is None:
        return None
    return Hold("DependencyAtRisk", f"the objective {context.victim_of}, on which this one depends, is at risk itself")
