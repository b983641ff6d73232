"""The report of a simulation: what its template shows, as values."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import yaml
from markupsafe import Markup

from forestall.core.duration import format_duration
from forestall.core.wording import plural
from forestall.report.chart import Axis, Plot, nice, sign, standalone, svg
from forestall.report.figures import clock, percent
from forestall.report.page import Legend, Table, render
from forestall.sim import recommend
from forestall.sim.chance import LIKELY
from forestall.sim.compare import HPA, Comparison, Contestant
from forestall.sim.figures import Figures
from forestall.sim.traffic import Floats

_WIDTH, _LEFT, _HEIGHT = 960.0, 46.0, 190.0
_POINTS: Final = 900
"""So many points of a curve are drawn; of what lies between, the highest."""
_BANDS: Final = 240
"""Bands of a curve that tell their values."""
_CURVES: Final = (
    ("line", "value", "replicas"),
    ("line", "needed", "needed to carry the traffic"),
    ("area", "event", "bad minutes"),
)
_KEY: Final[Legend] = [(sign(shape, kind), meaning) for shape, kind, meaning in _CURVES]


def page(found: Comparison, notes: tuple[str, ...], command: str = "") -> str:
    """Return the report; `command` is the command line that made it."""
    minutes = found.service.traffic.minutes
    intro = (
        f"{format_duration(minutes * 60.0)} of traffic ({found.service.traffic.name}), on a modelled service: a "
        f"replica carries {found.service.terms.capacity:g} requests a second and serves "
        f"{format_duration(found.service.terms.start_up)} after it was asked for; between {found.service.least} and "
        f"{found.service.most} replicas; an HPA on CPU with a target of {percent(found.target)}. A minute is bad when "
        f"less than {found.objective:g} % of its requests were answered in time. A model: expect of the real service "
        "what is alike, not the same figures."
    )
    return render(
        "simulate.html",
        title="forestall simulate",
        command=command,
        intro=intro,
        figures=_table(found),
        verdict=verdict(found),
        legend=_KEY,
        curves=[_curve(found, contestant) for contestant in found.contestants],
        policy=policy(found) or "",
        notes=notes,
    )


def drawing(found: Comparison) -> str:
    """Return a drawing as a file of its own: the HPA, and below it the policy that is recommended, or comes closest."""
    peer = found.named(HPA)
    rival = (
        found.named(found.best or found.thin or "")
        if found.best or found.thin
        else min(found.contestants[2:], key=lambda one: one.figures.bad_minutes)
    )
    plots = [_plot(found, one, n * _HEIGHT) for n, one in enumerate((peer, rival))]
    below = 2 * _HEIGHT + 6
    legend = Plot(plots[0].x, Axis(0, 1, below, below))
    legend.legend(_LEFT, below, _CURVES)
    words = f"{peer.name}: {plural(peer.figures.bad_minutes, 'bad minute')}; {rival.name}: {rival.figures.bad_minutes}"
    return standalone(svg(_WIDTH, below + 18, [*plots, legend], words))


def verdict(found: Comparison) -> str:
    """Return what it comes to, in sentences."""
    hpa = found.named(HPA)
    if found.best is None:
        return _keep(found, hpa.figures) if found.thin is None else _thin(found, found.named(found.thin), hpa.figures)
    best = found.named(found.best)
    alike = (
        "no target of the HPA reaches that"
        if found.hpa_alike is None
        else f"an HPA as good (target {percent(found.hpa_alike.target)}) needs {found.hpa_alike.replica_hours:.1f} "
        "replica-hours"
    )
    return (
        f"Recommended: {best.name}. {_instead(best.figures, hpa.figures)}; {alike}. With other hours like "
        f"these it would have {against_hpa(best)}, and be better than every HPA in {percent(found.surely or 0.0)} of "
        "the cases."
    )


def against_hpa(one: Contestant) -> str:
    """Return how many bad minutes fewer than the HPA's, as at another time of the same kind: `1 to 9 fewer`."""
    low, high = round(one.spared.low), round(one.spared.high)
    if low < 0 < high:
        return f"{-low} more to {high} fewer"
    word = "more" if low < 0 else "fewer"
    first, last = sorted((abs(low), abs(high)))
    return "as many" if last == 0 else f"{first} to {last} {word}" if first != last else f"{last} {word}"


def _instead(one: Figures, hpa: Figures) -> str:
    more = one.replica_hours / hpa.replica_hours - 1 if hpa.replica_hours else 0.0
    return (
        f"{plural(one.bad_minutes, 'bad minute')} instead of {hpa.bad_minutes}, for {percent(abs(more))} "
        f"{'more' if more >= 0 else 'fewer'} replica-hours than the HPA alone"
    )


