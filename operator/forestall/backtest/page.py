"""The report of a backtest: what its template shows, as values."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from forestall.backtest.conclusion import caught, conclusion, counted
from forestall.backtest.pictures import (
    calibration,
    first_past,
    moment,
    moment_of,
    reach_of,
    scales,
    timeline,
    tradeoff,
    tradeoff_signs,
)
from forestall.backtest.replay import Track
from forestall.backtest.verdict import BUDGETS, Case, Forecaster, Judgement, Point, Verdict
from forestall.backtest.words import false, silence
from forestall.core.binomial import CONFIDENCE
from forestall.core.duration import format_duration
from forestall.core.precision import is_past
from forestall.core.risk import SLI
from forestall.core.wording import plural
from forestall.report.chart import sign
from forestall.report.figures import by, clock, duration, percent
from forestall.report.page import Legend, Table, render

_SERIES = 6
"""Series of an objective that are drawn: those that were most often close to their limit."""
_MOMENTS = 4
"""Moments of an objective that are drawn."""
_ACTIONS = 40
"""Actions of an objective that are listed."""
_KEY: Legend = (
    (sign("line", "value"), "value"),
    (sign("line", "limit"), "its limit"),
    (sign("area", "event"), "past its limit"),
    (sign("area", "chance"), "probability"),
    (sign("down", "good"), "first past its limit, after an action"),
    (sign("down", "missed"), "first past its limit, with no action before"),
    (sign("up", "good"), "an action for the objective, with an event within its horizon"),
    (sign("up", "bad"), "an action in vain"),
    (sign("up", "open"), "neither"),
)
_KEY_OF_MOMENTS: Legend = (
    (sign("line", "value"), "value"),
    (sign("area", "cone"), "holds, with 90 %, the most extreme value until each time to come"),
    (sign("line", "median"), "its median"),
    (sign("line", "came"), "what came"),
    (sign("line", "limit"), "limit"),
)


@dataclass(frozen=True, slots=True)
class _Summary:
    """How well one objective, or all together, would have been served."""

    name: str
    tiles: Sequence[tuple[str, str]]
    conclusion: str
    table: Table
    tradeoff: Markup
    signs: Legend
    """Of `tradeoff`."""
    calibration: Markup
    facts: str


@dataclass(frozen=True, slots=True)
class _Detail:
    """One objective with its pictures."""

    summary: _Summary
    description: str
    whose: str
    """Whose actions they are."""
    indicators: Sequence[tuple[str, str, str]]
    """Of each that is drawn its name, what its values are, and its query."""
    timelines: Sequence[Markup]
    hidden: str
    """How many series are not drawn."""
    moments: Sequence[tuple[Markup, str]]
    has_policies: bool
    done: Table | None
    more_done: int
    """Actions that are not listed."""
    holds: str
    """Why policies held, and how often."""


def page(judgement: Judgement, command: str = "") -> str:
    """Return the report; `command` is the command line that made it."""
    span = judgement.span
    learned = format_duration(span.start - judgement.learn_from)
    intro = (
        f"{plural(len(judgement.cases), 'objective')} from {clock(span.start)} to {clock(span.end)} UTC, looked at "
        f"every {format_duration(span.step)}, after {learned} to learn from. At each step the forecast knew "
        "only what had been measured until then. No action changed what followed: this is the past as it was."
    )
    return render(
        "backtest.html",
        title="forestall backtest",
        command=command,
        intro=intro,
        total=_summary(judgement.total),
        details=[_detail(case, judgement) for case in judgement.cases],
        legend=_KEY,
        legend_of_moments=_KEY_OF_MOMENTS,
        unseen=judgement.unseen,
    )


def _summary(verdict: Verdict) -> _Summary:
    return _Summary(
        name=verdict.name,
        tiles=_tiles(verdict),
        conclusion=conclusion(verdict),
        table=_table(verdict),
        tradeoff=tradeoff(verdict),
        signs=tradeoff_signs(verdict),
        calibration=calibration(verdict),
        facts=_facts(verdict),
    )


def _detail(case: Case, judgement: Judgement) -> _Detail:
    record, tracks = case.record, _shown(case)
    ranges, hidden = scales(tracks), len(record.tracks) - len(tracks)
    return _Detail(
        summary=_summary(case.verdict),
        description=record.slo.spec.description,
        whose=_whose(case),
        indicators=_indicators(case, tracks),
        timelines=[timeline(case, track, judgement.span, ranges) for track in tracks],
        hidden=plural(hidden, "more series", "more series") if hidden else "",
        moments=_moments(case, judgement),
        has_policies=bool(record.policies),
        done=_done(case, judgement) if record.policies and case.done else None,
        more_done=max(0, len(case.done) - _ACTIONS),
        holds=", ".join(f"{reason} ({plural(count, 'time')})" for reason, count in sorted(record.holds.items())),
    )


def _tiles(verdict: Verdict) -> list[tuple[str, str]]:
    best = verdict.forestall.within[0]
    lead = best.lead.median if best else math.nan
    return [
        (str(verdict.events), "events: a limit was passed"),
        (
            percent(best.recall if best else math.nan),
            f"foreseen ({counted(best, verdict.events)}; {percent(CONFIDENCE)} sure), at ≤1 false action a week each",
        ),
        (duration(lead), "median lead time of these"),
        (by(verdict.forestall.skill), "skill over climatology (1 is perfect)"),
        (percent(verdict.coverage), "of the extremes within the 90 % bounds"),
    ]


def _whose(case: Case) -> str:
    if case.record.policies:
        names = ", ".join(policy.name for policy in case.record.policies)
        return f"The actions are those of the policies as they are: {names}."
    if case.verdict.recommended is None:
        return "No policy selects this objective, and no threshold can be recommended: there are no actions."
    return f"No policy selects this objective: the actions are those of the threshold {case.verdict.recommended:g}."


def _indicators(case: Case, tracks: Sequence[Track]) -> list[tuple[str, str, str]]:
    """Return of each indicator that is drawn its name, what its values are, and its query."""
    queries = {leading.name: leading.query for leading in case.record.slo.spec.leading_indicators}
    share, own = "the share of bad events, from 0 to 1", "in the unit of its query"
    names = dict.fromkeys(track.indicator for track in tracks)
    return [(name, share if name == SLI else own, queries.get(name, "")) for name in names]


def _shown(case: Case) -> list[Track]:
    def closeness(track: Track) -> tuple[float, float]:
        known = track.chance[np.isfinite(track.chance)]
        values = track.value[np.isfinite(track.value)]
        over = is_past(values, track.limit, above=track.above)
        return (float(over.sum()), float(known.max()) if known.size else 0.0)

    return sorted(case.record.tracks.values(), key=closeness, reverse=True)[:_SERIES]


def _moments(case: Case, judgement: Judgement) -> list[tuple[Markup, str]]:
    """Return drawn and explained some actions, an event that none came before, and an action that was in vain."""
    looks = []
    for step, words in _worth_a_look(case, judgement):
        track = _loudest(case, step)
        seen = moment_of(track, judgement.span, step) if track is not None else None
        if seen is not None:
            looks.append((seen, words))
    figures = []
    for seen, words in looks:
        alike = reach_of([other for other, _ in looks if other.indicator == seen.indicator])
        chance = seen.forecast.probability_within(seen.horizon)
        caption = f"{words} The probability was {percent(chance)} within {format_duration(seen.horizon)}."
        figures.append((moment(seen, alike), caption))
    return figures


def _worth_a_look(case: Case, judgement: Judgement) -> list[tuple[int, str]]:
    step = judgement.span.step
    hits = [done for done in case.done if done.verdict == "foreseen"]
    vain = [done for done in case.done if done.verdict == "in vain"]
    covered = {round(done.would.step + done.lead / step) for done in hits}
    missed = [onset for onset in case.onsets.tolist() if onset not in covered]
    looks = [
        (done.would.step, f"An action, {format_duration(done.lead)} before the event.")
        for done in hits[: _MOMENTS // 2]
    ]
    looks += [(max(0, onset - 1), "Just before an event that no action came before.") for onset in missed[:1]]
    looks += [(done.would.step, "An action in vain: no event followed.") for done in vain[:1]]
    if not looks:
        looks = [(onset - 1, "Just before an event.") for onset in case.onsets.tolist()[:_MOMENTS]]
    return sorted(looks)[:_MOMENTS]


def _loudest(case: Case, step: int) -> Track | None:
    """Return the series with the highest probability, of those that pass their limit within it where any does."""
    known = [track for track in case.record.tracks.values() if np.isfinite(track.chance[step])]
    came = [track for track in known if _passes_after(track, step, case)]
    known = came or known
    return max(known, key=lambda track: float(track.chance[step]), default=None)


def _passes_after(track: Track, step: int, case: Case) -> bool:
    onset = next((at for at in case.onsets.tolist() if at > step), None)
    return onset is not None and any(first in (onset, onset + 1) for first in first_past(track, case.onsets))


def _table(verdict: Verdict) -> Table:
    first, second = BUDGETS
    head = ["", "Brier", "skill", f"foreseen at ≤{first:g} false a week", "lead (median)", "lead (p10)", "useful"]
    head += [f"foreseen at ≤{second:g} false a week", "its lead (median)"]
    rows: list[tuple[Sequence[str], bool]] = [(_row(verdict.forestall, verdict), True)]
    if verdict.as_configured is not None:
        now = verdict.as_configured
        label = f"policies as they are ({false(now.false_a_week, verdict.weeks)})"
        rows.append(([label, "", "", *_cells(now, verdict.events), "", ""], False))
    rows += [(_row(other, verdict), False) for other in verdict.others]
    return Table(head, rows)


def _row(one: Forecaster, verdict: Verdict) -> list[str]:
    name, (first, second) = one.name, one.within
    if len(one.curve) == 1:
        only = one.curve[0]
        name = f"{name} ({percent(only.recall)} at {false(only.false_a_week, verdict.weeks)})"
    events = verdict.events
    return [name, by(one.brier, 3), by(one.skill), *_cells(first, events), *_cells(second, events)[:2]]


def _cells(point: Point | None, events: int) -> list[str]:
    if point is None:
        return ["-"] * 4
    lead = point.lead
    share = f"{percent(point.recall)} ({caught(point, events)} of {events})" if events else "-"
    return [share, duration(lead.median), duration(lead.p10), percent(lead.useful)]


def _facts(verdict: Verdict) -> str:
    words = (
        f"{plural(verdict.origins, 'forecast')} could be compared with what came. Calibration error "
        f"{by(verdict.calibration_error, 3)}; within the 90 % bounds {percent(verdict.coverage)}, on the worst day "
        f"{percent(verdict.worst_day)}. A lead is useful from {format_duration(verdict.lead_time)} on."
    )
    if verdict.silences:
        why = ", ".join(f"{silence(reason)} ({plural(count, 'time')})" for reason, count in verdict.silences[:4])
        words += f" Nothing was said for {percent(verdict.abstained)} of the time: {why}."
    return words


def _done(case: Case, judgement: Judgement) -> Table:
    rows: list[tuple[Sequence[str], bool]] = []
    for done in case.done[:_ACTIONS]:
        came = f"event {format_duration(done.lead)} later" if done.verdict == "foreseen" else done.verdict
        at = clock(float(judgement.span.times[done.would.step]))
        words = done.would.message.removesuffix(" (not done: the policy only observes)")
        rows.append(([at, done.would.action, came, words], False))
    return Table(["when (UTC)", "action", "what came", "why"], rows, prose=3)
