"""What a replay begins with: which step, which time, which history."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from forestall.api import ServiceLevelObjective
from forestall.api.times import clock
from forestall.backtest.bind import Asked, asked, bind
from forestall.backtest.fetch import fetch
from forestall.backtest.history import History
from forestall.backtest.objects import Found, registry
from forestall.backtest.pictures import Moment
from forestall.backtest.replay import Record, Span
from forestall.backtest.tables import Column
from forestall.core.duration import format_duration
from forestall.engine import Settings
from forestall.errors import InvalidInput
from forestall.ports import Metrics
from forestall.registry import Registry

_STEPS_OF_A_HORIZON = 10
_SHORTEST_STEP, _LONGEST_STEP = 30.0, 300.0
_LAST = 7 * 86400.0
"""Seconds of a metric source that are replayed where nothing else is said."""
_LEAST_LEARNED = 30
"""Steps before the first forecast that is judged."""
_AFTER = 1.3
"""Horizons after a moment that a picture of it shows."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for; None: as it fits. Times and durations in seconds."""

    namespace: str = "default"
    step: float | None = None
    start: float | None = None
    end: float | None = None
    last: float | None = None
    """So much before the end."""
    learn: float | None = None
    at: float | None = None
    """Only this moment."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that a replay needs."""

    registry: Registry
    history: History
    span: Span
    learn_from: float
    objectives: tuple[Asked, ...]
    notes: tuple[str, ...]
    """What a person should know about the history."""


def from_columns(found: Sequence[Found], columns: Sequence[Column], wish: Wish) -> Prepared:
    """Return what a replay of measurements in files needs.

    Raises:
        InvalidInput: objects and measurements do not go together, or the time is too short; the message says how.
    """
    whole = History({n: column.series for n, column in enumerate(columns)})
    step = wish.step or _step(_objectives(found, wish), whole.spacing)
    known = registry(found, wish.namespace, 1.5 * max(step, whole.spacing))
    objectives = asked(known, step)
    history, unused = bind(columns, objectives)
    # A single moment needs nothing after it to be judged by.
    spare = math.inf if wish.at is not None else (history.last - history.first) / 3
    learn = wish.learn if wish.learn is not None else min(_memory(step), spare)
    if wish.at is not None:
        start = end = wish.at
    else:
        end = min(history.last, wish.end if wish.end is not None else math.inf)
        start = _start(wish, end, history.first + learn)
    learn_from = max(history.first, start - learn)
    _check(history, start, end, learn_from, step)
    start, end = _on_grid(start, end, step)
    notes = tuple(f"nobody asks for {where}" for where in unused)
    return Prepared(known, history, Span(start, end, step), learn_from, tuple(objectives), notes)


async def from_source(
    found: Sequence[Found], metrics: Metrics, wish: Wish, now: float, progress: Callable[[int, int], None]
) -> Prepared:
    """Return what a replay of a metric source needs, having read it.

    Raises:
        InvalidInput: the objects can't be used, or the time is too short.
        MetricsError: the source can't be asked, or has nothing.
    """
    slos = _objectives(found, wish)
    step = wish.step or _step(slos, 0.0)
    known = registry(found, wish.namespace, 2 * step)
    objectives = asked(known, step)
    learn = wish.learn if wish.learn is not None else _memory(step)
    end = min(now, wish.end if wish.end is not None else now)
    start = _start(wish, end, end - _LAST)
    if wish.at is not None:
        start = end = wish.at
    if start > now:
        raise InvalidInput("the time to look at has not come yet")
    if end < start:
        raise InvalidInput("the end is before the start")
    start, end = _on_grid(start, end, step)
    until = end
    if wish.at is not None:
        longest = max((one.horizon for each in objectives for one in each.questions.watched), default=0.0)
        until = end + step * math.ceil(min(_AFTER * longest, max(now - end, 0.0)) / step)
    begin = start - step * math.floor(learn / step)
    history, missing = await fetch(metrics, objectives, begin, until, step, progress)
    learn_from = max(begin, history.first)
    late = wish.at is None and wish.start is None and start - learn_from < _LEAST_LEARNED * step
    if late:  # the source is younger than what was asked for
        start, _ = _on_grid(history.first + min(learn, (history.last - history.first) / 3), end, step)
    _check(history, start, end, learn_from, step)
    return Prepared(known, history, Span(start, end, step), learn_from, tuple(objectives), missing)


def moments(prepared: Prepared, records: Sequence[Record]) -> list[Moment]:
    """Return the forecasts of a replay of one moment, the most probable breach first, with what came after."""
    result = []
    for record in records:
        one = next(each for each in prepared.objectives if each.slo.uid == record.slo.uid)
        for track in record.tracks.values():
            forecast = track.cones.get(0)
            if forecast is None:
                continue
            key = next(each.query.key for each in one.questions.watched if each.indicator == track.indicator)
            series = next(each for each in prepared.history.series[key] if each.labels == track.labels)
            times, values = np.asarray(series.times), np.asarray(series.values)
            at = prepared.span.start
            near = (times >= at - 3 * track.horizon) & (times <= at + _AFTER * track.horizon)
            title = f"{record.slo.name}: {track.title}"
            limit = (track.limit, track.above, track.horizon)
            result.append(Moment(track.indicator, title, at, times[near], values[near], *limit, forecast))
    return sorted(result, key=lambda moment: -moment.forecast.probability_within(moment.horizon))


def _start(wish: Wish, end: float, otherwise: float) -> float:
    if wish.start is not None:
        return wish.start
    return otherwise if wish.last is None else end - wish.last


def _objectives(found: Sequence[Found], wish: Wish) -> list[ServiceLevelObjective]:
    return registry(found, wish.namespace, 0.0).all(ServiceLevelObjective)


def _step(objectives: Sequence[ServiceLevelObjective], spacing: float) -> float:
    """Return a step that the shortest horizon has some of, and that the measurements have a value for at each."""
    horizons = [leading.horizon.seconds for slo in objectives for leading in slo.spec.leading_indicators]
    wanted = min(horizons, default=_STEPS_OF_A_HORIZON * 60.0) / _STEPS_OF_A_HORIZON
    wanted = min(max(wanted, _SHORTEST_STEP), _LONGEST_STEP)
    if spacing <= 0:
        return float(round(wanted))
    return max(1.0, spacing * max(1, math.floor(wanted / spacing)))


def _memory(step: float) -> float:
    """Return how much of the past (s) the operator fetches when it starts."""
    return Settings(interval=step).columns * step


def _on_grid(start: float, end: float, step: float) -> tuple[float, float]:
    first = math.ceil(start / step - 1e-9) * step
    return first, max(first, math.floor(end / step + 1e-9) * step)


def _check(history: History, start: float, end: float, learn_from: float, step: float) -> None:
    length = f"the history is {format_duration(max(0.0, history.last - history.first))} long"
    if start > history.last or end < history.first:
        first, last = (clock(at) for at in (history.first, history.last))
        raise InvalidInput(f"{length}, from {first} to {last}, and does not reach the time to look at")
    if start - learn_from < _LEAST_LEARNED * step:
        least = format_duration(_LEAST_LEARNED * step)
        raise InvalidInput(
            f"{length}, and only {format_duration(max(0.0, start - learn_from))} of it lie before the time to look at: "
            f"at least {least} are needed to learn from, at a step of {format_duration(step)}"
        )
