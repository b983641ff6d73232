"""From what was said at each step and what came to figures: how right, how early, how often in vain."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from forestall.api import ServiceLevelObjective
from forestall.backtest.baselines import burn_alert, persistence, predict_linear
from forestall.backtest.history import Floats
from forestall.backtest.replay import Record, Span, Track, Would, values_by_step
from forestall.backtest.verdict import BUDGETS, Case, Done, Forecaster, Judgement, Lead, Point, Verdict
from forestall.core import score
from forestall.core.risk import SLI
from forestall.core.score import Flags, Tally, Whole
from forestall.core.slo import fast_burn_limit

CALM = 10
"""Steps within the limit after which passing it again is another event; the engine's episodes end after as many."""
_LEAD = 300.0
"""Seconds that an action takes to help where no policy says it."""


@dataclass(frozen=True, slots=True)
class Origins:
    """All forecasts of some series that can be compared with what came."""

    said: dict[str, Floats]
    """Probabilities by forecaster."""
    came: Flags
    climatology: Floats
    inside: Floats
    times: Floats

    def __add__(self, other: "Origins") -> "Origins":
        """Of other series as well."""
        return Origins(
            {name: np.concatenate((self.said[name], other.said[name])) for name in self.said},
            np.concatenate((self.came, other.came)),
            np.concatenate((self.climatology, other.climatology)),
            np.concatenate((self.inside, other.inside)),
            np.concatenate((self.times, other.times)),
        )


@dataclass(frozen=True, slots=True)
class _Material:
    """What the sum over objectives is made of."""

    origins: Origins | None
    sweeps: dict[str, list[Tally]]
    configured: Tally | None
    silences: Counter[str]
    asked: int


def judge(records: Sequence[Record], span: Span, learn_from: float, lead_time: float | None) -> Judgement:
    """Judge what was said. `lead_time` (s) is how long an action takes to help; None: as the policies say."""
    seen = [record for record in records if record.tracks]
    results = [_case(record, span, lead_time) for record in seen]
    cases = tuple(case for case, _ in results)
    unseen = tuple(f"{_title(record.slo)}: {_why(record)}" for record in records if not record.tracks)
    total = _total([material for _, material in results], cases, span)
    return Judgement(span, learn_from, cases, total, unseen)


def _why(record: Record) -> str:
    by_words: dict[str, list[str]] = {}
    for name, words in sorted(record.problems.items()):
        by_words.setdefault(words, []).append(name)
    return "; ".join(f"{', '.join(names)}: {words}" for words, names in by_words.items()) or "nothing is in the history"


def _title(slo: ServiceLevelObjective) -> str:
    return f"{slo.namespace}/{slo.name}"


def _case(record: Record, span: Span, lead_time: float | None) -> tuple[Case, _Material]:
    tracks = list(record.tracks.values())
    flags = np.stack([score.past(each.value, each.limit, above=each.above) for each in tracks])
    breached = flags.max(axis=0)  # past its limit anywhere; unknown where nothing is known
    events = score.onsets(breached, CALM)
    lead = lead_time if lead_time is not None else _lead_time(record)
    horizons = np.array([_steps(each, span) for each in tracks])

    said = {name: [] for name in ("forestall", "persistence", "predict_linear")}  # type: dict[str, list[Floats]]
    origins: Origins | None = None
    for track in tracks:
        mine = _forecasts(track, span)
        for name, chance in mine.items():
            said[name].append(chance)
        each = _origins(track, mine, span)
        origins = each if origins is None else origins + each
    sweeps = {name: _sweep(np.stack(some), horizons, breached, events) for name, some in said.items()}
    sweeps["predict_linear"] = sweeps["predict_linear"][49:50]  # yes or no: every threshold says the same
    burn = _burn(record, int(horizons.max()), events, breached)
    if burn is not None:
        sweeps["burn"] = [burn]
    configured, done = _configured(record, span, breached, events)
    silences, asked = _silences(tracks, breached)
    material = _Material(origins, sweeps, configured, silences, asked)
    verdict = _verdict(_title(record.slo), material, span, span.weeks, lead)
    if not record.policies and verdict.recommended is not None:
        done = _at_threshold(tracks, horizons, breached, events, span, verdict.recommended)
    return Case(record, verdict, events, breached, done), material


def _lead_time(record: Record) -> float:
    return max((policy.spec.verification.within.seconds for policy in record.policies), default=_LEAD)


def _steps(track: Track, span: Span) -> int:
    return max(1, round(track.horizon / span.step))


