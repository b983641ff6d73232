"""Long trend: a resource that fills up slowly, such as memory or a disk, continues to fill up.

The line goes through many horizons, since a short window shows mostly noise. It begins after the last step or restart
in the window, which is no part of the trend, and counts only where its slope is significant and no single step would
explain the window as well. Spikes are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from forestall.core.forecast.block_means import BlockMeans, fit_weighted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from forestall.core.forecast.frame import Floats, Frame

_FACTOR: Final = 12  # length of the window, in horizons
_PARTS: Final = (1, 2, 4, 7)
"""Divisors of the window whose newest part a line is fitted to: a trend may have begun recently."""
_CUTS: Final = 2
_JUMP: Final = np.float32(8)  # times the usual change from block to block
_LEAST_BLOCKS: Final = 8  # for a line
_LINE: Final = np.float32(0.5)  # largest ratio of the squares left by a line to those left by the best step
_CLEAR: Final = np.float32(3)  # standard errors from zero that make a slope significant


class LongTrend:
    """For series that are declared to have long trends; it sleeps for all others."""

    name = "long-trend"

    def __init__(self, rows: int, horizons: Sequence[int]) -> None:
        self._horizons = tuple(horizons)
        self._windows = [BlockMeans(_FACTOR * steps, rows) for steps in horizons]

    def state(self) -> list[NDArray[np.generic]]:
        return [array for window in self._windows for array in window.state()]

    def observe(self, frame: Frame) -> None:
        if frame.long_trend.any():
            for window in self._windows:
                window.observe(frame)

    def awake(self, frame: Frame, index: int) -> NDArray[np.bool_]:
        return np.not_equal(self._trend(frame, index)[1], 0)

    def maximum(self, frame: Frame, index: int) -> Floats:
        level, slope = self._trend(frame, index)
        rise: Floats = np.maximum(slope, slope * np.float32(self._horizons[index]))
        return frame.calm + level + rise

    def stepped(self, frame: Frame) -> NDArray[np.bool_]:
        """Which series made a step so recently that no line can be fitted to the points since: (rows,)."""
        result = np.zeros_like(frame.long_trend)
        rows = np.flatnonzero(frame.long_trend)
        if rows.size:
            means = self._windows[0].read(frame.column)[1][:, rows]
            weight = np.isfinite(means).astype(np.float32)
            start = len(means) - _after_jump(_without_spikes(means, weight), weight).sum(axis=0)
            result[rows] = start > len(means) - _LEAST_BLOCKS
        return result

    def _trend(self, frame: Frame, index: int) -> tuple[Floats, Floats]:
        """Level relative to the calm value, and slope per step, for each row; 0 and 0 without a clear trend."""
        key = (self.name, index)
        if key not in frame.cache:
            trend = np.zeros((2, frame.last.size), dtype=np.float32)
            rows = np.flatnonzero(frame.long_trend)
            if rows.size:
                time, means = self._windows[index].read(frame.column)
                trend[:, rows] = _clear_trend(time, means[:, rows] - frame.calm[rows])
            frame.cache[key] = trend
        level, slope = frame.cache[key]
        return level, slope


def _clear_trend(time: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Level now and slope of the last piece of each column of ``values`` (times, rows); 0 and 0 if not clear.

    Of the whole window and its newest parts, the one with the clearest slope counts.
    """
    weight = np.isfinite(values).astype(np.float32)
    value = _without_spikes(values, weight)
    for _ in range(_CUTS):
        weight *= _after_jump(value, weight)
    best: tuple[Floats, Floats] = (np.zeros_like(value[0]), np.zeros_like(value[0]))
    clearest = np.full(value.shape[1], _CLEAR, dtype=np.float32)
    for part in _PARTS:
        recent = slice(len(time) - len(time) // part, None)
        level, slope, clearness = _fit(time[recent], value[recent], weight[recent])
        better = clearness > clearest
        best = (np.where(better, level, best[0]), np.where(better, slope, best[1]))
        clearest = np.maximum(clearest, clearness)
    return best


def _fit(time: Floats, value: Floats, weight: Floats) -> tuple[Floats, Floats, Floats]:
    """Level now, slope, and the distance of the slope from zero in standard errors."""
    level, slope = fit_weighted(time, value, weight)
    count = weight.sum(axis=0)
    residual = (value - level - slope * time[:, None]) * weight
    squares = np.square(residual).sum(axis=0)
    # The errors of neighboring blocks are correlated, so there is less evidence than there are blocks.
    autocorrelation = (residual[1:] * residual[:-1]).sum(axis=0) / np.maximum(squares, np.float32(1e-30))
    autocorrelation = np.clip(autocorrelation, 0, np.float32(0.95))
    mean_time = (time @ weight) / np.maximum(count, 1)
    spread = np.square((time[:, None] - mean_time) * weight).sum(axis=0)
    enough = (count >= _LEAST_BLOCKS) & (spread > 0)
    variance = squares / np.maximum(count - 2, 1) / np.where(enough, spread, 1)
    error = np.sqrt(variance * (1 + autocorrelation) / (1 - autocorrelation))
    enough &= squares < _LINE * _step_squares(value, weight)
    # At a million standard errors a slope is certain: more exceeds the precision of the matrix.
    least = np.maximum(np.abs(slope) * np.float32(1e-6), np.float32(1e-30))
    return level, slope, np.where(enough, np.abs(slope) / np.maximum(error, least), 0)


def _step_squares(value: Floats, weight: Floats) -> Floats:
    """The sum of squares of each column that the best step from one level to another leaves unexplained."""
    mean = (value * weight).sum(axis=0) / np.maximum(weight.sum(axis=0), 1)
    offset = (value - mean) * weight
    total, count = np.cumsum(offset, axis=0)[:-1], np.cumsum(weight, axis=0)
    before, after = count[:-1], count[-1] - count[:-1]
    explained = np.square(total) * (1 / np.maximum(before, 1) + 1 / np.maximum(after, 1)) * ((before > 0) & (after > 0))
    return np.asarray(np.square(offset).sum(axis=0) - explained.max(axis=0), dtype=np.float32)


def _without_spikes(values: Floats, weight: Floats) -> Floats:
    """The median of each value and its neighbors in time: a spike is neither a step nor part of a trend.

    Gaps are 0 in the result, and ``weight`` (times, rows) is 0 there.
    """
    value = np.where(weight > 0, values, np.float32(0))
    before, after = np.concatenate((value[2:3], value[:-1])), np.concatenate((value[1:], value[-3:-2]))
    before = np.where(np.concatenate((weight[2:3], weight[:-1])) > 0, before, value)
    after = np.where(np.concatenate((weight[1:], weight[-3:-2])) > 0, after, value)
    middle = np.maximum(np.minimum(before, value), np.minimum(np.maximum(before, value), after))
    return np.where(weight > 0, middle, np.float32(0))


def _after_jump(value: Floats, weight: Floats) -> Floats:
    """A mask of the blocks after the largest jump of each column, and of all blocks without one: (times, rows)."""
    both_present = weight[1:] * weight[:-1]
    change = np.abs(np.diff(value, axis=0)) * both_present
    largest = change.argmax(axis=0)
    size = np.take_along_axis(change, largest[None], axis=0)[0]
    # Where spikes were left out, neighbors are equal.
    usual = (change.sum(axis=0) - size) / np.maximum((change > 0).sum(axis=0) - 1, 1)
    start = np.where(size > _JUMP * usual, largest + 2, 0)  # the jump may lie within a block
    return (np.arange(len(value))[:, None] >= start).astype(np.float32)
