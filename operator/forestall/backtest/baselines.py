"""Baseline forecasters to compare with: persistence, `predict_linear`, and burn rate alerts."""

import bisect

import numpy as np

from forestall.backtest.history import Floats
from forestall.core import score
from forestall.core.precision import is_past, passes

_REGRESSION_WINDOW = 3600.0
"""Range (s) of `predict_linear(x[1h], ...)`."""
_MIN_POINTS = 3
"""Fewest samples for a regression."""


def persistence(values: Floats, limit: float, steps: int, *, above: bool) -> Floats:
    """Return P(limit passed within `steps`), assuming that the value stays as it is plus an error like the past ones.

    At each step this is the share of past rises, from a value to the extreme that followed it, that would pass the
    limit.
    """
    sign = 1.0 if above else -1.0
    level, bound = sign * values, sign * limit
    rises = sign * score.extremes_ahead(values, steps, above=above) - level
    probability = np.full(values.size, np.nan)
    safe = score.past_limit(values, limit, above=above) == 0
    past_rises: list[float] = []
    for step in range(values.size):
        if step >= steps and np.isfinite(rises[step - steps]):
            bisect.insort(past_rises, float(rises[step - steps]))
        if past_rises and safe[step]:
            now = float(level[step])
            passing = len(past_rises) - bisect.bisect_left(
                past_rises, 1, key=lambda rise: passes(now + rise, bound, above=True)
            )
            probability[step] = (passing + 0.5) / (len(past_rises) + 1)
    return probability


def predict_linear(values: Floats, limit: float, horizon: float, step: float, *, above: bool) -> Floats:
    """Return 1 where `predict_linear` over one hour is past the limit at the horizon (s), 0 where it is not, NaN
    where there are too few points.

    Source: Prometheus, querying functions: simple linear regression.
    """
    window = max(_MIN_POINTS, round(_REGRESSION_WINDOW / step))
    result = np.full(values.size, np.nan)
    padded = np.concatenate((np.full(window - 1, np.nan), values))
    windows = np.lib.stride_tricks.sliding_window_view(padded, window)
    finite = np.isfinite(windows)
    count = finite.sum(axis=1)
    usable = np.isfinite(values) & (count >= _MIN_POINTS)
    if not usable.any():
        return result
    time = step * np.arange(1 - window, 1)
    windows, finite, count = windows[usable], finite[usable], count[usable]
    filled = np.where(finite, windows, 0.0)
    mean_time = (finite * time).sum(axis=1) / count
    mean = filled.sum(axis=1) / count
    offset = np.where(finite, time - mean_time[:, None], 0.0)
    spread = np.square(offset).sum(axis=1)
    slope = (offset * filled).sum(axis=1) / np.where(spread > 0, spread, 1.0)
    predicted = mean + slope * (horizon - mean_time)
    result[usable] = is_past(predicted, limit, above=above)
    return result


def burn_alert(short: Floats, long: Floats, limit: float) -> Floats:
    """Return 1 where the error ratio over both windows is past the fast burn's limit, 0 where it is not, NaN
    where either ratio is unknown.

    Source: Google, The Site Reliability Workbook, chapter 5: multiwindow alert with a burn rate of 14.4.
    """
    usable = np.isfinite(short) & np.isfinite(long)
    return np.where(usable, is_past(short, limit, above=True) & is_past(long, limit, above=True), np.nan)
