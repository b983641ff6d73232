"""The report as one HTML file that needs nothing else: no network, no script."""

import html
import math
from collections.abc import Iterable, Sequence

import numpy as np

from forestall.backtest.draw import PALETTE, SHAPES
from forestall.backtest.pictures import calibration, clock, moment, moment_of, timeline, tradeoff
from forestall.backtest.replay import Track
from forestall.backtest.verdict import BUDGETS, Case, Forecaster, Judgement, Point, Verdict
from forestall.backtest.words import by, duration, false, percent, silence
from forestall.core.duration import format_duration
from forestall.core.precision import is_past

_SERIES = 6
"""Series of an objective that are drawn: those that were most often close to their limit."""
_MOMENTS = 4
"""Moments of an objective that are drawn."""
STYLE = (
    PALETTE
    + SHAPES
    + """
*{box-sizing:border-box}body{font:16px/1.55 system-ui,sans-serif;margin:0 auto;max-width:1000px;padding:1.2rem;
color:var(--ink);background:var(--paper)}h1{font-size:1.7rem;margin:.4rem 0}h2{font-size:1.3rem;margin:2.4rem 0 .4rem;
border-top:1px solid var(--grid);padding-top:1.2rem}p{max-width:46rem;margin:.5rem 0}.soft{color:var(--soft)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.7rem;margin:1rem 0}
.tile{border:1px solid var(--grid);border-radius:.6rem;padding:.7rem .8rem}.tile b{display:block;font-size:1.5rem}
.tile span{color:var(--soft);font-size:.85rem}.wide{overflow-x:auto;margin:.8rem 0}.wide>svg{min-width:560px;width:100%}
.pair{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,22rem),1fr));gap:1rem}.pair svg{width:100%}
figure{margin:0}figcaption{color:var(--soft);font-size:.88rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;white-space:nowrap;width:100%}
th,td{padding:.3rem .7rem;text-align:right;border-bottom:1px solid var(--grid)}
th{color:var(--soft);font-weight:500;font-size:.85rem;white-space:normal;vertical-align:bottom}td:first-child,th:first-child{text-align:left}
td.left,th.left{text-align:left;white-space:normal;min-width:16rem}tr.mine td{font-weight:600}
.key i{display:inline-block;width:.8rem;height:.8rem;border-radius:2px;margin:0 .35rem 0 1rem;vertical-align:-1px}
"""
)
_KEY = (
    '<p class="soft key"><i style="background:var(--line)"></i>value <i style="background:var(--event);opacity:.5"></i>'
    'past its limit <i style="background:var(--other);opacity:.6"></i>probability. Above: an event, '
    '<span style="color:var(--good)">&#9660;</span> that an action came before, or '
    '<span style="color:var(--event)">&#9660;</span> that none did. Below: an action, '
    '<span style="color:var(--good)">&#9650;</span> with an event within its horizon, '
    '<span style="color:var(--bad)">&#9650;</span> in vain, or '
    '<span style="color:var(--soft)">&#9650;</span> neither.</p>'
)


def page(judgement: Judgement) -> str:
    """Return the report."""
    span, total = judgement.span, judgement.total
    learned = format_duration(span.start - judgement.learn_from)
    intro = (
        f"{_plural(len(judgement.cases), 'objective')} from {clock(span.start)} to {clock(span.end)} UTC, looked at "
        f"every {format_duration(span.step)}, after {learned} to learn from. At each step the forecast knew "
        "only what had been measured until then. No action changed what followed: this is the past as it was."
    )
    whole = [_verdict(total)] if len(judgement.cases) > 1 else []
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><title>forestall backtest</title>'
        f"<style>{STYLE}</style></head><body><h1>Would forestall have helped?</h1>"
        f'<p class="soft">{html.escape(intro)}</p>{_tiles(total)}<p>{html.escape(_sentence(total))}</p>'
        + "".join(whole)
        + "".join(_case(case, judgement) for case in judgement.cases)
        + _unseen(judgement.unseen)
        + _legend()
        + "</body></html>\n"
    )


