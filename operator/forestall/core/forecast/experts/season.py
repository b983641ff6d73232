"""Season: the rate of breaches at this time of the day, or of the week."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forestall.core.forecast.frame import Frame


class Season:
    """Distinguishes ``kinds`` parts of a period; parts without evidence have no weight."""

    kinds: ClassVar[int] = 24
    memory: ClassVar[float] = 8

    def __init__(self, period: float) -> None:
        self.name = f"season-{period:g}s"
        self._period = period

    def kind(self, frame: Frame, steps: int) -> NDArray[np.intp]:  # noqa: ARG002 - the same for each horizon
        part = int(frame.time % self._period / self._period * self.kinds)
        return np.full(frame.last.size, part, dtype=np.intp)
