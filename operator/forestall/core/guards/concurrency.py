"""Hold during another remediation of the same target."""

from forestall.core.decision import Hold
from forestall.core.guards.guard_input import GuardInput


def concurrency(context: GuardInput) -> Hold | None:
    """Hold while a remediation is under way on the same target."""
    if context.active_remediation is None:
        return None
    return Hold("RemediationActive", f"{context.active_remediation} is under way on the same target")
