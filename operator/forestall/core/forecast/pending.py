"""Forecasts as they are made, and those that wait for their horizon to pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from forestall.core.forecast.phases import PERIODS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forestall.core.forecast.frame import Floats

ORIGINS_PER_HORIZON: Final = 4
"""Forecasts scored in each horizon: those in between would tell hardly more, as their windows overlap."""


class HorizonForecasts(NamedTuple):
    """The forecasts for some horizons made at one column."""

    maximum: Floats
    """Of each path expert, and last of all together: (experts + 1, horizons, rows)."""
    lower: Floats
    median: Floats
    upper: Floats
    """Median and bounds of the maximum: (horizons, rows)."""
    probability: Floats
    """That the limit is passed, by each expert, those for events after those for paths: (experts, horizons, rows)."""
    awake: Floats
    """How much each expert applies to the case at hand, from 0 to 1: (experts, horizons, rows)."""
    weight: Floats
    """The weight of each expert: (experts, horizons, rows)."""
    raw: Floats
    """The probability combined: (horizons, rows)."""
    chance: Floats
    """The same, recalibrated."""
    kinds: NDArray[np.uint8]
    """The circumstances that the event experts see: (event experts, horizons, rows)."""
    trend: Floats | None
    """How far clear long trends deviate by their fit alone, 0 without one: (horizons, rows); None: none is clear."""
    slope: Floats | None
    """How fast clear long trends rise, by step, at least 0: (horizons, rows)."""
    parts: Floats
    """The probability without recurring events, and with those of each period, NaN where the past says nothing of
    them: (1 + periods, horizons, rows)."""

    def at(self, index: int) -> HorizonForecasts:
        """The forecasts for one of the horizons: the same without that axis."""
        return HorizonForecasts._make(None if part is None else part[..., index, :] for part in self)


class Pending:
    """Forecasts for one horizon whose outcome is not known yet."""

    def __init__(self, steps: int, paths: int, events: int, rows: int) -> None:
        self.steps = steps
        self.stride = max(1, steps // ORIGINS_PER_HORIZON)
        self.share = self.stride / steps
        """Horizons that one of them counts, so that forecasts whose windows overlap count as one."""
        slots = steps // self.stride + 1
        self._maximum = np.zeros((slots, paths + 1, rows), dtype=np.float32)
        self._bounds = np.zeros((slots, 2, rows), dtype=np.float32)
        self._probability = np.zeros((slots, paths + events, rows), dtype=np.float32)
        self._awake = np.zeros((slots, paths + events, rows), dtype=np.float32)
        self._chance = np.zeros((slots, rows), dtype=np.float32)
        self._kinds = np.zeros((slots, events, rows), dtype=np.uint8)
        self._parts = np.zeros((slots, 1 + len(PERIODS), rows), dtype=np.float32)
        self._open = np.zeros((slots, rows), dtype=np.bool_)
        self._silent = np.zeros((slots, rows), dtype=np.bool_)
        self._safe = np.zeros((slots, rows), dtype=np.bool_)

    def state(self) -> list[NDArray[np.generic]]:
        parts = (self._maximum, self._bounds, self._probability, self._awake, self._chance, self._kinds)
        return [*parts, self._parts, self._open, self._silent, self._safe]

    def put(self, column: int, view: HorizonForecasts, is_made: NDArray[np.bool_], safe: NDArray[np.bool_]) -> None:
        """Keep the forecasts made at ``column``, where ``is_made``; ``safe``: the limit was not passed already."""
        slot = self._slot(column)
        self._maximum[slot], self._probability[slot], self._awake[slot] = view.maximum, view.probability, view.awake
        self._bounds[slot, 0], self._bounds[slot, 1] = view.lower, view.upper
        self._chance[slot], self._kinds[slot] = view.raw, view.kinds
        self._parts[slot] = view.parts
        self._open[slot], self._silent[slot], self._safe[slot] = is_made, is_made, safe

    def passed(self, values: Floats) -> NDArray[np.intp] | None:
        """For how many pending forecasts ``values`` are the first above their upper bound: (rows,); None: for none.

        Each forecast is reported once.
        """
        passed = values > self._bounds[:, 1]
        passed &= self._silent
        if not passed.any():
            return None
        self._silent ^= passed
        return np.asarray(passed.sum(axis=0))

    def take(self, column: int) -> Matured:
        """Remove and return the forecasts made at ``column``."""
        slot = self._slot(column)
        is_made, is_reported = self._open[slot].copy(), self._open[slot] & ~self._silent[slot]
        self._open[slot] = self._silent[slot] = False
        return Matured(
            self._maximum[slot],
            self._bounds[slot],
            self._probability[slot],
            self._awake[slot],
            self._chance[slot],
            self._kinds[slot].astype(np.intp),
            is_made,
            is_reported,
            self._safe[slot],
            self._parts[slot],
        )

    def _slot(self, column: int) -> int:
        return column // self.stride % len(self._open)


class Matured(NamedTuple):
    """Forecasts whose horizon has passed: as in :class:`HorizonForecasts`."""

    maximum: Floats
    bounds: Floats
    probability: Floats
    awake: Floats
    chance: Floats
    kinds: NDArray[np.intp]
    is_made: NDArray[np.bool_]
    is_reported: NDArray[np.bool_]
    """Whether the upper bound was passed, as `passed` has reported."""
    safe: NDArray[np.bool_]
    parts: Floats
