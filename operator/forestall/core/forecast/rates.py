"""The rate of breaches in each of several circumstances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from forestall.core.forecast.frame import Floats

_PRIOR: Final = np.float32(0.5)
"""Horizons of evidence that the base rate weighs as much as."""


class EventRates:
    """Discounted counts of forecasts and of breaches by expert, circumstances, horizon and row.

    Counts are in horizons: forecasts whose windows overlap share one.
    """

    def __init__(self, kinds: Sequence[int], memory: Sequence[float], horizons: int, rows: int) -> None:
        """``kinds`` and ``memory`` (horizons) are those of each expert."""
        # All experts share one array: their circumstances follow one another.
        self._first = np.cumsum([0, *kinds[:-1]])[:, None]
        self._forget = (1 / np.array(memory))[:, None]
        self._rows = np.arange(rows)
        self._breaches = np.zeros((sum(kinds), horizons, rows), dtype=np.float32)
        self._counted = np.zeros((sum(kinds), horizons, rows), dtype=np.float32)

    def state(self) -> list[NDArray[np.generic]]:
        return [self._breaches, self._counted]

    def learn(
        self,
        horizon: int,
        kinds: NDArray[np.intp],
        breached: NDArray[np.bool_],
        scored: NDArray[np.bool_],
        share: float,
    ) -> None:
        """Count forecasts made in circumstances ``kinds`` (experts, rows), each ``share`` of a horizon, where
        ``scored``."""
        rows = np.flatnonzero(scored)
        cell = (self._first + kinds[:, rows], horizon, rows)
        keep = (1 - share * self._forget).astype(np.float32)
        self._breaches[cell] = keep * self._breaches[cell] + np.float32(share) * breached[rows]
        self._counted[cell] = keep * self._counted[cell] + np.float32(share)

    def rates(self, horizons: slice, kinds: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """P(breach) in circumstances ``kinds`` (experts, horizons, rows), and the evidence for it, in horizons.

        The first expert is the base rate that the others shrink to where there is little evidence.
        """
        own = np.arange(horizons.start, horizons.stop)[:, None]
        cell = (self._first[:, None] + kinds, own, self._rows)
        counted = self._counted[cell]
        breaches, weight = self._breaches[cell], counted + _PRIOR
        base = (breaches[0] + _PRIOR * np.float32(0.5)) / weight[0]
        rates = (breaches + _PRIOR * base) / weight
        rates[0] = base
        return rates, counted
