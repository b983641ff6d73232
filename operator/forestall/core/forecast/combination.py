"""The weights of the experts, by their past Brier scores.

Sources: Freund & Schapire, A decision-theoretic generalization of on-line learning (1997); discounting as in
Cesa-Bianchi & Lugosi, Prediction, Learning, and Games (2006), section 2.11; experts that sleep as in Freund,
Schapire, Singer & Warmuth, Using and combining predictors that specialize (1997).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forestall.core.forecast.frame import Floats

_RATE: Final = np.float32(2)
"""The learning rate for which the square loss of probabilities is mixable (Vovk, 1998); nothing to tune."""


class Hedge:
    """Discounted loss of each expert for each horizon and series, and the weights that follow from it."""

    def __init__(self, experts: int, horizons: int, rows: int, memory: float) -> None:
        self._memory = memory
        self._loss = np.zeros((experts, horizons, rows), dtype=np.float32)
        self._regret = np.log(experts) / _RATE

    def state(self) -> list[NDArray[np.generic]]:
        return [self._loss]

    def excess(self, horizon: int, expert: int, other: int) -> NDArray[np.bool_]:
        """Whether ``expert`` lost more against ``other`` than twice what weighing them may cost at most: (rows,)."""
        behind: NDArray[np.bool_] = self._loss[expert, horizon] > self._loss[other, horizon] + 2 * self._regret
        return behind

    def learn(self, horizon: int, scores: Floats, scored: NDArray[np.bool_], share: float) -> None:
        """Add Brier scores (experts, rows), where ``scored``; a forecast counts ``share`` of a horizon."""
        loss = self._loss[:, horizon]
        loss *= np.where(scored, np.float32(1 - share / self._memory), np.float32(1))
        loss += np.float32(share) * np.where(scored, scores, np.float32(0))

    def weights(self, horizons: slice, awake: Floats, rows: slice | NDArray[np.intp] = slice(None)) -> Floats:
        """Weights (experts, horizons, rows) that sum to 1; equal until something is scored, 0 for experts that sleep.

        ``awake``, of the same shape: how much each expert applies to the case at hand; not 0 for all.
        """
        loss = self._loss[:, horizons, rows]
        least = np.where(awake > 0, loss, np.float32(np.inf)).min(axis=0)
        weight = awake * np.exp(-_RATE * np.maximum(loss - least, 0))
        total = weight.sum(axis=0)
        return np.asarray(weight / total, dtype=np.float32)
