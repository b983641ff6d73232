"""What experts see of the series at one moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forestall.core.series import SeriesMatrix

    Floats = NDArray[np.float32]


class Frame:
    """Some rows of a matrix as of one column, with the sign turned where the limit is below.

    So experts forecast maxima only. All arrays have the rows last.
    """

    def __init__(self, matrix: SeriesMatrix, rows: slice | NDArray[np.intp], column: int, sign: Floats) -> None:
        self._matrix, self._rows, self._sign = matrix, rows, sign
        self._flipped = bool((sign < 0).any())
        self.column = column
        self.values: Floats = self.window(1)[0]
        """The newest points; NaN where there is a gap."""
        self.fresh: NDArray[np.bool_] = np.isfinite(self.values)
        self.last: Floats = self.values
        """The last finite points; the bank that reads the frame fills the gaps in. 0 before the first point."""

    def window(self, length: int) -> Floats:
        """The last ``length`` columns, oldest first: (length, rows), NaN in gaps. To read only."""
        part = self._matrix.window(self.column, length, self._rows)
        return part * self._sign if self._flipped else part
