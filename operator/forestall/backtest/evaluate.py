"""Score the forecasts of a replay against the outcomes: accuracy, lead time, and false actions."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from forestall.api import ServiceLevelObjective
from forestall.backtest.baselines import burn_alert, persistence, predict_linear
from forestall.backtest.history import Floats
from forestall.backtest.replay import ObjectiveRecord, ProposedAction, SeriesTrack, TimeRange, values_by_step
from forestall.backtest.results import (
    BUDGETS,
    Assessment,
    BacktestReport,
    ForecasterScore,
    JudgedAction,
    LeadTime,
    ObjectiveResult,
    OperatingPoint,
)
from forestall.core import score
from forestall.core.risk import SLI
from forestall.core.score import ActionOutcomes, Flags, Integers
from forestall.core.slo import fast_burn_limit

CALM_STEPS = 10
"""Steps within the limit after which passing it again is a new event; the engine's episodes end after as many."""
_DEFAULT_LEAD_TIME = 300.0
"""Seconds until an action takes effect, where no policy says it."""


@dataclass(frozen=True, slots=True)
class Origins:
    """The forecasts of some series that can be compared with their outcomes, by forecast origin."""

    probabilities: dict[str, Floats]
    """Probabilities by forecaster."""
    outcomes: Flags
    climatology: Floats
    covered: Floats
    times: Floats

    def __add__(self, other: "Origins") -> "Origins":
        """Concatenate the origins of two sets of series."""
        return Origins(
            {
                name: np.concatenate((self.probabilities[name], other.probabilities[name]))
                for name in self.probabilities
            },
            np.concatenate((self.outcomes, other.outcomes)),
            np.concatenate((self.climatology, other.climatology)),
            np.concatenate((self.covered, other.covered)),
            np.concatenate((self.times, other.times)),
        )


@dataclass(frozen=True, slots=True)
class _ScoreInput:
    """The figures of one objective that are added up over objectives."""

    origins: Origins | None
    sweeps: dict[str, list[ActionOutcomes]]
    configured: ActionOutcomes | None
    abstentions: Counter[str]
    attempts: int


def evaluate(
    records: Sequence[ObjectiveRecord], time_range: TimeRange, learn_from: float, lead_time: float | None
) -> BacktestReport:
    """Score a replay. `lead_time` (s) is how long an action takes to help; None takes it from the policies."""
    replayed = [record for record in records if record.tracks]
    scored = [_score_objective(record, time_range, lead_time) for record in replayed]
    results = tuple(result for result, _ in scored)
    missing = tuple(f"{_title(record.slo)}: {_describe_problems(record)}" for record in records if not record.tracks)
    total = _total([inputs for _, inputs in scored], results, time_range)
    return BacktestReport(time_range, learn_from, results, total, missing)


def _describe_problems(record: ObjectiveRecord) -> str:
    by_message: dict[str, list[str]] = {}
    for name, message in sorted(record.problems.items()):
        by_message.setdefault(message, []).append(name)
    return (
        "; ".join(f"{', '.join(names)}: {message}" for message, names in by_message.items()) or "no data in the history"
    )


def _title(slo: ServiceLevelObjective) -> str:
    return f"{slo.namespace}/{slo.name}"


def _score_objective(
    record: ObjectiveRecord, time_range: TimeRange, lead_time: float | None
) -> tuple[ObjectiveResult, _ScoreInput]:
    tracks = list(record.tracks.values())
    flags = np.stack([score.past_limit(track.value, track.limit, above=track.above) for track in tracks])
    breached = flags.max(axis=0)  # past a limit in any series; unknown where no series is known
    events = score.onsets(breached, CALM_STEPS)
    lead = lead_time if lead_time is not None else _lead_time(record)
    horizons = np.array([_steps(track, time_range) for track in tracks])

    probabilities = {name: [] for name in ("forestall", "persistence", "predict_linear")}  # type: dict[str, list[Floats]]
    origins: Origins | None = None
    for track in tracks:
        forecasts = _forecasts(track, time_range)
        for name, probability in forecasts.items():
            probabilities[name].append(probability)
        track_origins = _origins(track, forecasts, time_range)
        origins = track_origins if origins is None else origins + track_origins
    sweeps = {
        name: _sweep_thresholds(np.stack(rows), horizons, breached, events) for name, rows in probabilities.items()
    }
    sweeps["predict_linear"] = sweeps["predict_linear"][49:50]  # it answers yes or no: every threshold gives the same
    burn = _tally_burn_alert(record, int(horizons.max()), events, breached)
    if burn is not None:
        sweeps["burn"] = [burn]
    configured, actions = _tally_policies(record, time_range, breached, events)
    abstentions, attempts = _count_abstentions(tracks, breached)
    inputs = _ScoreInput(origins, sweeps, configured, abstentions, attempts)
    assessment = _assess(_title(record.slo), inputs, time_range, time_range.weeks, lead)
    if not record.policies and assessment.recommended is not None:
        actions = _judge_threshold(tracks, horizons, breached, events, time_range, assessment.recommended)
    return ObjectiveResult(record, assessment, events, breached, actions), inputs


