"""Hold on data that is missing, old or not finite."""

import math

from forestall.core.decision import Hold
from forestall.core.guards.context import Context


def freshness(context: Context) -> Hold | None:
    """Hold unless the cause rests on fresh, finite data."""
    cause = context.cause
    if cause.fresh and math.isfinite(cause.value):
        return None
    return Hold("DataNotFresh", f"the newest data of {cause.indicator} is missing, too old or not a number")
