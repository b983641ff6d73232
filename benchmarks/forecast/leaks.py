"""Leaks: slopes injected into series, and steps as decoys.

Each stretch of three days makes three cases, all of them the series as it was recorded, spikes and gaps included: with
a leak, a slope that begins after the first day and takes the series past its limit some hours later; with a step at the
same moment that stays below the limit, as a decoy; and left alone. The limit is above all that the stretch holds by one
to two times the range of its values.

It fires where the limit is forecast to be passed within the longest horizon with a probability of at least one half.
A leak is recalled when the first fire comes after it began and before any sample is past the limit; in time, when the
limit is then not more than two horizons away. A fire at any time at a decoy or at a series left alone is false. The
error of the time to breach, as a share of the time that is left, is that of the first fire of the leaks recalled, and
that of all their fires.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from benchmarks.forecast.data import DAY, STEP, Series
from benchmarks.forecast.protocol import MINUTES

from forestall.core.forecast import BreachForecaster, Limit
from forestall.core.series import SeriesMatrix

_LENGTH = 3 * DAY
_FIRES = 0.5
_START = 1_700_006_400.0
_KINDS = ("leak", "step", "plain")


@dataclass(frozen=True)
class Cases:
    """Values have the shape (time, cases), the others (cases,)."""

    kind: np.ndarray
    """Index into `_KINDS`."""
    values: np.ndarray
    limit: np.ndarray
    begin: np.ndarray
    """Start of the leak or of the step."""
    breach: np.ndarray
    """Step at which the limit is passed, or the length where it is not."""


def measure(series: Series, seed: int = 1) -> dict[str, float]:
    """Return recall, false fires and the error of the time to breach, over all cases of ``series``."""
    cases = make(series, np.random.default_rng(seed))
    return judge(cases, *forecast(cases))


def judge(cases: Cases, probability: np.ndarray, expected: np.ndarray) -> dict[str, float]:
    """Return the figures of the probability and the median time to breach (s), both of the shape (time, cases)."""
    horizon = MINUTES[-1] * 60 / STEP
    time = np.arange(_LENGTH)[:, None]
    fires = (probability >= _FIRES) & (time >= DAY) & (time < cases.breach)
    fired = fires.any(axis=0)
    first = np.where(fired, fires.argmax(axis=0), _LENGTH)
    leak = cases.kind == _KINDS.index("leak")
    false = fired & (~leak | (first < cases.begin))
    recalled = leak & fired & ~false
    left = (cases.breach - time) * STEP
    error = np.abs(expected - left) / np.maximum(left, STEP)
    first_error = error[first[recalled], np.flatnonzero(recalled)]
    later_fires = fires & recalled & (time >= first) & np.isfinite(error)
    lead = (cases.breach - first)[recalled]
    return {
        "leaks": int(leak.sum()),
        "others": int((~leak).sum()),
        "recall": float(recalled.sum() / leak.sum()),
        "recall_in_time": float((lead <= 2 * horizon).sum() / leak.sum()),
        "false_fires": float(false[~leak].mean()),
        **{f"false_fires_{kind}": float(false[cases.kind == n].mean()) for n, kind in enumerate(_KINDS)},
        "time_error_median": _quantile(first_error, 0.5),
        "time_error_median_since": _quantile(error[later_fires], 0.5),
        "lead_minutes_median": _quantile(lead * STEP / 60, 0.5),
        "lead_minutes_p10": _quantile(lead * STEP / 60, 0.1),
    }


def _quantile(values: np.ndarray, share: float) -> float:
    return float(np.quantile(values, share)) if values.size else float("nan")


def make(series: Series, random: np.random.Generator) -> Cases:
    """Return three cases of each of four random parts of every series that is long enough."""
    kinds, values, limits, begins, breach = [], [], [], [], []
    time = np.arange(_LENGTH)
    for original in series.values():
        if original.size < _LENGTH:
            continue
        for start in random.integers(0, original.size - _LENGTH + 1, 4):
            base = original[start : start + _LENGTH]
            if np.isfinite(base).sum() * 2 < _LENGTH:
                continue
            least, middle, largest = np.nanquantile(base, (0, 0.5, 1))
            span = max(largest - least, 1e-3 * np.nanmax(np.abs(base)), 1e-9)
            limit = largest + span * random.uniform(1, 2)
            begin, duration = DAY + random.integers(0, DAY // 2), random.integers(DAY // 4, DAY)
            leak = (limit - middle) * np.clip(time - begin, 0, None) / duration
            step = (limit - largest) * random.uniform(0.3, 0.9) * (time >= begin)
            for kind, added in enumerate((leak, step, np.zeros(_LENGTH))):
                case = base + added
                passed = case > limit
                kinds.append(kind)
                values.append(case)
                limits.append(limit)
                begins.append(begin)
                breach.append(passed.argmax() if passed.any() else _LENGTH)
    return Cases(*map(np.array, (kinds, np.stack(values, axis=1), limits, begins, breach)))


def forecast(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
    """Return P(limit passed within the longest horizon) and the time to breach (s), both of the shape (time, cases)."""
    matrix = SeriesMatrix(STEP, _LENGTH)
    forecaster = BreachForecaster(matrix, [60.0 * minutes for minutes in MINUTES])
    forecaster.set_limits({key: Limit(limit, long_trend=True) for key, limit in enumerate(cases.limit.tolist())})
    rows = np.array([matrix.row(key) for key in range(len(cases.limit))])
    probability, expected = np.zeros(cases.values.shape), np.full(cases.values.shape, np.inf)
    for time, column in enumerate(cases.values):
        now = _START + STEP * time
        matrix.push_rows(now, rows, column)
        forecaster.update(now)
        if time >= DAY:
            table = forecaster.forecast(now)
            probability[time], expected[time] = table.probability[:, -1], table.time_to_breach[:, 0]
    return probability, expected
