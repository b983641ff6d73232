"""A bank: all that is learned about some rows, and how it is kept up column by column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import numpy as np

from forestall.core.forecast.calibration import Recalibration
from forestall.core.forecast.combination import Hedge
from forestall.core.forecast.conformal import ConformalLevels
from forestall.core.forecast.experts import PathExpert, event_experts, path_experts
from forestall.core.forecast.experts.long_trend import LongTrend
from forestall.core.forecast.pending import ORIGINS_PER_HORIZON, Outlook, Pending
from forestall.core.forecast.rates import EventRates
from forestall.core.forecast.residuals import Residuals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from forestall.core.forecast.frame import Floats, Frame
    from forestall.core.forecast.settings import ForecastSettings

_MEMORY: Final = 50
"""Horizons that past errors and scores are discounted over."""
_SITUATION: Final = 2  # among the event experts
_REACH: Final = 64
"""Horizons that a past is learned back to: what lies further back weighs little."""
_CALM: Final = 5
"""Points that the level of a series with a long trend is the median of."""
_FEW: Final = 4  # scored forecasts below which the errors of a shorter horizon say more


class Stateful(Protocol):
    """What keeps arrays with the rows last."""

    def state(self) -> Sequence[NDArray[np.generic]]:
        """These arrays, to be moved between banks."""


class Censored(NamedTuple):
    """Columns of a row of a bank that an action changed."""

    row: int
    since: int
    until: int


class Bank:
    """Experts, their past errors and weights for ``rows`` series. All state has the rows last."""

    def __init__(self, rows: int, horizons: Sequence[int], settings: ForecastSettings, history: float) -> None:
        """``horizons`` in steps, ``history``: how many seconds of each series are kept."""
        self.size = rows
        self.horizons = tuple(horizons)
        self.limit = np.zeros(rows, dtype=np.float32)  # turned with the sign, as all values here
        self.sign = np.ones(rows, dtype=np.float32)
        self.long_trend = np.zeros(rows, dtype=np.bool_)
        self.last = np.zeros(rows, dtype=np.float32)
        self.points = np.zeros(rows, dtype=np.float32)
        self.usual = np.zeros(rows, dtype=np.float32)
        self.censored_windows = 0
        self._long_trend = LongTrend(rows, horizons)
        self.paths: list[PathExpert] = [*path_experts(rows, horizons, settings, history), self._long_trend]
        self.events = event_experts(settings)
        experts, count = len(self.paths) + len(self.events), len(horizons)
        origins = ORIGINS_PER_HORIZON * _MEMORY
        # The combination is kept as one path expert more: its errors give the bounds.
        self._errors = Residuals(len(self.paths) + 1, count, rows, origins)
        self._rates = EventRates([one.kinds for one in self.events], [one.memory for one in self.events], count, rows)
        # The combination is scored beside the experts, as one that is never awake.
        self._hedge = Hedge(experts + 1, count, rows, _MEMORY)
        self._blend = Hedge(len(self.paths), count, rows, _MEMORY)
        self._calibration = Recalibration(count, rows, _MEMORY)
        self._levels = ConformalLevels(count, rows, (1 - settings.coverage) / 2)
        self._newest: Outlook | None = None
        """Forecasts already made at the newest column."""
        ratios = np.array(horizons[1:]) / np.array(horizons[:-1])
        self._spread = np.sqrt(np.concatenate(([1.0], ratios))).astype(np.float32)
        """How much wider errors get from the next shorter horizon on, as in a random walk."""
        self._pending = [Pending(steps, len(self.paths), len(self.events), rows) for steps in horizons]

    @property
    def names(self) -> list[str]:
        """Names of all experts, in the order of their probabilities."""
        return [expert.name for expert in self.paths] + [expert.name for expert in self.events]

    def state(self) -> list[NDArray[np.generic]]:
        parts: list[Stateful] = [
            self._errors,
            self._rates,
            self._hedge,
            self._blend,
            self._calibration,
            self._levels,
            *self._pending,
            *self.paths,
        ]
        own: list[NDArray[np.generic]] = [self.limit, self.sign, self.long_trend, self.last, self.points]
        own.append(self.usual)
        return own + [array for part in parts for array in part.state()]

    def put(self, rows: NDArray[np.intp], other: Bank, theirs: NDArray[np.intp]) -> None:
        """Replace the state of ``rows`` by that of the rows ``theirs`` of another bank of the same column."""
        for mine, new in zip(self.state(), other.state(), strict=True):
            mine[..., rows] = new[..., theirs]
        self._newest = None

    def advance(self, frame: Frame, censored: Sequence[Censored] = (), ahead: int = 0) -> None:
        """Take in the column of ``frame``: score what has matured, then let the experts see it, then forecast anew.

        ``ahead``: how many more columns are known to follow, when a past is learned; what would be forgotten by their
        end is not even made.
        """
        self._newest = None
        self.last = np.where(frame.fresh, frame.values, self.last)
        self.points += frame.fresh
        memory = np.clip(self.points, 1, _MEMORY * self.horizons[-1])
        self.usual += np.where(frame.fresh, np.abs(self.limit - self.last) - self.usual, np.float32(0)) / memory
        self._attach(frame)
        natural = self._natural(frame, censored)
        for index, pending in enumerate(self._pending):
            passed = pending.passed(natural)
            if passed is not None:
                self._levels.tell(index, passed, pending.share)
            origin = frame.column - pending.steps
            if origin % pending.stride == 0:
                self._score(index, pending, frame, origin, censored)
        for expert in self.paths:
            expert.observe(frame)
        due = [
            index
            for index, pending in enumerate(self._pending)
            if frame.column % pending.stride == 0 and ahead <= _REACH * pending.steps
        ]
        if not due:
            return
        # About the newest column all will be asked.
        places = slice(due[0], due[-1] + 1) if ahead else slice(0, len(self.horizons))
        view = self._forecast(places, frame)
        made, safe = frame.fresh & (self.points >= 3), self.last <= self.limit
        for index in due:
            self._pending[index].put(frame.column, view.at(index - places.start), made, safe)
        self._newest = None if ahead else view

    def outlook(self, frame: Frame) -> Outlook:
        """Forecast for all horizons as of ``frame``, whose column must be the newest that was taken in."""
        known, self._newest = self._newest, None  # it is large, and mostly asked for once
        return known or self._forecast(slice(0, len(self.horizons)), frame)

    def _forecast(self, horizons: slice, frame: Frame) -> Outlook:
        self._attach(frame)
        places = range(horizons.start, horizons.stop)
        maxima = np.array([[expert.maximum(frame, place) for place in places] for expert in self.paths])
        kinds = np.array([[expert.kind(frame, self.horizons[place]) for place in places] for expert in self.events])
        rates, evidence = self._count(horizons, kinds)
        source = self._source(horizons)
        probability = np.concatenate((self._exceedance(horizons, source, self.limit - maxima), rates))
        alert = np.array([[expert.awake(frame, place) for place in places] for expert in self.paths], dtype=np.float32)
        # A trend that is clear over many horizons speaks alone among the paths.
        alert[:-1] *= alert[-1] == 0
        blend = self._blend.weights(horizons, alert)
        combined = (blend * maxima).sum(axis=0)
        awake = np.concatenate((alert, evidence, np.zeros_like(combined)[None]))
        # Where nothing like it was met before, past breaches don't tell the paths apart, but their errors do.
        known = evidence[_SITUATION]
        trusted = alert * (known + (1 - known) * alert.sum(axis=0) * blend)
        weight = self._hedge.weights(horizons, np.concatenate((trusted, awake[len(self.paths) :])))
        raw = (weight[:-1] * probability).sum(axis=0)
        errors = self._quantile(horizons, source, self._levels.shares(horizons))
        lower, median, upper = combined + self._levels.bounds(horizons, errors)
        return Outlook(
            np.concatenate((maxima, combined[None])),
            lower,
            median,
            upper,
            probability,
            awake[:-1],
            weight[:-1],
            raw,
            self._calibration.apply(horizons, raw, rates[0], known),
            kinds.astype(np.uint8),
        )

    def shifted(self, view: Outlook, limit: Floats) -> Floats:
        """The probability, for all horizons, for another limit than was learned with: (horizons, rows).

        What only breaches of that limit tell is scaled as the paths say; so the result falls as the limit rises.
        """
        if np.array_equal(limit, self.limit):
            return view.chance
        weight = view.weight[: len(self.paths)] / view.weight[: len(self.paths)].sum(axis=0)
        here = (weight * view.probability[: len(self.paths)]).sum(axis=0)
        horizons = slice(0, len(self.horizons))
        probability = self._exceedance(horizons, self._source(horizons), limit - view.maximum[:-1])
        there = (weight * probability).sum(axis=0)
        higher = view.chance * there / here
        lower = 1 - (1 - view.chance) * (1 - there) / (1 - here)
        return np.where(limit == self.limit, view.chance, np.where(limit > self.limit, higher, lower))

    def evidence(self, index: int) -> Floats:
        """How many forecasts for one horizon have been scored: (rows,)."""
        seen: Floats = self._errors.count[index]
        return seen

    def unreliable(self) -> NDArray[np.bool_]:
        """Which rows would lately have done better with plain climatology, for each horizon: (rows,)."""
        base = len(self.paths)
        worse = [self._hedge.excess(index, -1, base) for index in range(len(self.horizons))]
        return np.asarray(np.logical_and.reduce(worse))

    def stepped(self, frame: Frame) -> NDArray[np.bool_]:
        """Which rows with long trends have just made a step: (rows,)."""
        self._attach(frame)
        return self._long_trend.stepped(frame)

    def _natural(self, frame: Frame, censored: Sequence[Censored]) -> Floats:
        """The newest points; NaN where an action changed them, or may have: (rows,)."""
        since = frame.column - self.horizons[-1]
        changed = [mark.row for mark in censored if mark.since <= frame.column and mark.until > since]
        if not changed:
            return frame.values
        values = frame.values.copy()
        values[changed] = np.nan
        return values

    def _attach(self, frame: Frame) -> None:
        if frame.last is self.last:
            return
        frame.last, frame.limit, frame.usual = self.last, self.limit, self.usual
        frame.calm, frame.long_trend, frame.seen = self.last, self.long_trend, self.points > 0
        slow = np.flatnonzero(self.long_trend)
        if slow.size:
            frame.calm = self.last.copy()
            frame.calm[slow] = frame.recent_median(_CALM, slow)

    def _count(self, horizons: slice, kinds: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Rates of breaches by the event experts, and how awake each is: (event experts, horizons, rows)."""
        rates, seen = self._rates.rates(horizons, kinds)
        awake = seen / (seen + 1)
        # What was never seen as near to its limit as now is beyond all that was counted.
        return rates, awake * awake[_SITUATION]

    def _source(self, horizons: slice) -> NDArray[np.intp]:
        """Whose errors each horizon takes: those of a shorter one if it is too new for own; (horizons, rows)."""
        own = np.arange(len(self.horizons))[:, None]
        known = (self._errors.count >= _FEW) | (self.points == 0)
        return np.asarray(np.maximum.accumulate(np.where(known, own, 0), axis=0)[horizons])

    def _exceedance(self, horizons: slice, source: NDArray[np.intp], values: Floats) -> Floats:
        """P(error > value), ``values`` being (experts, horizons, rows)."""
        for place, lent in self._lent(horizons, source):
            values = np.where(lent, values / self._spread[place], values)
        return self._errors.exceedance(source, values)

    def _quantile(self, horizons: slice, source: NDArray[np.intp], share: Floats) -> Floats:
        """Errors of the combination that are exceeded with probability ``1 - share``: (shares, horizons, rows)."""
        value = self._errors.quantile(source, len(self.paths), share)
        for place, lent in self._lent(horizons, source):
            value = np.where(lent, value * self._spread[place], value)
        return value

    def _lent(self, horizons: slice, source: NDArray[np.intp]) -> Iterator[tuple[int, NDArray[np.bool_]]]:
        """The steps from shorter horizons up to those that take their errors, and who goes them: (horizons, rows)."""
        own = np.arange(horizons.start, horizons.stop)[:, None]
        if (source != own).any():
            for place in range(1, horizons.stop):
                yield place, (source < place) & (place <= own)

    def _score(self, index: int, pending: Pending, frame: Frame, origin: int, censored: Sequence[Censored]) -> None:
        past = pending.take(origin)
        known = past.made
        for mark in censored:
            if origin < mark.until and frame.column >= mark.since and known[mark.row]:
                known[mark.row] = False
                self.censored_windows += 1
        if not known.any():
            return
        reached = frame.reached(pending.steps)
        known &= np.isfinite(reached)
        reached = np.where(known, reached, np.float32(0))
        ranked = self._errors.learn(index, np.where(known, reached - past.maximum, np.float32(0)), known)
        self._blend.learn(index, ranked[:-1], known, pending.share)
        missed = np.stack((reached < past.bounds[0], (reached > past.bounds[1]) & ~past.told))
        self._levels.learn(index, missed, known, pending.share)
        known = known & past.safe
        breached = reached > self.limit
        self._rates.learn(index, past.kinds, breached, known, pending.share)
        base = past.probability[len(self.paths)]
        self._calibration.learn(index, past.chance, base, breached, known, pending.share)
        # Who sleeps is taken to have said what the others did.
        score = np.square(past.chance - breached)
        scores = score + past.awake * (np.square(past.probability - breached) - score)
        self._hedge.learn(index, np.concatenate((scores, score[None])), known, pending.share)
