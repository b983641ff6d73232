"""The distribution of the errors of each expert's forecasts of the maximum.

For each expert, horizon and series the share of errors above fixed multiples of the series' own scale is kept, each
as an exponential mean. The multiples lie evenly on an asinh scale: fine around zero, coarse far out. No distribution
is assumed, updating and looking up are a few operations, and the memory is small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forestall.core.forecast.frame import Floats

_SIDE: Final = 20  # edges on either side of zero
_STRETCH: Final = np.float32(0.45)  # asinh distance between edges
_CORE: Final = np.float32(0.12)  # where, in units of the scale, the asinh turns from even to logarithmic
_EDGES: Final = (np.sinh(np.arange(-_SIDE, _SIDE + 1) * float(_STRETCH)) * float(_CORE)).astype(np.float32)
_STEPS: Final = np.diff(_EDGES)
_WIDTHS: Final = np.gradient(_EDGES).astype(np.float32)
_LAST: Final = np.float32(2 * _SIDE - 1e-3)
_TINY: Final = np.float32(1e-30)
_HALF: Final = np.float32(0.5)


class Residuals:
    """Errors of ``experts`` forecasts of ``horizons`` maxima of ``rows`` series."""

    def __init__(self, experts: int, horizons: int, rows: int, memory: float) -> None:
        self._memory = np.float32(memory)
        self._above = np.zeros((len(_EDGES), experts, horizons, rows), dtype=np.float32)
        self.scale = np.zeros((horizons, rows), dtype=np.float32)
        self._size = np.zeros((horizons, rows), dtype=np.float32)
        self.count = np.zeros((experts, horizons, rows), dtype=np.float32)
        """Errors learned from, of each expert."""

    def state(self) -> list[NDArray[np.generic]]:
        return [self._above, self.scale, self._size, self.count]

    def learn(self, horizon: int, errors: Floats, scored: NDArray[np.bool_]) -> Floats:
        """Take in the errors (experts, rows) of forecasts whose horizon has passed, where ``scored`` (experts, rows).

        Returns how well the errors so far predicted these: the continuous ranked probability score of each
        expert, in units of the scale, at most 3 (Gneiting & Raftery, 2007); (experts, rows).
        """
        count = self.count[:, horizon]
        count += scored
        rate = np.asarray(scored / np.clip(count, 1, self._memory), dtype=np.float32)
        self._learn_scale(horizon, np.abs(errors[0]), rate[0])
        threshold = _EDGES[:, None] * np.maximum(self.scale[horizon], _TINY)
        score = np.empty_like(errors)
        for expert, error in enumerate(errors):  # one at a time stays in the cache
            above = self._above[:, expert, horizon]
            surprise = (error > threshold).astype(np.float32)  # a difference of unlike types takes twice as long
            surprise -= above
            score[expert] = _WIDTHS @ np.square(surprise)
            surprise *= rate[expert]
            above += surprise
        return np.minimum(score, 3)

    def exceedance(
        self,
        source: NDArray[np.intp],
        values: Floats,
        experts: NDArray[np.intp] | None = None,
        prior: Floats | np.float32 = _HALF,
        prior_count: int = 1,
    ) -> Floats:
        """P(error > value) for ``values`` (experts, horizons, rows); never 0 or 1.

        ``source`` (horizons, rows): the number of the horizon whose errors are taken. ``experts``: whose errors; those
        of the first ones if not given. ``prior``: what is expected without errors, worth as much as
        ``prior_count`` of them.
        """
        scale = self.scale[source, np.arange(source.shape[1])]
        with np.errstate(over="ignore"):  # far outside the edges is all that matters there
            position = np.arcsinh(values / (np.maximum(scale, _TINY) * _CORE)) / _STRETCH + _SIDE
        clipped = np.minimum(np.maximum(position, 0), _LAST)
        index = clipped.astype(np.intp)
        expert = (np.arange(len(values)) if experts is None else experts)[:, None, None]
        low, high = self._between(source, expert, index)
        share = low + (clipped - index) * (high - low)
        # Beyond the outermost edge the tail is taken to fall as the square does.
        outside = np.minimum(np.maximum(np.abs(position - _SIDE) - _SIDE, 0), 40)
        beyond = np.exp(-2 * _STRETCH * outside)
        share = np.where(position > _SIDE, share * beyond, 1 - (1 - share) * beyond)
        weight = np.minimum(self.count[expert, source, np.arange(source.shape[1])], self._memory)
        return np.asarray((share * weight + prior * prior_count) / (weight + prior_count), dtype=np.float32)

    def quantile(self, source: NDArray[np.intp], expert: NDArray[np.intp] | int, share: Floats) -> Floats:
        """The errors that are exceeded with probability ``1 - share``: (shares, horizons, rows), as ``share`` is.

        ``expert``: its number, or numbers (horizons, rows).
        """
        rows = np.arange(source.shape[1])
        above = self._above[:, expert, source, rows]
        target = np.float32(1) - share
        index = np.stack([(above > level).view(np.int8).sum(axis=0, dtype=np.int8) for level in target]).astype(np.intp)
        index = np.minimum(np.maximum(index - 1, 0), 2 * _SIDE - 1)
        low, high = self._between(source, expert, index)
        part = np.minimum(np.maximum((low - target) / np.maximum(low - high, _TINY), 0), 1)
        edge = _EDGES[index] + part * _STEPS[index]
        return np.asarray(edge * self.scale[source, rows], dtype=np.float32)

    def _between(
        self, source: NDArray[np.intp], expert: NDArray[np.intp] | int, edge: NDArray[np.intp]
    ) -> tuple[Floats, Floats]:
        """The shares of errors above edges (…, horizons, rows) and above those that come next."""
        _, experts, horizons, rows = self._above.shape
        flat = self._above.reshape(-1)
        cell = ((edge * experts + expert) * horizons + source) * rows + np.arange(rows)
        return flat.take(cell), flat.take(cell + experts * horizons * rows)

    def _learn_scale(self, horizon: int, size: Floats, rate: Floats) -> None:
        mean, scale = self._size[horizon], self.scale[horizon]
        # One wild error must not make all the others look small.
        mean += rate * (np.where(mean > 0, np.minimum(size, 100 * mean), size) - mean)
        moved = (mean > 2 * scale) | (mean < scale / 2)
        if moved.any():
            rows = np.flatnonzero(moved & (scale > 0) & (mean > 0))
            self._rescale(horizon, rows, mean[rows] / scale[rows])
            scale[moved] = mean[moved]

    def _rescale(self, horizon: int, rows: NDArray[np.intp], ratio: Floats) -> None:
        """Read the shares off at the edges that the new scale has."""
        old = self._above[:, :, horizon, rows]
        position = np.arcsinh(_EDGES[:, None] / _CORE * ratio) / _STRETCH + _SIDE
        clipped = np.clip(position, 0, 2 * _SIDE - 1e-3)
        index = clipped.astype(np.intp)[:, None, :]
        low, high = np.take_along_axis(old, index, axis=0), np.take_along_axis(old, index + 1, axis=0)
        self._above[:, :, horizon, rows] = low + (clipped[:, None, :] - index) * (high - low)
