"""Rolling-origin evaluation: what was forecast at each moment, and what came.

An event: the limit is passed within the horizon. Origins at which it is passed already do not count, nor do those of
the first four days, which are only learned from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from benchmarks.forecast.data import DAY, LEARN, STEP, Series

from forestall.core.forecast import BreachForecaster, Limit
from forestall.core.series import SeriesMatrix

MINUTES = (30, 60, 180)
HORIZONS = tuple(round(minutes * 60 / STEP) for minutes in MINUTES)
_CAPACITY = 8 * DAY
_LEAST_ORIGINS = 100
_START = 1_700_006_400.0  # midnight


@dataclass(frozen=True)
class Run:
    """Forecasts of one data set: arrays are (horizons, time, series)."""

    names: list[str]
    outcome: np.ndarray
    """1: the limit was passed within the horizon, 0: it was not, -1: does not count."""
    reached: np.ndarray
    """The maximum that came, NaN where it does not count."""
    climatology: np.ndarray
    """The rate of events known at the origin."""
    probability: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    experts: dict[str, np.ndarray]
    linear: np.ndarray
    """predict_linear over one hour, yes or no."""


def run(series: Series, limit_from: str) -> Run:
    """Forecast all ``series``; limits are the 95th percentile of the `whole` of each, or of the days `learned` from."""
    names = list(series)
    length = max(map(len, series.values()))
    values = np.full((length, len(names)), np.nan, dtype=np.float32)
    for index, name in enumerate(names):
        values[: len(series[name]), index] = series[name]
    known = values if limit_from == "whole" else values[:LEARN]
    limits = np.nanquantile(known, 0.95, axis=0).astype(np.float32)
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
        for name, said in forecaster.opinions().items():
            experts.setdefault(name, np.zeros(result.shape[1:], dtype=np.float32))[:, time] = said
    return result, experts


def _truth(values: np.ndarray, limits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    shape = (len(HORIZONS), *values.shape)
    outcome, reached = np.full(shape, -1, dtype=np.int8), np.full(shape, np.nan, dtype=np.float32)
    safe = values <= limits
    for index, steps in enumerate(HORIZONS):
        windows = np.lib.stride_tricks.sliding_window_view(values[1:], steps, axis=0)
        largest = np.fmax.reduce(windows, axis=-1)
        largest[np.isfinite(windows).sum(axis=-1) * 2 <= steps] = np.nan
        count = len(largest)
        counts = np.isfinite(largest) & np.isfinite(values[:count])
        reached[index, :count] = np.where(counts, largest, np.nan)
        outcome[index, :count] = np.where(counts & safe[:count], largest > limits, -1)
    return outcome, reached


def _climatology(outcome: np.ndarray) -> np.ndarray:
    """The rate of events over all origins so far whose horizon has passed."""
    rate = np.full(outcome.shape, 0.5, dtype=np.float32)
    for index, steps in enumerate(HORIZONS):
        counted = outcome[index] >= 0
        events, origins = np.cumsum(outcome[index] == 1, axis=0), np.cumsum(counted, axis=0)
        rate[index, steps:] = ((events + 0.5) / (origins + 1))[:-steps]
    return rate


def _predict_linear(values: np.ndarray, limits: np.ndarray) -> np.ndarray:
    window = round(3600 / STEP)
    time = np.arange(1 - window, 1, dtype=np.float32)
    centred = time - time.mean()
    result = np.zeros((len(HORIZONS), *values.shape), dtype=np.float32)
    past = np.lib.stride_tricks.sliding_window_view(values, window, axis=0)
    slope = past @ (centred / (centred @ centred))
    level = past.mean(axis=-1) - slope * time.mean()
    for index, steps in enumerate(HORIZONS):
        result[index, window - 1 :] = level + slope * steps > limits
    return result


def scores(result: Run, index: int) -> dict[str, object]:
    """Figures for one horizon: Brier scores, skill over climatology, calibration, coverage."""
    outcome = result.outcome[index]
    counted = outcome >= 0
    reference = _brier(result.climatology[index], outcome)
    used = np.flatnonzero((counted.sum(axis=0) >= _LEAST_ORIGINS) & (reference > 1e-6))
    if not used.size:
        return {}
    brier = _brier(result.probability[index], outcome)[used]
    reference = reference[used]
    experts = {name: float(_brier(said[index], outcome)[used].mean()) for name, said in result.experts.items()}
    linear = float(_brier(result.linear[index], outcome)[used].mean())
    inside, days = _coverage(result, index)
    return {
        "series": len(used),
        "brier": float(brier.mean()),
        "climatology": float(reference.mean()),
        "skill": 1 - float(brier.mean() / reference.mean()),
        "skill_interval": _bootstrap(brier, reference),
        "series_with_skill": float((brier < reference).mean()),
        "calibration_error": _calibration_error(result.probability[index], outcome),
        "coverage": float(np.nanmean(inside[used])),
        "worst_day": float(np.nanmean(days[used])),
        "experts": experts,
        "best_expert": min(experts, key=experts.__getitem__),
        "predict_linear": linear,
        "by_series": {
            result.names[place]: {"brier": float(b), "climatology": float(r)}
            for place, b, r in zip(used, brier, reference, strict=True)
        },
    }


def _brier(probability: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    counted = outcome >= 0
    total = np.where(counted, np.square(probability - outcome), 0).sum(axis=0)
    return np.asarray(total / np.maximum(counted.sum(axis=0), 1))


def _bootstrap(brier: np.ndarray, reference: np.ndarray) -> list[float]:
    """90 % interval of the skill when other series of the kind had been taken."""
    random = np.random.default_rng(0)
    drawn = random.integers(0, len(brier), (4000, len(brier)))
    skill = 1 - brier[drawn].mean(axis=1) / reference[drawn].mean(axis=1)
    return [float(share) for share in np.quantile(skill, (0.05, 0.95))]


def _calibration_error(probability: np.ndarray, outcome: np.ndarray) -> float:
    counted = outcome >= 0
    said, came = probability[counted], outcome[counted]
    part = np.minimum((said * 10).astype(int), 9)
    gaps = [
        (part == tenth).mean() * abs(said[part == tenth].mean() - came[part == tenth].mean())
        for tenth in np.unique(part)
    ]
    return float(np.sum(gaps))


def _coverage(result: Run, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Share of maxima between the bounds, for each series, and on its worst day."""
    reached = result.reached[index]
    slack = 1e-6 * np.abs(reached)
    inside = (reached >= result.lower[index] - slack) & (reached <= result.upper[index] + slack)
    share = np.where(np.isfinite(reached), inside, np.nan)
    whole_days = len(share) // DAY * DAY
    days = share[:whole_days].reshape(-1, DAY, share.shape[1])
    seen = np.isfinite(days).sum(axis=1)
    mean = np.nansum(days, axis=1) / np.maximum(seen, 1)
    worst = np.where(seen > DAY / 3, mean, np.inf).min(axis=0)
    total = np.isfinite(share).sum(axis=0)
    return np.nansum(share, axis=0) / np.maximum(total, 1), np.where(np.isfinite(worst), worst, np.nan)
