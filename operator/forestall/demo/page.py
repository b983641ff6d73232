"""The HTML report of the demo: both runs side by side."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from forestall.demo.comparison import ScenarioComparison
from forestall.demo.figures import SLOT_S, is_bad, slots
from forestall.demo.scenario_run import ScenarioRun
from forestall.demo.scenarios import OBJECTIVE, Scenario
from forestall.demo.watcher import RunEvent
from forestall.report.chart import Axis, Plot, svg
from forestall.report.page import Table, render

_WIDTH, _LEFT, _GAP = 560.0, 46.0, 40.0
_HEIGHT, _TOP, _BETWEEN = 120.0, 40.0, 46.0
_BANDS = 60
"""Bands of a curve, each with a tooltip."""
_DRAWN = ("act", "release", "loss")
"""Kinds of events that are drawn, with a style of the same name."""

Curve = Sequence[tuple[float, float]]
"""Seconds of the run, and values."""


@dataclass(frozen=True, slots=True)
class _Diagram:
    """The content of one diagram of a run."""

    title: str
    maximum: float
    curves: Sequence[tuple[str, Curve]]
    """Style and points of each curve; the last has the measured values."""
    level: float | None = None
    """Value of a dashed line."""


def page(comparison: ScenarioComparison) -> str:
    """Return the HTML file."""
    scenario = comparison.scenario
    return render(
        "demo.html",
        title=f"forestall: {scenario.title}",
        command=f"forestall demo --scenario {scenario.name}{' --cluster nodes' if scenario.real else ''}",
        scenario=scenario,
        problem=comparison.problem,
        drawing=drawing(comparison),
        figures=Table(["", "without forestall", "with forestall"], [(row, False) for row in comparison.rows]),
        footnote=comparison.footnote,
    )


def drawing(comparison: ScenarioComparison) -> Markup:
    """Return the chart: a column for each run, a row for each diagram."""
    scenario = comparison.scenario
    runs = (("without forestall", comparison.without), ("with forestall", comparison.with_))
    columns = [_rows(scenario, run) for _, run in runs]
    tops = [max(rows[n].maximum for rows in columns) for n in range(len(columns[0]))]
    plots = []
    for column, (name, run) in enumerate(runs):
        left = _LEFT + column * (_WIDTH + _LEFT + _GAP)
        x = Axis(0.0, scenario.duration, left, left + _WIDTH)
        for n, row in enumerate(columns[column]):
            top = _TOP + n * (_HEIGHT + _BETWEEN)
            plot = Plot(x, Axis(0.0, tops[n], top + _HEIGHT, top))
            if n == 0:
                plot.text(left, 16, name, kind="strong large")
            _draw(plot, row, scenario, run)
            plots.append(plot)
    width = 2 * (_LEFT + _WIDTH) + _GAP + 10
    height = _TOP + len(tops) * (_HEIGHT + _BETWEEN)
    return svg(width, height, plots, f"{scenario.title}: without forestall and with it")


def _draw(plot: Plot, row: _Diagram, scenario: Scenario, run: ScenarioRun) -> None:
    for slot in slots(run.samples):
        if is_bad(slot, OBJECTIVE):
            plot.band(slot.start, slot.start + SLOT_S, "event")
    plot.text(plot.x.start, plot.y.end - 6, row.title)
    plot.frame()
    for value in (0.0, plot.y.high / 2, plot.y.high):
        plot.tick_y(value, _tick(value), grid=False)
    for n in range(5):
        at = scenario.duration * n / 4
        plot.tick_x(at, scenario.clock(at), ("start", "middle", "end")[(n > 0) + (n == 4)], grid=False)
    if row.level is not None:
        plot.horizontal_line(row.level, "level")
    for kind, points in row.curves:
        plot.line(points, kind)
    _values(plot, row.curves[-1][1], scenario)
    _actions(plot, run.record.events)


def _rows(scenario: Scenario, run: ScenarioRun) -> list[_Diagram]:
    samples, parts = run.samples, slots(run.samples)
    load = _rates(samples["arrivals"])
    good = [(slot.start + SLOT_S / 2, 100 * slot.good) for slot in parts if not math.isnan(slot.good)]
    pods = [(at, value) for at, value in zip(samples.times, samples["ready"], strict=True) if not math.isnan(value)]
    value = [
        (at, value)
        for at, value in zip(samples.times, samples[scenario.indicator], strict=True)
        if not math.isnan(value)
    ]
    return [
        _Diagram("requests a second", _top(load), [("value", load)]),
        _Diagram(f"good requests, % (objective: {OBJECTIVE:g})", 100, [("served", good)], OBJECTIVE),
        _Diagram("pods ready", _top(pods), [("value", pods)]),
        _Diagram(
            f"{scenario.indicator}, {scenario.unit} (dashed: limit; orange: upper bound of the forecast)",
            1.3 * max(_top(value), scenario.limit),
            [("bound", _bounds(scenario, run)), ("value", value)],
            scenario.limit,
        ),
    ]


def _rates(counter: Sequence[float], over: int = 3) -> list[tuple[float, float]]:
    """Return the rate of a counter with a sample each second, over `over` seconds."""
    pairs = ((n, (counter[n] - counter[n - over]) / over) for n in range(over, len(counter)))
    return [(n - over / 2, rate) for n, rate in pairs if rate >= 0]


def _bounds(scenario: Scenario, run: ScenarioRun) -> list[tuple[float, float]]:
    """Return the forecast bounds of the leading indicator, at times when it is the cause of the risk."""
    points = []
    for snapshot in run.record.snapshots:
        cause = snapshot.objective.status.cause if snapshot.objective else None
        if cause is not None and cause.indicator == scenario.indicator and snapshot.at >= 0:
            points.append((snapshot.at, _figure(cause.forecast)))
    return [point for point in points if math.isfinite(point[1])]


def _figure(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _top(points: Curve) -> float:
    return 1.1 * max((value for _, value in points), default=1.0) or 1.0


def _values(plot: Plot, points: Curve, scenario: Scenario) -> None:
    """Add tooltips with the values of a curve."""
    width = scenario.duration / _BANDS
    for n in range(_BANDS):
        values = [value for at, value in points if n * width <= at < (n + 1) * width]
        if values:
            low, high = _tick(min(values)), _tick(max(values))
            text = f"{scenario.clock(n * width)}: {low if low == high else f'{low} to {high}'}"
            plot.tooltip(n * width, (n + 1) * width, text)


def _actions(plot: Plot, events: Sequence[RunEvent]) -> None:
    for event in events:
        if event.at >= 0 and event.kind in _DRAWN:
            plot.vertical_line(event.at, event.kind, event.text)


def _tick(value: float) -> str:
    return f"{value:.0f}" if value >= 10 or value == 0 else f"{value:.2g}"
