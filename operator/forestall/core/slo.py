"""Error budgets and burn rates.

Source: Google, The Site Reliability Workbook, chapter 5 "Alerting on SLOs": a burn rate of 1 uses the budget up just at
the end of the window; 14.4 over an hour uses 2 % of a 30-day budget, looked at over 1 h and over a twelfth of it.
"""

import math
from dataclasses import dataclass
from decimal import Decimal

from forestall.core.precision import RELATIVE_PRECISION

FAST_BURN = 14.4
_LONG_SHARE = 720  # the long window is this part of the objective's window: 1 h of 30 d
_SHORT_SHARE = 12  # the short window is this part of the long one: 5 m of 1 h
_WORST_RATIO = 0.9  # an error ratio that is fast burn for any objective, however lax


@dataclass(frozen=True, slots=True)
class BurnWindows:
    """The two windows of a fast burn, in seconds."""

    short: float
    long: float


def error_budget(objective: float) -> float:
    """Return the share of bad events that an objective of `objective` percent leaves: of 99.9 exactly 0.001."""
    # In floats, 1 - 99.9 / 100 is less than 0.001: a budget that is exactly used up would count as overdrawn.
    return float((100 - Decimal(str(objective))) / 100)


def burn_windows(window: float, shortest: float) -> BurnWindows:
    """Return the windows that show a fast burn of an objective over `window` seconds.

    `shortest` (s) is the shortest meaningful range of a rate: a few scrape intervals.
    """
    long = max(window / _LONG_SHARE, shortest)
    return BurnWindows(short=max(long / _SHORT_SHARE, shortest), long=long)


def fast_burn_limit(objective: float) -> float:
    """Return the error ratio at which the budget burns fast; at most 0.9, also where 14.4 budgets exceed 1."""
    return min(FAST_BURN * error_budget(objective), _WORST_RATIO)


def burn_rate(error_ratio: float, objective: float) -> float:
    """Return the burn rate of `error_ratio`: 1 uses the budget up exactly at the end of the window."""
    return error_ratio / error_budget(objective)


def budget_remaining(error_ratio: float, objective: float) -> float:
    """Return the share of the budget that remains after `error_ratio` over the whole window; negative: overdrawn.

    A ratio equal to the budget, within float32 precision, leaves exactly 0: 1 - 0.999 is more than 0.001 in floats.
    """
    budget = error_budget(objective)
    return 0.0 if abs(error_ratio - budget) <= RELATIVE_PRECISION * budget else 1.0 - error_ratio / budget


def percent_decimals(objective: float) -> int:
    """Return how many decimals of a percentage resolve a hundredth of the error budget; at least three."""
    return max(3, math.ceil(round(-math.log10(error_budget(objective)), 6)))
