"""The input of the experts: the series as of one column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forestall.core.series import SeriesMatrix

    Floats = NDArray[np.float32]

_TINY: Final = np.float32(1e-30)


class Frame:
    """Some rows of a matrix as of one column, with the sign turned where the limit is below.

    So experts forecast maxima only. All arrays have the rows last.
    """

    def __init__(self, matrix: SeriesMatrix, rows: slice, column: int, sign: Floats) -> None:
        self._matrix, self._rows, self._sign = matrix, rows, sign
        self._flipped = bool((sign < 0).any())
        self.cache: dict[tuple[str, int], Floats] = {}
        """Intermediate results of experts, by name and horizon."""
        self.rising: dict[int, Floats] = {}
        """By the steps of a horizon, the maxima that clear long trends forecast; negative infinity without one."""
        self._reached: dict[int, Floats] = {}
        self.column, self.step, self.capacity = column, matrix.step, matrix.capacity
        self.time = column * matrix.step
        """Seconds since the epoch, but for clocks that were turned back."""
        self.values: Floats = self.window(1)[0]
        """The newest points; NaN where there is a gap."""
        self.fresh: NDArray[np.bool_] = np.isfinite(self.values)
        # What follows is set by the bank that reads the frame.
        self.last: Floats = self.values
        """The last finite points, 0 before the first."""
        self.has_points: NDArray[np.bool_] = self.fresh
        """Which rows have had a point."""
        self.calm: Floats = self.values
        """The same, but the median of the last few measurements for series with long trends."""
        self.measured: NDArray[np.bool_] = self.fresh
        """Which of the newest points are no mere repetitions of older ones."""
        self.is_repeating: NDArray[np.bool_] = np.zeros_like(self.fresh)
        """Which series repeat values between measurements."""
        self.limit: Floats = self.values
        self.usual: Floats = self.values
        """How far from the limit the points usually are."""

        self.long_trend: NDArray[np.bool_] = self.fresh
        """Which series fill up slowly."""

    def window(self, length: int, ago: int = 0) -> Floats:
        """The ``length`` columns up to ``ago`` before this one, oldest first: (length, rows), NaN in gaps.

        To read only.
        """
        part = self._matrix.window(self.column - ago, length, self._rows)
        return part * self._sign if self._flipped else part

    def reached(self, length: int) -> Floats:
        """The largest of the last ``length`` points; NaN unless more than half of them are present."""
        window = self.window(length)
        ragged = np.flatnonzero(np.isnan(window.sum(axis=0)))
        reached = self._largest(length).copy()
        reached[ragged[np.isfinite(window[:, ragged]).sum(axis=0) * 2 <= length]] = np.nan
        return reached

    def peak(self, length: int) -> Floats:
        """The largest of the last ``length`` points, gaps ignored; finite."""
        return np.fmax(self._largest(length), self.last)

    def gap(self, values: Floats) -> Floats:
        """The distance of ``values`` to the limit, in units of the usual distance; negative past it."""
        return np.asarray((self.limit - values) / np.maximum(self.usual, _TINY), dtype=np.float32)

    def _largest(self, length: int) -> Floats:
        largest = self._reached.get(length)
        if largest is None:
            largest = self._reached[length] = np.fmax.reduce(self.window(length), axis=0)
        return largest
