"""Bounds that cover what they promise, also when the series changes its ways.

Source: Gibbs & Candès, Adaptive conformal inference under distribution shift (2021).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forestall.core.forecast.frame import Floats

_STEP: Final = 0.1  # change of the level for each horizon of misses, as a share of the tail
_LEAST, _MOST = np.float32(5e-3), np.float32(0.5)
"""Levels that bounds are taken at: errors that are rarer than the least are not remembered."""


class ConformalLevels:
    """Tail levels of the lower and upper bound, raised and lowered until each is missed as often as it should be."""

    def __init__(self, horizons: int, rows: int, tail: float) -> None:
        self._tail = np.float32(tail)
        self.levels = np.full((2, horizons, rows), tail, dtype=np.float32)

    def state(self) -> list[NDArray[np.generic]]:
        return [self.levels]

    def learn(self, horizon: int, missed: NDArray[np.bool_], known: NDArray[np.bool_], share: float) -> None:
        """Take in which bounds (2, rows) were missed, where ``known``; a forecast counts ``share`` of a horizon."""
        level = self.levels[:, horizon]
        level += np.float32(_STEP * share) * np.where(known, self._tail - missed, np.float32(0))

    def shares(self, horizons: slice) -> Floats:
        """Quantiles to take as the lower and as the upper bound: (2, horizons, rows)."""
        # The levels themselves are not clipped: what was missed too often must be made up for.
        shares = np.minimum(np.maximum(self.levels[:, horizons], _LEAST), _MOST)
        shares[1] = 1 - shares[1]
        return shares