def _lead_time(record: ObjectiveRecord) -> float:
    return max((policy.spec.verification.within.seconds for policy in record.policies), default=_DEFAULT_LEAD_TIME)


def _steps(track: SeriesTrack, time_range: TimeRange) -> int:
    return max(1, round(track.horizon / time_range.step))


def _forecasts(track: SeriesTrack, time_range: TimeRange) -> dict[str, Floats]:
    steps, above = _steps(track, time_range), track.above
    return {
        "forestall": track.probability,
        "persistence": persistence(track.value, track.limit, steps, above=above),
        "predict_linear": predict_linear(track.value, track.limit, track.horizon, time_range.step, above=above),
    }


def _origins(track: SeriesTrack, forecasts: dict[str, Floats], time_range: TimeRange) -> Origins:
    """Return the origins of one series for which every forecaster has a forecast: all are compared on the same ones."""
    steps = _steps(track, time_range)
    extreme = score.extremes_ahead(track.value, steps, above=track.above)
    outcomes = score.past_limit(extreme, track.limit, above=track.above)
    safe = score.past_limit(track.value, track.limit, above=track.above) == 0
    outcomes[~safe] = score.UNKNOWN
    climatology = score.climatology(outcomes, steps)
    covered = score.within_bounds(np.where(safe, extreme, np.nan), track.lower, track.upper)
    comparable = (outcomes != score.UNKNOWN) & np.logical_and.reduce(
        [np.isfinite(probability) for probability in forecasts.values()]
    )
    return Origins(
        {name: probability[comparable] for name, probability in forecasts.items()},
        outcomes[comparable],
        climatology[comparable],
        covered[comparable],
        time_range.times[comparable],
    )


def _sweep_thresholds(
    probabilities: Floats, horizons: Integers, breached: Flags, events: Integers
) -> list[ActionOutcomes]:
    """Return the tally of acting at each threshold; `probabilities` have the shape (series, steps)."""
    probability, horizon = _most_probable(probabilities, horizons)
    probability = np.where(breached == 0, probability, np.nan)
    return [
        score.action_outcomes(score.action_steps(probability, horizon, threshold), horizon, events, breached)
        for threshold in score.THRESHOLDS.tolist()
    ]


def _most_probable(probabilities: Floats, horizons: Integers) -> tuple[Floats, Integers]:
    """Return, for each step, the highest probability of any series, and the horizon of that series."""
    filled = np.where(np.isfinite(probabilities), probabilities, -1.0)
    row = filled.argmax(axis=0)
    highest = filled.max(axis=0)
    return np.where(highest < 0, np.nan, highest), horizons[row]


def _tally_burn_alert(
    record: ObjectiveRecord, horizon: int, events: Integers, breached: Flags
) -> ActionOutcomes | None:
    """Return the tally of the fast-burn alert; its lead is negative where it fires after the event."""
    short = values_by_step(record, SLI)
    if short is None or not np.isfinite(record.long_ratio).any():
        return None
    firing = burn_alert(short, record.long_ratio, fast_burn_limit(record.slo.spec.objective)) == 1
    fires = np.flatnonzero(firing & ~np.append(False, firing[:-1]))
    lead, used = [], set()
    for event in events.tolist():
        near = fires[(fires >= event - horizon) & (fires <= event + horizon)]
        if near.size:
            lead.append(float(event - near[0]))
            used.update(near.tolist())
    false = [fire for fire in fires.tolist() if fire not in used and breached[fire] != 1]
    return replace(
        score.NO_OUTCOMES,
        events=events.size,
        lead=np.array(lead),
        true=np.array(sorted(used), dtype=np.int64),
        false=np.array(false, dtype=np.int64),
    )


