"""The two runs side by side as one HTML file with a drawing in it, which needs nothing else."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from forestall.backtest.document import chart, document, table
from forestall.demo.comparison import Comparison
from forestall.demo.figures import SLOT_S, is_bad, slots
from forestall.demo.play import Run
from forestall.demo.scenarios import OBJECTIVE, Scenario
from forestall.demo.watching import News

_WIDTH, _LEFT, _GAP = 560, 46, 40
_HEIGHT, _TOP, _BETWEEN = 120, 40, 46
_BANDS = 60
"""Bands of a curve that tell their values."""


@dataclass(frozen=True, slots=True)
class Plot:
    """One small diagram: curves over the time of a run."""

    title: str
    most: float
    curves: Sequence[tuple[str, Sequence[tuple[float, float]]]]
    """Colour, and points: seconds of the run and value."""
    level: float | None = None
    """A dashed line."""


def page(comparison: Comparison) -> str:
    """Return the HTML file."""
    one = comparison.scenario
    problem = comparison.problem
    warning = f'<p class="problem">Not valid: {html.escape(problem)}.</p>' if problem else ""
    body = (
        f"<h1>{html.escape(one.title)}</h1><p>{html.escape(one.story)}</p>{warning}{chart(drawing(comparison))}"
        '<p class="soft">Red: less than the objective was good. Lines: what the operator changed. The time is of the '
        "recorded day, and each row has one scale.</p>"
        f"{table(['', 'without forestall', 'with forestall'], [(row, False) for row in comparison.rows])}"
        f'<p class="soft">{html.escape(comparison.footnote)}</p>'
    )
    return document(f"forestall: {one.title}", body, f"forestall demo --scenario {one.name}")


def drawing(comparison: Comparison) -> str:
    """Return the drawing as SVG: a column a run, a row a plot."""
    one = comparison.scenario
    runs = (("without forestall", comparison.without), ("with forestall", comparison.with_))
    columns = [_plots(one, run) for _, run in runs]
    tops = [max(plots[n].most for plots in columns) for n in range(len(columns[0]))]
    parts = []
    for column, (name, run) in enumerate(runs):
        x = _LEFT + column * (_WIDTH + _LEFT + _GAP)
        parts.append(f'<text x="{x}" y="16" font-weight="bold" font-size="15">{name}</text>')
        for n, plot in enumerate(columns[column]):
            frame = _Frame(x, _TOP + n * (_HEIGHT + _BETWEEN), one.duration, tops[n])
            parts.append(
                _bad(frame, run) + frame.draw(plot, one) + _values(frame, plot, one) + _actions(frame, run.record.news)
            )
    width = 2 * (_LEFT + _WIDTH) + _GAP + 10
    height = _TOP + len(tops) * (_HEIGHT + _BETWEEN)
    return f'<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">{"".join(parts)}</svg>'


def _plots(scenario: Scenario, run: Run) -> list[Plot]:
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
        Plot("requests a second", _top(load), [("#3b6fd4", load)]),
        Plot(f"good requests, % (promised: {OBJECTIVE:g})", 100, [("#2e8b57", good)], OBJECTIVE),
        Plot("pods ready", _top(pods), [("#3b6fd4", pods)]),
        Plot(
            f"{scenario.indicator}, {scenario.unit} (dashed: the limit; orange: up to where the forecast goes)",
            1.3 * max(_top(value), scenario.limit),
            [("#d48a3b", _bounds(scenario, run)), ("#3b6fd4", value)],
            scenario.limit,
        ),
    ]


def _rates(counter: Sequence[float], over: int = 3) -> list[tuple[float, float]]:
    """Return the increase a second of a counter that has a sample each second, over `over` seconds."""
    pairs = ((n, (counter[n] - counter[n - over]) / over) for n in range(over, len(counter)))
    return [(n - over / 2, rate) for n, rate in pairs if rate >= 0]


def _bounds(scenario: Scenario, run: Run) -> list[tuple[float, float]]:
    """Return up to where the operator forecast the leading indicator to go, whenever that was what endangered most."""
    points = []
    for glimpse in run.record.glimpses:
        cause = glimpse.objective.status.cause if glimpse.objective else None
        if cause is not None and cause.indicator == scenario.indicator and glimpse.at >= 0:
            points.append((glimpse.at, _figure(cause.forecast)))
    return [point for point in points if math.isfinite(point[1])]


def _figure(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _top(points: Sequence[tuple[float, float]]) -> float:
    return 1.1 * max((value for _, value in points), default=1.0) or 1.0


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where a plot is on the page, and how its values become places there."""

    left: float
    top: float
    duration: float
    most: float

    def x(self, at: float) -> float:
        return self.left + _WIDTH * min(max(at / self.duration, 0.0), 1.0)

    def y(self, value: float) -> float:
        return self.top + _HEIGHT * (1 - min(max(value / self.most, 0.0), 1.0))

    def draw(self, plot: Plot, scenario: Scenario) -> str:
        bottom = self.top + _HEIGHT
        parts = [
            f'<text x="{self.left}" y="{self.top - 6}">{html.escape(plot.title)}</text>',
            f'<path d="M{self.left},{self.top}V{bottom}H{self.left + _WIDTH}" fill="none" stroke="#8b95a5"/>',
        ]
        for value in (0.0, self.most / 2, self.most):
            y = self.y(value) + 4
            parts.append(f'<text x="{self.left - 6}" y="{y:.0f}" text-anchor="end">{_tick(value)}</text>')
        for n in range(5):
            at = self.duration * n / 4
            anchor = ("start", "middle", "end")[(n > 0) + (n == 4)]
            clock = scenario.clock(at)
            parts.append(f'<text x="{self.x(at):.0f}" y="{bottom + 15}" text-anchor="{anchor}">{clock}</text>')
        if plot.level is not None:
            y = self.y(plot.level)
            parts.append(
                f'<path d="M{self.left},{y:.1f}H{self.left + _WIDTH}" stroke="#8b95a5" stroke-dasharray="4 3"/>'
            )
        for colour, points in plot.curves:
            if points:
                path = "L".join(f"{self.x(at):.1f},{self.y(value):.1f}" for at, value in points)
                parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
        return "".join(parts)


