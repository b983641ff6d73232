"""Run the operator's engine step by step through a history, and record its forecasts and decisions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from forestall.api import RemediationPolicy, ServiceLevelObjective
from forestall.backtest.history import Floats, History, HistoryMetrics
from forestall.backtest.history_cluster import HistoryCluster
from forestall.core.forecast import SeriesForecast
from forestall.core.plan import triggering_signal
from forestall.core.risk import Signal
from forestall.engine import Engine, Settings, policy_limits
from forestall.engine.objective_status import Findings
from forestall.engine.selection import select
from forestall.engine.target_resolver import reference
from forestall.ports import Labels
from forestall.registry import Registry

_CONES = 20_000
"""How many full forecasts of an objective are kept for charts, evenly over time and series."""


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Start, end and step of a replay (s)."""

    start: float
    end: float
    step: float

    @property
    def steps(self) -> int:
        """The number of steps."""
        return int(np.floor((self.end - self.start) / self.step + 1e-6)) + 1

    @property
    def times(self) -> Floats:
        """The time of each step."""
        return np.asarray(self.start + self.step * np.arange(self.steps, dtype=np.float64))

    @property
    def weeks(self) -> float:
        """The length in weeks."""
        return self.steps * self.step / 604800.0


@dataclass(slots=True)
class SeriesTrack:
    """The values and forecasts of one series of an indicator by step; NaN where there is none."""

    indicator: str
    labels: Labels
    limit: float
    above: bool
    horizon: float
    """Forecast horizon (s): the indicator's, or the `within` of the policies where that is shorter."""
    value: Floats
    probability: Floats
    """P(limit passed within the horizon), NaN where it is past already."""
    lower: Floats
    upper: Floats
    """Bounds of the most extreme value within the horizon."""
    abstentions: list[str | None]
    """The reason by step where there is no forecast."""
    cones: dict[int, SeriesForecast] = field(default_factory=dict)
    """Full forecasts by step."""

    @property
    def title(self) -> str:
        """The indicator, with the labels of the series."""
        labels = ", ".join(f"{name}={value}" for name, value in self.labels)
        return f"{self.indicator} ({labels})" if labels else self.indicator


@dataclass(frozen=True, slots=True)
class ProposedAction:
    """An action that a policy would have taken."""

    step: int
    policy: str
    action: str
    message: str
    horizon: float
    """Horizon of the signal that caused it (s)."""


@dataclass(slots=True)
class ObjectiveRecord:
    """The forecasts and decisions of a replay for one objective."""

    slo: ServiceLevelObjective
    policies: Sequence[RemediationPolicy]
    tracks: dict[tuple[str, Labels], SeriesTrack]
    proposed_actions: list[ProposedAction]
    holds: dict[str, int]
    """How often policies held although the risk was high enough, by reason."""
    long_ratio: Floats
    """The error ratio over the long window of the fast burn."""
    problems: dict[str, str]
    """The first message about a failed query, by indicator or condition."""

    @property
    def within(self) -> float | None:
        """The longest `within` of the policies (s); None where that is the indicators' own horizon."""
        durations = [policy.spec.when.within for policy in self.policies]
        return max(duration.seconds for duration in durations if duration) if durations and all(durations) else None


async def replay(
    registry: Registry,
    history: History,
    time_range: TimeRange,
    learn_from: float,
    replicas: int = 1,
    progress: Callable[[int], None] = lambda _: None,
) -> list[ObjectiveRecord]:
    """Run the engine at every step of `time_range` and return a record of each objective.

    The first cycle fetches the history from `learn_from` (s) on, as the operator does when it starts. `progress` is
    called with the number of finished steps.
    """
    past = int(np.floor((time_range.start - learn_from) / time_range.step + 1e-6))
    metrics = HistoryMetrics(history, time_range.start - past * time_range.step, time_range.end, time_range.step)
    cluster = HistoryCluster(replicas, [reference(slo) for slo in registry.all(ServiceLevelObjective)])
    engine = Engine(metrics, cluster, registry, Settings(interval=time_range.step))
    records: dict[str, ObjectiveRecord] = {}
    policies = select(registry.all(ServiceLevelObjective), registry.all(RemediationPolicy)).policies
    for step, now in enumerate(time_range.times.tolist()):
        report = await engine.cycle(now, leading=True)
        while report.waiting:  # the history of many series is fetched in several cycles
            report = await engine.cycle(now, leading=True)
        for uid, findings in report.findings.items():
            if uid not in records:
                records[uid] = _new_record(findings.slo, policies[uid], time_range.steps)
            _record_findings(records[uid], findings, step, time_range.steps)
        progress(step + 1)
    return list(records.values())


def _new_record(slo: ServiceLevelObjective, policies: Sequence[RemediationPolicy], steps: int) -> ObjectiveRecord:
    return ObjectiveRecord(slo, policies, {}, [], {}, np.full(steps, np.nan), {})


def _record_findings(record: ObjectiveRecord, findings: Findings, step: int, steps: int) -> None:
    record.long_ratio[step] = findings.ratios.long
    if findings.problem is not None:
        record.problems.setdefault(findings.problem.reason, findings.problem.message)
    for reading in findings.readings:
        if reading.problem is not None:
            record.problems.setdefault(reading.watched.indicator, reading.problem.message)
    for signal in findings.signals:
        if np.isfinite(signal.value):
            _record_signal(record, signal, step, steps)
    for decision, policy in zip(findings.decisions, record.policies, strict=True):
        cause = triggering_signal(findings.signals, policy_limits.trigger_of(policy))
        if cause is None:
            continue
        if decision.verdict == "WouldAct":
            horizon = min(cause.horizon, policy_limits.trigger_of(policy).within or cause.horizon)
            record.proposed_actions.append(
                ProposedAction(step, policy.name, decision.action, decision.message, horizon)
            )
        else:
            record.holds[decision.reason] = record.holds.get(decision.reason, 0) + 1


def _record_signal(record: ObjectiveRecord, signal: Signal, step: int, steps: int) -> None:
    key = (signal.indicator, signal.labels)
    track = record.tracks.get(key)
    if track is None:
        horizon = min(signal.horizon, record.within or signal.horizon)
        value, probability, lower, upper = np.full((4, steps), np.nan)
        track = SeriesTrack(
            signal.indicator,
            signal.labels,
            signal.limit,
            signal.above,
            horizon,
            value,
            probability,
            lower,
            upper,
            [None] * steps,
        )
        record.tracks[key] = track
    if not signal.fresh:
        track.abstentions[step] = signal.no_forecast_reason
        return
    track.value[step] = signal.value
    forecast = signal.forecast
    if signal.no_forecast_reason is not None or forecast is None or forecast.abstained is not None:
        track.abstentions[step] = signal.no_forecast_reason
        return
    if step % max(1, steps * len(record.tracks) // _CONES) == 0:
        track.cones[step] = forecast
    if signal.breached:
        return
    track.probability[step] = signal.probability(track.horizon)
    ahead = (0.0, *forecast.horizons)
    track.lower[step] = np.interp(track.horizon, ahead, (forecast.last, *forecast.lower))
    track.upper[step] = np.interp(track.horizon, ahead, (forecast.last, *forecast.upper))


def values_by_step(record: ObjectiveRecord, indicator: str) -> NDArray[np.float64] | None:
    """Return the values of an indicator that has exactly one series; None otherwise."""
    tracks = [track for (name, _), track in record.tracks.items() if name == indicator]
    return tracks[0].value if len(tracks) == 1 else None
