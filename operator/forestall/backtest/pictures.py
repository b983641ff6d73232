"""The pictures of a report: the whole history, single moments with their cone, what thresholds bring, calibration."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from forestall.backtest.history import Floats
from forestall.backtest.replay import Span, Track
from forestall.backtest.verdict import Case, Forecaster, Verdict
from forestall.core import score
from forestall.core.duration import format_duration
from forestall.core.forecast import SeriesForecast
from forestall.core.score import Whole
from forestall.core.wording import plural
from forestall.report.chart import Axis, Plot, nice, sign, svg
from forestall.report.figures import clock, percent
from forestall.report.page import Legend

_WIDTH, _LEFT, _RIGHT = 760.0, 52.0, 12.0
_PAST = 3.0
"""Horizons of the past that a moment shows."""
_BANDS = 190
"""Bands of a long series that tell their values."""
_COLUMNS = 700
"""Columns that a long series is drawn in: each shows its lowest and its highest value."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One series at one moment: what was known, what was forecast, and what came."""

    indicator: str
    title: str
    at: float
    times: Floats
    values: Floats
    limit: float
    above: bool
    horizon: float
    forecast: SeriesForecast

    @property
    def end(self) -> float:
        """Until when it is drawn."""
        return self.at + 1.25 * self.horizon

    def said_of(self, at: float) -> str:
        """Return what was forecast for a time to come, in words; nothing of the past."""
        ahead = at - self.at
        if not 0 < ahead <= self.horizon:
            return ""
        cone = self.cone()
        low, high = (float(np.interp(ahead, [p[0] for p in cone], [p[n] for p in cone])) for n in (1, 3))
        return f"; the most extreme until then: {low:.4g} to {high:.4g}"

    def cone(self) -> list[tuple[float, float, float, float]]:
        """Return seconds from now with lower bound, median and upper bound, until just the horizon."""
        points = self.forecast.cone()
        ahead = [point[0] for point in points]
        low, mid, high = (float(np.interp(self.horizon, ahead, [point[n] for point in points])) for n in (1, 2, 3))
        return [*(point for point in points if point[0] < self.horizon), (self.horizon, low, mid, high)]


def scales(tracks: Sequence[Track]) -> dict[str, tuple[float, float]]:
    """Return, for each indicator, the range that shows all its series: what is compared has the same axis."""
    result: dict[str, tuple[float, float]] = {}
    for track in tracks:
        low, high = _reach(track.value[np.isfinite(track.value)], track.limit)
        before = result.get(track.indicator, (low, high))
        result[track.indicator] = min(low, before[0]), max(high, before[1])
    return result


def first_past(track: Track, onsets: Whole) -> dict[int, int]:
    """Return where this very series first passed its limit in each event in which it did, with the event's onset."""
    past = np.flatnonzero(score.past(track.value, track.limit, above=track.above) == 1)
    ends = [*onsets.tolist(), track.value.size][1:]
    result = {}
    for onset, end in zip(onsets.tolist(), ends, strict=True):
        within = past[(past >= onset) & (past < end)]
        if within.size:
            result[int(within[0])] = onset
    return result


def timeline(case: Case, track: Track, span: Span, ranges: Mapping[str, tuple[float, float]]) -> Markup:
    """Return the whole history of one series: values, limit, when it was passed, what would have been done, and the
    probability. `ranges`: of the axes, by indicator."""
    times, height = span.times, 306.0
    axis = Axis(times[0], times[-1], _LEFT, _WIDTH - _RIGHT)
    low, high = ranges[track.indicator]
    upper = Plot(axis, Axis(low, high, 208, 24))
    upper.text(_LEFT, 14, track.title, kind="strong")
    upper.scale_values(nice(low, high))
    upper.scale_times()
    for first, last in _stretches(score.past(track.value, track.limit, above=track.above) == 1):
        upper.stripe(times[first], times[last], "event", f"past its limit from {clock(times[first])}")
    for part in _envelope(times, track.value):
        upper.area(*part, "envelope")
    upper.level(track.limit, "limit", f"limit {track.limit:.4g}")
    _values(upper, track, times, span.step)
    _marks(upper, case, track, times, span.step)
    lower = Plot(axis, Axis(0.0, 1.0, 298, 252))
    lower.scale_values((0.0, 1.0), "{:.0%}")
    lower.text(_LEFT, 246, f"probability of passing the limit within {format_duration(track.horizon)}")
    for top, bottom in _envelope(times, np.nan_to_num(track.chance)):
        lower.area(top, [(at, 0.0) for at, _ in bottom], "chance")
    for policy in case.record.policies:
        lower.level(policy.spec.when.probability, "now")
    return svg(_WIDTH, height, (upper, lower), f"{track.title} over the whole history, with events and actions")


