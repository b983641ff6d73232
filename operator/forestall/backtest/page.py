"""The HTML report of a backtest: the values that its template shows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from forestall.backtest.charts import (
    calibration_chart,
    common_range,
    first_breaches,
    forecast_moment,
    moment_chart,
    timeline,
    tradeoff_chart,
    tradeoff_legend,
    value_ranges,
)
from forestall.backtest.conclusion import conclusion, count_foreseen, describe_recall
from forestall.backtest.replay import SeriesTrack
from forestall.backtest.results import (
    BUDGETS,
    Assessment,
    BacktestReport,
    ForecasterScore,
    ObjectiveResult,
    OperatingPoint,
)
from forestall.backtest.wording import describe_abstention, describe_false_actions
from forestall.core.binomial import CONFIDENCE
from forestall.core.duration import format_duration
from forestall.core.precision import is_past
from forestall.core.risk import SLI
from forestall.core.wording import plural
from forestall.report.chart import legend_sign
from forestall.report.formatting import clock, decimal, duration, percent
from forestall.report.page import Legend, Table, render

_SERIES = 6
"""Series of an objective that are drawn: those that were past their limit, or close to it, most often."""
_MOMENTS = 4
"""Forecasts of an objective that are drawn."""
_ACTIONS = 40
"""Actions of an objective that are listed."""
_KEY: Legend = (
    (legend_sign("line", "value"), "value"),
    (legend_sign("line", "limit"), "its limit"),
    (legend_sign("area", "event"), "past its limit"),
    (legend_sign("area", "chance"), "probability"),
    (legend_sign("down", "good"), "start of a predicted event"),
    (legend_sign("down", "missed"), "start of a missed event"),
    (legend_sign("up", "good"), "action, with an event within its horizon"),
    (legend_sign("up", "bad"), "false action"),
    (legend_sign("up", "open"), "other action"),
)
_KEY_OF_MOMENTS: Legend = (
    (legend_sign("line", "value"), "value"),
    (legend_sign("area", "cone"), "90 % bounds of the most extreme value until each future time"),
    (legend_sign("line", "median"), "its median"),
    (legend_sign("line", "came"), "actual values"),
    (legend_sign("line", "limit"), "limit"),
)


@dataclass(frozen=True, slots=True)
class _Summary:
    """The figures of one objective, or of all together."""

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
    """One objective with its charts."""

    summary: _Summary
    description: str
    policies: str
    """Which policies, or which threshold, the actions come from."""
    indicators: Sequence[tuple[str, str, str]]
    """Name, unit and query of each indicator that is drawn."""
    timelines: Sequence[Markup]
    hidden: str
    """The number of series that are not drawn."""
    moments: Sequence[tuple[Markup, str]]
    has_policies: bool
    actions: Table | None
    hidden_actions: int
    """The number of actions that are not listed."""
    holds: str
    """The reasons for which policies held, with their counts."""


def page(report: BacktestReport, command: str = "") -> str:
    """Return the HTML report; `command` is the command line that wrote it."""
    time_range = report.time_range
    learned = format_duration(time_range.start - report.learn_from)
    intro = (
        f"{plural(len(report.objectives), 'objective')} from {clock(time_range.start)} to {clock(time_range.end)} UTC, "
        f"at a step of {format_duration(time_range.step)}, after {learned} to learn from. At each step the forecast "
        "uses only the samples until then. No action changes what follows: this is the past as it was."
    )
    return render(
        "backtest.html",
        title="forestall backtest",
        command=command,
        intro=intro,
        total=_summary(report.total),
        details=[_detail(result, report) for result in report.objectives],
        legend=_KEY,
        legend_of_moments=_KEY_OF_MOMENTS,
        missing=report.missing,
    )


def _summary(assessment: Assessment) -> _Summary:
    return _Summary(
        name=assessment.name,
        tiles=_tiles(assessment),
        conclusion=conclusion(assessment),
        table=_table(assessment),
        tradeoff=tradeoff_chart(assessment),
        signs=tradeoff_legend(assessment),
        calibration=calibration_chart(assessment),
        facts=_facts(assessment),
    )


def _detail(result: ObjectiveResult, report: BacktestReport) -> _Detail:
    record, tracks = result.record, _select_tracks(result)
    ranges, hidden = value_ranges(tracks), len(record.tracks) - len(tracks)
    return _Detail(
        summary=_summary(result.assessment),
        description=record.slo.spec.description,
        policies=_describe_policies(result),
        indicators=_indicators(result, tracks),
        timelines=[timeline(result, track, report.time_range, ranges) for track in tracks],
        hidden=plural(hidden, "more series", "more series") if hidden else "",
        moments=_moments(result, report),
        has_policies=bool(record.policies),
        actions=_actions_table(result, report) if record.policies and result.actions else None,
        hidden_actions=max(0, len(result.actions) - _ACTIONS),
        holds=", ".join(f"{reason} ({plural(count, 'time')})" for reason, count in sorted(record.holds.items())),
    )


def _tiles(assessment: Assessment) -> list[tuple[str, str]]:
    best = assessment.forestall.within[0]
    lead = best.lead.median if best else math.nan
    recall = describe_recall(best, assessment.events)
    return [
        (str(assessment.events), "events (a limit was passed)"),
        (
            percent(best.recall if best else math.nan),
            f"predicted ({recall}; {percent(CONFIDENCE)} confidence), at ≤1 false action a week each",
        ),
        (duration(lead), "median lead time"),
        (decimal(assessment.forestall.skill), "skill over climatology (1 is perfect)"),
        (percent(assessment.coverage), "of the extremes are within the 90 % bounds"),
    ]


def _describe_policies(result: ObjectiveResult) -> str:
    if result.record.policies:
        names = ", ".join(policy.name for policy in result.record.policies)
        return f"The actions are those of the policies as configured: {names}."
    if result.assessment.recommended is None:
        return "No policy selects this objective, and no threshold can be recommended: there are no actions."
    return (
        f"No policy selects this objective: the actions are those of the threshold {result.assessment.recommended:g}."
    )


def _indicators(result: ObjectiveResult, tracks: Sequence[SeriesTrack]) -> list[tuple[str, str, str]]:
    """Return name, unit and query of each indicator that is drawn."""
    queries = {leading.name: leading.query for leading in result.record.slo.spec.leading_indicators}
    share, own = "the share of bad events, from 0 to 1", "in the unit of its query"
    names = dict.fromkeys(track.indicator for track in tracks)
    return [(name, share if name == SLI else own, queries.get(name, "")) for name in names]


def _select_tracks(result: ObjectiveResult) -> list[SeriesTrack]:
    def closeness(track: SeriesTrack) -> tuple[float, float]:
        probabilities = track.probability[np.isfinite(track.probability)]
        values = track.value[np.isfinite(track.value)]
        over = is_past(values, track.limit, above=track.above)
        return (float(over.sum()), float(probabilities.max()) if probabilities.size else 0.0)

    return sorted(result.record.tracks.values(), key=closeness, reverse=True)[:_SERIES]


def _moments(result: ObjectiveResult, report: BacktestReport) -> list[tuple[Markup, str]]:
    """Return charts and captions of some actions, of a missed event, and of a false action."""
    highlights = []
    for step, text in _select_moments(result, report):
        track = _most_probable(result, step)
        view = forecast_moment(track, report.time_range, step) if track is not None else None
        if view is not None:
            highlights.append((view, text))
    figures = []
    for view, text in highlights:
        value_range = common_range([candidate for candidate, _ in highlights if candidate.indicator == view.indicator])
        probability = view.forecast.probability_within(view.horizon)
        caption = f"{text} The probability was {percent(probability)} within {format_duration(view.horizon)}."
        figures.append((moment_chart(view, value_range), caption))
    return figures


def _select_moments(result: ObjectiveResult, report: BacktestReport) -> list[tuple[int, str]]:
    step = report.time_range.step
    hits = [action for action in result.actions if action.outcome == "foreseen"]
    vain = [action for action in result.actions if action.outcome == "in vain"]
    covered = {round(action.proposed.step + action.lead / step) for action in hits}
    missed = [onset for onset in result.onsets.tolist() if onset not in covered]
    highlights = [
        (action.proposed.step, f"An action, {format_duration(action.lead)} before the event.")
        for action in hits[: _MOMENTS // 2]
    ]
    highlights += [(max(0, onset - 1), "Just before a missed event.") for onset in missed[:1]]
    highlights += [(action.proposed.step, "A false action: no event followed.") for action in vain[:1]]
    if not highlights:
        highlights = [(onset - 1, "Just before an event.") for onset in result.onsets.tolist()[:_MOMENTS]]
    return sorted(highlights)[:_MOMENTS]


def _most_probable(result: ObjectiveResult, step: int) -> SeriesTrack | None:
    """Return the series with the highest probability, if possible of those that pass their limit in the next event."""
    candidates = [track for track in result.record.tracks.values() if np.isfinite(track.probability[step])]
    breaching = [track for track in candidates if _passes_after(track, step, result)]
    candidates = breaching or candidates
    return max(candidates, key=lambda track: float(track.probability[step]), default=None)


def _passes_after(track: SeriesTrack, step: int, result: ObjectiveResult) -> bool:
    onset = next((at for at in result.onsets.tolist() if at > step), None)
    return onset is not None and any(first in (onset, onset + 1) for first in first_breaches(track, result.onsets))


def _table(assessment: Assessment) -> Table:
    first, second = BUDGETS
    head = ["", "Brier", "skill", f"predicted at ≤{first:g} false a week", "lead (median)", "lead (p10)", "useful"]
    head += [f"predicted at ≤{second:g} false a week", "its lead (median)"]
    rows: list[tuple[Sequence[str], bool]] = [(_row(assessment.forestall, assessment), True)]
    if assessment.as_configured is not None:
        configured = assessment.as_configured
        label = f"policies as configured ({describe_false_actions(configured.false_a_week, assessment.weeks)})"
        rows.append(([label, "", "", *_cells(configured, assessment.events), "", ""], False))
    rows += [(_row(forecaster, assessment), False) for forecaster in assessment.baselines]
    return Table(head, rows)


def _row(forecaster: ForecasterScore, assessment: Assessment) -> list[str]:
    name, (first, second) = forecaster.name, forecaster.within
    if len(forecaster.curve) == 1:
        point = forecaster.curve[0]
        name = f"{name} ({percent(point.recall)} at {describe_false_actions(point.false_a_week, assessment.weeks)})"
    events = assessment.events
    return [
        name,
        decimal(forecaster.brier, 3),
        decimal(forecaster.skill),
        *_cells(first, events),
        *_cells(second, events)[:2],
    ]


def _cells(point: OperatingPoint | None, events: int) -> list[str]:
    if point is None:
        return ["-"] * 4
    lead = point.lead
    share = f"{percent(point.recall)} ({count_foreseen(point, events)} of {events})" if events else "-"
    return [share, duration(lead.median), duration(lead.p10), percent(lead.useful)]


def _facts(assessment: Assessment) -> str:
    text = (
        f"{plural(assessment.origins, 'forecast')} are compared with their outcomes. Calibration error "
        f"{decimal(assessment.calibration_error, 3)}; within the 90 % bounds {percent(assessment.coverage)}, on the "
        f"worst day {percent(assessment.worst_day)}. A lead is useful from {format_duration(assessment.lead_time)} on."
    )
    if assessment.abstentions:
        reasons = ", ".join(
            f"{describe_abstention(reason)} ({plural(count, 'time')})" for reason, count in assessment.abstentions[:4]
        )
        text += f" There was no forecast for {percent(assessment.abstained)} of the time: {reasons}."
    return text


def _actions_table(result: ObjectiveResult, report: BacktestReport) -> Table:
    rows: list[tuple[Sequence[str], bool]] = []
    for action in result.actions[:_ACTIONS]:
        outcome = f"event {format_duration(action.lead)} later" if action.outcome == "foreseen" else action.outcome
        at = clock(float(report.time_range.times[action.proposed.step]))
        reason = action.proposed.message.removesuffix(" (not done: the policy only observes)")
        rows.append(([at, action.proposed.action, outcome, reason], False))
    return Table(["time (UTC)", "action", "outcome", "why"], rows, prose=3)
