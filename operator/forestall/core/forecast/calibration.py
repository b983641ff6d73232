"""Recalibration: how far from the base rate a probability should have been, so that it means what it says.

The line through (probability - base, outcome - base) is kept up by discounted least squares; its slope is below 1
where forecasts have been too sure and above it where they have been too timid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forestall.core.forecast.frame import Floats

_PRIOR: Final = np.float32(1)
"""Evidence for a slope of 1, as much as a wrong certainty of one horizon."""


class Recalibration:
    """The slope for each horizon and row."""

    def __init__(self, horizons: int, rows: int, memory: float) -> None:
        self._memory = memory
        self._sums = np.zeros((2, horizons, rows), dtype=np.float32)

    def state(self) -> list[NDArray[np.generic]]:
        return [self._sums]

    def learn(
        self,
        horizon: int,
        chance: Floats,
        base: Floats,
        breached: NDArray[np.bool_],
        known: NDArray[np.bool_],
        share: float,
    ) -> None:
        """Take in a probability and its base rate, and what came, where ``known``: (rows,) each."""
        sums = self._sums[:, horizon]
        said = np.where(known, chance - base, np.float32(0))
        sums *= np.where(known, np.float32(1 - share / self._memory), np.float32(1))
        sums += np.float32(share) * np.stack((said * (breached - base), np.square(said)))

    def apply(self, horizons: slice, chance: Floats, base: Floats, trust: Floats) -> Floats:
        """The probability moved to where it should be, as far as ``trust``, from 0 to 1, goes: (horizons, rows)."""
        both, own = self._sums[:, horizons]
        slope = np.maximum((both + _PRIOR) / (own + _PRIOR), 0)
        moved = chance + trust * (slope - 1) * (chance - base)
        least = np.minimum(chance, np.float32(0.001))
        return np.asarray(np.minimum(np.maximum(moved, least), np.float32(0.999)), dtype=np.float32)
