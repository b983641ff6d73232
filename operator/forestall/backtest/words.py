"""What is said only of backtests."""

_SILENCES = {
    "NoLimit": "no limit",
    "NoData": "no data",
    "StaleData": "data too old",
    "ShortHistory": "too little history",
    "Unreliable": "no better than climatology of late",
    "ChangePoint": "a step just before",
}


def false(a_week: float, weeks: float) -> str:
    """Return how many actions in vain there were: in a week, or all of them where there was no whole week."""
    return f"{a_week:.1f} false a week" if weeks >= 1 else f"{a_week * weeks:.0f} false"


def silence(reason: str) -> str:
    """Return why nothing was said, in words."""
    return _SILENCES.get(reason, reason)
