"""Long trend: a resource that fills up slowly, such as memory or a disk, continues to fill up.

The line goes through many horizons, since a short window shows mostly noise. It begins after the last step or restart
in the window, which is no part of the trend, and counts only where its slope is significant and no single step would
explain the window as well. Spikes are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from forestall.core.forecast.block_means import BlockMeans, by_row, fit_weighted, weighted_sum

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
_LEAST_MEASUREMENTS: Final = 5  # for a line, where there are gaps from one to the next
_LINE: Final = np.float32(0.5)  # largest ratio of the squares left by a line to those left by the best step
_CLEAR: Final = np.float32(3)  # standard errors from zero that make a slope significant
_BEND: Final = np.float32(0.1)  # standard deviation of a slope from one horizon to the next, as a share of it


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
        return np.asarray(self._trend(frame, index)[1] != 0)

    def maximum(self, frame: Frame, index: int) -> Floats:
        level, slope, *_ = self._trend(frame, index)
        rise = np.maximum(slope, slope * np.float32(self._horizons[index]))
        return np.asarray(frame.calm + level + rise)

    def stepped(self, frame: Frame) -> NDArray[np.bool_]:
        """Which series made a step so recently that no line can be fitted to the points since: (rows,)."""
        result = np.zeros_like(frame.long_trend)
        rows = np.flatnonzero(frame.long_trend)
        if rows.size:
            time, means = self._windows[0].read(frame.column)
            repeating = frame.is_repeating[rows]
            result[rows[~repeating]] = _points_after_jump(means[:, rows[~repeating]]) < _LEAST_BLOCKS
            if repeating.any():
                _, measured = _measurements(time, means[:, rows[repeating]])
                result[rows[repeating]] = _points_after_jump(measured) < _LEAST_MEASUREMENTS
        return result

    def slope(self, frame: Frame, index: int) -> Floats:
        """How much the series rises in a step, by the line for horizon number ``index``; 0 without one: (rows,)."""
        return np.asarray(np.maximum(self._trend(frame, index)[1], 0))

    def deviation(self, frame: Frame, index: int) -> Floats:
        """Standard deviation of the forecast for horizon number ``index`` by the fit alone: (rows,).

        The scatter about the line, the error of its slope, and that a trend may bend.
        """
        _, slope, scatter, error = self._trend(frame, index)
        steps = np.float32(self._horizons[index])
        return np.asarray(
            np.sqrt(np.square(scatter) + np.square(error * steps) + np.square(_BEND * slope * steps)), dtype=np.float32
        )

    def _trend(self, frame: Frame, index: int) -> Floats:
        """The trend of each row, 0 without a clear one: (4, rows).

        Level relative to the calm value, slope per step, standard deviation about the line, and that of the slope.
        """
        key = (self.name, index)
        if key not in frame.cache:
            trend = np.zeros((4, frame.last.size), dtype=np.float32)
            rows = np.flatnonzero(frame.long_trend)
            if rows.size:
                time, means = self._windows[index].read(frame.column)
                values = means[:, rows] - frame.calm[rows]
                repeating = frame.is_repeating[rows]
                trend[:, rows[~repeating]] = _clear_trend(time, values[:, ~repeating])
                if repeating.any():
                    trend[:, rows[repeating]] = _clear_trend(*_measurements(time, values[:, repeating]))
            frame.cache[key] = trend
        return frame.cache[key]


def _measurements(time: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Times and values, both (times, rows), with the gaps of each column of ``values`` first.

    A source that is slower than the grid leaves gaps between measurements that are neighbors.
    """
    order = np.argsort(np.isfinite(values), axis=0, kind="stable")
    return time[order], np.take_along_axis(values, order, axis=0)


def _points_after_jump(values: Floats) -> Floats:
    """How many of the newest blocks of each column are after its largest jump; all of them without one: (rows,)."""
    weight = np.isfinite(values).astype(np.float32)
    return np.asarray(_after_jump(_without_spikes(values, weight), weight).sum(axis=0))


