"""`forestall simulate`: what would it have saved? The same engine, on a modeled service with real traffic."""

from __future__ import annotations

import asyncio
import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from forestall.backtest import manifests
from forestall.cli import options
from forestall.cli.asking import SourceOptions, metrics_of, prometheus_options
from forestall.cli.backtest import duration_option, progress, writable_option, write
from forestall.cli.command_line import command_line
from forestall.cli.output import console, table
from forestall.core.duration import format_duration
from forestall.errors import InvalidInput, MetricsError
from forestall.ports import Query, QueryFailure, RangeSeries
from forestall.sim import traffic_input
from forestall.sim.compare import HPA, Comparison, compare
from forestall.sim.page import comparison_chart, conclusion, describe_savings, page, recommended_policy
from forestall.sim.run import SimulatedService
from forestall.sim.service import ServiceParameters
from forestall.sim.traffic import MINUTE
from forestall.sim.user_objects import UserObjects, read_user_objects

if TYPE_CHECKING:
    from forestall.cli.app import State
    from forestall.ports import Metrics
    from forestall.sim.traffic import TrafficTrace

_FILE = click.Path(path_type=Path)
_NEW_FILE = click.Path(path_type=Path, dir_okay=False)
_DAY: Final = 86400.0
_FETCHED: Final = 8 * _DAY
"""Seconds of a metric source that are read where nothing else is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulateOptions(SourceOptions):
    """What `forestall simulate` was told; durations are seconds."""

    file: Path | None
    query: str | None
    files: tuple[Path, ...]
    capacity: float | None
    start_up: float | None
    warm_up: float | None
    hpa_target: float
    replicas: int | None
    least: int
    max_replicas: int | None
    objective: float | None
    last: float | None
    interval: float | None
    report: Path | None
    svg: Path | None
    form: Literal["json", "policy"] | None
    namespace: str | None

    def check(self) -> None:
        """Refuse options that do not go together.

        Raises:
            click.UsageError: they contradict each other, or something is missing.
        """
        if bool(self.file) == bool(self.url):
            raise click.UsageError("say where the traffic is, by --traffic or by --prometheus, not by both")
        if bool(self.url) != bool(self.query):
            raise click.UsageError("--prometheus and --query go together")


@click.command
@click.option(
    "--traffic",
    "file",
    type=_FILE,
    help="CSV with time and requests a second, as Grafana exports it too; or Prometheus JSON.",
)
@prometheus_options("The URL of a Prometheus that has the traffic.")
@click.option("--query", help="With --prometheus: a query for the requests a second, as one series.")
@click.option("-f", "--filename", "files", type=_FILE, multiple=True, help="YAML with your objective and policy.")
@click.option("--capacity", type=float, help="Requests a second that one replica answers in time.")
@click.option(
    "--start-up", callback=duration_option, metavar="DURATION", help="From asked for to serving; 1m by default."
)
@click.option("--warm-up", callback=duration_option, metavar="DURATION", help="After that, until it is at full speed.")
@click.option(
    "--hpa-target",
    type=click.FloatRange(0.05, 1.0),
    default=0.7,
    show_default=True,
    help="CPU utilization that the HPA aims at, as a share of the request.",
)
@click.option(
    "--replicas", type=click.IntRange(min=1), help="At the beginning; by default what the first minute needs."
)
@click.option("--min", "least", type=click.IntRange(min=1), default=2, show_default=True, help="Replicas at least.")
@click.option(
    "--max", "most", type=click.IntRange(min=1), help="Replicas at most; by default twice what the peak needs."
)
@click.option(
    "--objective",
    type=click.FloatRange(1, 100, min_open=True, max_open=True),
    help="In percent; 99, or that of -f, by default.",
)
@click.option(
    "--last", callback=duration_option, metavar="DURATION", help="So much of the end is simulated, such as 1d."
)
@click.option(
    "--interval",
    callback=duration_option,
    metavar="DURATION",
    help="From one cycle to the next; 1m by default, as the traffic has a value a minute.",
)
@click.option("--html", "report", type=_NEW_FILE, callback=writable_option, help="Write the report here.")
@click.option("--svg", type=_NEW_FILE, callback=writable_option, help="Draw the HPA and the best policy here.")
@click.option(
    "-o", "--output", "form", type=click.Choice(["json", "policy"]), help="For programs; or the policy alone."
)
@options.namespace_of_files
@options.debug
@click.pass_obj
def simulate(state: State, /, **values: Any) -> None:
    """Say what forestall would have saved: bad minutes, error budget and replica-hours, on a modeled service.

    The traffic comes from a file or a Prometheus. Its last part is simulated (--last; a third of it, at most two days),
    what lies before is learned from. The service is scaled by nobody, by a HorizontalPodAutoscaler, and by forestall
    under it, with the recommended policies and with yours (-f); where the difference may be chance the HPA is kept.
    Nothing is changed anywhere.

    \b
    Examples:
      forestall simulate --traffic last-week.csv --capacity 25 --start-up 3m --html report.html
      forestall simulate --traffic last-week.csv --start-up 3m -f objective-and-policy.yaml
      forestall simulate --prometheus http://localhost:9090 --query 'sum(rate(requests_total[1m]))' --capacity 25
    """
    chosen = SimulateOptions(**values)
    chosen.check()
    asyncio.run(_simulate(state, chosen))


async def _simulate(state: State, chosen: SimulateOptions) -> None:
    interval = chosen.interval or MINUTE
    own = None
    if chosen.files:
        own = read_user_objects(manifests.from_files(chosen.files), chosen.namespace or "default", interval)
    with progress() as bar:
        if chosen.file:
            traffic, notes = traffic_input.from_file(chosen.file)
        else:
            traffic, notes = traffic_input.from_series("the traffic", await _fetched(state, chosen))
        service = _service(traffic_input.split(traffic, chosen.last), own, chosen)
        objective = chosen.objective or (own.slo.spec.objective if own else 99.0)
        task = bar.add_task("simulating", total=None)
        comparison = await compare(
            service,
            objective,
            chosen.hpa_target,
            own,
            interval,
            lambda completed, total: bar.update(task, completed=completed, total=total),
        )
    notes = (*notes, *(own.notes if own else ()))
    if comparison.lower_bound is None:
        notes = (*notes, "the least possible is left out: it needs SciPy (pip install 'forestall[arena]')")
    for note in notes:
        click.echo(f"note: {note}", err=True)
    if chosen.report:
        write(chosen.report, page(comparison, notes, command_line(state.text)))
    if chosen.svg:
        write(chosen.svg, comparison_chart(comparison))
    match chosen.form:
        case "json":
            click.echo(json.dumps(_data(comparison), indent=2))
        case "policy":
            click.echo(recommended_policy(comparison) or f"# {conclusion(comparison)}")
        case _:
            _show(comparison, chosen.report)


def _service(traffic: TrafficTrace, own: UserObjects | None, chosen: SimulateOptions) -> SimulatedService:
    capacity = chosen.capacity if chosen.capacity is not None else own.per_replica if own else None
    if capacity is None:
        raise InvalidInput("how much does one replica carry? Give --capacity, in requests a second")
    start_up = 60.0 if chosen.start_up is None else chosen.start_up
    terms = ServiceParameters(capacity=capacity, start_up=start_up, warm_up=chosen.warm_up or 0.0)
    needed = math.ceil(float(traffic.simulated.max()) / capacity / chosen.hpa_target)
    max_replicas = chosen.max_replicas or max(chosen.least, own.max_replicas if own else 0, 2 * needed)
    first = math.ceil(float(traffic.simulated[0]) / capacity / chosen.hpa_target)
    replicas = chosen.replicas or first
    if max_replicas < chosen.least:
        raise InvalidInput(f"--max {max_replicas} is below --min {chosen.least}")
    return SimulatedService(terms, traffic, min(max(chosen.least, replicas), max_replicas), chosen.least, max_replicas)


async def _fetched(state: State, chosen: SimulateOptions) -> tuple[RangeSeries, ...]:
    """Return what the query gives for the last days, day by day."""
    end = math.floor(time.time() / 60) * 60.0
    query = Query("traffic", chosen.query or "")
    points: dict[Any, dict[float, float]] = {}
    async with metrics_of(state, chosen, ("default",)) as metrics:
        start = end - max(_FETCHED, 2 * (chosen.last or 0.0))
        while start < end:
            last = min(start + _DAY, end)
            for series in await _part(metrics, query, start, last):
                points.setdefault(series.labels, {}).update(zip(series.times, series.values, strict=True))
            start = last
    return tuple(RangeSeries(labels, tuple(samples), tuple(samples.values())) for labels, samples in points.items())


async def _part(metrics: Metrics, query: Query, start: float, end: float) -> tuple[RangeSeries, ...]:
    answer = (await metrics.range("default", [query], start, end, 60.0))[query.key]
    if isinstance(answer, QueryFailure):
        raise MetricsError(answer.reason, answer.message)
    return answer


def _data(comparison: Comparison) -> dict[str, Any]:
    return {
        "traffic": comparison.service.traffic.name,
        "minutes": comparison.service.traffic.minutes,
        "objective": comparison.objective,
        "service": asdict(comparison.service.parameters)
        | {"least": comparison.service.min_replicas, "most": comparison.service.max_replicas},
        "hpaTarget": comparison.target,
        "limitReplicaHours": comparison.lower_bound,
        "contestants": [
            {
                "name": result.name,
                "actions": result.actions,
                **asdict(result.figures),
                "spared": asdict(result.bad_minutes_saved),
            }
            for result in comparison.results
        ],
        "recommended": comparison.best,
        "hpaAlike": comparison.equivalent_hpa
        and {"target": comparison.equivalent_hpa.target, "replicaHours": comparison.equivalent_hpa.replica_hours},
        "surely": comparison.confidence,
        "thin": comparison.uncertain_policy,
        "policy": recommended_policy(comparison),
    }


def _show(comparison: Comparison, report: Path | None) -> None:
    out, terms = console(), comparison.service.parameters
    click.echo(
        f"{format_duration(comparison.service.traffic.minutes * 60.0)} of traffic, {terms.capacity:g} requests a second a "
        f"replica, {format_duration(terms.start_up)} to start; a minute is bad with less than {comparison.objective:g} % "
        "good\n"
    )
    head = [
        "",
        "BAD MINUTES",
        "COMPARED WITH HPA",
        "BUDGET USED",
        "REPLICA-HOURS",
        "TIMES LEAST POSSIBLE",
        "MAX REPLICAS",
        "ACTIONS",
    ]
    rows = []
    for result in comparison.results:
        figures = result.figures
        share = "-" if not comparison.lower_bound else f"{figures.replica_hours / comparison.lower_bound:.2f}"
        beside = "-" if result.name == HPA else describe_savings(result)
        cells = [
            result.name,
            f"{figures.bad_minutes}",
            beside,
            figures.budget_text,
            f"{figures.replica_hours:.1f}",
            share,
        ]
        rows.append([*cells, f"{figures.most_replicas}", f"{result.actions}"])
    if comparison.lower_bound:
        rows.append(["least possible", "0", "-", "0%", f"{comparison.lower_bound:.1f}", "1.00", "-", "-"])
    table(out, head, [[(cell, "") for cell in row] for row in rows])
    click.echo(f"\n{conclusion(comparison)}")
    if comparison.best is not None:
        click.echo("The policy: run it again with -o policy.")
    if report is not None:
        click.echo(f"Report: {report}")
