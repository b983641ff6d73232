"""Hold on data that is missing, old or not finite."""

import math

from forestall.core.decision import Hold
from forestall.core.guards.guard_input import GuardInput


def freshness(context: GuardInput) -> Hold | None:
    """Hold unless the cause rests on fresh, finite data."""
    cause = context.cause
    if cause.fresh and math.isfinite(cause.value):
        return None
    return Hold("DataNotFresh", f"the newest data of {cause.indicator} is missing, too old or not a number")
