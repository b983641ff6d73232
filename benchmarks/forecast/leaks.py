"""Leaks: slopes injected into series, and steps as decoys.

Each case is a stretch of a series to which a leak is added that starts after one day and takes the series past its
limit some hours later, or a step of half the height as a decoy, or nothing. Forestalled is a leak whose breach was
forecast with a probability of at least one half for the longest horizon before it came, though not so early that
the limit was still twice the horizon away. A false fire is the same said of a decoy, or of a series left alone.
"""

from __future__ import annotations

import numpy as np
from benchmarks.forecast.data import DAY, STEP, Series
from benchmarks.forecast.protocol import MINUTES

from forestall.core.forecast import BreachForecaster, Limit
from forestall.core.series import SeriesMatrix

_LENGTH = 3 * DAY
_FIRES = 0.5
_START = 1_700_006_400.0


def measure(series: Series, seed: int = 1) -> dict[str, float]:
    """Recall, false fires and the error of the time to breach over all cases that the ``series`` make."""
    random = np.random.default_rng(seed)
    values, limits, breach = _cases(series, random)
    chance, expected = _forecast(values, limits)
    longest = MINUTES[-1] * 60 / STEP
    time = np.arange(_LENGTH)[:, None]
    fired = (chance >= _FIRES) & (time < breach) & (values <= limits) & (time >= DAY)
    first = np.where(fired.any(axis=0), fired.argmax(axis=0), _LENGTH)
    leak = breach < _LENGTH
    early = first < breach - 2 * longest
    forestalled = leak & fired.any(axis=0) & ~early
    false = np.where(leak, early, fired.any(axis=0))
    error = []
    for case in np.flatnonzero(forestalled):
        left = (breach[case] - first[case]) * STEP
        error.append(abs(expected[first[case], case] - left) / left)
    lead = (breach - first)[forestalled] * STEP / 60
    return {
        "leaks": int(leak.sum()),
        "others": int((~leak).sum()),
        "recall": float(forestalled.sum() / leak.sum()),
        "false_fires": float(false[~leak].mean()),
        "too_early": float(early[leak].mean()),
        "time_error_median": float(np.median(error)) if error else float("nan"),
        "lead_minutes_median": float(np.median(lead)) if lead.size else float("nan"),
    }


def _cases(series: Series, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values (time, cases), limits, and the time of the breach (or the length, where none comes)."""
    values, limits, breach = [], [], []
    time = np.arange(_LENGTH)
    for original in series.values():
        finite = original[np.isfinite(original)]
        if finite.size < _LENGTH:
            continue
        for start in random.integers(0, finite.size - _LENGTH + 1, 2):
            base = _calm(finite[start : start + _LENGTH])
            height = max(np.ptp(base), 1e-3 * np.abs(base).max(), 1e-9) * random.uniform(3, 6)
            begin, duration = DAY + random.integers(0, DAY // 2), random.integers(DAY // 3, DAY)
            leak = height * np.clip(time - begin, 0, None) / duration
            step = 0.4 * height * (time >= begin)
            limit = np.median(base) + 0.8 * height
            for added in (leak, step, np.zeros(_LENGTH)):
                case = (base + added).astype(np.float32)
                passed = case > limit
                if added is not leak and passed.any():
                    continue
                values.append(case)
                limits.append(limit)
                breach.append(passed.argmax() if passed.any() else _LENGTH)
    return np.stack(values, axis=1), np.array(limits, dtype=np.float32), np.array(breach)


def _calm(values: np.ndarray) -> np.ndarray:
    """Memory and disks do not spike: the running median of an hour."""
    window = round(3600 / STEP)
    padded = np.pad(values, (window - 1, 0), mode="edge")
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, window), axis=-1))


def _forecast(values: np.ndarray, limits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    matrix = SeriesMatrix(STEP, _LENGTH)
    forecaster = BreachForecaster(matrix, [60.0 * minutes for minutes in MINUTES])
    forecaster.set_limits({key: Limit(float(limit), long_trend=True) for key, limit in enumerate(limits)})
    rows = np.array([matrix.row(key) for key in range(len(limits))])
    chance, expected = np.zeros(values.shape), np.zeros(values.shape)
    for time, column in enumerate(values):
        now = _START + STEP * time
        matrix.push_rows(now, rows, column)
        forecaster.update(now)
        if time >= DAY:
            table = forecaster.forecast(now)
            chance[time], expected[time] = table.probability[:, -1], table.time_to_breach[:, 0]
    return chance, expected
