"""Persistence: the series stays at its last value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forestall.core.forecast.frame import Floats, Frame


class Persistence:
    """The maximum is the last value; how much higher it usually rises is in the past errors.

    Of series with long trends it is the median of the last few, as a spike there says nothing about what follows.
    """

    name = "persistence"

    def state(self) -> list[NDArray[np.generic]]:
        return []

    def awake(self, frame: Frame, index: int) -> NDArray[np.bool_]:  # noqa: ARG002 - the same for each horizon
        return np.ones_like(frame.fresh)

    def observe(self, frame: Frame) -> None:
        """Nothing to remember."""

    def maximum(self, frame: Frame, index: int) -> Floats:  # noqa: ARG002 - the same for each horizon
        return frame.calm
