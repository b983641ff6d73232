"""What people use today, asked at the same moments about the same events."""

import bisect

import numpy as np

from forestall.backtest.history import Floats
from forestall.core import score
from forestall.core.precision import is_past, passes

_REGRESSION = 3600.0
"""Seconds that `predict_linear(x[1h], ...)` looks at."""
_LEAST = 3
"""Points of a regression."""


def persistence(values: Floats, limit: float, steps: int, *, above: bool) -> Floats:
    """Return P(limit passed within `steps`) if all goes on as now, give or take what it has gone off by so far.

    At each step: the share of all past rises, from a value to the extreme that followed it, that would pass the limit.
    """
    sign = 1.0 if above else -1.0
    level, bound = sign * values, sign * limit
    rises = sign * score.reached(values, steps, above=above) - level
    chance = np.full(values.size, np.nan)
    safe = score.past(values, limit, above=above) == 0
    seen: list[float] = []
    for step in range(values.size):
        if step >= steps and np.isfinite(rises[step - steps]):
            bisect.insort(seen, float(rises[step - steps]))
        if seen and safe[step]:
            now = float(level[step])
            more = len(seen) - bisect.bisect_left(seen, 1, key=lambda rise: passes(now + rise, bound, above=True))
            chance[step] = (more + 0.5) / (len(seen) + 1)
    return chance


def predict_linear(values: Floats, limit: float, horizon: float, step: float, *, above: bool) -> Floats:
    """Return 1 where `predict_linear` over one hour is past the limit at the horizon (s), 0 where not, NaN where there
    are too few points.

    Source: Prometheus, querying functions: simple linear regression.
    """
    window = max(_LEAST, round(_REGRESSION / step))
    result = np.full(values.size, np.nan)
    padded = np.concatenate((np.full(window - 1, np.nan), values))
    parts = np.lib.stride_tricks.sliding_window_view(padded, window)
    there = np.isfinite(parts)
    count = there.sum(axis=1)
    known = np.isfinite(values) & (count >= _LEAST)
    if not known.any():
        return result
    time = step * np.arange(1 - window, 1)
    parts, there, count = parts[known], there[known], count[known]
    filled = np.where(there, parts, 0.0)
    mean_time = (there * time).sum(axis=1) / count
    mean = filled.sum(axis=1) / count
    offset = np.where(there, time - mean_time[:, None], 0.0)
    spread = np.square(offset).sum(axis=1)
    slope = (offset * filled).sum(axis=1) / np.where(spread > 0, spread, 1.0)
    predicted = mean + slope * (horizon - mean_time)
    result[known] = is_past(predicted, limit, above=above)
    return result


def burn_alert(short: Floats, long: Floats, limit: float) -> Floats:
    """Return 1 where the error ratio over both windows is past the fast burn's limit, 0 where not, NaN unknown.

    Source: Google, The Site Reliability Workbook, chapter 5: multiwindow alert with a burn rate of 14.4.
    """
    known = np.isfinite(short) & np.isfinite(long)
    return np.where(known, is_past(short, limit, above=True) & is_past(long, limit, above=True), np.nan)
