"""Holt's method with a damped trend, on a grid of smoothing constants, kept up point by point.

Source: Gardner & McKenzie, Forecasting trends in time series (1985); the form is that of Hyndman & Athanasopoulos,
Forecasting: Principles and Practice, section 8.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from forestall.core.forecast.frame import Floats, Frame


class Holt:
    """For each series the member of the grid whose one-step errors were smallest of late.

    The time constants of the level go from one step to the longest horizon, those of the trend are the same and four
    times that; the trend is damped over the longest horizon.
    """

    name = "holt"

    def __init__(self, rows: int, horizons: Sequence[int]) -> None:
        longest = max(horizons)
        tau = np.geomspace(1.0, max(2.0, longest), 3, dtype=np.float32)
        level, trend = np.repeat(tau, 2), np.concatenate([(t, 4 * t) for t in tau])
        self._alpha = (1 - np.exp(-1 / level)).astype(np.float32)[:, None]
        self._beta = (1 - np.exp(-1 / trend)).astype(np.float32)[:, None]
        self._horizons = tuple(horizons)
        self._phi = np.float32(np.exp(-1.0 / longest))
        self._forget = np.float32(np.exp(-1.0 / (4 * longest)))
        shape = (len(level), rows)
        self._level, self._trend, self._error = (np.zeros(shape, dtype=np.float32) for _ in range(3))
        self._count = np.zeros(rows, dtype=np.float32)

    def state(self) -> list[NDArray[np.generic]]:
        return [self._level, self._trend, self._error, self._count]

    def awake(self, frame: Frame, index: int) -> NDArray[np.bool_]:  # noqa: ARG002 - the same for each horizon
        return ~frame.long_trend  # their windows are too short for slow trends: mostly noise, and wild after steps

    def observe(self, frame: Frame) -> None:
        fresh = frame.fresh
        first = fresh & (self._count == 0)
        if first.any():
            self._level[:, first] = frame.values[first]
        self._count += fresh
        # While there are few points their plain mean is better than a slow exponential one.
        start = 1 / np.maximum(self._count, 1)
        drift = self._phi * self._trend
        expected = self._level + drift
        error = np.where(fresh, frame.values - expected, np.float32(0))
        gain = np.maximum(self._alpha, start) * error
        self._level[:] = expected + gain
        self._trend[:] = drift + np.maximum(self._beta, start) * gain * (self._count > 2)
        self._error *= np.where(fresh, self._forget, np.float32(1))
        self._error += np.abs(error)

    def maximum(self, frame: Frame, index: int) -> Floats:
        level, trend = self._best(frame)
        reach = self._phi * (1 - self._phi ** self._horizons[index]) / (1 - self._phi)
        highest: Floats = level + np.maximum(trend * self._phi, trend * reach)
        return highest

    def _best(self, frame: Frame) -> Floats:
        """Level and trend of the best member of the grid: (2, rows)."""
        key = (self.name, 0)
        if key not in frame.cache:
            best = self._error.argmin(axis=0)
            rows = np.arange(best.size)
            frame.cache[key] = np.stack((self._level[best, rows], self._trend[best, rows]))
        return frame.cache[key]