def _tiles(verdict: Verdict) -> str:
    best = verdict.forestall.within[0]
    lead = best.lead.median if best else math.nan
    tiles = (
        (str(verdict.events), "events: a limit was passed"),
        (
            percent(best.recall if best else math.nan),
            "foreseen, at no more than one false action a week for each objective",
        ),
        (duration(lead), "median lead time of these"),
        (by(verdict.forestall.skill), "skill over climatology (1 is perfect)"),
        (percent(verdict.coverage), "of the extremes within the 90 % bounds"),
    )
    inner = "".join(f'<div class="tile"><b>{html.escape(a)}</b><span>{html.escape(b)}</span></div>' for a, b in tiles)
    return f'<div class="tiles">{inner}</div>'


def _sentence(verdict: Verdict) -> str:
    if verdict.events == 0:
        return (
            "No limit was passed in this time, so nothing can be said about recall; false actions can still be counted."
        )
    if verdict.recommended is None:
        return (
            "At no threshold was an event foreseen with no more than one false action a week for each objective: on "
            "this history forestall should not act on its own. Leave the policies in mode Observe, or look for a "
            "better leading indicator."
        )
    best = verdict.forestall.within[0]
    caught = percent(best.recall) if best is not None else "-"
    return (
        f"Recommended threshold: when.probability {verdict.recommended:g}, with which {caught} of the events would "
        "have been foreseen. It is chosen on this very history, so expect somewhat less of the next weeks."
    )


def _verdict(verdict: Verdict) -> str:
    return (
        f"<h2>All objectives together</h2>{_table(verdict)}"
        f'<div class="pair"><figure>{tradeoff(verdict)}</figure><figure>{calibration(verdict)}</figure></div>'
        f"{_facts(verdict)}"
    )


def _case(case: Case, judgement: Judgement) -> str:
    verdict, record = case.verdict, case.record
    parts = [f"<h2>{html.escape(verdict.name)}</h2>"]
    if record.slo.spec.description:
        parts.append(f"<p>{html.escape(record.slo.spec.description)}</p>")
    if len(judgement.cases) > 1:
        parts += [_tiles(verdict), f"<p>{html.escape(_sentence(verdict))}</p>"]
    tracks = _shown(case)
    drawn = "".join(f'<div class="wide">{timeline(case, track, judgement.span)}</div>' for track in tracks)
    parts += [_KEY, f'<p class="soft">{html.escape(_whose(case))}</p>', drawn]
    hidden = len(record.tracks) - len(tracks)
    if hidden:
        parts.append(f'<p class="soft">{_plural(hidden, "more series")} of this objective came less close.</p>')
    parts += [_moments(case, judgement), _table(verdict)]
    parts.append(f'<div class="pair"><figure>{tradeoff(verdict)}</figure><figure>{calibration(verdict)}</figure></div>')
    parts += [_facts(verdict), _done(case, judgement), _holds(case)]
    return "".join(parts)


def _whose(case: Case) -> str:
    if case.record.policies:
        names = ", ".join(policy.name for policy in case.record.policies)
        return f"The actions are those of the policies as they are: {names}."
    if case.verdict.recommended is None:
        return "No policy selects this objective, and no threshold can be recommended: there are no actions."
    return f"No policy selects this objective: the actions are those of the threshold {case.verdict.recommended:g}."


def _shown(case: Case) -> list[Track]:
    def closeness(track: Track) -> tuple[float, float]:
        known = track.chance[np.isfinite(track.chance)]
        values = track.value[np.isfinite(track.value)]
        over = is_past(values, track.limit, above=track.above)
        return (float(over.sum()), float(known.max()) if known.size else 0.0)

    return sorted(case.record.tracks.values(), key=closeness, reverse=True)[:_SERIES]