def _thin(found: Comparison, one: Contestant, hpa: Figures) -> str:
    other = ""
    if found.hpa_alike is not None and found.hpa_alike.target != found.target:
        target, hours = percent(found.hpa_alike.target), found.hpa_alike.replica_hours
        other = f" An HPA with a target of {target} has as few, for {hours:.1f} replica-hours."
    return (
        f"Keep the HPA: the difference is thin. {one.name} has {_instead(one.figures, hpa)}; but with other hours like "
        f"these it would have {against_hpa(one)}, and be better than every HPA in {percent(found.surely or 0.0)} of "
        f"the cases only, which is too few to recommend it (below {percent(LIKELY)}). "
        f"More of the traffic tells more: a longer file, or a longer --last.{other}"
    )


def _keep(found: Comparison, hpa: Figures) -> str:
    if found.hpa_alike is not None and found.hpa_alike.target != found.target:
        target, hours = percent(found.hpa_alike.target), found.hpa_alike.replica_hours
        return (
            f"On this traffic an HPA is good enough: with a target of {target} it needs {hours:.1f} replica-hours, and "
            f"no policy has as few bad minutes for less. Keep the HPA, and set its target to {target}."
        )
    return (
        f"On this traffic the HPA is good enough: {plural(hpa.bad_minutes, 'bad minute')}, and no policy has fewer, or "
        "as many for less. Keep it."
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


def _table(found: Comparison) -> Table:
    head: tuple[str, ...] = (
        "",
        "bad minutes",
        "at another time, beside the HPA",
        "error budget used",
        "replica-hours",
        "times the least possible",
    )
    head += ("most replicas", "changes by forestall")
    rows: list[tuple[Sequence[str], bool]] = []
    for one in found.contestants:
        each = one.figures
        share = f"{each.replica_hours / found.limit:.2f} x" if found.limit else "-"
        beside = "-" if one.name == HPA else against_hpa(one)
        first = [one.name, f"{each.bad_minutes}", beside, _budget(each), f"{each.replica_hours:.1f}", share]
        rows.append(([*first, f"{each.most_replicas}", f"{one.actions}"], one.name == found.best))
    if found.limit:
        rows.append((["the least possible", "0", "-", percent(0), f"{found.limit:.1f}", "1.00 x", "-", "-"], False))
    return Table(head, rows)


def _curve(found: Comparison, one: Contestant) -> Markup:
    plot, size = _plot(found, one), -(-len(found.needed) // _BANDS)
    for first in range(0, len(found.needed), size):
        start = found.service.traffic.at + (found.service.traffic.start + first) * 60.0
        plot.over(start, min(start + 60 * size, plot.x.high), _values(found, one, first, size))
    return svg(_WIDTH, _HEIGHT, [plot], _title(one))


def _budget(figures: Figures) -> str:
    return figures.budget_in_words.replace("%", " %")


def _title(one: Contestant) -> str:
    each = one.figures
    return (
        f"{one.name}: {plural(each.bad_minutes, 'bad minute')} ({_budget(each)} of the error budget), "
        f"{each.replica_hours:.1f} replica-hours"
    )


def _plot(found: Comparison, one: Contestant, down: float = 0.0) -> Plot:
    """Return one of the contestants; all have the same axes, since they are there to be compared."""
    start = found.service.traffic.at + found.service.traffic.start * 60.0
    end = start + 60.0 * len(found.needed)
    most = max(
        float(values.max(initial=1)) for values in (found.needed, *(each.replicas for each in found.contestants))
    )
    plot = Plot(Axis(start, end, _LEFT, _WIDTH - 10), Axis(0, most * 1.05, down + _HEIGHT - 30, down + 26))
    plot.text(_LEFT, down + 16, _title(one), kind="strong")
    plot.text(_WIDTH - 10, down + 16, "replicas", "end")
    plot.scale_values(nice(0, most, 4))
    plot.scale_times()
    for first, last in _stretches(one.bad):
        plot.stripe(start + 60 * first, start + 60 * last, "event")
    plot.line(_points(found.needed, start), "needed")
    plot.line(_points(one.replicas, start), "value")
    return plot


def _values(found: Comparison, one: Contestant, first: int, size: int) -> str:
    part = slice(first, first + size)
    rates, bad = found.service.traffic.played[part], int(one.bad[part].sum())
    at = clock(found.service.traffic.at + (found.service.traffic.start + first) * 60.0)
    minutes = "minute" if len(rates) == 1 else f"{len(rates)} minutes"
    return (
        f"{at}, {minutes}: {one.replicas[part].max():.0f} replicas, {found.needed[part].max():.0f} needed for "
        f"{rates.max():.4g} requests a second; {bad} bad"
    )


def _points(values: Floats, start: float) -> list[tuple[float, float]]:
    each = max(1, -(-len(values) // _POINTS))
    return [(start + 60 * n, float(values[n : n + each].max())) for n in range(0, len(values), each)]


def _stretches(bad: Floats) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0.0], bad, [0.0]))))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
