"""Hold during clock skew."""

from forestall.core.decision import Hold
from forestall.core.guards.guard_input import GuardInput


def clock(context: GuardInput) -> Hold | None:
    """Hold while the clocks of this process, the API server and the metric source disagree."""
    return None if context.clock_skew is None else Hold("ClockSkew", context.clock_skew)
