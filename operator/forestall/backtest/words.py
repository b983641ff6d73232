"""Figures for people; a dash where nothing is known."""

import math

from forestall.core.duration import format_duration

_SILENCES = {
    "NoLimit": "no limit",
    "NoData": "no data",
    "StaleData": "data too old",
    "ShortHistory": "too little history",
    "Unreliable": "no better than climatology of late",
    "ChangePoint": "a step just before",
}


def percent(share: float) -> str:
    """Return a share such as `93 %`."""
    return "-" if math.isnan(share) else f"{share:.0%}".replace("%", " %")


def by(value: float, digits: int = 2) -> str:
    """Return a number with so many digits after the point."""
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def duration(seconds: float) -> str:
    """Return a duration such as `12m`, with its sign."""
    if math.isnan(seconds):
        return "-"
    return f"-{format_duration(-seconds)}" if seconds < 0 else format_duration(seconds)


def false(a_week: float, weeks: float) -> str:
    """Return how many actions in vain there were: in a week, or all of them where there was no whole week."""
    return f"{a_week:.1f} false a week" if weeks >= 1 else f"{a_week * weeks:.0f} false"


def silence(reason: str) -> str:
    """Return why nothing was said, in words."""
    return _SILENCES.get(reason, reason)
