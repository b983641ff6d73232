"""Recalibration: how far from the base rate a probability should have been to be calibrated.

The line through (probability - base, outcome - base) is updated by discounted least squares; its slope is below 1
where forecasts were overconfident and above 1 where they were underconfident.
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
    """The slope of the calibration line for each horizon and row."""

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
        scored: NDArray[np.bool_],
        share: float,
    ) -> None:
        """Take in a probability, its base rate and the outcome, where ``scored``: (rows,) each."""
        sums = self._sums[:, horizon]
        deviation = np.where(scored, chance - base, np.float32(0))
        sums *= np.where(scored, np.float32(1 - share / self._memory), np.float32(1))
        sums += np.float32(share) * np.stack((deviation * (breached - base), np.square(deviation)))

    def apply(self, horizons: slice, chance: Floats, base: Floats, trust: Floats) -> Floats:
        """The recalibrated probability, with ``trust`` from 0 (unchanged) to 1 (fully): (horizons, rows)."""
        cross, square = self._sums[:, horizons]
        slope = np.maximum((cross + _PRIOR) / (square + _PRIOR), 0)
        moved = chance + trust * (slope - 1) * (chance - base)
        least = np.minimum(chance, np.float32(0.001))
        return np.asarray(np.minimum(np.maximum(moved, least), np.float32(0.999)), dtype=np.float32)