def _forecasts(track: Track, span: Span) -> dict[str, Floats]:
    steps, above = _steps(track, span), track.above
    return {
        "forestall": track.chance,
        "persistence": persistence(track.value, track.limit, steps, above=above),
        "predict_linear": predict_linear(track.value, track.limit, track.horizon, span.step, above=above),
    }


def _origins(track: Track, said: dict[str, Floats], span: Span) -> Origins:
    """Return the forecasts of one series that every forecaster made: all are compared on the same ones."""
    steps = _steps(track, span)
    extreme = score.reached(track.value, steps, above=track.above)
    came = score.past(extreme, track.limit, above=track.above)
    safe = score.past(track.value, track.limit, above=track.above) == 0
    came[~safe] = score.UNKNOWN
    usual = score.climatology(came, steps)
    covered = score.inside(np.where(safe, extreme, np.nan), track.lower, track.upper)
    known = (came != score.UNKNOWN) & np.logical_and.reduce([np.isfinite(each) for each in said.values()])
    return Origins(
        {name: each[known] for name, each in said.items()}, came[known], usual[known], covered[known], span.times[known]
    )


def _sweep(chances: Floats, horizons: Whole, breached: Flags, events: Whole) -> list[Tally]:
    """Return what came of acting from each threshold on; `chances` are (series, steps)."""
    chance, horizon = _worst(chances, horizons)
    chance = np.where(breached == 0, chance, np.nan)
    return [
        score.tally(score.actions(chance, horizon, threshold), horizon, events, breached)
        for threshold in score.THRESHOLDS.tolist()
    ]


def _worst(chances: Floats, horizons: Whole) -> tuple[Floats, Whole]:
    """Return, for each step, the highest probability of any series, and the horizon of that series."""
    filled = np.where(np.isfinite(chances), chances, -1.0)
    place = filled.argmax(axis=0)
    highest = filled.max(axis=0)
    return np.where(highest < 0, np.nan, highest), horizons[place]


def _burn(record: Record, horizon: int, events: Whole, breached: Flags) -> Tally | None:
    """Return what the fast-burn alert would have brought; its lead is negative where it comes after the event."""
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
        score.NOTHING,
        events=events.size,
        lead=np.array(lead),
        true=np.array(sorted(used), dtype=np.int64),
        false=np.array(false, dtype=np.int64),
    )


def _configured(record: Record, span: Span, breached: Flags, events: Whole) -> tuple[Tally | None, tuple[Done, ...]]:
    """Return what came of the policies as they are."""
    if not record.policies:
        return None, ()
    first = {would.step: would for would in reversed(record.would) if breached[would.step] == 0}
    chance, horizon = np.full(span.steps, np.nan), np.ones(span.steps, dtype=np.int64)
    for step, would in first.items():
        chance[step], horizon[step] = 1.0, max(1, round(would.horizon / span.step))
    done = score.actions(chance, horizon, 1.0)
    result = score.tally(done, horizon, events, breached)
    return result, tuple(_outcome(first[step], result, events, span) for step in done.tolist())


def _at_threshold(
    tracks: Sequence[Track], horizons: Whole, breached: Flags, events: Whole, span: Span, threshold: float
) -> tuple[Done, ...]:
    """Return what somebody would have done who acts from a threshold on."""
    chance, horizon = _worst(np.stack([track.chance for track in tracks]), horizons)
    done = score.actions(np.where(breached == 0, chance, np.nan), horizon, threshold)
    result = score.tally(done, horizon, events, breached)
    return tuple(
        _outcome(
            Would(step, "", "", f"the probability was {chance[step]:.0%}", float(horizon[step]) * span.step),
            result,
            events,
            span,
        )
        for step in done.tolist()
    )


def _outcome(would: Would, result: Tally, events: Whole, span: Span) -> Done:
    if would.step in result.true:
        return Done(would, "foreseen", float(events[events > would.step][0] - would.step) * span.step)
    if would.step in result.repeated:
        return Done(would, "same event", math.nan)
    return Done(would, "in vain" if would.step in result.false else "open", math.nan)


def _silences(tracks: Sequence[Track], breached: Flags) -> tuple[Counter[str], int]:
    """Return how often nothing was said, by the reason, and how often something was asked."""
    why: Counter[str] = Counter()
    asked = 0
    for track in tracks:
        for step, reason in enumerate(track.silence):
            if breached[step] == 1:
                continue
            if reason is not None:
                why[str(reason)] += 1
                asked += 1
            elif np.isfinite(track.chance[step]):
                asked += 1
    return why, asked


