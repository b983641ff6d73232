"""The same engine as in the cluster, step by step through a history, and what it said at each step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from forestall.api import RemediationPolicy, ServiceLevelObjective
from forestall.backtest.history import Floats, History, HistoryMetrics, Labels
from forestall.backtest.world import HistoryCluster
from forestall.core.forecast import SeriesForecast
from forestall.core.plan import triggering
from forestall.core.risk import Signal
from forestall.engine import Engine, Settings, terms
from forestall.engine.report import Findings
from forestall.engine.targets import reference
from forestall.registry import Registry

_CONES = 20_000
"""How many whole forecasts of an objective are kept for pictures, evenly over time and series."""


@dataclass(frozen=True, slots=True)
class Span:
    """When a replay begins and ends (s), and how long its steps are."""

    start: float
    end: float
    step: float

    @property
    def steps(self) -> int:
        """How many moments are looked at."""
        return int(np.floor((self.end - self.start) / self.step + 1e-6)) + 1

    @property
    def times(self) -> Floats:
        """These moments."""
        return np.asarray(self.start + self.step * np.arange(self.steps, dtype=np.float64))

    @property
    def weeks(self) -> float:
        """The length in weeks."""
        return self.steps * self.step / 604800.0


@dataclass(slots=True)
class Track:
    """One series of an indicator, and what was forecast of it at each step. NaN: nothing was known or said."""

    indicator: str
    labels: Labels
    limit: float
    above: bool
    horizon: float
    """Seconds ahead that matter: the indicator's, or less where the policies look less far."""
    value: Floats
    chance: Floats
    """P(limit passed within the horizon), where it is not passed already."""
    lower: Floats
    upper: Floats
    """Bounds of the extreme within the horizon."""
    silence: list[str | None]
    """Why nothing was said."""
    cones: dict[int, SeriesForecast] = field(default_factory=dict)
    """Whole forecasts by step."""

    @property
    def title(self) -> str:
        """The indicator, and of several series which."""
        where = ", ".join(f"{name}={value}" for name, value in self.labels)
        return f"{self.indicator} ({where})" if where else self.indicator


@dataclass(frozen=True, slots=True)
class Would:
    """What a policy would have done."""

    step: int
    policy: str
    action: str
    message: str
    horizon: float
    """Of the signal that caused it (s)."""


@dataclass(slots=True)
class Record:
    """What was said of one objective."""

    slo: ServiceLevelObjective
    policies: Sequence[RemediationPolicy]
    tracks: dict[tuple[str, Labels], Track]
    would: list[Would]
    holds: dict[str, int]
    """How often each policy that found the risk high enough held all the same, by the reason."""
    long_ratio: Floats
    """The error ratio over the long window of the fast burn."""
    problems: dict[str, str]
    """What could not be asked or answered, by indicator or condition: the first words."""

    @property
    def within(self) -> float | None:
        """How far ahead the policies look (s); None where that is the indicators' own horizon."""
        each = [policy.spec.when.within for policy in self.policies]
        return max(one.seconds for one in each if one) if each and all(each) else None


async def replay(
    registry: Registry,
    history: History,
    span: Span,
    learn_from: float,
    replicas: int = 1,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Record]:
    """Run the engine at every step of `span`, and return what it said of each objective.

    The first cycle fetches the past from `learn_from` (s) on, as the operator does when it starts. `progress` is told
    the number of steps that are done.
    """
    past = int(np.floor((span.start - learn_from) / span.step + 1e-6))
    metrics = HistoryMetrics(history, span.start - past * span.step, span.end, span.step)
    cluster = HistoryCluster(replicas, [reference(slo) for slo in registry.all(ServiceLevelObjective)])
    engine = Engine(metrics, cluster, registry, Settings(interval=span.step))
    records: dict[str, Record] = {}
    for step, now in enumerate(span.times.tolist()):
        report = await engine.cycle(now, leading=True)
        while report.waiting:  # the past of many series is fetched in parts, by the clock: here it takes no time
            report = await engine.cycle(now, leading=True)
        for uid, found in report.findings.items():
            if uid not in records:
                records[uid] = _record(registry, found, span.steps)
            _note(records[uid], found, step, span.steps)
        progress(step + 1)
    return list(records.values())


def _record(registry: Registry, found: Findings, steps: int) -> Record:
    slo = found.slo
    policies = [
        one
        for one in registry.all(RemediationPolicy, slo.namespace)
        if one.spec.objectives.matches(slo.metadata.labels)
    ]
    return Record(slo, policies, {}, [], {}, np.full(steps, np.nan), {})


def _note(record: Record, found: Findings, step: int, steps: int) -> None:
    record.long_ratio[step] = found.ratios.long
    if found.problem is not None:
        record.problems.setdefault(found.problem.reason, found.problem.message)
    for reading in found.readings:
        if reading.problem is not None:
            record.problems.setdefault(reading.watched.indicator, reading.problem.message)
    for signal in found.signals:
        if np.isfinite(signal.value):
            _note_signal(record, signal, step, steps)
    for decision, policy in zip(found.decisions, record.policies, strict=True):
        cause = triggering(found.signals, terms.trigger_of(policy))
        if cause is None:
            continue
        if decision.verdict == "WouldAct":
            horizon = min(cause.horizon, terms.trigger_of(policy).within or cause.horizon)
            record.would.append(Would(step, policy.name, decision.action, decision.message, horizon))
        else:
            record.holds[decision.reason] = record.holds.get(decision.reason, 0) + 1


def _note_signal(record: Record, signal: Signal, step: int, steps: int) -> None:
    key = (signal.indicator, signal.labels)
    track = record.tracks.get(key)
    if track is None:
        horizon = min(signal.horizon, record.within or signal.horizon)
        value, chance, lower, upper = np.full((4, steps), np.nan)
        track = Track(
            signal.indicator,
            signal.labels,
            signal.limit,
            signal.above,
            horizon,
            value,
            chance,
            lower,
            upper,
            [None] * steps,
        )
        record.tracks[key] = track
    if not signal.fresh:
        track.silence[step] = signal.silence
        return
    track.value[step] = signal.value
    forecast = signal.forecast
    if signal.silence is not None or forecast is None or forecast.abstained is not None:
        track.silence[step] = signal.silence
        return
    if step % max(1, steps * len(record.tracks) // _CONES) == 0:
        track.cones[step] = forecast
    if signal.breached:
        return
    track.chance[step] = signal.probability(track.horizon)
    ahead = (0.0, *forecast.horizons)
    track.lower[step] = np.interp(track.horizon, ahead, (forecast.last, *forecast.lower))
    track.upper[step] = np.interp(track.horizon, ahead, (forecast.last, *forecast.upper))


def values_by_step(record: Record, indicator: str) -> NDArray[np.float64] | None:
    """Return the values of an indicator that has one series; None where it has none, or several."""
    found = [track for (name, _), track in record.tracks.items() if name == indicator]
    return found[0].value if len(found) == 1 else None
