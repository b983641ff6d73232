"""How often a breach followed in each of several circumstances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forestall.core.forecast.frame import Floats

_PRIOR: Final = np.float32(0.5)
"""Horizons of evidence that the base rate weighs as much as."""


class EventRates:
    """Discounted counts of forecasts and of breaches by circumstances, horizon and row.

    Counts are in horizons: forecasts whose windows overlap share one.
    """

    def __init__(self, kinds: int, horizons: int, rows: int, memory: float) -> None:
        self._memory = memory
        self._breaches = np.zeros((kinds, horizons, rows), dtype=np.float32)
        self._seen = np.zeros((kinds, horizons, rows), dtype=np.float32)

    def state(self) -> list[NDArray[np.generic]]:
        return [self._breaches, self._seen]

    def learn(
        self, horizon: int, kind: NDArray[np.intp], breached: NDArray[np.bool_], known: NDArray[np.bool_], share: float
    ) -> None:
        """Count forecasts made in circumstances ``kind`` (rows,), each ``share`` of a horizon, where ``known``."""
        rows = np.flatnonzero(known)
        place = (kind[rows], horizon, rows)
        keep = np.float32(1 - share / self._memory)
        self._breaches[place] = keep * self._breaches[place] + np.float32(share) * breached[rows]
        self._seen[place] = keep * self._seen[place] + np.float32(share)

    def evidence(self, horizon: int, kind: NDArray[np.intp]) -> Floats:
        """Horizons that such circumstances were seen for, discounted: (rows,)."""
        seen: Floats = self._seen[kind, horizon, np.arange(kind.size)]
        return seen

    def rate(self, horizon: int, kind: NDArray[np.intp], base: Floats | float) -> Floats:
        """P(breach) in circumstances ``kind``: (rows,). With little evidence it is drawn to ``base``."""
        place = (kind, horizon, np.arange(kind.size))
        rate = (self._breaches[place] + _PRIOR * base) / (self._seen[place] + _PRIOR)
        return np.asarray(rate, dtype=np.float32)
