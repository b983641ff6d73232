"""Recurring events: the limit was passed at this time of past hours, days or weeks, so it will be again.

Only the starts and the peaks of past breaches are kept, to the step, so that the phase is as fine as the data. What
they say changes only when the phase of a past event comes near or is over: until then it is kept. How far it is trusted
against the other forecasts follows from the Brier scores of both, of those times only at which they differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from forestall.core.forecast.combination import Hedge
from forestall.core.forecast.event_log import NEVER, EventLog
from forestall.core.forecast.phases import PERIODS, SLACK, Phases

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from forestall.core.forecast.event_log import PastEvents
    from forestall.core.forecast.frame import Floats, Frame


_RELEVANT: Final = np.float32(0.1)  # difference from the other forecasts from which a forecast is scored
_MEMORY: Final = 10  # horizons of such differences over which scores are discounted
_TRUST: Final = np.float32(60)  # weight of a period that is sure, beside the other forecasts, before any score
_DOUBT: Final = np.float32(0.25)  # and of one that says that nothing recurs


class Combined(NamedTuple):
    """Forecasts with what recurs; (horizons, rows) each."""

    chance: Floats
    median: Floats
    upper: Floats
    parts: Floats
    """P(breach) without and with what recurs at each period, NaN where the past says nothing: (1 + periods, ...)."""


class RecurringEvents:
    """The starts of past breaches of ``rows`` series, and what they say about the coming ``horizons`` (steps)."""

    def __init__(self, rows: int, horizons: Sequence[int]) -> None:
        """``horizons`` in steps, ascending."""
        self._horizons = tuple(horizons)
        self._log = EventLog(rows, horizons[0] // SLACK)
        self._until = np.full(rows, NEVER, dtype=np.int64)
        """The column from which on what follows has to be found anew."""
        self._chance = np.full((len(PERIODS), len(horizons), rows), np.nan, dtype=np.float32)
        """P(event) by each period, NaN where the past says nothing."""
        self._peak = np.full((len(horizons), rows), np.nan, dtype=np.float32)
        """The median of the peaks of past events at this phase; NaN without any."""
        self._highest = np.full((len(horizons), rows), np.nan, dtype=np.float32)
        """The largest of these."""
        self._hedge = Hedge(1 + len(PERIODS), len(horizons), rows, _MEMORY)

    def state(self) -> list[NDArray[np.generic]]:
        results = (self._until, self._chance, self._peak, self._highest)
        return [*results, *self._log.state(), *self._hedge.state()]

    def precede(self, row: int, past: PastEvents) -> None:
        """Put events of the far past before those of a row."""
        self._log.precede(row, past)
        self._until[row] = NEVER

    def observe(self, frame: Frame, natural: Floats, limit: Floats) -> None:
        """Take in the newest column; ``natural``: its values, NaN where an action changed them."""
        self._until[self._log.observe(frame, natural, limit)] = NEVER

    def combine(self, frame: Frame, horizons: slice, chance: Floats, median: Floats, upper: Floats) -> Combined:
        """Combine other forecasts, (horizons, rows) each, with what recurs within the horizons."""
        self._find(frame)
        parts = np.full((1 + len(PERIODS), *chance.shape), np.nan, dtype=np.float32)
        rows = np.flatnonzero((self._chance[:, horizons] > chance).any(axis=(0, 1)))
        if rows.size:
            chance, median, upper = chance.copy(), median.copy(), upper.copy()
            before = chance[:, rows]
            candidates = np.concatenate((before[None], np.maximum(self._chance[:, horizons, rows], before)))
            parts[:, :, rows] = candidates
            after = self._weighted(horizons, candidates, rows)
            peak, highest = self._peak[horizons, rows], self._highest[horizons, rows]
            expected = (after > before) & np.isfinite(peak)
            chance[:, rows] = after
            median[:, rows] = np.where(expected & (after >= 0.5), np.fmax(median[:, rows], peak), median[:, rows])
            upper[:, rows] = np.where(expected, np.fmax(upper[:, rows], highest), upper[:, rows])
        return Combined(chance, median, upper, parts)

    def _weighted(self, horizons: slice, parts: Floats, rows: NDArray[np.intp]) -> Floats:
        awake = np.isfinite(parts).astype(np.float32)
        excess = np.nan_to_num(parts[1:] - parts[0]) / np.maximum(1 - parts[0], _RELEVANT)
        awake[1:] *= _DOUBT + _TRUST * np.square(np.square(excess))
        weight = self._hedge.weights(horizons, awake, rows)
        combined = (weight * np.where(awake > 0, parts, np.float32(0))).sum(axis=0)
        return np.asarray(np.where(_differs(parts), combined, parts[0]))

    def learn(
        self, horizon: int, parts: Floats, breached: NDArray[np.bool_], scored: NDArray[np.bool_], share: float
    ) -> None:
        """Score the parts of forecasts whose horizon has passed, where they differed: (1 + periods, rows)."""
        scored = scored & _differs(parts)
        if not scored.any():
            return
        score = np.square(parts - breached)
        awake = np.isfinite(score)
        # One that sleeps is scored like the mean of the others.
        mean = np.where(awake, score, 0).sum(axis=0) / np.maximum(awake.sum(axis=0), 1)
        self._hedge.learn(horizon, np.where(awake, score, mean), scored, share)

    def _find(self, frame: Frame) -> None:
        """Find what recurs in those rows for which it may have changed."""
        rows = np.flatnonzero(self._until <= frame.column)
        if not rows.size:
            return
        self._chance[:, :, rows], self._peak[:, rows], self._highest[:, rows] = np.nan, np.nan, np.nan
        self._until[rows] = -NEVER
        # A single event tells nothing of a period.
        rows = rows[(self._log.starts[:, rows] > NEVER).sum(axis=0) > 1]
        if not rows.size:
            return
        phases = Phases(self._log, frame, rows)
        for index, horizon in enumerate(self._horizons):
            phases.look(index, horizon)
        phases.conclude(self._chance, self._peak, self._highest)
        self._until[rows] = phases.until


def _differs(parts: Floats) -> NDArray[np.bool_]:
    """Where a period says more than the other forecasts: that shape without the first axis."""
    return np.asarray((parts[1:] > parts[0] + _RELEVANT).any(axis=0))
