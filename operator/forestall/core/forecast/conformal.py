"""Conformal bounds: they reach their coverage also when the series changes its behavior, and on each day.

The levels of the tails integrate the misses (Gibbs & Candès, Adaptive conformal inference under distribution shift,
2021). That gives the right coverage in the long run, but misses come in clusters: so recent misses widen the bounds as
well, steeply towards a share that must not be reached, as the integrator of a conformal PID controller does when it
saturates (Angelopoulos, Candès & Tibshirani, Conformal PID control for time series prediction, 2023). A miss of an
upper bound is known as soon as the bound is passed, long before the horizon ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forestall.core.forecast.frame import Floats

_STEP: Final = 0.1  # change of the level for each horizon of misses, as a share of the tail
_LEAST, _MOST = np.float32(5e-3), np.float32(0.5)
"""The range of the levels: rarer errors than the least are not kept."""
_OF_LATE: Final = 8
"""Horizons over which recent misses are discounted: a day, for a horizon of three hours."""
_INTOLERABLE: Final = np.float32(2.5)  # times the misses that the coverage allows
_GAIN, _FURTHEST = np.float32(0.7), np.float32(3)
"""How far bounds are widened, as a share of the distance from the median to the rarest errors that are kept."""


class ConformalLevels:
    """The quantiles of the errors that are bounds of each horizon and row, and how far to widen them."""

    def __init__(self, horizons: int, rows: int, tail: float) -> None:
        self._tail = np.float32(tail)
        self.levels = np.full((2, horizons, rows), tail, dtype=np.float32)
        self._missed = np.zeros((horizons, rows), dtype=np.float32)

    def state(self) -> list[NDArray[np.generic]]:
        return [self.levels, self._missed]

    def count_passed(self, horizon: int, passed: NDArray[np.integer], share: float) -> None:
        """Take in how many forecasts had their upper bound passed just now: (rows,), each ``share`` of a horizon."""
        amount = np.float32(share) * passed
        self.levels[1, horizon] -= np.float32(_STEP) * amount
        self._missed[horizon] += amount / np.float32(_OF_LATE)

    def learn(self, horizon: int, missed: NDArray[np.bool_], scored: NDArray[np.bool_], share: float) -> None:
        """Take in which bounds (2, rows) were missed by a forecast whose horizon has passed, where ``scored``.

        Misses of the upper bound that `count_passed` took in before are not in ``missed``.
        """
        missed = missed & scored
        self.levels[:, horizon] += np.float32(_STEP * share) * (scored * self._tail - missed)
        self._missed[horizon] *= np.where(scored, np.float32(1 - share / _OF_LATE), np.float32(1))
        self._missed[horizon] += missed.any(axis=0) * np.float32(share / _OF_LATE)

    def shares(self, horizons: slice) -> Floats:
        """Quantiles of the errors that bounds are made of: (5, horizons, rows).

        In this order: lower bound, lowest quantile that is kept, median, highest quantile that is kept, upper bound.
        """
        # The levels themselves are not clipped: later coverage must make up for too many misses.
        lower, upper = np.minimum(np.maximum(self.levels[:, horizons], _LEAST), _MOST)
        least = np.full_like(lower, _LEAST)
        return np.stack((lower, least, np.full_like(lower, 0.5), 1 - least, 1 - upper))

    def bounds(self, horizons: slice, errors: Floats) -> Floats:
        """Lower bound, median and upper bound of the error, from its quantiles :meth:`shares`: (3, horizons, rows)."""
        lower, lowest, median, highest, upper = errors
        promised = 2 * self._tail
        excess = (self._missed[horizons] - promised) / (promised * (_INTOLERABLE - 1))
        out = np.minimum(_GAIN * np.tan(np.pi / 2 * np.minimum(np.maximum(excess, 0), np.float32(0.99))), _FURTHEST)
        return np.stack((lower - out * (median - lowest), median, upper + out * (highest - median)))