def _values(frame: _Frame, plot: Plot, scenario: Scenario) -> str:
    """Tell the values of the last curve, which is what was measured, to whoever points at them; it takes no script."""
    width = scenario.duration / _BANDS
    parts = []
    for n in range(_BANDS):
        values = [value for at, value in plot.curves[-1][1] if n * width <= at < (n + 1) * width]
        if values:
            low, high = _tick(min(values)), _tick(max(values))
            words = f"{scenario.clock(n * width)}: {low if low == high else f'{low} to {high}'}"
            parts.append(
                f'<rect x="{frame.x(n * width):.1f}" y="{frame.top}" width="{_WIDTH / _BANDS:.1f}" height="{_HEIGHT}" '
                f'class="over" fill="transparent"><title>{words}</title></rect>'
            )
    return "".join(parts)


def _bad(frame: _Frame, run: Run) -> str:
    width = frame.x(SLOT_S) - frame.x(0)
    return "".join(
        f'<rect x="{frame.x(slot.start):.1f}" y="{frame.top}" width="{width:.1f}" height="{_HEIGHT}" fill="#e5484d33"/>'
        for slot in slots(run.samples)
        if is_bad(slot, OBJECTIVE)
    )


def _actions(frame: _Frame, news: Sequence[News]) -> str:
    return "".join(
        f'<path d="M{frame.x(each.at):.1f},{frame.top}v{_HEIGHT}" stroke="{colour}" stroke-dasharray="2 2">'
        f"<title>{html.escape(each.text)}</title></path>"
        for each in news
        if each.at >= 0 and (colour := {"act": "#7b4fd0", "release": "#c98a00"}.get(each.kind))
    )


def _tick(value: float) -> str:
    return f"{value:.0f}" if value >= 10 or value == 0 else f"{value:.2g}"
