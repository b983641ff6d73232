"""Long trend: what fills up slowly, such as memory and disks, goes on filling up.

The line goes through many horizons, since a short window sees mostly noise. It begins after the last step or restart
in the window, which is no part of the trend, and counts only when the rise is clear of chance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from forestall.core.forecast.experts.trend import BlockMeans, fit_weighted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from forestall.core.forecast.frame import Floats, Frame

_FACTOR: Final = 12  # horizons that the window is long
_CUTS: Final = 2
_JUMP: Final = np.float32(8)  # times the usual change from block to block
_LEAST_BLOCKS: Final = 8  # for a line
_CLEAR: Final = np.float32(3)  # standard errors that a slope must be away from none


class LongTrend:
    """For series that are said to have long trends; it sleeps for all others."""

    name = "long-trend"

    def __init__(self, rows: int, horizons: Sequence[int]) -> None:
        self._horizons = tuple(horizons)
        self._windows = [BlockMeans(_FACTOR * steps, rows) for steps in horizons]

    def state(self) -> list[NDArray[np.generic]]:
        return [array for window in self._windows for array in window.state()]

    def awake(self, frame: Frame) -> NDArray[np.bool_]:
        return frame.long_trend

    def observe(self, frame: Frame) -> None:
        if frame.long_trend.any():
            for window in self._windows:
                window.observe(frame)

    def maximum(self, frame: Frame, index: int) -> Floats:
        maximum = frame.last.copy()
        rows = np.flatnonzero(frame.long_trend)
        if rows.size:
            time, means = self._windows[index].read(frame.column)
            level, slope = _clear_trend(time, means[:, rows] - frame.last[rows])
            maximum[rows] += level + np.maximum(slope, slope * np.float32(self._horizons[index]))
        return maximum


def _clear_trend(time: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Level now and slope of the last piece of each column of ``values`` (times, rows); 0 and 0 if not clear."""
    weight = np.isfinite(values).astype(np.float32)
    value = np.where(weight > 0, values, np.float32(0))
    for _ in range(_CUTS):
        weight *= _after_jump(value, weight)
    level, slope = fit_weighted(time, value, weight)
    count = weight.sum(axis=0)
    rest = (value - level - slope * time[:, None]) * weight
    variance = np.square(rest).sum(axis=0) / np.maximum(count - 2, 1)
    # Neighbouring blocks err alike, so there is less evidence than there are blocks.
    alike = (rest[1:] * rest[:-1]).sum(axis=0) / np.maximum(np.square(rest).sum(axis=0), np.float32(1e-30))
    alike = np.clip(alike, 0, np.float32(0.95))
    mean_time = (time @ weight) / np.maximum(count, 1)
    spread = np.square((time[:, None] - mean_time) * weight).sum(axis=0)
    error = np.sqrt(variance / np.maximum(spread, np.float32(1e-30)) * (1 + alike) / (1 - alike))
    clear = (count >= _LEAST_BLOCKS) & (np.abs(slope) > _CLEAR * error)
    return np.where(clear, level, 0), np.where(clear, slope, 0)


def _after_jump(value: Floats, weight: Floats) -> Floats:
    """1 from the block on that follows the largest jump of each column, if that is one; (times, rows)."""
    both = weight[1:] * weight[:-1]
    change = np.abs(np.diff(value, axis=0)) * both
    usual = change.sum(axis=0) / np.maximum(both.sum(axis=0), 1)
    largest = change.argmax(axis=0)
    size = np.take_along_axis(change, largest[None], axis=0)[0]
    usual = (usual * both.sum(axis=0) - size) / np.maximum(both.sum(axis=0) - 1, 1)
    start = np.where(size > _JUMP * usual, largest + 1, 0)
    return (np.arange(len(value))[:, None] >= start).astype(np.float32)
