"""Linear trend: the least-squares line through a window is extrapolated, as by Prometheus' `predict_linear`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from forestall.core.forecast.block_means import BlockMeans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from forestall.core.forecast.frame import Floats, Frame

_LEAST_STEPS: Final = 4


class LinearTrend:
    """The line through the last ``factor`` horizons, for each horizon its own."""

    def __init__(self, factor: int, rows: int, horizons: Sequence[int]) -> None:
        self.name = f"trend-{factor}"
        self._horizons = tuple(horizons)
        self._windows = [BlockMeans(max(_LEAST_STEPS, factor * steps), rows) for steps in horizons]

    def state(self) -> list[NDArray[np.generic]]:
        return [array for window in self._windows for array in window.state()]

    def awake(self, frame: Frame, index: int) -> NDArray[np.bool_]:  # noqa: ARG002 - the same for each horizon
        return ~frame.long_trend  # their windows are too short for slow trends: mostly noise, and wild after steps

    def observe(self, frame: Frame) -> None:
        for window in self._windows:
            window.observe(frame)

    def maximum(self, frame: Frame, index: int) -> Floats:
        level, slope = self._windows[index].line(frame)
        rise: Floats = np.maximum(slope, slope * np.float32(self._horizons[index]))
        return frame.last + level + rise
