"""The charts of a report: the whole history, single forecasts, recall by false actions, and calibration."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from forestall.backtest.history import Floats
from forestall.backtest.replay import SeriesTrack, TimeRange
from forestall.backtest.results import Assessment, ForecasterScore, ObjectiveResult
from forestall.core import score
from forestall.core.duration import format_duration
from forestall.core.forecast import SeriesForecast
from forestall.core.score import Integers
from forestall.core.wording import plural
from forestall.report.chart import Axis, Plot, legend_sign, round_values, svg
from forestall.report.formatting import clock, percent
from forestall.report.page import Legend

_WIDTH, _LEFT, _RIGHT = 760.0, 52.0, 12.0
_PAST = 3.0
"""Horizons of the past that the chart of a forecast shows."""
_BANDS = 190
"""Bands of a long series, each with a tooltip."""
_COLUMNS = 700
"""Columns in which a long series is drawn, each from its lowest to its highest value."""


@dataclass(frozen=True, slots=True)
class ForecastMoment:
    """The forecast of one series at one time, with its past and its actual values."""

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
        """End of the chart (s)."""
        return self.at + 1.25 * self.horizon

    def describe_forecast(self, at: float) -> str:
        """Return the forecast bounds for a future time in words; empty for the past."""
        ahead = at - self.at
        if not 0 < ahead <= self.horizon:
            return ""
        cone = self.cone()
        low, high = (float(np.interp(ahead, [p[0] for p in cone], [p[n] for p in cone])) for n in (1, 3))
        return f"; the most extreme until then: {low:.4g} to {high:.4g}"

    def cone(self) -> list[tuple[float, float, float, float]]:
        """Return seconds ahead with lower bound, median and upper bound, up to the horizon."""
        points = self.forecast.cone()
        ahead = [point[0] for point in points]
        low, mid, high = (float(np.interp(self.horizon, ahead, [point[n] for point in points])) for n in (1, 2, 3))
        return [*(point for point in points if point[0] < self.horizon), (self.horizon, low, mid, high)]


def value_ranges(tracks: Sequence[SeriesTrack]) -> dict[str, tuple[float, float]]:
    """Return, for each indicator, the range of all its series, so that they are drawn on the same axis."""
    result: dict[str, tuple[float, float]] = {}
    for track in tracks:
        low, high = _value_range(track.value[np.isfinite(track.value)], track.limit)
        before = result.get(track.indicator, (low, high))
        result[track.indicator] = min(low, before[0]), max(high, before[1])
    return result


def first_breaches(track: SeriesTrack, onsets: Integers) -> dict[int, int]:
    """Return the step at which this series first passes its limit in each event, mapped to the event's onset."""
    past = np.flatnonzero(score.past_limit(track.value, track.limit, above=track.above) == 1)
    ends = [*onsets.tolist(), track.value.size][1:]
    result = {}
    for onset, end in zip(onsets.tolist(), ends, strict=True):
        within = past[(past >= onset) & (past < end)]
        if within.size:
            result[int(within[0])] = onset
    return result


def timeline(
    result: ObjectiveResult, track: SeriesTrack, time_range: TimeRange, ranges: Mapping[str, tuple[float, float]]
) -> Markup:
    """Return the chart of one series' whole history: values, limit, events, actions, and the probability.

    `ranges`: the ranges of the vertical axes, by indicator.
    """
    times, height = time_range.times, 306.0
    axis = Axis(times[0], times[-1], _LEFT, _WIDTH - _RIGHT)
    low, high = ranges[track.indicator]
    upper = Plot(axis, Axis(low, high, 208, 24))
    upper.text(_LEFT, 14, track.title, kind="strong")
    upper.scale_values(round_values(low, high))
    upper.scale_times()
    for first, last in _stretches(score.past_limit(track.value, track.limit, above=track.above) == 1):
        upper.band(times[first], times[last], "event", f"past its limit from {clock(times[first])}")
    for part in _envelope(times, track.value):
        upper.area(*part, "envelope")
    upper.horizontal_line(track.limit, "limit", f"limit {track.limit:.4g}")
    _label_values(upper, track, times, time_range.step)
    _mark_events(upper, result, track, times, time_range.step)
    lower = Plot(axis, Axis(0.0, 1.0, 298, 252))
    lower.scale_values((0.0, 1.0), "{:.0%}")
    lower.text(_LEFT, 246, f"probability of passing the limit within {format_duration(track.horizon)}")
    for top, bottom in _envelope(times, np.nan_to_num(track.probability)):
        lower.area(top, [(at, 0.0) for at, _ in bottom], "chance")
    for policy in result.record.policies:
        lower.horizontal_line(policy.spec.when.probability, "now")
    return svg(_WIDTH, height, (upper, lower), f"{track.title} over the whole history, with events and actions")


