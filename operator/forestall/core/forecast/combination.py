"""Which experts are listened to: weights by their own past Brier scores.

Source: Freund & Schapire, A decision-theoretic generalization of on-line learning (1997), with the discounting of
Cesa-Bianchi & Lugosi, Prediction, Learning, and Games (2006), section 2.11.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forestall.core.forecast.frame import Floats


class Hedge:
    """Discounted loss of each expert for each horizon and series, and the weights that follow from it."""

    def __init__(self, experts: int, horizons: int, rows: int, memory: float) -> None:
        self._keep = np.float32(1 - 1 / memory)
        self._loss = np.zeros((experts, horizons, rows), dtype=np.float32)

    def state(self) -> list[NDArray[np.generic]]:
        return [self._loss]

    def learn(self, horizon: int, probability: Floats, breached: NDArray[np.bool_], known: NDArray[np.bool_]) -> None:
        """Score probabilities (experts, rows) against what came, where ``known``."""
        loss = self._loss[:, horizon]
        loss *= np.where(known, self._keep, np.float32(1))
        loss += np.where(known, np.square(probability - breached), np.float32(0))

    def weights(self, horizon: int) -> Floats:
        """(experts, rows), summing to 1; equal as long as nothing was scored."""
        loss = self._loss[:, horizon]
        weight = np.exp(loss.min(axis=0) - loss)
        return np.asarray(weight / weight.sum(axis=0), dtype=np.float32)