def _moments(case: Case, judgement: Judgement) -> str:
    """Draw the cone of some actions, of an event that none came before, and of one that was in vain."""
    figures = []
    for step, words in _worth_a_look(case, judgement):
        track = _loudest(case, step)
        found = moment_of(track, judgement.span, step) if track is not None else None
        if found is not None:
            chance = found.forecast.probability_within(found.horizon)
            caption = f"{words} The probability was {chance:.0%} within {format_duration(found.horizon)}."
            figures.append(f"<figure>{moment(found)}<figcaption>{html.escape(caption)}</figcaption></figure>")
    if not figures:
        return ""
    note = (
        "Moments: the cone holds, with 90 %, the most extreme value until each time to come; dashed its median, dotted "
        "what came."
    )
    return f'<p class="soft">{note}</p><div class="pair">{"".join(figures)}</div>'


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
    known = [track for track in case.record.tracks.values() if np.isfinite(track.chance[step])]
    return max(known, key=lambda track: float(track.chance[step]), default=None)


def _table(verdict: Verdict) -> str:
    first, second = BUDGETS
    head = ["", "Brier", "skill", f"foreseen at &le;{first:g}/week", "lead", "p10", "useful"]
    head += [f"foreseen at &le;{second:g}/week", "lead"]
    rows = [_row(verdict.forestall, verdict.weeks, mine=True)]
    if verdict.as_configured is not None:
        one = verdict.as_configured
        label = f"policies as they are ({false(one.false_a_week, verdict.weeks)})"
        rows.append(_line([label, "", "", *_cells(one), "", ""]))
    rows += [_row(each, verdict.weeks, mine=False) for each in verdict.others]
    return (
        '<div class="wide"><table><tr>'
        + "".join(f"<th>{cell}</th>" for cell in head)
        + f"</tr>{''.join(rows)}</table></div>"
    )


def _row(one: Forecaster, weeks: float, *, mine: bool) -> str:
    name, (first, second) = one.name, one.within
    if len(one.curve) == 1:
        only = one.curve[0]
        name = f"{name} ({percent(only.recall)} at {false(only.false_a_week, weeks)})"
    cells = [by(one.brier, 3), by(one.skill), *_cells(first), *_cells(second)[:2]]
    return _line([name, *cells], mine=mine)


def _cells(point: Point | None) -> list[str]:
    if point is None:
        return ["-"] * 4
    lead = point.lead
    return [percent(point.recall), duration(lead.median), duration(lead.p10), percent(lead.useful)]


def _line(cells: Sequence[str], *, mine: bool = False) -> str:
    inner = "".join(f"<td>{cell}</td>" for cell in cells)
    return f"<tr{' class=mine' if mine else ''}>{inner}</tr>"


def _facts(verdict: Verdict) -> str:
    words = (
        f"{verdict.origins} forecasts could be compared with what came. Calibration error "
        f"{by(verdict.calibration_error, 3)}; within the 90 % bounds {percent(verdict.coverage)}, on the worst day "
        f"{percent(verdict.worst_day)}. A lead is useful from {format_duration(verdict.lead_time)} on."
    )
    if verdict.silences:
        why = ", ".join(f"{silence(reason)} ({count} times)" for reason, count in verdict.silences[:4])
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
        rows.append(
            f"<tr><td>{at}</td><td>{html.escape(done.would.action)}</td><td>{came}</td>"
            f'<td class="left">{html.escape(words)}</td></tr>'
        )
    more = f'<p class="soft">and {len(case.done) - 40} more.</p>' if len(case.done) > 40 else ""
    return (
        "<h3>What the policies would have done</h3>"
        '<div class="wide"><table><tr><th>when (UTC)</th><th>action</th><th>what came</th>'
        '<th class="left">why</th></tr>'
        f"{''.join(rows)}</table></div>{more}"
    )


def _holds(case: Case) -> str:
    if not case.record.holds:
        return ""
    words = ", ".join(f"{reason} ({_plural(count, 'time')})" for reason, count in sorted(case.record.holds.items()))
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


def _plural(count: int, one: str) -> str:
    return f"{count} {one}" if count == 1 or one.endswith("series") else f"{count} {one}s"
