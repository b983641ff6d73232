"""Format figures for people; an unknown value is a dash."""

import math
from datetime import UTC, datetime

from forestall.core.duration import format_duration


def percent(share: float) -> str:
    """Return a share, such as `93 %`."""
    return "-" if math.isnan(share) else f"{share:.0%}".replace("%", " %")


def decimal(value: float, digits: int = 2) -> str:
    """Return a number with `digits` decimals."""
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def duration(seconds: float) -> str:
    """Return a duration with its sign, such as `12m`."""
    if math.isnan(seconds):
        return "-"
    return f"-{format_duration(-seconds)}" if seconds < 0 else format_duration(seconds)


def clock(at: float) -> str:
    """Return a time (s since the epoch) in UTC, such as `Sat 31 Jan 12:00`."""
    return datetime.fromtimestamp(at, UTC).strftime("%a %d %b %H:%M:%S" if at % 60 else "%a %d %b %H:%M")
