"""Fronts: what each controller reaches with its best settings, compared and drawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from forestall.report.chart import Axis, Plot, round_values, standalone, svg

Front = list[tuple[float, float]]
"""Replica-hours as a multiple of the limit, and bad minutes a day: the first rise while the second fall."""

_WIDTH, _HEIGHT, _MARGIN = 420.0, 260.0, 46.0
_LINES = ("mine", "theirs", "median", "limit", "came", "axis")


def front(points: Iterable[tuple[float, float]]) -> Front:
    """Return the points that no other one beats in both."""
    best: Front = []
    for hours, bad in sorted(points):
        if not best or bad < best[-1][1]:
            best.append((hours, bad))
    return best


def bad_at(one: Front, hours: float) -> float:
    """Return the bad minutes at so many replica-hours, straight between the points; infinite left of the first."""
    if hours < one[0][0]:
        return float("inf")
    return float(np.interp(hours, [h for h, _ in one], [b for _, b in one]))


def hours_at(one: Front, bad: float) -> float:
    """Return the replica-hours at which no more than so many minutes are bad; infinite where it never gets there."""
    if bad < one[-1][1]:
        return float("inf")
    if bad >= one[0][1]:
        return one[0][0]
    return float(np.interp(-bad, [-b for _, b in one], [h for h, _ in one]))


def picture(title: str, fronts: Sequence[tuple[str, Front]]) -> tuple[float, float, list[Plot]]:
    """Return the drawing of some fronts: bad minutes a day over replica-hours, the first line strong."""
    most = max((bad for _, one in fronts[:3] for _, bad in one), default=1.0)
    top = float(np.log10(1 + max(most, 1.0)))
    reached = [hours_at(one, 1.0) for _, one in fronts[:3] if one and one[-1][1] <= 1.0]
    high = max([2.0, *reached])
    plot = Plot(Axis(1.0, min(high * 1.05, 4.5), _MARGIN, _WIDTH - 10), Axis(0.0, top, _HEIGHT - _MARGIN, 26.0))
    plot.text(_MARGIN, 16, title, kind="strong")
    for value in (0, 1, 3, 10, 30, 100, 300, 1000):
        if np.log10(1 + value) <= top:
            plot.tick_y(float(np.log10(1 + value)), str(value))
    plot.scale_shares(round_values(1.0, plot.x.high, 6), "{:.2g} x")
    for number, (name, one) in enumerate(fronts):
        inside = [(hours, bad) for hours, bad in one if hours <= plot.x.high]
        if not inside:
            continue
        kind = _LINES[min(number, len(_LINES) - 1)]
        plot.line([(hours, float(np.log10(1 + bad))) for hours, bad in inside], kind)
        for hours, bad in inside:
            radius = 3.0 if number == 0 else 2.0
            dot = ("dot", "dot2", "dot3")[min(number, 2)]
            plot.dot(hours, float(np.log10(1 + bad)), radius, dot, f"{name}: {bad:.1f} bad, {hours:.2f} x")
    return _WIDTH, _HEIGHT, [plot]


def write(path: Path, title: str, fronts: Sequence[tuple[str, Front]]) -> None:
    """Write the drawing as an SVG file."""
    width, height, plots = picture(title, fronts)
    path.write_text(standalone(svg(width, height, plots, title)), encoding="utf-8")
