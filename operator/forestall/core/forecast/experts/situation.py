"""Situation: the rate of breaches when the series was as near to its limit as now."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forestall.core.forecast.frame import Floats, Frame

_NEAR: Final = 12  # classes of the distance of the last value
_PEAK: Final = 12  # classes of the distance of the recent peak, four of them past the limit
_PASSED: Final = 4


class Situation:
    """Distinguishes how far below the limit the last value and the peak are.

    The peak is that of the last horizon, or what a clear long trend forecasts for the next one if that is higher.

    Distances are in units of the usual distance, on an asinh scale: fine near the limit, coarse far away.
    """

    name: ClassVar[str] = "situation"
    kinds: ClassVar[int] = _NEAR * _PEAK
    memory: ClassVar[float] = 12

    def kind(self, frame: Frame, steps: int) -> NDArray[np.intp]:
        key = (self.name, 0)
        if key not in frame.cache:
            frame.cache[key] = frame.gap(frame.last)
        near = _classes(frame.cache[key], 3.0, 0, _NEAR)
        highest, rising = frame.peak(steps), frame.rising.get(steps)
        if rising is not None:
            highest = np.maximum(highest, rising)
        peak = _classes(frame.gap(highest), 2.5, _PASSED, _PEAK)
        return near * _PEAK + peak


def _classes(distance: Floats, density: float, passed: int, count: int) -> NDArray[np.intp]:
    position = np.floor(np.arcsinh(4 * distance) * density) + passed
    classes: NDArray[np.intp] = np.minimum(np.maximum(position, 0), count - 1).astype(np.intp)
    return classes
