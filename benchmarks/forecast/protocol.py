"""Rolling-origin evaluation: forecasts and their outcomes at each step.

An event: the limit is passed within the horizon. Origins past the limit do not count, nor do those of the first four
days, which are only for learning.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from benchmarks.forecast.data import DAY, LEARN, STEP, Series

from forestall.backtest.baselines import predict_linear
from forestall.core import score
from forestall.core.forecast import BreachForecaster, Limit
from forestall.core.series import SeriesMatrix

MINUTES = (30, 60, 180)
HORIZONS = tuple(round(minutes * 60 / STEP) for minutes in MINUTES)
_CAPACITY = 8 * DAY
_LEAST_ORIGINS = 100
_START = 1_700_006_400.0  # midnight


@dataclass(frozen=True)
class Run:
    """Forecasts of one data set; arrays have the shape (horizons, time, series)."""

    names: list[str]
    outcome: np.ndarray
    """1: the limit is passed within the horizon, 0: it is not, -1: the origin does not count."""
    reached: np.ndarray
    """The maximum within the horizon, NaN where the origin does not count."""
    climatology: np.ndarray
    """The rate of earlier events at the origin."""
    probability: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    experts: dict[str, np.ndarray]
    linear: np.ndarray
    """Whether predict_linear over one hour passes the limit."""


def run(series: Series, limit_from: str) -> Run:
    """Forecast all ``series``; limits are the 95th percentile of the `whole` of each, or of the `learned` days."""
    names = list(series)
    length = max(map(len, series.values()))
    values = np.full((length, len(names)), np.nan)
    for index, name in enumerate(names):
        values[: len(series[name]), index] = series[name]
    limit_values = values if limit_from == "whole" else values[:LEARN]
    limits = np.nanquantile(limit_values, 0.95, axis=0)
    outcome, reached = _truth(values, limits)
    (probability, lower, upper), experts = _forecast(values, limits)
    climatology = _climatology(outcome)
    outcome[:, :LEARN] = -1
    reached[:, :LEARN] = np.nan
    linear = _predict_linear(values, limits)
    return Run(names, outcome, reached, climatology, probability, lower, upper, experts, linear)


def _forecast(values: np.ndarray, limits: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    length, count = values.shape
    matrix = SeriesMatrix(STEP, _CAPACITY)
    forecaster = BreachForecaster(matrix, [60.0 * minutes for minutes in MINUTES])
    forecaster.set_limits({key: Limit(float(limit)) for key, limit in enumerate(limits)})
    rows = np.array([matrix.row(key) for key in range(count)])
    result = np.zeros((3, len(HORIZONS), length, count), dtype=np.float32)
    experts: dict[str, np.ndarray] = {}
    for time in range(length):
        now = _START + STEP * time
        matrix.push_rows(now, rows, values[time])
        forecaster.update(now)
        if time < LEARN:
            continue
        table = forecaster.forecast(now)
        result[:, :, time] = table.probability.T, table.lower.T, table.upper.T
        for name, probabilities in forecaster.opinions().items():
            experts.setdefault(name, np.zeros(result.shape[1:], dtype=np.float32))[:, time] = probabilities
    return result, experts


def _truth(values: np.ndarray, limits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    shape = (len(HORIZONS), *values.shape)
    outcome, reached = np.full(shape, score.UNKNOWN, dtype=np.int8), np.full(shape, np.nan)
    for row, (column, limit) in enumerate(zip(values.T, limits.tolist(), strict=True)):
        safe = score.past_limit(column, limit, above=True) == 0
        for index, steps in enumerate(HORIZONS):
            largest = np.where(np.isfinite(column), score.extremes_ahead(column, steps, above=True), np.nan)
            reached[index, :, row] = largest
            outcome[index, :, row] = np.where(safe, score.past_limit(largest, limit, above=True), score.UNKNOWN)
    return outcome, reached


def _climatology(outcome: np.ndarray) -> np.ndarray:
    """Return the rate of events over all earlier origins whose horizon has passed."""
    rates = [
        [score.climatology(column, steps) for column in part.T] for part, steps in zip(outcome, HORIZONS, strict=True)
    ]
    return np.asarray(np.array(rates).transpose(0, 2, 1))


def _predict_linear(values: np.ndarray, limits: np.ndarray) -> np.ndarray:
    predictions = [
        [
            predict_linear(column, limit, steps * STEP, STEP, above=True)
            for column, limit in zip(values.T, limits.tolist(), strict=True)
        ]
        for steps in HORIZONS
    ]
    return np.asarray(np.nan_to_num(np.array(predictions).transpose(0, 2, 1)))


def scores(result: Run, index: int) -> dict[str, object]:
    """Return the figures of one horizon: Brier scores, skill over climatology, calibration, coverage."""
    outcome = result.outcome[index]
    counted = outcome != score.UNKNOWN
    reference = _brier(result.climatology[index], outcome)
    used = np.flatnonzero((counted.sum(axis=0) >= _LEAST_ORIGINS) & (reference > 1e-6))
    if not used.size:
        return {}
    brier = _brier(result.probability[index], outcome)[used]
    reference = reference[used]
    experts = {
        name: float(_brier(probabilities[index], outcome)[used].mean())
        for name, probabilities in result.experts.items()
    }
    covered = score.within_bounds(result.reached[index], result.lower[index], result.upper[index])
    times = _START + STEP * np.arange(len(covered), dtype=np.float64)
    return {
        "series": len(used),
        "brier": float(brier.mean()),
        "climatology": float(reference.mean()),
        "skill": 1 - float(brier.mean() / reference.mean()),
        "skill_interval": _bootstrap(brier, reference),
        "series_with_skill": float((brier < reference).mean()),
        "least_skill": float((1 - brier / reference).min()),
        "calibration_error": score.calibration_error(
            score.reliability(result.probability[index][counted], outcome[counted])
        ),
        "coverage": float(np.nanmean(covered[:, used], axis=0).mean()),
        "worst_day": float(
            np.nanmean([score.worst_day(times, covered[:, index_used].astype(np.float64)) for index_used in used])
        ),
        "experts": experts,
        "best_expert": min(experts, key=experts.__getitem__),
        "predict_linear": float(_brier(result.linear[index], outcome)[used].mean()),
        "by_series": {
            result.names[column]: {"brier": float(b), "climatology": float(r)}
            for column, b, r in zip(used, brier, reference, strict=True)
        },
    }


def _brier(probabilities: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    """Return the score of each series; 0 where no origin counts."""
    return np.nan_to_num([score.brier(*pair) for pair in zip(probabilities.T, outcome.T, strict=True)])


def _bootstrap(brier: np.ndarray, reference: np.ndarray) -> list[float]:
    """Return the 90 % confidence interval of the skill over series."""
    random = np.random.default_rng(0)
    drawn = random.integers(0, len(brier), (4000, len(brier)))
    skill = 1 - brier[drawn].mean(axis=1) / reference[drawn].mean(axis=1)
    return [float(share) for share in np.quantile(skill, (0.05, 0.95))]