def _label_values(plot: Plot, track: SeriesTrack, times: Floats, step: float) -> None:
    """Add tooltips with the values of a series."""
    size = -(-times.size // _BANDS)
    for first in range(0, times.size, size):
        part = slice(first, first + size)
        values, probabilities = track.value[part], track.probability[part]
        values, probabilities = values[np.isfinite(values)], probabilities[np.isfinite(probabilities)]
        text = "no data" if not values.size else _range(values, "{:.4g}".format)
        probability_text = f"; probability {_range(probabilities, percent)}" if probabilities.size else ""
        end = times[min(first + size, times.size - 1)]
        plot.tooltip(
            times[first], max(float(end), times[first] + step), f"{clock(times[first])}: {text}{probability_text}"
        )


def _range(values: Floats, form: Callable[[float], str]) -> str:
    low, high = form(float(values.min())), form(float(values.max()))
    return low if low == high else f"{low} to {high}"


def _mark_events(plot: Plot, result: ObjectiveResult, track: SeriesTrack, times: Floats, step: float) -> None:
    foreseen = {
        round(action.proposed.step + action.lead / step) for action in result.actions if action.outcome == "foreseen"
    }
    for at, onset in first_breaches(track, result.onsets).items():
        is_foreseen = onset in foreseen
        label = f"past its limit from {clock(times[at])}: {'after an' if is_foreseen else 'without an earlier'} action"
        plot.triangle(times[at], 17, "good" if is_foreseen else "missed", label, down=True)
    kinds = {"foreseen": "good", "in vain": "bad"}
    for action in result.actions:
        at = times[action.proposed.step]
        plot.vertical_line(at, "now")
        plot.triangle(
            at,
            208,
            kinds.get(action.outcome, "open"),
            f"{clock(at)} ({action.outcome}): {action.proposed.message}",
            down=False,
        )


def common_range(moments: Sequence[ForecastMoment]) -> tuple[float, float]:
    """Return the range of an axis that fits all these forecasts."""
    ranges = []
    for moment in moments:
        edges = [value for point in moment.cone() for value in point[1:] if math.isfinite(value)]
        values = moment.values[(moment.times <= moment.end) & np.isfinite(moment.values)]
        ranges.append(_value_range(np.concatenate((values, edges)), moment.limit))
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def moment_chart(moment: ForecastMoment, value_range: tuple[float, float] | None = None) -> Markup:
    """Return the chart of one forecast: the past, the cone of the highest (lowest) future value, and the actual values.

    `value_range`: of the vertical axis; by default that of this forecast.
    """
    height, width = 230.0, 380.0
    after, cone, end = moment.times > moment.at, moment.cone(), moment.end
    start = min(float(moment.times[0]), moment.at - _PAST * moment.horizon)
    low, high = value_range or common_range([moment])
    plot = Plot(Axis(start, end, _LEFT, width - _RIGHT), Axis(low, high, height - 26, 24))
    plot.text(_LEFT, 14, f"{moment.title}, {clock(moment.at)}", kind="strong")
    plot.scale_values(round_values(low, high, 4))
    plot.scale_times(max_ticks=4)
    plot.area([(moment.at + p[0], p[3]) for p in cone], [(moment.at + p[0], p[1]) for p in cone], "cone")
    plot.line([(moment.at + p[0], p[2]) for p in cone], "median")
    plot.line(_points(moment.times[~after], moment.values[~after]), "value")
    shown_after = after & (moment.times <= end)
    plot.line(_points(moment.times[shown_after], moment.values[shown_after]), "came")
    plot.horizontal_line(moment.limit, "limit", f"limit {moment.limit:.4g}")
    plot.vertical_line(moment.at, "now")
    plot.vertical_line(moment.at + moment.horizon, "now")
    step = float(np.diff(moment.times).min(initial=moment.horizon))
    for at, value in _points(moment.times, moment.values):
        if at <= end and math.isfinite(value):
            plot.tooltip(
                at - step / 2, min(at + step / 2, end), f"{clock(at)}: {value:.4g}{moment.describe_forecast(at)}"
            )
    return svg(width, height, (plot,), f"forecast of {moment.title} at {clock(moment.at)}")


def forecast_moment(track: SeriesTrack, time_range: TimeRange, step: int) -> ForecastMoment | None:
    """Return the recorded forecast of a series at or shortly before a step; None where there is none."""
    recent = [
        cone_step
        for cone_step in track.cones
        if cone_step <= step and (step - cone_step) * time_range.step <= track.horizon / 2
    ]
    if not recent:
        return None
    origin = max(recent)
    back = round(_PAST * track.horizon / time_range.step)
    part = slice(
        max(0, origin - back), min(time_range.steps, origin + round(1.3 * track.horizon / time_range.step) + 1)
    )
    return ForecastMoment(
        track.indicator,
        track.title,
        float(time_range.times[origin]),
        time_range.times[part],
        track.value[part],
        track.limit,
        track.above,
        track.horizon,
        track.cones[origin],
    )


def tradeoff_chart(assessment: Assessment) -> Markup:
    """Return the chart of recall over false actions a week, for all thresholds."""
    width, height, max_false_actions = 380.0, 250.0, 7.0
    plot = Plot(Axis(0, max_false_actions, _LEFT, width - _RIGHT), Axis(0, 1, height - 44, 24))
    plot.text(_LEFT, 14, "Events predicted, by false actions a week", kind="strong")
    plot.scale_values((0, 0.25, 0.5, 0.75, 1), "{:.0%}")
    plot.scale_shares(range(int(max_false_actions) + 1), "{:g}")
    plot.text((_LEFT + width) / 2, height - 8, "false actions a week", "middle")
    for forecaster, line, dot in _forecaster_styles(assessment):
        curve = [
            (point.false_a_week, point.recall) for point in forecaster.curve if point.false_a_week <= max_false_actions
        ]
        if len(forecaster.curve) > 1:
            plot.line(_frontier(curve, max_false_actions), line)
            best = forecaster.within[0]
            if best is not None and not math.isnan(best.recall):
                label = f"{forecaster.name}, threshold {best.threshold:g}: {percent(best.recall)} of the events"
                plot.dot(best.false_a_week, best.recall, 4, dot, f"{label}, {best.false_a_week:.1f} false a week")
            continue
        for at, recall in curve:
            if not math.isnan(recall):
                plot.dot(at, recall, 5, dot, f"{forecaster.name}: {recall:.0%} at {at:.1f} false actions a week")
    return svg(width, height, (plot,), "events predicted by false actions a week")


def tradeoff_legend(assessment: Assessment) -> Legend:
    """Return the legend of `tradeoff_chart`: a sign for each forecaster."""
    return [(legend_sign("dot", dot), forecaster.name) for forecaster, _, dot in _forecaster_styles(assessment)]


def _forecaster_styles(assessment: Assessment) -> list[tuple[ForecasterScore, str, str]]:
    kinds = {"persistence": ("theirs", "dot2"), "predict_linear": ("theirs", "dot3")}
    baselines = [(forecaster, *kinds.get(forecaster.name, ("theirs", "open"))) for forecaster in assessment.baselines]
    return [(assessment.forestall, "mine", "dot"), *baselines]


def _frontier(curve: Sequence[tuple[float, float]], maximum: float) -> list[tuple[float, float]]:
    """Return, as steps, the best recall for each number of false actions up to `maximum`."""
    points = sorted((point for point in curve if not math.isnan(point[1])), key=lambda point: (point[0], -point[1]))
    if not points:
        return []
    best = 0.0
    result = [(0.0, 0.0)]
    for at, recall in points:
        if recall > best:
            result += [(at, best), (at, recall)]
            best = recall
    return [*result, (maximum, best)]


def calibration_chart(assessment: Assessment) -> Markup:
    """Return the reliability diagram: observed frequency over forecast probability."""
    width, height = 380.0, 250.0
    plot = Plot(Axis(0, 1, _LEFT, width - _RIGHT), Axis(0, 1, height - 44, 24))
    plot.text(_LEFT, 14, "Calibration: forecast and observed", kind="strong")
    plot.scale_values((0, 0.25, 0.5, 0.75, 1), "{:.0%}")
    plot.scale_shares((0, 0.25, 0.5, 0.75, 1), "{:.0%}")
    plot.text((_LEFT + width) / 2, height - 8, "forecast probability", "middle")
    plot.line(((0, 0), (1, 1)), "now")
    plot.line([(group.forecast, group.observed) for group in assessment.calibration], "mine")
    largest = max((group.count for group in assessment.calibration), default=1)
    for group in assessment.calibration:
        label = f"forecast {group.forecast:.0%}, observed {group.observed:.0%} of {plural(group.count, 'time')}"
        plot.dot(group.forecast, group.observed, 3 + 5 * math.sqrt(group.count / largest), "dot", label)
    return svg(width, height, (plot,), "calibration of the probabilities")


def _value_range(values: Floats, limit: float) -> tuple[float, float]:
    """Return the range of an axis that shows the values and the limit, with a margin."""
    low = min(float(values.min()), limit) if values.size else limit
    high = max(float(values.max()), limit) if values.size else limit
    margin = 0.06 * (high - low) or 0.06 * abs(high) or 1.0
    return (low if 0 <= low < margin else low - margin), high + margin


def _points(times: Floats, values: Floats) -> list[tuple[float, float]]:
    return list(zip(times.tolist(), values.tolist(), strict=True))


def _envelope(times: Floats, values: Floats) -> list[tuple[list[tuple[float, float]], list[tuple[float, float]]]]:
    """Return the highest and the lowest values by column, as one pair of lines for each run without a gap."""
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
