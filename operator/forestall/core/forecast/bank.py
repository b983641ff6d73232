"""A bank: all that is learned about some rows, and how it is kept up column by column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import numpy as np

from forestall.core.forecast.combination import Hedge
from forestall.core.forecast.experts import all_experts
from forestall.core.forecast.residuals import Residuals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from forestall.core.forecast.frame import Floats, Frame

ORIGINS_PER_HORIZON: Final = 8
"""Forecasts scored in each horizon: those in between would tell hardly more, as their windows overlap."""
_MEMORY: Final = 50 * ORIGINS_PER_HORIZON
"""Scored forecasts that past errors are averaged over: some 50 horizons."""
_FEW: Final = 4  # scored forecasts below which the errors of a shorter horizon say more


class Stateful(Protocol):
    """What keeps arrays with the rows last."""

    def state(self) -> Sequence[NDArray[np.generic]]:
        """These arrays, to be moved between banks."""


class Pending:
    """Forecasts for one horizon that wait for it to pass."""

    def __init__(self, steps: int, experts: int, rows: int) -> None:
        self.steps = steps
        self.stride = max(1, steps // ORIGINS_PER_HORIZON)
        slots = steps // self.stride + 1
        self.maximum = np.zeros((slots, experts + 1, rows), dtype=np.float32)
        """Of each expert, and last of their combination."""
        self.probability = np.zeros((slots, experts, rows), dtype=np.float32)
        self.open = np.zeros((slots, rows), dtype=np.bool_)
        """Whether a forecast was made."""
        self.safe = np.zeros((slots, rows), dtype=np.bool_)
        """Whether the limit was not passed already when it was made."""

    def state(self) -> list[NDArray[np.generic]]:
        return [self.maximum, self.probability, self.open, self.safe]

    def slot(self, column: int) -> int:
        return column // self.stride % len(self.open)


class Censored(NamedTuple):
    """Columns of a row of a bank that an action changed."""

    row: int
    since: int
    until: int


class Outlook(NamedTuple):
    """The forecasts for one horizon made at one column."""

    maximum: Floats
    """Of each expert: (experts, rows)."""
    combined: Floats
    """(rows,)"""
    probability: Floats
    """That the limit is passed, by each expert: (experts, rows)."""
    chance: Floats
    """The same, combined: (rows,)."""


class Bank:
    """Experts, their past errors and weights for ``rows`` series. All state has the rows last."""

    def __init__(self, rows: int, horizons: Sequence[int]) -> None:
        self.size = rows
        self.horizons = tuple(horizons)
        self.limit = np.full(rows, np.nan, dtype=np.float32)  # turned with the sign
        self.sign = np.ones(rows, dtype=np.float32)
        self.last = np.zeros(rows, dtype=np.float32)
        self.points = np.zeros(rows, dtype=np.float32)
        self.censored_windows = 0
        self.experts = all_experts(rows, horizons)
        # The combination is kept as one expert more: its errors give the bounds.
        self._errors = Residuals(len(self.experts) + 1, len(horizons), rows, _MEMORY)
        self._hedge = Hedge(len(self.experts), len(horizons), rows, _MEMORY)
        self._pending = [Pending(steps, len(self.experts), rows) for steps in horizons]

    def state(self) -> list[NDArray[np.generic]]:
        parts: list[Stateful] = [self._errors, self._hedge, *self._pending, *self.experts]
        own: list[NDArray[np.generic]] = [self.limit, self.sign, self.last, self.points]
        return own + [array for part in parts for array in part.state()]

    def put(self, rows: NDArray[np.intp], other: Bank, theirs: NDArray[np.intp]) -> None:
        """Replace the state of ``rows`` by that of the rows ``theirs`` of another bank of the same column."""
        for mine, new in zip(self.state(), other.state(), strict=True):
            mine[..., rows] = new[..., theirs]

    def advance(self, frame: Frame, censored: Sequence[Censored] = ()) -> None:
        """Take in the column of ``frame``: score what has matured, then let the experts see it, then forecast anew."""
        self.last = np.where(frame.fresh, frame.values, self.last)
        self.points += frame.fresh
        frame.last = self.last
        for index, pending in enumerate(self._pending):
            origin = frame.column - pending.steps
            if origin % pending.stride == 0:
                self._score(index, pending, frame, origin, censored)
        for expert in self.experts:
            expert.observe(frame)
        for index, pending in enumerate(self._pending):
            if frame.column % pending.stride == 0:
                self._issue(index, pending, frame)

    def outlook(self, index: int, frame: Frame) -> Outlook:
        """Forecast for one horizon as of ``frame``, whose column must have been taken in."""
        steps = self.horizons[index]
        frame.last = self.last
        maximum = np.stack([expert.maximum(frame, steps) for expert in self.experts])
        weights = self._hedge.weights(index)
        combined = (weights * maximum).sum(axis=0)
        probability = self._exceedance(index, np.nan_to_num(self.limit) - maximum)
        return Outlook(maximum, combined, probability, (weights * probability).sum(axis=0))

    def bounds(self, index: int, outlook: Outlook, shares: Sequence[float]) -> Floats:
        """Quantiles of the maximum: (shares, rows)."""
        own = len(self.experts)
        return np.stack([outlook.combined + self._quantile(index, own, share) for share in shares])

    def evidence(self, index: int) -> Floats:
        """How many forecasts for one horizon have been scored: (rows,)."""
        seen: Floats = self._errors.count[index]
        return seen

    def _exceedance(self, index: int, values: Floats) -> Floats:
        """P(error > value); a horizon too new to have errors takes those of the next shorter one, scaled."""
        own = self._errors.exceedance(index, values)
        few = self._errors.count[index] < _FEW
        if index == 0 or not few.any():
            return own
        shorter = self._exceedance(index - 1, np.asarray(values / self._spread(index), dtype=np.float32))
        return np.where(few, shorter, own)

    def _quantile(self, index: int, expert: int, share: float) -> Floats:
        own = self._errors.quantile(index, expert, share)
        few = self._errors.count[index] < _FEW
        if index == 0 or not few.any():
            return own
        return np.where(few, self._quantile(index - 1, expert, share) * self._spread(index), own)

    def _spread(self, index: int) -> np.float32:
        """How much wider errors get from the next shorter horizon on, as in a random walk."""
        return np.float32(np.sqrt(self.horizons[index] / self.horizons[index - 1]))

    def _issue(self, index: int, pending: Pending, frame: Frame) -> None:
        slot = pending.slot(frame.column)
        view = self.outlook(index, frame)
        pending.maximum[slot, :-1], pending.maximum[slot, -1] = view.maximum, view.combined
        pending.probability[slot] = view.probability
        pending.open[slot] = frame.fresh & (self.points >= 3)
        pending.safe[slot] = self.last <= self.limit

    def _score(self, index: int, pending: Pending, frame: Frame, origin: int, censored: Sequence[Censored]) -> None:
        slot = pending.slot(origin)
        known = pending.open[slot].copy()
        pending.open[slot] = False
        for mark in censored:
            if origin < mark.until and frame.column >= mark.since and known[mark.row]:
                known[mark.row] = False
                self.censored_windows += 1
        if not known.any():
            return
        window = frame.window(pending.steps)
        known &= np.isfinite(window).sum(axis=0) * 2 > pending.steps
        reached = np.fmax.reduce(window, axis=0)
        errors = np.where(known, reached - pending.maximum[slot], np.float32(0))
        self._errors.learn(index, errors, known)
        breached = reached > self.limit
        self._hedge.learn(index, pending.probability[slot], breached, known & pending.safe[slot])
