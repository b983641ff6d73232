"""Prepare a replay: choose its step and time range, and load its history."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from forestall.api import ServiceLevelObjective
from forestall.api.times import clock
from forestall.backtest.bind import QueriedObjective, bind, queried_objectives
from forestall.backtest.charts import ForecastMoment
from forestall.backtest.fetch import fetch
from forestall.backtest.history import History
from forestall.backtest.replay import ObjectiveRecord, TimeRange
from forestall.core.duration import format_duration
from forestall.engine import Settings
from forestall.errors import InvalidInput
from forestall.inputs.manifests import Manifest, build_registry
from forestall.inputs.tables import Column
from forestall.ports import Metrics
from forestall.registry import Registry

_STEPS_OF_A_HORIZON = 10
_SHORTEST_STEP, _LONGEST_STEP = 30.0, 300.0
_DEFAULT_LAST = 7 * 86400.0
"""Default time range of a replay from a metric source (s)."""
_MIN_LEARNING_STEPS = 30
"""Fewest steps to learn from before the first forecast that is scored."""
_AFTER = 1.3
"""Horizons after a forecast that its chart shows."""


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """The user's choices; None selects a default. Times and durations in seconds."""

    namespace: str = "default"
    step: float | None = None
    start: float | None = None
    end: float | None = None
    last: float | None = None
    """Length of the replay, counted back from its end."""
    learn: float | None = None
    at: float | None = None
    """Replay this time only."""


@dataclass(frozen=True, slots=True)
class ReplayInput:
    """The input of a replay."""

    registry: Registry
    history: History
    time_range: TimeRange
    learn_from: float
    objectives: tuple[QueriedObjective, ...]
    notes: tuple[str, ...]
    """Notes for the user about the history."""


def from_columns(manifests: Sequence[Manifest], columns: Sequence[Column], options: ReplayOptions) -> ReplayInput:
    """Return the input of a replay of measurements in files.

    Raises:
        InvalidInput: objects and measurements do not match, or the history is too short; the message says why.
    """
    measurements = History({n: column.series for n, column in enumerate(columns)})
    step = options.step or _step(_objectives(manifests, options), measurements.spacing)
    registry = build_registry(manifests, options.namespace, 1.5 * max(step, measurements.spacing))
    objectives = queried_objectives(registry, step)
    history, unused = bind(columns, objectives)
    # A single forecast is not scored, so it needs nothing after it.
    available = math.inf if options.at is not None else (history.last - history.first) / 3
    learn = options.learn if options.learn is not None else min(_learning_time(step), available)
    if options.at is not None:
        start = end = options.at
    else:
        end = min(history.last, options.end if options.end is not None else math.inf)
        start = _start(options, end, history.first + learn)
    learn_from = max(history.first, start - learn)
    _check(history, start, end, learn_from, step)
    start, end = _on_grid(start, end, step)
    notes = tuple(f"no objective uses {column}" for column in unused)
    return ReplayInput(registry, history, TimeRange(start, end, step), learn_from, tuple(objectives), notes)


async def from_source(
    manifests: Sequence[Manifest],
    metrics: Metrics,
    options: ReplayOptions,
    now: float,
    progress: Callable[[int, int], None],
) -> ReplayInput:
    """Read a metric source and return the input of its replay.

    Raises:
        InvalidInput: the objects are invalid, or the history is too short.
        MetricsError: the source can't be queried, or has no data.
    """
    slos = _objectives(manifests, options)
    step = options.step or _step(slos, 0.0)
    registry = build_registry(manifests, options.namespace, 2 * step)
    objectives = queried_objectives(registry, step)
    learn = options.learn if options.learn is not None else _learning_time(step)
    end = min(now, options.end if options.end is not None else now)
    start = _start(options, end, end - _DEFAULT_LAST)
    if options.at is not None:
        start = end = options.at
    if start > now:
        raise InvalidInput("the start is in the future")
    if end < start:
        raise InvalidInput("the end is before the start")
    start, end = _on_grid(start, end, step)
    until = end
    if options.at is not None:
        longest = max(
            (indicator_query.horizon for objective in objectives for indicator_query in objective.queries.watched),
            default=0.0,
        )
        until = end + step * math.ceil(min(_AFTER * longest, max(now - end, 0.0)) / step)
    begin = start - step * math.floor(learn / step)
    history, missing = await fetch(metrics, objectives, begin, until, step, progress)
    learn_from = max(begin, history.first)
    is_too_short = options.at is None and options.start is None and start - learn_from < _MIN_LEARNING_STEPS * step
    if is_too_short:  # the source has less history than requested
        start, _ = _on_grid(history.first + min(learn, (history.last - history.first) / 3), end, step)
    _check(history, start, end, learn_from, step)
    return ReplayInput(registry, history, TimeRange(start, end, step), learn_from, tuple(objectives), missing)


