"""Hold for objects with the protection annotation."""

from forestall.core.decision import Hold
from forestall.core.guards.guard_input import GuardInput


def protection(context: GuardInput) -> Hold | None:
    """Hold where the workload, its namespace or the node has the annotation `forestall.dev/protected`."""
    protected = context.constraints.protected
    if protected is None:
        return None
    return Hold("Protected", f'{protected} has the annotation `forestall.dev/protected: "true"`: no action changes it')