def _verdict(name: str, material: _Material, span: Span, weeks: float, lead_time: float) -> Verdict:
    origins, sweeps = material.origins, material.sweeps
    judged = {key: _forecaster(key, some, origins, span, weeks, lead_time) for key, some in sweeps.items()}
    mine = judged.pop("forestall")
    best = score.best_threshold(sweeps["forestall"], weeks, BUDGETS[0])
    events = sweeps["forestall"][0].events
    found = best is not None and sweeps["forestall"][best].lead.size > 0
    groups = () if origins is None else score.reliability(origins.said["forestall"], origins.came)
    covered = np.zeros(0) if origins is None else origins.inside
    silent = sum(material.silences.values())
    point = None
    if material.configured is not None:
        point = _point(math.nan, material.configured, span, weeks, lead_time)
    return Verdict(
        name=name,
        weeks=weeks,
        events=events,
        origins=0 if origins is None else origins.came.size,
        abstained=silent / material.asked if material.asked else math.nan,
        silences=tuple(material.silences.most_common()),
        forestall=mine,
        others=tuple(judged.values()),
        calibration=groups,
        calibration_error=score.calibration_error(groups),
        coverage=float(np.nanmean(covered)) if np.isfinite(covered).any() else math.nan,
        worst_day=math.nan if origins is None else score.worst_day(origins.times, covered),
        recommended=float(score.THRESHOLDS[best]) if found and best is not None else None,
        as_configured=point,
        lead_time=lead_time,
    )


_NAMES = {"burn": "14.4x burn alert"}


def _forecaster(
    name: str, sweep: Sequence[Tally], origins: Origins | None, span: Span, weeks: float, lead_time: float
) -> Forecaster:
    points = [
        _point(threshold, each, span, weeks, lead_time)
        for threshold, each in zip(score.THRESHOLDS.tolist() if len(sweep) > 1 else [math.nan], sweep, strict=True)
    ]
    within = []
    for most in BUDGETS:
        best = score.best_threshold(sweep, weeks, most)
        within.append(None if best is None else points[best])
    mean = usual = math.nan
    if origins is not None and name in origins.said:
        mean = score.brier(origins.said[name], origins.came)
        usual = score.brier(origins.climatology, origins.came)
    happened = origins is not None and bool((origins.came == 1).any())
    skill = 1 - mean / usual if happened else math.nan  # of nothing, everybody who says nothing is perfect
    return Forecaster(_NAMES.get(name, name), mean, skill, tuple(points), tuple(within))


def _point(threshold: float, each: Tally, span: Span, weeks: float, lead_time: float) -> Point:
    lead = each.lead * span.step
    before = lead[lead > 0]
    recall = before.size / each.events if each.events else math.nan
    return Point(
        threshold,
        recall,
        each.false.size / weeks,
        Lead(
            median=float(np.median(lead)) if lead.size else math.nan,
            p10=float(np.quantile(lead, 0.1)) if lead.size else math.nan,
            useful=float((lead >= lead_time).sum()) / each.events if each.events else math.nan,
        ),
    )


def _total(materials: Sequence[_Material], cases: Sequence[Case], span: Span) -> Verdict:
    """Return the verdict on all objectives together."""
    names = ["forestall", "persistence", "predict_linear"]
    if materials and all("burn" in each.sweeps for each in materials):
        names.append("burn")
    sweeps: dict[str, list[Tally]] = {}
    for name in names:
        some = [each.sweeps[name] for each in materials]
        sweeps[name] = [_sum(column) for column in zip(*some, strict=True)] or [score.NOTHING]
    origins: Origins | None = None
    silences: Counter[str] = Counter()
    for each in materials:
        if each.origins is not None:
            origins = each.origins if origins is None else origins + each.origins
        silences += each.silences
    configured = [each.configured for each in materials if each.configured is not None]
    material = _Material(
        origins, sweeps, _sum(configured) if configured else None, silences, sum(each.asked for each in materials)
    )
    weeks = span.weeks * max(1, len(materials))
    lead_time = max((case.verdict.lead_time for case in cases), default=_LEAD)
    result = _verdict("all objectives", material, span, weeks, lead_time)
    days = [case.verdict.worst_day for case in cases if math.isfinite(case.verdict.worst_day)]
    return replace(result, worst_day=min(days, default=math.nan))


def _sum(tallies: Sequence[Tally]) -> Tally:
    total = score.NOTHING
    for each in tallies:
        total += each
    return total
