"""Linear trend: the least-squares line through a window goes on, as Prometheus' `predict_linear` has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forestall.core.forecast.frame import Floats, Frame

_LEAST_STEPS = 4


class LinearTrend:
    """The line through the last ``factor`` horizons."""

    def __init__(self, factor: int) -> None:
        self.name = f"trend-{factor}"
        self._factor = factor

    def state(self) -> list[NDArray[np.generic]]:
        return []

    def observe(self, frame: Frame) -> None:
        """Nothing to remember: the window is read anew."""

    def maximum(self, frame: Frame, horizon: int) -> Floats:
        length = max(_LEAST_STEPS, self._factor * horizon)
        level, slope = fit_line(frame.window(length) - frame.last)
        rise: Floats = np.maximum(slope, slope * np.float32(horizon))
        return frame.last + level + rise


def fit_line(block: Floats) -> tuple[Floats, Floats]:
    """Least squares through the finite points of each column of ``block`` (time, rows).

    Returns the value of the line at the last time and its slope per step; 0 and 0 with less than three points.
    """
    length = len(block)
    time = np.arange(1 - length, 1, dtype=np.float32)
    centred = time - time.mean()
    slope = (centred / (centred @ centred)) @ block
    level = block.mean(axis=0) - slope * time.mean()
    ragged = np.flatnonzero(~np.isfinite(slope))
    if ragged.size:
        level[ragged], slope[ragged] = _fit_ragged(block[:, ragged], time)
    return level, slope


def _fit_ragged(block: Floats, time: Floats) -> tuple[Floats, Floats]:
    known = np.isfinite(block)
    value = np.where(known, block, np.float32(0))
    weight = known.astype(np.float32)
    count = weight.sum(axis=0)
    enough = count >= 3
    count = np.maximum(count, 1)
    mean_time, mean = (time @ weight) / count, value.sum(axis=0) / count
    offset = (time[:, None] - mean_time) * weight
    spread = np.einsum("tn,tn->n", offset, offset)
    slope = np.einsum("tn,tn->n", offset, value) / np.where(enough, spread, 1)
    return np.where(enough, mean - slope * mean_time, 0), np.where(enough, slope, 0)
