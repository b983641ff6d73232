"""Profile: the series continues as at this time of past days or weeks, and its current deviation fades."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from forestall.core.forecast.frame import Floats, Frame

_PERIODS: Final = 3  # the newest ones that the median is taken of
_WATCHED: Final = 4  # horizons, before it speaks


class Profile:
    """The median of past periods, moved by how far the series is from it now, which fades over the longest horizon.

    It sleeps where past periods have less than half of the points of the horizon, and until it has errors of some
    horizons: it needs a history that is longer than the period by so much.
    """

    def __init__(self, period: float, rows: int, horizons: Sequence[int]) -> None:
        """``period`` in seconds, ``horizons`` in steps."""
        self.name = f"profile-{period:g}s"
        self._period = period
        self._horizons = tuple(horizons)
        self._recent = max(1, horizons[0] // 4)
        """Steps that the series is compared over with what is usual."""
        self._watched = np.zeros(rows, dtype=np.float32)
        """Steps at which there was a point a period before."""
        self._fade = np.exp(-np.arange(1, horizons[-1] + 1, dtype=np.float32) / horizons[-1])[:, None]

    def state(self) -> list[NDArray[np.generic]]:
        return [self._watched]

    def observe(self, frame: Frame) -> None:
        period = self._steps(frame)
        if period < frame.capacity:
            self._watched += np.isfinite(frame.window(1, period)[0])

    def awake(self, frame: Frame, index: int) -> NDArray[np.bool_]:
        watched = self._watched >= _WATCHED * self._horizons[index]
        return watched & np.isfinite(self._forecast(frame, index)) & ~frame.long_trend

    def maximum(self, frame: Frame, index: int) -> Floats:
        forecast = self._forecast(frame, index)
        return np.where(np.isfinite(forecast), forecast, frame.calm)

    def _steps(self, frame: Frame) -> int:
        return round(self._period / frame.step)

    def _forecast(self, frame: Frame, index: int) -> Floats:
        """NaN where it sleeps: (rows,)."""
        if (self.name, index) not in frame.cache:
            for horizon_index, highest in enumerate(self._highest(frame)):
                frame.cache[self.name, horizon_index] = highest
        return frame.cache[self.name, index]

    def _highest(self, frame: Frame) -> Floats:
        """Of all horizons: (horizons, rows)."""
        highest = np.full((len(self._horizons), frame.last.size), np.nan, dtype=np.float32)
        longest, period = self._horizons[-1], self._steps(frame)
        periods = min(_PERIODS, (frame.capacity - self._recent) // period)
        if periods < 1 or period <= longest or not self._watched.any():
            return highest
        past = [frame.window(self._recent + longest, number * period - longest) for number in range(1, periods + 1)]
        usual = past[0] if periods == 1 else _median(past)
        unusual = _mean(frame.window(self._recent) - usual[: self._recent])
        path = usual[self._recent :] + unusual * self._fade
        unknown = np.empty(highest.shape, dtype=np.bool_)
        start, known_count = 0, 0
        for horizon_index, end in enumerate(self._horizons):
            part = path[start:end]
            np.fmax.reduce(part, axis=0, out=highest[horizon_index])
            if horizon_index:
                np.fmax(highest[horizon_index], highest[horizon_index - 1], out=highest[horizon_index])
            known_count = known_count + np.isfinite(part).view(np.int8).sum(axis=0, dtype=np.int16)
            unknown[horizon_index] = known_count * 2 <= end
            start = end
        highest[unknown] = np.nan
        return highest


def _mean(values: Floats) -> Floats:
    """Of the first axis, gaps left out; NaN where there is nothing."""
    is_known = np.isfinite(values)
    count = is_known.sum(axis=0)
    mean = np.where(is_known, values, np.float32(0)).sum(axis=0) / np.maximum(count, 1)
    return np.where(count > 0, mean, np.float32(np.nan)).astype(np.float32)


def _median(past: Sequence[Floats]) -> Floats:
    """Of two or more arrays of one shape, gaps left out; NaN where there is nothing."""
    if len(past) == 2:
        return np.asarray((np.fmin(*past) + np.fmax(*past)) / 2)
    values = np.stack(past)
    ordered = np.sort(values, axis=0)  # gaps come last
    last = np.maximum(np.isfinite(values).sum(axis=0) - 1, 0)[None]
    low, high = np.take_along_axis(ordered, last // 2, axis=0), np.take_along_axis(ordered, (last + 1) // 2, axis=0)
    return np.asarray((low[0] + high[0]) / 2, dtype=np.float32)
