"""The report as one HTML file that needs nothing else: no network, no script."""

import html
import math
from collections.abc import Iterable, Sequence

import numpy as np

from forestall.backtest.conclusion import conclusion, counted
from forestall.backtest.document import chart, document, key, table
from forestall.backtest.draw import sign
from forestall.backtest.pictures import (
    calibration,
    clock,
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
from forestall.backtest.words import by, duration, false, percent, silence
from forestall.core.binomial import CONFIDENCE
from forestall.core.duration import format_duration
from forestall.core.precision import is_past
from forestall.core.risk import SLI
from forestall.core.wording import plural

_SERIES = 6
"""Series of an objective that are drawn: those that were most often close to their limit."""
_MOMENTS = 4
"""Moments of an objective that are drawn."""
_KEY = key(
    (
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
)


def page(judgement: Judgement, command: str = "") -> str:
    """Return the report; `command` is the command line that made it."""
    span, total = judgement.span, judgement.total
    learned = format_duration(span.start - judgement.learn_from)
    intro = (
        f"{plural(len(judgement.cases), 'objective')} from {clock(span.start)} to {clock(span.end)} UTC, looked at "
        f"every {format_duration(span.step)}, after {learned} to learn from. At each step the forecast knew "
        "only what had been measured until then. No action changed what followed: this is the past as it was."
    )
    whole = [_verdict(total)] if len(judgement.cases) > 1 else []
    body = (
        f'<h1>Would forestall have helped?</h1><p class="soft">{html.escape(intro)}</p>{_tiles(total)}'
        f"<p>{html.escape(conclusion(total))}</p>"
        + "".join(whole)
        + "".join(_case(case, judgement) for case in judgement.cases)
        + _unseen(judgement.unseen)
        + _legend()
    )
    return document("forestall backtest", body, command)


def _tiles(verdict: Verdict) -> str:
    best = verdict.forestall.within[0]
    lead = best.lead.median if best else math.nan
    tiles = (
        (str(verdict.events), "events: a limit was passed"),
        (
            percent(best.recall if best else math.nan),
            f"foreseen ({counted(best, verdict.events)}; {percent(CONFIDENCE)} sure), at ≤1 false action a week each",
        ),
        (duration(lead), "median lead time of these"),
        (by(verdict.forestall.skill), "skill over climatology (1 is perfect)"),
        (percent(verdict.coverage), "of the extremes within the 90 % bounds"),
    )
    inner = "".join(f'<div class="tile"><b>{html.escape(a)}</b><span>{html.escape(b)}</span></div>' for a, b in tiles)
    return f'<div class="tiles">{inner}</div>'


def _verdict(verdict: Verdict) -> str:
    return f"<h2>All objectives together</h2>{_table(verdict)}{_pair(verdict)}{_facts(verdict)}"


def _pair(verdict: Verdict) -> str:
    signs = key(tradeoff_signs(verdict))
    return f'<div class="pair"><figure>{tradeoff(verdict)}{signs}</figure><figure>{calibration(verdict)}</figure></div>'


def _case(case: Case, judgement: Judgement) -> str:
    verdict, record = case.verdict, case.record
    parts = [f"<h2>{html.escape(verdict.name)}</h2>"]
    if record.slo.spec.description:
        parts.append(f"<p>{html.escape(record.slo.spec.description)}</p>")
    if len(judgement.cases) > 1:
        parts += [_tiles(verdict), f"<p>{html.escape(conclusion(verdict))}</p>"]
    tracks = _shown(case)
    drawn = "".join(chart(timeline(case, track, judgement.span, scales(tracks))) for track in tracks)
    parts += [_KEY, f'<p class="soft">{html.escape(_whose(case))} All times are UTC.</p>', _units(case, tracks), drawn]
    hidden = len(record.tracks) - len(tracks)
    if hidden:
        parts.append(
            f'<p class="soft">{plural(hidden, "more series", "more series")} of this objective came less close.</p>'
        )
    parts += [_moments(case, judgement), _table(verdict)]
    parts += [_pair(verdict), _facts(verdict), _done(case, judgement), _holds(case)]
    return "".join(parts)


def _whose(case: Case) -> str:
    if case.record.policies:
        names = ", ".join(policy.name for policy in case.record.policies)
        return f"The actions are those of the policies as they are: {names}."
    if case.verdict.recommended is None:
        return "No policy selects this objective, and no threshold can be recommended: there are no actions."
    return f"No policy selects this objective: the actions are those of the threshold {case.verdict.recommended:g}."


def _units(case: Case, tracks: Sequence[Track]) -> str:
    """Say of each indicator that is drawn what its values are."""
    queries = {one.name: one.query for one in case.record.slo.spec.leading_indicators}
    items = []
    for name in dict.fromkeys(track.indicator for track in tracks):
        what = "the share of bad events, from 0 to 1" if name == SLI else "in the unit of its query"
        query = f': <code class="query">{html.escape(queries[name])}</code>' if name in queries else ""
        items.append(f"<li>{html.escape(name)}, {what}{query}</li>")
    return f'<ul class="soft">{"".join(items)}</ul>'


def _shown(case: Case) -> list[Track]:
    def closeness(track: Track) -> tuple[float, float]:
        known = track.chance[np.isfinite(track.chance)]
        values = track.value[np.isfinite(track.value)]
        over = is_past(values, track.limit, above=track.above)
        return (float(over.sum()), float(known.max()) if known.size else 0.0)

    return sorted(case.record.tracks.values(), key=closeness, reverse=True)[:_SERIES]


def _moments(case: Case, judgement: Judgement) -> str:
    """Draw the cone of some actions, of an event that none came before, and of one that was in vain."""
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
        figures.append(f"<figure>{moment(seen, alike)}<figcaption>{html.escape(caption)}</figcaption></figure>")
    if not figures:
        return ""
    signs = (
        (sign("line", "value"), "value"),
        (sign("area", "cone"), "holds, with 90 %, the most extreme value until each time to come"),
        (sign("line", "median"), "its median"),
        (sign("line", "came"), "what came"),
        (sign("line", "limit"), "limit"),
    )
    return f'<h3>Moments</h3>{key(signs)}<div class="pair">{"".join(figures)}</div>'


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


def _table(verdict: Verdict) -> str:
    first, second = BUDGETS
    head = ["", "Brier", "skill", f"foreseen at ≤{first:g} false a week", "lead (median)", "lead (p10)", "useful"]
    head += [f"foreseen at ≤{second:g} false a week", "its lead (median)"]
    rows = [(_row(verdict.forestall, verdict), True)]
    if verdict.as_configured is not None:
        now = verdict.as_configured
        label = f"policies as they are ({false(now.false_a_week, verdict.weeks)})"
        rows.append(([label, "", "", *_cells(now, verdict.events), "", ""], False))
    rows += [(_row(other, verdict), False) for other in verdict.others]
    return table(head, rows)


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
    lead, caught = point.lead, round(point.recall * events) if events else 0
    share = f"{percent(point.recall)} ({caught} of {events})" if events else "-"
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
    return f'<p class="soft">{html.escape(words)}</p>'


def _done(case: Case, judgement: Judgement) -> str:
    if not case.record.policies:
        return ""
    if not case.done:
        return "<p>The policies would have done nothing.</p>"
    rows = []
    for done in case.done[:40]:
        came = f"event {format_duration(done.lead)} later" if done.verdict == "foreseen" else done.verdict
        at = clock(float(judgement.span.times[done.would.step]))
        words = done.would.message.removesuffix(" (not done: the policy only observes)")
        rows.append(([at, done.would.action, came, words], False))
    more = f'<p class="soft">and {len(case.done) - 40} more.</p>' if len(case.done) > 40 else ""
    head = ["when (UTC)", "action", "what came", "why"]
    return f"<h3>What the policies would have done</h3>{table(head, rows, prose=3)}{more}"


def _holds(case: Case) -> str:
    if not case.record.holds:
        return ""
    words = ", ".join(f"{reason} ({plural(count, 'time')})" for reason, count in sorted(case.record.holds.items()))
    return f'<p class="soft">The risk was high enough, but the policies held: {html.escape(words)}.</p>'


def _unseen(unseen: Iterable[str]) -> str:
    items = "".join(f"<li>{html.escape(each)}</li>" for each in unseen)
    return f"<h2>Not in the history</h2><ul>{items}</ul>" if items else ""


def _legend() -> str:
    return (
        '<h2>How to read this</h2><p class="soft">An <b>event</b> begins when a limit is passed after ten calm steps. '
        "An <b>action</b> is good for its horizon: it is true when an event begins within it, and in vain when no "
        "limit is passed within it. "
        "<b>Foreseen</b> is the share of events that an action came before; <b>lead</b> is how long before (median, "
        "and p10: nine of ten were earlier); <b>useful</b> the share of all events with a lead that leaves the action "
        "time to help. Thresholds are chosen by hindsight for every forecaster alike. <b>Brier</b> is the mean squared "
        "error of the probability; <b>skill</b> compares it with knowing only how often events come. The lead of the "
        "burn-rate alert is negative where it fires after the event.</p>"
    )