def forecast_moments(replay_input: ReplayInput, records: Sequence[ObjectiveRecord]) -> list[ForecastMoment]:
    """Return the forecasts of a replay of a single time, the most probable breach first, with their actual values."""
    result = []
    for record in records:
        objective = next(candidate for candidate in replay_input.objectives if candidate.slo.uid == record.slo.uid)
        for track in record.tracks.values():
            forecast = track.cones.get(0)
            if forecast is None:
                continue
            key = next(
                indicator_query.query.key
                for indicator_query in objective.queries.watched
                if indicator_query.indicator == track.indicator
            )
            series = next(
                candidate for candidate in replay_input.history.series[key] if candidate.labels == track.labels
            )
            times, values = np.asarray(series.times), np.asarray(series.values)
            at = replay_input.time_range.start
            window = (times >= at - 3 * track.horizon) & (times <= at + _AFTER * track.horizon)
            title = f"{record.slo.name}: {track.title}"
            limit = (track.limit, track.above, track.horizon)
            result.append(ForecastMoment(track.indicator, title, at, times[window], values[window], *limit, forecast))
    return sorted(result, key=lambda moment: -moment.forecast.probability_within(moment.horizon))


def _start(options: ReplayOptions, end: float, default: float) -> float:
    if options.start is not None:
        return options.start
    return default if options.last is None else end - options.last


def _objectives(manifests: Sequence[Manifest], options: ReplayOptions) -> list[ServiceLevelObjective]:
    return build_registry(manifests, options.namespace, 0.0).all(ServiceLevelObjective)


def _step(objectives: Sequence[ServiceLevelObjective], spacing: float) -> float:
    """Return a step that divides the shortest horizon and is a multiple of the sample interval."""
    horizons = [leading.horizon.seconds for slo in objectives for leading in slo.spec.leading_indicators]
    step = min(horizons, default=_STEPS_OF_A_HORIZON * 60.0) / _STEPS_OF_A_HORIZON
    step = min(max(step, _SHORTEST_STEP), _LONGEST_STEP)
    if spacing <= 0:
        return float(round(step))
    return max(1.0, spacing * max(1, math.floor(step / spacing)))


def _learning_time(step: float) -> float:
    """Return how much history (s) the operator fetches when it starts."""
    return Settings(interval=step).columns * step


def _on_grid(start: float, end: float, step: float) -> tuple[float, float]:
    first = math.ceil(start / step - 1e-9) * step
    return first, max(first, math.floor(end / step + 1e-9) * step)


def _check(history: History, start: float, end: float, learn_from: float, step: float) -> None:
    length = f"the history is {format_duration(max(0.0, history.last - history.first))} long"
    if start > history.last or end < history.first:
        first, last = (clock(at) for at in (history.first, history.last))
        raise InvalidInput(f"{length}, from {first} to {last}, which is outside the time range to replay")
    if start - learn_from < _MIN_LEARNING_STEPS * step:
        minimum = format_duration(_MIN_LEARNING_STEPS * step)
        raise InvalidInput(
            f"{length}, and only {format_duration(max(0.0, start - learn_from))} of it are before the start of the "
            f"replay: at least {minimum} are needed to learn from, at a step of {format_duration(step)}"
        )
