"""A bank: all that is learned about some rows, updated column by column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import numpy as np

from forestall.core.forecast.calibration import Recalibration
from forestall.core.forecast.combination import Hedge
from forestall.core.forecast.conformal import ConformalLevels
from forestall.core.forecast.experts import PathExpert, event_experts, path_experts
from forestall.core.forecast.experts.long_trend import LongTrend
from forestall.core.forecast.pending import ORIGINS_PER_HORIZON, HorizonForecasts, Pending
from forestall.core.forecast.rates import EventRates
from forestall.core.forecast.recurrence import RecurringEvents
from forestall.core.forecast.renewals import Renewals
from forestall.core.forecast.residuals import Residuals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from forestall.core.forecast.frame import Floats, Frame
    from forestall.core.forecast.settings import ForecastSettings

_MEMORY: Final = 50
"""Horizons over which past errors and scores are discounted."""
_SITUATION: Final = 2  # among the event experts
_REACH: Final = 64
"""Horizons of the past that are learned from: older forecasts weigh little."""
_CALM: Final = 5
"""Measurements that the level of a series with a long trend is the median of."""
_FEW: Final = 4  # scored forecasts below which the errors of a shorter horizon say more
_FIT: Final = 2 * ORIGINS_PER_HORIZON
"""Errors of a long trend that the fit of its line weighs as much as."""
_DEVIATES: Final = np.array((-1.5, -0.5, 0.5, 1.5, 0), dtype=np.float32)
"""Standard deviations at which a distribution is evaluated to widen it, and last the one that leaves it as it is."""
_CERTAIN: Final = np.float32(4)  # log-odds that a fit alone reaches
_LOGISTIC: Final = np.float32(1.7)  # makes the logistic distribution much like the normal one, with heavier tails
_TINY: Final = np.float32(1e-30)


class Stateful(Protocol):
    """A component whose state is arrays with the rows last."""

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
        self._renewals = Renewals(rows)
        self._trends_scored = np.zeros((len(horizons), rows), dtype=np.float32)
        """Forecasts of clear trends that were scored, by horizon."""
        self._measured = np.full((_CALM, rows), np.nan, dtype=np.float32)
        """The newest measurements of series with long trends."""
        self.censored_windows = 0
        self._long_trend = LongTrend(rows, horizons)
        self.paths: list[PathExpert] = [*path_experts(rows, horizons, settings, history), self._long_trend]
        self.events = event_experts(settings)
        experts, count = len(self.paths) + len(self.events), len(horizons)
        origins = ORIGINS_PER_HORIZON * _MEMORY
        # The combination is kept as one path expert more: its errors give the bounds.
        self._errors = Residuals(len(self.paths) + 1, count, rows, origins)
        self._rates = EventRates(
            [expert.kinds for expert in self.events], [expert.memory for expert in self.events], count, rows
        )
        # The combination is scored beside the experts, as one that is never awake.
        self._hedge = Hedge(experts + 1, count, rows, _MEMORY)
        self._blend = Hedge(len(self.paths), count, rows, _MEMORY)
        self._calibration = Recalibration(count, rows, _MEMORY)
        self._levels = ConformalLevels(count, rows, (1 - settings.coverage) / 2)
        self.recurring = RecurringEvents(rows, horizons)
        self._newest: HorizonForecasts | None = None
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
            self._renewals,
            self.recurring,
            *self._pending,
            *self.paths,
        ]
        own: list[NDArray[np.generic]] = [self.limit, self.sign, self.long_trend, self.last, self.points]
        own += [self.usual, self._measured, self._trends_scored]
        return own + [array for part in parts for array in part.state()]

    def put(self, rows: NDArray[np.intp], other: Bank, source_rows: NDArray[np.intp]) -> None:
        """Replace the state of ``rows`` by that of the rows ``source_rows`` of another bank of the same column."""
        for target, source in zip(self.state(), other.state(), strict=True):
            target[..., rows] = source[..., source_rows]
        self._newest = None

    def advance(self, frame: Frame, censored: Sequence[Censored] = (), ahead: int = 0) -> None:
        """Take in the column of ``frame``: score what has matured, then update the experts, then forecast again.

        ``ahead``: how many more columns follow, when the past is learned; forecasts that would be discounted away by
        their end are not made.
        """
        self._newest = None
        frame.measured = self._renewals.observe(frame.fresh, frame.fresh & (frame.values != self.last))
        self._keep_measured(frame)
        self.last = np.where(frame.fresh, frame.values, self.last)
        self.points += frame.fresh
        memory = np.clip(self.points, 1, _MEMORY * self.horizons[-1])
        self.usual += np.where(frame.fresh, np.abs(self.limit - self.last) - self.usual, np.float32(0)) / memory
        self._attach(frame)
        natural = self._natural(frame, censored)
        self.recurring.observe(frame, natural, self.limit)
        for index, pending in enumerate(self._pending):
            passed = pending.passed(natural)
            if passed is not None:
                self._levels.count_passed(index, passed, pending.share)
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
        # For the newest column all horizons are needed.
        selected = slice(due[0], due[-1] + 1) if ahead else slice(0, len(self.horizons))
        view = self._forecast(selected, frame)
        can_forecast, safe = frame.fresh & (self.points >= 3), self.last <= self.limit
        for index in due:
            self._pending[index].put(frame.column, view.at(index - selected.start), can_forecast, safe)
        self._newest = None if ahead else view

    def outlook(self, frame: Frame) -> HorizonForecasts:
        """Forecast for all horizons as of ``frame``, whose column must be the newest that was taken in."""
        cached, self._newest = self._newest, None  # it is large, and mostly read once
        return cached or self._forecast(slice(0, len(self.horizons)), frame)

    def _forecast(self, horizons: slice, frame: Frame) -> HorizonForecasts:
        self._attach(frame)
        selected = range(horizons.start, horizons.stop)
        maxima = np.array([[expert.maximum(frame, index) for index in selected] for expert in self.paths])
        alert = np.array(
            [[expert.awake(frame, index) for index in selected] for expert in self.paths], dtype=np.float32
        )
        trend = self._clear_trend(frame, horizons, maxima[-1], alert[-1])
        kinds = np.array([[expert.kind(frame, self.horizons[index]) for index in selected] for expert in self.events])
        rates, evidence = self._count(horizons, kinds)
        source = self._source(horizons)
        probability = np.concatenate((self._exceedance(horizons, source, self.limit - maxima, trend), rates))
        # A long trend that is clear is the only path expert that is awake.
        alert[:-1] *= alert[-1] == 0
        blend = self._blend.weights(horizons, alert)
        combined = (blend * maxima).sum(axis=0)
        awake = np.concatenate((alert, evidence, np.zeros_like(combined)[None]))
        # In an unfamiliar situation past breaches say nothing about the path experts, but their errors do.
        familiarity = evidence[_SITUATION]
        trusted = alert * (familiarity + (1 - familiarity) * alert.sum(axis=0) * blend)
        weight = self._hedge.weights(horizons, np.concatenate((trusted, awake[len(self.paths) :])))
        raw = (weight[:-1] * probability).sum(axis=0)
        errors = self._quantile(horizons, source, self._levels.shares(horizons), trend)
        lower, median, upper = combined + self._levels.bounds(horizons, errors)
        chance = _at_least_before(self._calibration.apply(horizons, raw, rates[0], familiarity), trend)
        recurring = self.recurring.combine(frame, horizons, chance, median, upper)
        return HorizonForecasts(
            np.concatenate((maxima, combined[None])),
            lower,
            recurring.median,
            recurring.upper,
            probability,
            awake[:-1],
            weight[:-1],
            raw,
            recurring.chance,
            kinds.astype(np.uint8),
            trend,
            None if trend is None else np.array([self._long_trend.slope(frame, index) for index in selected]),
            recurring.parts,
        )

    def _clear_trend(self, frame: Frame, horizons: slice, maximum: Floats, awake: Floats) -> Floats | None:
        """How far forecasts of long trends deviate by their fit alone, 0 where none is clear: (horizons, rows).

        None: no trend is clear. The frame is given what they forecast.
        """
        if not awake.any():
            return None
        for number, index in enumerate(range(horizons.start, horizons.stop)):
            frame.rising[self.horizons[index]] = np.where(awake[number] > 0, maximum[number], np.float32(-np.inf))
        deviation = [self._long_trend.deviation(frame, index) for index in range(horizons.start, horizons.stop)]
        return np.where(awake > 0, np.maximum(deviation, _TINY), np.float32(0))

    def shifted(self, view: HorizonForecasts, limit: Floats) -> Floats:
        """The probability, for all horizons, for another limit than was learned with: (horizons, rows), as the result,
        or (rows,).

        The evidence of breaches of the learned limit is scaled as the path experts say, so that the result falls as
        the limit rises.
        """
        if np.array_equal(limit, self.limit):
            return view.chance
        weight = view.weight[: len(self.paths)] / view.weight[: len(self.paths)].sum(axis=0)
        at_learned = (weight * view.probability[: len(self.paths)]).sum(axis=0)
        horizons = slice(0, len(self.horizons))
        probability = self._exceedance(horizons, self._source(horizons), limit - view.maximum[:-1], view.trend)
        at_asked = (weight * probability).sum(axis=0)
        higher = view.chance * at_asked / at_learned
        lower = 1 - (1 - view.chance) * (1 - at_asked) / (1 - at_learned)
        chance = np.where(limit == self.limit, view.chance, np.where(limit > self.limit, higher, lower))
        return _at_least_before(chance, view.trend)

    def evidence(self, index: int) -> Floats:
        """How many forecasts for one horizon have been scored: (rows,)."""
        scored: Floats = self._errors.count[0, index]
        return scored

    def unreliable(self) -> NDArray[np.bool_]:
        """Which rows had worse forecasts than climatology lately, for all horizons: (rows,)."""
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

    def _keep_measured(self, frame: Frame) -> None:
        """Put the newest points of series with long trends among their measurements."""
        rows = np.flatnonzero(frame.measured & self.long_trend)
        if rows.size:
            self._measured[1:, rows] = self._measured[:-1, rows]
            self._measured[0, rows] = frame.values[rows]

    def _attach(self, frame: Frame) -> None:
        if frame.last is self.last:
            return
        frame.last, frame.limit, frame.usual = self.last, self.limit, self.usual
        frame.calm, frame.long_trend, frame.has_points = self.last, self.long_trend, self.points > 0
        frame.is_repeating = self._renewals.is_repeating
        slow = np.flatnonzero(self.long_trend)
        if slow.size:
            frame.calm = self.last.copy()
            recent = self._measured[:, slow]
            frame.calm[slow] = np.median(np.where(np.isfinite(recent), recent, self.last[slow]), axis=0)

    def _count(self, horizons: slice, kinds: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Rates of breaches by the event experts, and how awake each is: (event experts, horizons, rows)."""
        rates, experience = self._rates.rates(horizons, kinds)
        awake = experience / (experience + 1)
        # A series that was never as near to its limit as now is outside of the evidence.
        return rates, awake * awake[_SITUATION]

    def _source(self, horizons: slice) -> NDArray[np.intp]:
        """Whose errors each horizon takes: those of a shorter one if it is too new for own; (horizons, rows)."""
        own = np.arange(len(self.horizons))[:, None]
        has_own = (self._errors.count[0] >= _FEW) | (self.points == 0)
        return np.asarray(np.maximum.accumulate(np.where(has_own, own, 0), axis=0)[horizons])

    def _exceedance(self, horizons: slice, source: NDArray[np.intp], values: Floats, trend: Floats | None) -> Floats:
        """P(error > value), ``values`` being (experts, horizons, rows); ``trend`` is that of `_clear_trend`."""
        margin = values[-1]
        for index, lent in self._lent(horizons, source):
            values = np.where(lent, values / self._spread[index], values)
        shares = self._errors.exceedance(source, values)
        if trend is not None:
            # Evaluated beside itself, a distribution is widened by the error of the fit; the last one is as it is.
            spread = margin + _DEVIATES[:, None, None] * trend
            expert = np.full(len(_DEVIATES), len(self.paths) - 1)
            exponent = np.clip(_LOGISTIC * margin / np.where(trend > 0, trend, 1), -_CERTAIN, _CERTAIN)
            *by_fit, by_errors = self._errors.exceedance(source, spread, expert, 1 / (1 + np.exp(exponent)), _FIT)
            trust = self._trust_in_errors(source)
            clear = trust * by_errors + (1 - trust) * np.mean(by_fit, axis=0)
            shares[-1] = np.where(trend > 0, clear, shares[-1])
        return shares

    def _trust_in_errors(self, source: NDArray[np.intp]) -> Floats:
        """How far past errors of clear trends make up for the error of the fit: (horizons, rows)."""
        count = self._trends_scored[source, np.arange(self.size)]
        return np.asarray(count / (count + _FIT), dtype=np.float32)

    def _quantile(self, horizons: slice, source: NDArray[np.intp], share: Floats, trend: Floats | None) -> Floats:
        """Errors of the combination that are exceeded with probability ``1 - share``: (shares, horizons, rows).

        Where a trend is clear, it is the combination, and its own errors count.
        """
        if trend is not None:
            expert = np.where(trend > 0, len(self.paths) - 1, len(self.paths))
            value = self._errors.quantile(source, expert, share)
        else:
            value = self._errors.quantile(source, len(self.paths), share)
        for index, lent in self._lent(horizons, source):
            value = np.where(lent, value * self._spread[index], value)
        if trend is not None:
            trust = self._trust_in_errors(source)
            count = self._errors.count[len(self.paths) - 1, source, np.arange(self.size)]
            fit = trend / _LOGISTIC * np.log(share / (1 - share))
            widened = trust * value + (1 - trust) * np.sign(share - 0.5) * np.hypot(value, fit)
            value = np.where(trend > 0, (count * widened + _FIT * fit) / (count + _FIT), value)
        return value

    def _lent(self, horizons: slice, source: NDArray[np.intp]) -> Iterator[tuple[int, NDArray[np.bool_]]]:
        """Yield each step from a shorter horizon to those that use its errors, and their mask: (horizons, rows)."""
        own = np.arange(horizons.start, horizons.stop)[:, None]
        if (source != own).any():
            for index in range(1, horizons.stop):
                yield index, (source < index) & (index <= own)

    def _score(self, index: int, pending: Pending, frame: Frame, origin: int, censored: Sequence[Censored]) -> None:
        past = pending.take(origin)
        scored = past.is_made
        for mark in censored:
            if origin < mark.until and frame.column >= mark.since and scored[mark.row]:
                scored[mark.row] = False
                self.censored_windows += 1
        if not scored.any():
            return
        reached = frame.reached(pending.steps)
        scored &= np.isfinite(reached)
        reached = np.where(scored, reached, np.float32(0))
        errors = np.where(scored, reached - past.maximum, np.float32(0))
        learned = np.broadcast_to(scored, errors.shape)
        if self.long_trend.any():
            # Until it is measured again, how far a series has come is not known.
            learned = learned.copy()
            learned[-2] &= (self._renewals.age == 0) | ~self._renewals.is_repeating
            # While no trend is clear, only what comes on top of the level is an error that clear ones will have too.
            was_clear = past.awake[len(self.paths) - 1] > 0
            above_level = np.minimum(errors[-2], np.where(scored, reached - self.last, np.float32(0)))
            errors[-2] = np.where(was_clear, errors[-2], above_level)
            self._trends_scored[index] += learned[-2] & was_clear
        ranked = self._errors.learn(index, errors, learned)
        self._blend.learn(index, ranked[:-1], scored, pending.share)
        missed = np.stack((reached < past.bounds[0], (reached > past.bounds[1]) & ~past.is_reported))
        self._levels.learn(index, missed, scored, pending.share)
        scored = scored & past.safe
        breached = reached > self.limit
        self._rates.learn(index, past.kinds, breached, scored, pending.share)
        base = past.probability[len(self.paths)]
        self._calibration.learn(index, past.chance, base, breached, scored, pending.share)
        self.recurring.learn(index, past.parts, breached, scored, pending.share)
        # An expert that sleeps is scored like the combination.
        score = np.square(past.chance - breached)
        scores = score + past.awake * (np.square(past.probability - breached) - score)
        self._hedge.learn(index, np.concatenate((scores, score[None])), scored, pending.share)


def _at_least_before(chance: Floats, trend: Floats | None) -> Floats:
    """``chance`` (horizons, rows), where a trend is clear for a shorter horizon only at least what it says."""
    if trend is None:
        return chance
    result = chance.copy()
    for index in range(1, len(result)):
        carried = (trend[index] == 0) & (trend[:index] > 0).any(axis=0)
        np.copyto(result[index], np.maximum(result[index], result[index - 1]), where=carried)
    return result