def _values(plot: Plot, track: Track, times: Floats, step: float) -> None:
    """Tell the values of a series to whoever points at them."""
    size = -(-times.size // _BANDS)
    for first in range(0, times.size, size):
        part = slice(first, first + size)
        known, chance = track.value[part], track.chance[part]
        known, chance = known[np.isfinite(known)], chance[np.isfinite(chance)]
        words = "no data" if not known.size else _range(known, "{:.4g}".format)
        said = f"; probability {_range(chance, percent)}" if chance.size else ""
        end = times[min(first + size, times.size - 1)]
        plot.over(times[first], max(float(end), times[first] + step), f"{clock(times[first])}: {words}{said}")


def _range(values: Floats, form: Callable[[float], str]) -> str:
    low, high = form(float(values.min())), form(float(values.max()))
    return low if low == high else f"{low} to {high}"


def _marks(plot: Plot, case: Case, track: Track, times: Floats, step: float) -> None:
    foreseen = {round(done.would.step + done.lead / step) for done in case.done if done.verdict == "foreseen"}
    for at, onset in first_past(track, case.onsets).items():
        seen = onset in foreseen
        words = f"past its limit from {clock(times[at])}: {'an' if seen else 'no'} action came before"
        plot.mark(times[at], 17, "good" if seen else "missed", words, down=True)
    kinds = {"foreseen": "good", "in vain": "bad"}
    for done in case.done:
        at = times[done.would.step]
        plot.upright(at, "now")
        plot.mark(
            at, 208, kinds.get(done.verdict, "open"), f"{clock(at)} ({done.verdict}): {done.would.message}", down=False
        )


def reach_of(moments: Sequence[Moment]) -> tuple[float, float]:
    """Return the range of an axis on which all these moments can be compared."""
    ranges = []
    for one in moments:
        edges = [value for point in one.cone() for value in point[1:] if math.isfinite(value)]
        shown = one.values[(one.times <= one.end) & np.isfinite(one.values)]
        ranges.append(_reach(np.concatenate((shown, edges)), one.limit))
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def moment(one: Moment, reach: tuple[float, float] | None = None) -> Markup:
    """Return a single moment: the past, the cone of the highest (lowest) value to come, and what came.

    `reach`: of the vertical axis; its own where none is given.
    """
    height, width = 230.0, 380.0
    after, cone, end = one.times > one.at, one.cone(), one.end
    start = min(float(one.times[0]), one.at - _PAST * one.horizon)
    low, high = reach or reach_of([one])
    plot = Plot(Axis(start, end, _LEFT, width - _RIGHT), Axis(low, high, height - 26, 24))
    plot.text(_LEFT, 14, f"{one.title}, {clock(one.at)}", kind="strong")
    plot.scale_values(nice(low, high, 4))
    plot.scale_times(most=4)
    plot.area([(one.at + p[0], p[3]) for p in cone], [(one.at + p[0], p[1]) for p in cone], "cone")
    plot.line([(one.at + p[0], p[2]) for p in cone], "median")
    plot.line(_points(one.times[~after], one.values[~after]), "value")
    shown_after = after & (one.times <= end)
    plot.line(_points(one.times[shown_after], one.values[shown_after]), "came")
    plot.level(one.limit, "limit", f"limit {one.limit:.4g}")
    plot.upright(one.at, "now")
    plot.upright(one.at + one.horizon, "now")
    step = float(np.diff(one.times).min(initial=one.horizon))
    for at, value in _points(one.times, one.values):
        if at <= end and math.isfinite(value):
            plot.over(at - step / 2, min(at + step / 2, end), f"{clock(at)}: {value:.4g}{one.said_of(at)}")
    return svg(width, height, (plot,), f"forecast of {one.title} at {clock(one.at)}")


def moment_of(track: Track, span: Span, step: int) -> Moment | None:
    """Return one series at one step; None where no whole forecast is kept near it."""
    kept = [each for each in track.cones if each <= step and (step - each) * span.step <= track.horizon / 2]
    if not kept:
        return None
    made = max(kept)
    back = round(_PAST * track.horizon / span.step)
    part = slice(max(0, made - back), min(span.steps, made + round(1.3 * track.horizon / span.step) + 1))
    return Moment(
        track.indicator,
        track.title,
        float(span.times[made]),
        span.times[part],
        track.value[part],
        track.limit,
        track.above,
        track.horizon,
        track.cones[made],
    )


def tradeoff(verdict: Verdict) -> Markup:
    """Return how much recall costs: the share of events foreseen over false actions a week."""
    width, height, most = 380.0, 250.0, 7.0
    plot = Plot(Axis(0, most, _LEFT, width - _RIGHT), Axis(0, 1, height - 44, 24))
    plot.text(_LEFT, 14, "Events foreseen, by false actions a week", kind="strong")
    plot.scale_values((0, 0.25, 0.5, 0.75, 1), "{:.0%}")
    plot.scale_shares(range(int(most) + 1), "{:g}")
    plot.text((_LEFT + width) / 2, height - 8, "false actions a week", "middle")
    for forecaster, line, dot in _styled(verdict):
        curve = [(point.false_a_week, point.recall) for point in forecaster.curve if point.false_a_week <= most]
        if len(forecaster.curve) > 1:
            plot.line(_frontier(curve, most), line)
            best = forecaster.within[0]
            if best is not None and not math.isnan(best.recall):
                words = f"{forecaster.name}, threshold {best.threshold:g}: {percent(best.recall)} of the events"
                plot.dot(best.false_a_week, best.recall, 4, dot, f"{words}, {best.false_a_week:.1f} false a week")
            continue
        for at, recall in curve:
            if not math.isnan(recall):
                plot.dot(at, recall, 5, dot, f"{forecaster.name}: {recall:.0%} at {at:.1f} false actions a week")
    return svg(width, height, (plot,), "events foreseen by false actions a week")


def tradeoff_signs(verdict: Verdict) -> Legend:
    """Return the legend of `tradeoff`: signs, and the forecasters that they stand for."""
    return [(sign("dot", dot), forecaster.name) for forecaster, _, dot in _styled(verdict)]


def _styled(verdict: Verdict) -> list[tuple[Forecaster, str, str]]:
    kinds = {"persistence": ("theirs", "dot2"), "predict_linear": ("theirs", "dot3")}
    others = [(each, *kinds.get(each.name, ("theirs", "open"))) for each in verdict.others]
    return [(verdict.forestall, "mine", "dot"), *others]


def _frontier(curve: Sequence[tuple[float, float]], most: float) -> list[tuple[float, float]]:
    """Return, as steps, the best recall at no more than each number of false actions, up to `most`."""
    known = sorted((point for point in curve if not math.isnan(point[1])), key=lambda point: (point[0], -point[1]))
    if not known:
        return []
    best = 0.0
    result = [(0.0, 0.0)]
    for at, recall in known:
        if recall > best:
            result += [(at, best), (at, recall)]
            best = recall
    return [*result, (most, best)]


def calibration(verdict: Verdict) -> Markup:
    """Return what came by what was said: on the diagonal both are the same."""
    width, height = 380.0, 250.0
    plot = Plot(Axis(0, 1, _LEFT, width - _RIGHT), Axis(0, 1, height - 44, 24))
    plot.text(_LEFT, 14, "Calibration: what was said, and what came", kind="strong")
    plot.scale_values((0, 0.25, 0.5, 0.75, 1), "{:.0%}")
    plot.scale_shares((0, 0.25, 0.5, 0.75, 1), "{:.0%}")
    plot.text((_LEFT + width) / 2, height - 8, "probability that was said", "middle")
    plot.line(((0, 0), (1, 1)), "now")
    plot.line([(each.said, each.came) for each in verdict.calibration], "mine")
    most = max((each.count for each in verdict.calibration), default=1)
    for each in verdict.calibration:
        words = f"said {each.said:.0%}, came {each.came:.0%} of {plural(each.count, 'time')}"
        plot.dot(each.said, each.came, 3 + 5 * math.sqrt(each.count / most), "dot", words)
    return svg(width, height, (plot,), "calibration of the probabilities")


def _reach(values: Floats, limit: float) -> tuple[float, float]:
    """Return the range of an axis that shows the values and the limit, with some room."""
    low = min(float(values.min()), limit) if values.size else limit
    high = max(float(values.max()), limit) if values.size else limit
    room = 0.06 * (high - low) or 0.06 * abs(high) or 1.0
    return (low if 0 <= low < room else low - room), high + room


def _points(times: Floats, values: Floats) -> list[tuple[float, float]]:
    return list(zip(times.tolist(), values.tolist(), strict=True))


def _envelope(times: Floats, values: Floats) -> list[tuple[list[tuple[float, float]], list[tuple[float, float]]]]:
    """Return the highest and the lowest values in columns, as one pair of lines for each stretch without a gap."""
    column = np.minimum((np.arange(times.size) * _COLUMNS) // max(times.size, 1), _COLUMNS - 1)
    starts = np.flatnonzero(np.diff(column, prepend=-1))
    highest, lowest = np.fmax.reduceat(values, starts), np.fmin.reduceat(values, starts)
    at = times[starts]
    return [
        (
            _points(at[first : last + 1], highest[first : last + 1]),
            _points(at[first : last + 1], lowest[first : last + 1]),
        )
        for first, last in _stretches(np.isfinite(highest))
    ]


def _stretches(flags: np.ndarray) -> list[tuple[int, int]]:
    """Return the first and the last index of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    return [(int(first), int(last) - 1) for first, last in zip(edges[::2], edges[1::2], strict=True)]
