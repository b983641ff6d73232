"""Climatology: the past rate of breaches."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forestall.core.forecast.frame import Frame


class Climatology:
    """The rate of breaches over the last ``memory`` horizons, whatever the series does now.

    The reference: it is calibrated on average, and other experts get weight only where they score better.
    """

    kinds: ClassVar[int] = 1

    def __init__(self, memory: float) -> None:
        self.name = f"climatology-{memory:g}"
        self.memory = memory

    def kind(self, frame: Frame, steps: int) -> NDArray[np.intp]:  # noqa: ARG002 - it is always the same
        return np.zeros(frame.last.size, dtype=np.intp)