def _tally_policies(
    record: ObjectiveRecord, time_range: TimeRange, breached: Flags, events: Integers
) -> tuple[ActionOutcomes | None, tuple[JudgedAction, ...]]:
    """Return the tally of the policies as configured, and their actions."""
    if not record.policies:
        return None, ()
    first_by_step = {action.step: action for action in reversed(record.proposed_actions) if breached[action.step] == 0}
    probability, horizon = np.full(time_range.steps, np.nan), np.ones(time_range.steps, dtype=np.int64)
    for step, action in first_by_step.items():
        probability[step], horizon[step] = 1.0, max(1, round(action.horizon / time_range.step))
    acted_at = score.action_steps(probability, horizon, 1.0)
    tally = score.action_outcomes(acted_at, horizon, events, breached)
    return tally, tuple(_judge_action(first_by_step[step], tally, events, time_range) for step in acted_at.tolist())


def _judge_threshold(
    tracks: Sequence[SeriesTrack],
    horizons: Integers,
    breached: Flags,
    events: Integers,
    time_range: TimeRange,
    threshold: float,
) -> tuple[JudgedAction, ...]:
    """Return the actions that acting at a threshold would have taken."""
    probability, horizon = _most_probable(np.stack([track.probability for track in tracks]), horizons)
    acted_at = score.action_steps(np.where(breached == 0, probability, np.nan), horizon, threshold)
    tally = score.action_outcomes(acted_at, horizon, events, breached)
    return tuple(
        _judge_action(
            ProposedAction(
                step, "", "", f"the probability was {probability[step]:.0%}", float(horizon[step]) * time_range.step
            ),
            tally,
            events,
            time_range,
        )
        for step in acted_at.tolist()
    )


def _judge_action(
    action: ProposedAction, tally: ActionOutcomes, events: Integers, time_range: TimeRange
) -> JudgedAction:
    if action.step in tally.true:
        return JudgedAction(action, "foreseen", float(events[events > action.step][0] - action.step) * time_range.step)
    if action.step in tally.repeated:
        return JudgedAction(action, "same event", math.nan)
    return JudgedAction(action, "in vain" if action.step in tally.false else "open", math.nan)


def _count_abstentions(tracks: Sequence[SeriesTrack], breached: Flags) -> tuple[Counter[str], int]:
    """Return the number of abstentions by reason, and the number of forecasts that were due."""
    reasons: Counter[str] = Counter()
    attempts = 0
    for track in tracks:
        for step, reason in enumerate(track.abstentions):
            if breached[step] == 1:
                continue
            if reason is not None:
                reasons[str(reason)] += 1
                attempts += 1
            elif np.isfinite(track.probability[step]):
                attempts += 1
    return reasons, attempts


def _assess(name: str, inputs: _ScoreInput, time_range: TimeRange, weeks: float, lead_time: float) -> Assessment:
    origins, sweeps = inputs.origins, inputs.sweeps
    forecasters = {
        key: _score_forecaster(key, sweep, origins, time_range, weeks, lead_time) for key, sweep in sweeps.items()
    }
    own = forecasters.pop("forestall")
    best = score.best_threshold(sweeps["forestall"], weeks, BUDGETS[0])
    events = sweeps["forestall"][0].events
    has_hits = best is not None and sweeps["forestall"][best].lead.size > 0
    bins = () if origins is None else score.reliability(origins.probabilities["forestall"], origins.outcomes)
    covered = np.zeros(0) if origins is None else origins.covered
    abstained = sum(inputs.abstentions.values())
    point = None
    if inputs.configured is not None:
        point = _operating_point(math.nan, inputs.configured, time_range, weeks, lead_time)
    return Assessment(
        name=name,
        weeks=weeks,
        events=events,
        origins=0 if origins is None else origins.outcomes.size,
        abstained=abstained / inputs.attempts if inputs.attempts else math.nan,
        abstentions=tuple(inputs.abstentions.most_common()),
        forestall=own,
        baselines=tuple(forecasters.values()),
        calibration=bins,
        calibration_error=score.calibration_error(bins),
        coverage=float(np.nanmean(covered)) if np.isfinite(covered).any() else math.nan,
        worst_day=math.nan if origins is None else score.worst_day(origins.times, covered),
        recommended=float(score.THRESHOLDS[best]) if has_hits and best is not None else None,
        as_configured=point,
        lead_time=lead_time,
    )


