"""Hold while clocks disagree."""

from forestall.core.decision import Hold
from forestall.core.guards.context import Context


def clock(context: Context) -> Hold | None:
    """Hold while the clocks of this process, the API server and the metric source are apart."""
    return None if context.skewed is None else Hold("ClockSkew", context.skewed)
