"""Hold for what people have protected."""

from forestall.core.decision import Hold
from forestall.core.guards.guard_input import GuardInput


def protection(context: GuardInput) -> Hold | None:
    """Hold where the workload, its namespace or the node carries the annotation that protects it."""
    what = context.around.protected
    if what is None:
        return None
    return Hold("Protected", f'{what} has the annotation `forestall.dev/protected: "true"`: nothing is done to it')
