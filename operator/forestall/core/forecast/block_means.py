"""The recent past of each series as the means of blocks, and the least-squares line through them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forestall.core.forecast.frame import Floats, Frame

_BLOCKS: Final = 64  # a longer window is kept as the means of so many blocks


class BlockMeans:
    """The last ``steps`` columns as means of at most 64 blocks, updated column by column."""

    def __init__(self, steps: int, rows: int) -> None:
        self._block = -(-steps // _BLOCKS)
        self._means = np.full((-(-steps // self._block), rows), np.nan, dtype=np.float32)
        self._points = np.zeros(rows, dtype=np.float32)  # in the newest block
        self._weights: dict[int, tuple[Floats, Floats]] = {}

    def state(self) -> list[NDArray[np.generic]]:
        return [self._means, self._points]

    def observe(self, frame: Frame) -> None:
        """Take the newest points in, but those that are mere repetitions."""
        mean = self._means[frame.column // self._block % len(self._means)]
        fresh = np.where(frame.long_trend, frame.measured, frame.fresh)
        if frame.column % self._block == 0:
            mean[:] = np.where(fresh, frame.last, np.float32(np.nan))
            self._points[:] = fresh
            return
        self._points += fresh
        before = np.where(self._points > 1, mean, frame.last)
        np.copyto(mean, before + (frame.last - before) / np.maximum(self._points, 1), where=fresh)

    def read(self, column: int) -> tuple[Floats, Floats]:
        """Centres of the blocks in steps from ``column`` on (not positive), oldest first, and the means."""
        newest, offset = divmod(column, self._block)
        count = len(self._means)
        return self._centres(offset), np.roll(self._means, count - 1 - newest % count, axis=0)

    def line(self, frame: Frame) -> tuple[Floats, Floats]:
        """The least-squares line through the means: its level now relative to the last point, and its slope.

        Both are (rows,), and 0 with less than three means.
        """
        newest, offset = divmod(frame.column, self._block)
        count = len(self._means)
        # The means are a ring buffer: the weights are rotated instead.
        block_order = slice(count - 1 - newest % count, 2 * count - 1 - newest % count)
        time, weights = self._least_squares(offset)
        values = self._means - frame.last
        level, slope = weights[:, block_order] @ values
        blank = ~np.isfinite(slope)
        if blank.any():
            level[blank] = slope[blank] = 0
            ragged = np.flatnonzero(blank & frame.has_points)
            if ragged.size:
                is_known = np.isfinite(values[:, ragged])
                value = np.where(is_known, values[:, ragged], np.float32(0))
                level[ragged], slope[ragged] = fit_weighted(time[block_order], value, is_known.astype(np.float32))
        return level, slope

    def _centres(self, offset: int) -> Floats:
        count = len(self._means)
        centre = (np.arange(1 - count, 1) * self._block - offset + (self._block - 1) / 2).astype(np.float32)
        centre[-1] = -offset / 2
        return centre

    def _least_squares(self, offset: int) -> tuple[Floats, Floats]:
        """Times of the blocks, and their weights for the level at time 0 and the slope, all repeated twice."""
        cached = self._weights.get(offset)
        if cached is None:
            time = self._centres(offset).astype(np.float64)
            centred = time - time.mean()
            slope = centred / (centred @ centred)
            level_and_slope = np.stack((1 / len(time) - slope * time.mean(), slope))
            cached = np.tile(time, 2).astype(np.float32), np.tile(level_and_slope, 2).astype(np.float32)
            self._weights[offset] = cached
        return cached


def fit_weighted(time: Floats, values: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Least squares through finite ``values`` with a ``weight`` of 0 or 1 each, both (times, rows).

    ``time`` is (times,), or (times, rows) where it differs from row to row. Returns the value of the line at time 0 and
    its slope; 0 and 0 with less than three points.
    """
    count = weight.sum(axis=0)
    enough = count >= 3
    count = np.maximum(count, 1)
    mean_time, mean = weighted_sum(time, weight) / count, (values * weight).sum(axis=0) / count
    offset = (by_row(time) - mean_time) * weight
    spread = np.einsum("tn,tn->n", offset, offset)
    slope = np.einsum("tn,tn->n", offset, values) / np.where(enough, spread, 1)
    return np.where(enough, mean - slope * mean_time, 0), np.where(enough, slope, 0)


def by_row(time: Floats) -> Floats:
    """``time`` as an array with the rows last, of one row where it is the same for all."""
    return time[:, None] if time.ndim == 1 else time


def weighted_sum(time: Floats, weight: Floats) -> Floats:
    """The sum of ``time``, (times,) or (times, rows), with a ``weight`` (times, rows) each: (rows,)."""
    return np.asarray(time @ weight if time.ndim == 1 else np.einsum("tn,tn->n", time, weight))
