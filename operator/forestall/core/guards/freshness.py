"""Hold on missing, stale or non-finite data."""

import math

from forestall.core.decision import Hold
from forestall.core.guards.guard_input import GuardInput


def freshness(context: GuardInput) -> Hold | None:
    """Hold unless the data of the cause is fresh and finite."""
    cause = context.cause
    if cause.fresh and math.isfinite(cause.value):
        return None
    return Hold("DataNotFresh", f"the newest data of {cause.indicator} is missing, too old or not a number")
