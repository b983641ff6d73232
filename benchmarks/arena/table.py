"""The figures of the fronts, as JSON data and as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from benchmarks.arena.controller_runs import CONTROLLERS, OVER_HPA, OVER_KEDA, SETTINGS, Point
from benchmarks.arena.fronts import Front, bad_at, front, hours_at

HEAD = (
    "ratio: bad minutes of forestall over an autoscaler, over those of this autoscaler alone at equal replica-hours "
    "(median over its front);\nat N: replica-hours as a multiple of the least possible with at most N bad minutes a "
    "day; H: HPA, K: KEDA, +: with forestall;\nabove: controllers with fewer bad minutes than forestall over either\n\n"
    f"{'traffic':10} {'delay':>5}  {'ratio H':>7} {'K':>5}  {'at 1: H':>7} {'K':>5} {'H+':>5} {'K+':>5}  "
    f"{'at 5: H':>7} "
    f"{'K':>5} {'H+':>5} {'K+':>5}  {'at 20: H':>8} {'K':>5} {'H+':>5} {'K+':>5}  {'changes H':>9} {'K':>5} {'H+':>5} "
    f"{'K+':>5}  {'undone H':>8} {'K':>5} {'H+':>5} {'K+':>5}  above"
)
LEVELS = (1.0, 5.0, 20.0)
"""Bad minutes a day at which replica-hours are compared."""
_OVER = {"HPA": OVER_HPA, "KEDA": OVER_KEDA}
"""By autoscaler: forestall over it."""
_CLOSE = 0.5
"""Bad minutes a day that a front may lie above another one and still count as equal."""


def results(points: Sequence[Point], limits: Mapping[tuple[str, float], float]) -> list[dict[str, Any]]:
    """Return the figures of each traffic and start-up delay."""
    return [_result(points, traffic, delay, hours) for (traffic, delay), hours in limits.items()]


def _result(points: Sequence[Point], traffic: str, delay: float, lower_bound: float) -> dict[str, Any]:
    selected = [point for point in points if (point.traffic, point.start_up) == (traffic, delay)]
    fronts = {
        name: front((point.figures.replica_hours / lower_bound, point.figures.bad_minutes_per_day) for point in group)
        for name in (*SETTINGS, *CONTROLLERS)
        if (group := [point for point in selected if point.controller == name])
    }
    ours = front((*fronts[OVER_HPA], *fronts[OVER_KEDA]))
    return {
        "traffic": traffic,
        "startUp": delay,
        "limitReplicaHours": lower_bound,
        "atEqualHours": {name: _ratio(ours, fronts[name]) for name in CONTROLLERS}
        | {f"{name} alone": _ratio(fronts[over], fronts[name]) for name, over in _OVER.items()},
        "atAutoscalersPoints": {
            name: [
                {"hours": hours, "alone": bad, "ours": _finite(bad_at(fronts[over], hours))}
                for hours, bad in fronts[name]
            ]
            for name, over in _OVER.items()
        },
        "hoursAtEqualBad": {
            f"{level:g}": {name: _finite(hours_at(curve, level)) for name, curve in fronts.items()} for level in LEVELS
        },
        "above": {name: above for name in CONTROLLERS if (above := _above(ours, fronts[name])) > 0},
        "changesADay": {
            name: float(np.median([point.figures.changes_per_day for point in selected if point.controller == name]))
            for name in fronts
        },
        "undoneShare": {name: _undone([point for point in selected if point.controller == name]) for name in fronts},
        "fronts": fronts,
    }


def _ratio(ours: Front, other: Front) -> float | None:
    """Return the median ratio of bad minutes to the other front's, at all points of both; None without bad minutes."""
    pairs = [(bad_at(ours, hours), bad_at(other, hours)) for hours, _ in (*ours, *other)]
    ratios = [mine / bad for mine, bad in pairs if np.isfinite(mine) and np.isfinite(bad) and bad >= 1.0]
    return float(np.median(ratios)) if ratios else None


def _above(ours: Front, other: Front) -> float:
    """Return the largest excess of bad minutes a day over the other front, at the other's points."""
    worst = max((bad_at(ours, hours) - bad for hours, bad in other if hours >= ours[0][0]), default=0.0)
    return float(worst) if worst > _CLOSE else 0.0


def _undone(points: Sequence[Point]) -> float:
    ups = sum(point.figures.ups + point.figures.downs for point in points)
    return sum(point.figures.undone for point in points) / ups if ups else 0.0


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Return the lines of the table."""
    shown = (*_OVER, *_OVER.values())
    for row in rows:
        hours, ratios = row["hoursAtEqualBad"], row["atEqualHours"]
        parts = [f"{row['traffic']:10} {row['startUp']:5.0f}  {_format(ratios['HPA alone']):>7}"]
        parts.append(f" {_format(ratios['KEDA alone']):>5}  ")
        for level, width in ((1, 7), (5, 7), (20, 8)):
            first, *others = (_format(hours[f"{level}"][name]) for name in shown)
            parts.append(f"{first:>{width}} " + " ".join(f"{value:>5}" for value in others) + "  ")
        for values, width, style in ((row["changesADay"], 9, ".0f"), (row["undoneShare"], 8, ".1%")):
            first, *others = (format(values[name], style) for name in shown)
            parts.append(f"{first:>{width}} " + " ".join(f"{value:>5}" for value in others) + "  ")
        parts.append(", ".join(f"{name} {by:.1f}" for name, by in row["above"].items()) or "-")
        yield "".join(parts)


def _format(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
