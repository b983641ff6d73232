"""The HTML report of a simulation: the values that its template shows."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import yaml
from markupsafe import Markup

from forestall.core.duration import format_duration
from forestall.core.wording import plural
from forestall.report.chart import Axis, Plot, legend_sign, round_values, standalone, svg
from forestall.report.formatting import clock, percent
from forestall.report.page import Legend, Table, render
from forestall.sim import recommend
from forestall.sim.bootstrap import CONFIDENCE_LEVEL
from forestall.sim.compare import HPA, Comparison, ControllerResult, EquivalentAutoscaler
from forestall.sim.figures import ServiceFigures
from forestall.sim.traffic import Floats

_WIDTH, _LEFT, _HEIGHT = 960.0, 46.0, 190.0
_POINTS: Final = 900
"""Points of a curve; each is the maximum of its interval."""
_BANDS: Final = 240
"""Bands of a curve, each with a tooltip."""
_CURVES: Final = (
    ("line", "value", "replicas"),
    ("line", "needed", "replicas that the traffic needs"),
    ("area", "event", "bad minutes"),
)
_KEY: Final[Legend] = [(legend_sign(shape, kind), meaning) for shape, kind, meaning in _CURVES]


def page(comparison: Comparison, notes: tuple[str, ...], command: str = "") -> str:
    """Return the HTML report; `command` is the command line that wrote it."""
    service = comparison.service
    intro = (
        f"{format_duration(service.traffic.minutes * 60.0)} of traffic ({service.traffic.name}) on a modeled service. "
        f"A replica answers {service.parameters.capacity:g} requests a second, and serves "
        f"{format_duration(service.parameters.start_up)} after its request; there are {service.min_replicas} to "
        f"{service.max_replicas} replicas, and an HPA on CPU or KEDA "
        f"on the rate of requests with a target of {percent(comparison.target)}. A minute "
        f"is bad when less than {comparison.objective:g} % of its requests are answered in time. This is a model: "
        "expect similar behavior from your service, not the same figures."
    )
    return render(
        "simulate.html",
        title="forestall simulate",
        command=command,
        intro=intro,
        figures=_table(comparison),
        conclusion=conclusion(comparison),
        legend=_KEY,
        curves=[_curve(comparison, result) for result in comparison.results],
        policy=recommended_policy(comparison) or "",
        notes=notes,
    )


def comparison_chart(comparison: Comparison) -> str:
    """Return an SVG file: the HPA, and below it the recommended policy, or the one that comes closest."""
    hpa = comparison.result_of(HPA)
    other = (
        comparison.result_of(comparison.best or comparison.uncertain_policy or "")
        if comparison.best or comparison.uncertain_policy
        else min(comparison.results[2:], key=lambda result: result.figures.bad_minutes)
    )
    plots = [_plot(comparison, result, n * _HEIGHT) for n, result in enumerate((hpa, other))]
    below = 2 * _HEIGHT + 6
    legend = Plot(plots[0].x, Axis(0, 1, below, below))
    legend.legend(_LEFT, below, _CURVES)
    label = f"{hpa.name}: {plural(hpa.figures.bad_minutes, 'bad minute')}; {other.name}: {other.figures.bad_minutes}"
    return standalone(svg(_WIDTH, below + 18, [*plots, legend], label))


def conclusion(comparison: Comparison) -> str:
    """Return the conclusion in sentences."""
    hpa = comparison.result_of(HPA)
    if comparison.best is None:
        return (
            _explain_keep(comparison, hpa.figures)
            if comparison.uncertain_policy is None
            else _explain_uncertain(comparison, comparison.result_of(comparison.uncertain_policy), hpa.figures)
        )
    best = comparison.result_of(comparison.best)
    equivalent = "no target of an autoscaler alone reaches that"
    if comparison.equivalent is not None:
        equivalent = f"{_describe(comparison.equivalent)} is as good, for {comparison.equivalent.replica_hours:.1f}"
    return (
        f"Recommended: {best.name}. {_compare_with_hpa(best.figures, hpa.figures)}; {equivalent}. "
        f"{_describe_confidence(comparison, best)}.{_describe_over_hpa(comparison, best)}"
    )


def _describe(autoscaler: EquivalentAutoscaler) -> str:
    article = "an HPA" if autoscaler.name == HPA else autoscaler.name
    return f"{article} alone with a target of {percent(autoscaler.target)}"


def _describe_over_hpa(comparison: Comparison, best: ControllerResult) -> str:
    """Say what the best policy over the HPA reaches, where another autoscaler is recommended."""
    over_hpa = [result for result in comparison.results if result.name.startswith(f"{HPA} at ")]
    if not over_hpa or best in over_hpa:
        return ""
    closest = min(over_hpa, key=lambda result: (result.figures.bad_minutes, result.figures.replica_hours))
    return (
        f" Without KEDA: {closest.name} has {plural(closest.figures.bad_minutes, 'bad minute')}, for "
        f"{closest.figures.replica_hours:.1f} replica-hours instead of {best.figures.replica_hours:.1f}."
    )


def describe_savings(result: ControllerResult) -> str:
    """Return the confidence interval of the bad minutes saved compared with the HPA, as in `1 to 9 fewer`."""
    low, high = round(result.bad_minutes_saved.low), round(result.bad_minutes_saved.high)
    if low < 0 < high:
        return f"{-low} more to {high} fewer"
    word = "more" if low < 0 else "fewer"
    first, last = sorted((abs(low), abs(high)))
    return "as many" if last == 0 else f"{first} to {last} {word}" if first != last else f"{last} {word}"


def _describe_confidence(comparison: Comparison, result: ControllerResult) -> str:
    return (
        f"On resampled hours of this traffic it has {describe_savings(result)}, and is better than every autoscaler "
        f"alone in {percent(comparison.confidence or 0.0)} of the cases"
    )


def _compare_with_hpa(figures: ServiceFigures, hpa: ServiceFigures) -> str:
    increase = figures.replica_hours / hpa.replica_hours - 1 if hpa.replica_hours else 0.0
    return (
        f"{plural(figures.bad_minutes, 'bad minute')} instead of {hpa.bad_minutes}, for {percent(abs(increase))} "
        f"{'more' if increase >= 0 else 'fewer'} replica-hours than the HPA alone"
    )


def _explain_uncertain(comparison: Comparison, result: ControllerResult, hpa: ServiceFigures) -> str:
    other = ""
    if (autoscaler := _other_autoscaler(comparison)) is not None:
        other = f" As few bad minutes has {_describe(autoscaler)}, for {autoscaler.replica_hours:.1f} replica-hours."
    return (
        f"Keep the HPA: the difference is uncertain. {result.name} has {_compare_with_hpa(result.figures, hpa)}. "
        f"{_describe_confidence(comparison, result)}, which is too few to recommend it (below "
        f"{percent(CONFIDENCE_LEVEL)}). Simulate more traffic: a longer file, or a longer --last.{other}"
    )


def _other_autoscaler(comparison: Comparison) -> EquivalentAutoscaler | None:
    """Return the cheapest autoscaler alone that is as good, unless it is the HPA as it is."""
    autoscaler = comparison.equivalent
    if autoscaler is None or (autoscaler.name, autoscaler.target) == (HPA, comparison.target):
        return None
    return autoscaler


def _explain_keep(comparison: Comparison, hpa: ServiceFigures) -> str:
    if (autoscaler := _other_autoscaler(comparison)) is not None:
        is_hpa = autoscaler.name == HPA
        advice = (
            f"Keep the HPA, and set its target to {percent(autoscaler.target)}"
            if is_hpa
            else f"Use {autoscaler.name} with this target"
        )
        return (
            f"On this traffic {_describe(autoscaler)} is good enough: it needs {autoscaler.replica_hours:.1f} "
            f"replica-hours, and no policy has as few bad minutes for less. {advice}."
        )
    return (
        f"On this traffic the HPA is good enough: {plural(hpa.bad_minutes, 'bad minute')}, and no policy has fewer, or "
        "as many for less. Keep it."
    )


def recommended_policy(comparison: Comparison) -> str | None:
    """Return the recommended objective and policy as YAML; None where the HPA is good enough."""
    if comparison.recommended is None:
        return None
    name = "my-service"
    objects = (
        recommend.objective(comparison.service, comparison.recommended, name),
        {
            **(body := recommend.policy(comparison.service, comparison.recommended, name)),
            "spec": {**body["spec"], "mode": "Observe"},
        },
    )
    return yaml.safe_dump_all(objects, sort_keys=False)


def _table(comparison: Comparison) -> Table:
    head: tuple[str, ...] = (
        "",
        "bad minutes",
        "compared with the HPA",
        "error budget used",
        "replica-hours",
        "times the least possible",
    )
    head += ("most replicas", "changes by forestall")
    rows: list[tuple[Sequence[str], bool]] = []
    for result in comparison.results:
        figures = result.figures
        share = f"{figures.replica_hours / comparison.lower_bound:.2f} x" if comparison.lower_bound else "-"
        beside = "-" if result.name == HPA else describe_savings(result)
        first = [result.name, f"{figures.bad_minutes}", beside, _budget(figures), f"{figures.replica_hours:.1f}", share]
        rows.append(([*first, f"{figures.most_replicas}", f"{result.actions}"], result.name == comparison.best))
    if comparison.lower_bound:
        rows.append(
            (["the least possible", "0", "-", percent(0), f"{comparison.lower_bound:.1f}", "1.00 x", "-", "-"], False)
        )
    return Table(head, rows)


def _curve(comparison: Comparison, result: ControllerResult) -> Markup:
    plot, size = _plot(comparison, result), -(-len(comparison.needed) // _BANDS)
    for first in range(0, len(comparison.needed), size):
        start = comparison.service.traffic.at + (comparison.service.traffic.start + first) * 60.0
        plot.tooltip(start, min(start + 60 * size, plot.x.high), _values(comparison, result, first, size))
    return svg(_WIDTH, _HEIGHT, [plot], _title(result))


def _budget(figures: ServiceFigures) -> str:
    return figures.budget_text.replace("%", " %")


def _title(result: ControllerResult) -> str:
    figures = result.figures
    return (
        f"{result.name}: {plural(figures.bad_minutes, 'bad minute')} ({_budget(figures)} of the error budget), "
        f"{figures.replica_hours:.1f} replica-hours"
    )


def _plot(comparison: Comparison, result: ControllerResult, down: float = 0.0) -> Plot:
    """Return the plot of one result; all have the same axes, to compare them."""
    start = comparison.service.traffic.at + comparison.service.traffic.start * 60.0
    end = start + 60.0 * len(comparison.needed)
    maximum = max(
        float(values.max(initial=1))
        for values in (comparison.needed, *(other.replicas for other in comparison.results))
    )
    plot = Plot(Axis(start, end, _LEFT, _WIDTH - 10), Axis(0, maximum * 1.05, down + _HEIGHT - 30, down + 26))
    plot.text(_LEFT, down + 16, _title(result), kind="strong")
    plot.text(_WIDTH - 10, down + 16, "replicas", "end")
    plot.scale_values(round_values(0, maximum, 4))
    plot.scale_times()
    for first, last in _stretches(result.bad):
        plot.band(start + 60 * first, start + 60 * last, "event")
    plot.line(_points(comparison.needed, start), "needed")
    plot.line(_points(result.replicas, start), "value")
    return plot


def _values(comparison: Comparison, result: ControllerResult, first: int, size: int) -> str:
    part = slice(first, first + size)
    rates, bad = comparison.service.traffic.simulated[part], int(result.bad[part].sum())
    at = clock(comparison.service.traffic.at + (comparison.service.traffic.start + first) * 60.0)
    minutes = "minute" if len(rates) == 1 else f"{len(rates)} minutes"
    return (
        f"{at}, {minutes}: {result.replicas[part].max():.0f} replicas, {comparison.needed[part].max():.0f} needed for "
        f"{rates.max():.4g} requests a second; {bad} bad"
    )


def _points(values: Floats, start: float) -> list[tuple[float, float]]:
    minutes_per_point = max(1, -(-len(values) // _POINTS))
    return [
        (start + 60 * n, float(values[n : n + minutes_per_point].max()))
        for n in range(0, len(values), minutes_per_point)
    ]


def _stretches(bad: Floats) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0.0], bad, [0.0]))))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
