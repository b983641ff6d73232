"""The report of a simulation as one HTML file that needs nothing else: no network, no script."""

import html
from collections.abc import Sequence
from typing import Final

import numpy as np
import yaml

from forestall.backtest.draw import Axis, Plot, nice, svg
from forestall.backtest.page import STYLE
from forestall.core.duration import format_duration
from forestall.sim import recommend
from forestall.sim.compare import HPA, Comparison, Contestant
from forestall.sim.figures import Figures
from forestall.sim.traffic import Floats

_WIDTH, _LEFT, _HEIGHT = 960.0, 46.0, 190.0
_POINTS: Final = 900
"""So many points of a curve are drawn; of what lies between, the highest."""


def page(found: Comparison, notes: tuple[str, ...]) -> str:
    """Return the report."""
    minutes = found.service.traffic.minutes
    intro = (
        f"{format_duration(minutes * 60.0)} of traffic ({found.service.traffic.name}), on a modelled service: a "
        f"replica carries {found.service.terms.capacity:g} requests a second and serves "
        f"{format_duration(found.service.terms.start_up)} after it was asked for; between {found.service.least} and "
        f"{found.service.most} replicas; an HPA on CPU with a target of {found.target:.0%}. A minute is bad when less "
        f"than {found.objective:g} % of its requests were answered in time. A model: expect of the real service what "
        "is alike, not the same figures."
    )
    curves = "".join(_curve(found, each) for each in found.contestants)
    words = "".join(f"<li>{html.escape(each)}</li>" for each in notes)
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><title>forestall simulate</title>'
        f"<style>{STYLE}</style></head><body><h1>What would it have saved?</h1>"
        f'<p class="soft">{html.escape(intro)}</p>{_table(found)}<p>{html.escape(verdict(found))}</p>'
        f"<h2>Replicas over time</h2>"
        '<p class="soft key"><i style="background:var(--line)"></i>replicas '
        '<i style="background:var(--soft)"></i>needed '
        '<i style="background:var(--event);opacity:.5"></i>bad minutes</p>'
        f"{curves}{_recommended(found)}{f'<h2>Notes</h2><ul>{words}</ul>' if notes else ''}</body></html>\n"
    )


def verdict(found: Comparison) -> str:
    """Return what it comes to, in a sentence."""
    hpa = found.named(HPA).figures
    if found.best is None:
        return _keep(found, hpa)
    best = found.named(found.best).figures
    more = best.replica_hours / hpa.replica_hours - 1 if hpa.replica_hours else 0.0
    alike = (
        "no target of the HPA reaches that"
        if found.hpa_alike is None
        else f"an HPA that is as good (target {found.hpa_alike[0]:.0%}) needs {found.hpa_alike[1]:.1f} replica-hours"
    )
    return (
        f"Recommended: {found.best}. {best.bad_minutes} bad minutes instead of {hpa.bad_minutes}, for "
        f"{abs(more):.0%} {'more' if more >= 0 else 'fewer'} replica-hours than the HPA alone; {alike}."
    )


def _keep(found: Comparison, hpa: Figures) -> str:
    if found.hpa_alike is not None and found.hpa_alike[0] != found.target:
        target, hours = found.hpa_alike
        return (
            f"On this traffic an HPA is good enough: with a target of {target:.0%} it needs {hours:.1f} replica-hours, "
            f"and no policy has as few bad minutes for less. Keep the HPA, and set its target to {target:.0%}."
        )
    return (
        f"On this traffic the HPA is good enough: {hpa.bad_minutes} bad minutes, and no policy has fewer, or as "
        "many for less. Keep it."
    )


def policy(found: Comparison) -> str | None:
    """Return the recommended objective and policy as YAML; None where the HPA is good enough."""
    if found.recommended is None:
        return None
    name = "my-service"
    objects = (
        recommend.objective(found.service, found.recommended, name),
        {
            **(body := recommend.policy(found.service, found.recommended, name)),
            "spec": {**body["spec"], "mode": "Observe"},
        },
    )
    return yaml.safe_dump_all(objects, sort_keys=False)


def _table(found: Comparison) -> str:
    head = ("", "bad minutes", "error budget used", "replica-hours", "of the limit", "most replicas", "actions")
    rows = []
    for one in found.contestants:
        each = one.figures
        share = _times(each.replica_hours / found.limit) if found.limit else "-"
        first = [one.name, f"{each.bad_minutes}", f"{each.budget_used:.0%}", f"{each.replica_hours:.1f}", share]
        cells = [*first, f"{each.most_replicas}", f"{one.actions}"]
        rows.append(_row(cells, ' class="mine"' if one.name == found.best else ""))
    if found.limit:
        rows.append(_row(["the limit", "0", "0%", f"{found.limit:.1f}", _times(1.0), "-", "-"], ""))
    titles = "".join(f"<th>{cell}</th>" for cell in head)
    return f'<div class="wide"><table><tr>{titles}</tr>{"".join(rows)}</table></div>'


def _row(cells: Sequence[str], mark: str) -> str:
    return f"<tr{mark}>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>"


def _times(value: float) -> str:
    return f"{value:.2f}"


def _curve(found: Comparison, one: Contestant) -> str:
    start = found.service.traffic.at + found.service.traffic.start * 60.0
    end = start + 60.0 * len(one.replicas)
    top = max(float(one.replicas.max(initial=1)), float(found.needed.max(initial=1)))
    plot = Plot(Axis(start, end, _LEFT, _WIDTH - 10), Axis(0, top * 1.05, _HEIGHT - 30, 26))
    title = f"{one.name}: {one.figures.bad_minutes} bad minutes, {one.figures.replica_hours:.1f} replica-hours"
    plot.text(_LEFT, 16, title, kind="strong")
    plot.scale_values(nice(0, top, 4))
    plot.scale_times()
    for first, last in _stretches(one.bad):
        plot.stripe(start + 60 * first, start + 60 * last, "event")
    plot.line(_points(found.needed, start), "median")
    plot.line(_points(one.replicas, start), "value")
    return f'<div class="wide">{svg(_WIDTH, _HEIGHT, [plot], title)}</div>'


def _points(values: Floats, start: float) -> list[tuple[float, float]]:
    each = max(1, -(-len(values) // _POINTS))
    return [(start + 60 * n, float(values[n : n + each].max())) for n in range(0, len(values), each)]


def _stretches(bad: Floats) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0.0], bad, [0.0]))))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _recommended(found: Comparison) -> str:
    text = policy(found)
    if text is None:
        return ""
    return (
        "<h2>The recommended policy</h2><p>It only observes until its mode says otherwise: look at what it would do "
        f"first, and write your own names and queries into it.</p><pre>{html.escape(text)}</pre>"
    )
