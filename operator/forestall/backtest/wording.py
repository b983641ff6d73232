"""Phrases of backtest reports."""

_SILENCES = {
    "NoLimit": "no limit",
    "NoData": "no data",
    "StaleData": "data too old",
    "ShortHistory": "too little history",
    "Unreliable": "no better than the base rate of late",
    "ChangePoint": "a level shift just before",
}


def describe_false_actions(a_week: float, weeks: float) -> str:
    """Return the number of false actions: by week, or the total of a history shorter than a week."""
    return f"{a_week:.1f} false a week" if weeks >= 1 else f"{a_week * weeks:.0f} false"


def describe_abstention(reason: str) -> str:
    """Return a reason for a missing forecast in words."""
    return _SILENCES.get(reason, reason)