_NAMES = {"burn": "14.4x burn alert"}


def _score_forecaster(
    name: str,
    sweep: Sequence[ActionOutcomes],
    origins: Origins | None,
    time_range: TimeRange,
    weeks: float,
    lead_time: float,
) -> ForecasterScore:
    points = [
        _operating_point(threshold, tally, time_range, weeks, lead_time)
        for threshold, tally in zip(score.THRESHOLDS.tolist() if len(sweep) > 1 else [math.nan], sweep, strict=True)
    ]
    within = []
    for budget in BUDGETS:
        best = score.best_threshold(sweep, weeks, budget)
        within.append(None if best is None else points[best])
    mean = reference = math.nan
    if origins is not None and name in origins.probabilities:
        mean = score.brier(origins.probabilities[name], origins.outcomes)
        reference = score.brier(origins.climatology, origins.outcomes)
    happened = origins is not None and bool((origins.outcomes == 1).any())
    skill = (
        1 - mean / reference if happened else math.nan
    )  # without an event, a forecaster that always says 0 is perfect
    return ForecasterScore(_NAMES.get(name, name), mean, skill, tuple(points), tuple(within))


def _operating_point(
    threshold: float, tally: ActionOutcomes, time_range: TimeRange, weeks: float, lead_time: float
) -> OperatingPoint:
    lead = tally.lead * time_range.step
    before = lead[lead > 0]
    recall = before.size / tally.events if tally.events else math.nan
    return OperatingPoint(
        threshold,
        recall,
        tally.false.size / weeks,
        LeadTime(
            median=float(np.median(lead)) if lead.size else math.nan,
            p10=float(np.quantile(lead, 0.1)) if lead.size else math.nan,
            useful=float((lead >= lead_time).sum()) / tally.events if tally.events else math.nan,
        ),
    )


def _total(all_inputs: Sequence[_ScoreInput], cases: Sequence[ObjectiveResult], time_range: TimeRange) -> Assessment:
    """Return the assessment of all objectives together."""
    names = ["forestall", "persistence", "predict_linear"]
    if all_inputs and all("burn" in inputs.sweeps for inputs in all_inputs):
        names.append("burn")
    sweeps: dict[str, list[ActionOutcomes]] = {}
    for name in names:
        per_objective = [inputs.sweeps[name] for inputs in all_inputs]
        sweeps[name] = [_sum(tallies) for tallies in zip(*per_objective, strict=True)] or [score.NO_OUTCOMES]
    origins: Origins | None = None
    silences: Counter[str] = Counter()
    for inputs in all_inputs:
        if inputs.origins is not None:
            origins = inputs.origins if origins is None else origins + inputs.origins
        silences += inputs.abstentions
    configured = [inputs.configured for inputs in all_inputs if inputs.configured is not None]
    combined = _ScoreInput(
        origins,
        sweeps,
        _sum(configured) if configured else None,
        silences,
        sum(inputs.attempts for inputs in all_inputs),
    )
    weeks = time_range.weeks * max(1, len(all_inputs))
    lead_time = max((result.assessment.lead_time for result in cases), default=_DEFAULT_LEAD_TIME)
    total = _assess("all objectives", combined, time_range, weeks, lead_time)
    days = [result.assessment.worst_day for result in cases if math.isfinite(result.assessment.worst_day)]
    return replace(total, worst_day=min(days, default=math.nan))


def _sum(tallies: Sequence[ActionOutcomes]) -> ActionOutcomes:
    total = score.NO_OUTCOMES
    for tally in tallies:
        total += tally
    return total
