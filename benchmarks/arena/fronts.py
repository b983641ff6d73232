"""Pareto fronts of controllers over their settings, compared and drawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from forestall.report.chart import Axis, Plot, round_values, standalone, svg

Front = list[tuple[float, float]]
"""Replica-hours as a multiple of the least possible, and bad minutes a day: the first rise while the second fall."""

_WIDTH, _HEIGHT, _MARGIN = 420.0, 260.0, 46.0
_LINES = ("mine", "theirs", "median", "limit", "came", "axis")


def front(points: Iterable[tuple[float, float]]) -> Front:
    """Return the points that no other point beats in both."""
    best: Front = []
    for hours, bad in sorted(points):
        if not best or bad < best[-1][1]:
            best.append((hours, bad))
    return best


def bad_at(curve: Front, hours: float) -> float:
    """Return the bad minutes at `hours`, interpolated linearly; infinite below the first point."""
    if hours < curve[0][0]:
        return float("inf")
    return float(np.interp(hours, [h for h, _ in curve], [b for _, b in curve]))


def hours_at(curve: Front, bad: float) -> float:
    """Return the replica-hours with at most `bad` bad minutes; infinite where the front does not reach them."""
    if bad < curve[-1][1]:
        return float("inf")
    if bad >= curve[0][1]:
        return curve[0][0]
    return float(np.interp(-bad, [-b for _, b in curve], [h for h, _ in curve]))


def chart(title: str, fronts: Sequence[tuple[str, Front]]) -> tuple[float, float, list[Plot]]:
    """Return the chart of fronts: bad minutes a day over replica-hours, the first line emphasized."""
    max_bad = max((bad for _, curve in fronts[:3] for _, bad in curve), default=1.0)
    top = float(np.log10(1 + max(max_bad, 1.0)))
    reached = [hours_at(curve, 1.0) for _, curve in fronts[:3] if curve and curve[-1][1] <= 1.0]
    high = max([2.0, *reached])
    plot = Plot(Axis(1.0, min(high * 1.05, 4.5), _MARGIN, _WIDTH - 10), Axis(0.0, top, _HEIGHT - _MARGIN, 26.0))
    plot.text(_MARGIN, 16, title, kind="strong")
    for value in (0, 1, 3, 10, 30, 100, 300, 1000):
        if np.log10(1 + value) <= top:
            plot.tick_y(float(np.log10(1 + value)), str(value))
    plot.scale_shares(round_values(1.0, plot.x.high, 6), "{:.2g} x")
    for number, (name, curve) in enumerate(fronts):
        visible = [(hours, bad) for hours, bad in curve if hours <= plot.x.high]
        if not visible:
            continue
        kind = _LINES[min(number, len(_LINES) - 1)]
        plot.line([(hours, float(np.log10(1 + bad))) for hours, bad in visible], kind)
        for hours, bad in visible:
            radius = 3.0 if number == 0 else 2.0
            dot = ("dot", "dot2", "dot3")[min(number, 2)]
            plot.dot(hours, float(np.log10(1 + bad)), radius, dot, f"{name}: {bad:.1f} bad, {hours:.2f} x")
    return _WIDTH, _HEIGHT, [plot]


def write(path: Path, title: str, fronts: Sequence[tuple[str, Front]]) -> None:
    """Write the chart as an SVG file."""
    width, height, plots = chart(title, fronts)
    path.write_text(standalone(svg(width, height, plots, title)), encoding="utf-8")