def _clear_trend(time: Floats, values: Floats) -> Floats:
    """The line through the last piece of each column of ``values`` (times, rows), 0 if its slope is not clear.

    Of the whole window and its newest parts, the one with the clearest slope counts. The result is (4, rows): level
    now, slope, standard deviation about the line, and standard error of the slope.
    """
    weight = np.isfinite(values).astype(np.float32)
    value = _without_spikes(values, weight)
    for _ in range(_CUTS):
        weight *= _after_jump(value, weight)
    best = np.zeros((4, value.shape[1]), dtype=np.float32)
    clearest = np.full(value.shape[1], _CLEAR, dtype=np.float32)
    for part in _PARTS:
        if time.ndim == 1:
            recent = slice(len(time) - len(time) // part, None)
            line, clearness = _fit(time[recent], value[recent], weight[recent])
        else:
            line, clearness = _fit(time, value, weight * (time > time.min() / part))
        best = np.where(clearness > clearest, line, best)
        clearest = np.maximum(clearest, clearness)
    return best


def _fit(time: Floats, value: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """The line, as :func:`_clear_trend` returns it, and the distance of its slope from zero in standard errors."""
    level, slope = fit_weighted(time, value, weight)
    count = weight.sum(axis=0)
    residual = (value - level - slope * by_row(time)) * weight
    squares = np.square(residual).sum(axis=0)
    # The errors of neighboring blocks are correlated, so there is less evidence than there are blocks.
    autocorrelation = (residual[1:] * residual[:-1]).sum(axis=0) / np.maximum(squares, np.float32(1e-30))
    autocorrelation = np.clip(autocorrelation, 0, np.float32(0.95))
    mean_time = weighted_sum(time, weight) / np.maximum(count, 1)
    spread = np.square((by_row(time) - mean_time) * weight).sum(axis=0)
    enough = (count >= _LEAST_BLOCKS if time.ndim == 1 else _enough_measurements(time, weight)) & (spread > 0)
    variance = squares / np.maximum(count - 2, 1) / np.where(enough, spread, 1)
    error = np.sqrt(variance * (1 + autocorrelation) / (1 - autocorrelation))
    if time.ndim == 2:
        error *= 1 + 2 / np.maximum(count - 2, 1)  # a few points lie on a line by chance
    enough &= squares < _LINE * _step_squares(value, weight)
    # At a million standard errors a slope is certain: more exceeds the precision of the matrix.
    least = np.maximum(np.abs(slope) * np.float32(1e-6), np.float32(1e-30))
    error = np.maximum(error, least)
    scatter = np.sqrt(squares / np.maximum(count - 2, 1))
    return np.stack((level, slope, scatter, error)), np.where(enough, np.abs(slope) / error, 0)


def _enough_measurements(time: Floats, weight: Floats) -> NDArray[np.bool_]:
    """Which columns have enough points for a line, over as long a time as others need: (rows,)."""
    first = np.where(weight > 0, time, np.float32(0)).min(axis=0)
    last = np.where(weight > 0, time, np.float32(-np.inf)).max(axis=0)
    least = -time.min() * (_LEAST_BLOCKS - 1) / len(time)
    return np.asarray((weight.sum(axis=0) >= _LEAST_MEASUREMENTS) & (last - first >= least))


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
    # Beyond the ends the series continues as it did: a neighbor twice would hold a rise back by one block.
    first, last = 2 * value[1:2] - value[2:3], 2 * value[-2:-1] - value[-3:-2]
    before, after = np.concatenate((first, value[:-1])), np.concatenate((value[1:], last))
    has_first, has_last = weight[1:2] * weight[2:3], weight[-2:-1] * weight[-3:-2]
    before = np.where(np.concatenate((has_first, weight[:-1])) > 0, before, value)
    after = np.where(np.concatenate((weight[1:], has_last)) > 0, after, value)
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
