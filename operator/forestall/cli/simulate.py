"""`forestall simulate`: what would it have saved? The same engine, on a modelled service with real traffic."""

from __future__ import annotations

import asyncio
import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from forestall.cli import options
from forestall.cli.asking import SourceOptions, metrics_of, prometheus_options
from forestall.cli.command_line import command_line
from forestall.cli.files import FILE, report_file, write, written_file
from forestall.cli.output import console, table
from forestall.cli.progress import progress
from forestall.core.duration import format_duration
from forestall.errors import InvalidInput, MetricsError
from forestall.inputs import manifests
from forestall.ports import Query, QueryFailure, RangeSeries
from forestall.sim import traffic_input
from forestall.sim.compare import AUTOSCALERS, HPA, Comparison, compare
from forestall.sim.page import comparison_chart, conclusion, describe_savings, page, recommended_policy
from forestall.sim.run import SimulatedService
from forestall.sim.service import ServiceParameters
from forestall.sim.traffic import MINUTE
from forestall.sim.user_objects import UserObjects, read_user_objects

if TYPE_CHECKING:
    from forestall.cli.app import State
    from forestall.ports import Metrics
    from forestall.sim.traffic import TrafficTrace

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
    autoscalers: tuple[str, ...]
    replicas: int | None
    min_replicas: int
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
    type=FILE,
    help="A file with time and requests per second: CSV (also as Grafana exports it), or Prometheus JSON.",
)
@prometheus_options("The URL of a Prometheus with the traffic.")
@click.option("--query", help="With --prometheus: a query for the requests per second, as one series.")
@click.option(
    "-f",
    "--filename",
    "files",
    type=FILE,
    multiple=True,
    help="A YAML file with your objective and policy. Default: recommended policies only.",
)
@click.option(
    "--capacity", type=float, help="The requests per second that one replica serves. Default: that of the policy."
)
@click.option(
    "--start-up",
    callback=options.duration,
    metavar="DURATION",
    help="The time until a new replica serves. Default: 1m.",
)
@click.option(
    "--warm-up",
    callback=options.duration,
    metavar="DURATION",
    help="The time after that until a replica has its full capacity. Default: 0s.",
)
@click.option(
    "--hpa-target",
    type=click.FloatRange(0.05, 1.0),
    default=0.7,
    show_default=True,
    help="The share of its capacity that the HPA and KEDA let each replica use.",
)
@click.option(
    "--autoscaler",
    "autoscalers",
    type=click.Choice(list(AUTOSCALERS), case_sensitive=False),
    multiple=True,
    help="The autoscaler that you can use, may be repeated. Default: all.",
)
@click.option(
    "--replicas",
    type=click.IntRange(min=1),
    help="The replicas at the start. Default: as many as the first minute needs.",
)
@click.option(
    "--min",
    "min_replicas",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="The minimum number of replicas.",
)
@click.option(
    "--max",
    "max_replicas",
    type=click.IntRange(min=1),
    help="The maximum number of replicas. Default: twice what the peak needs.",
)
@click.option(
    "--objective",
    type=click.FloatRange(1, 100, min_open=True, max_open=True),
    help="The objective in percent. Default: that of -f, or 99.",
)
@click.option(
    "--last",
    callback=options.duration,
    metavar="DURATION",
    help="The length of the simulated end of the traffic, such as 1d. Default: a third, at most 2d.",
)
@click.option(
    "--interval",
    callback=options.duration,
    metavar="DURATION",
    help="The interval of the cycles. Default: 1m, the resolution of the traffic.",
)
@report_file
@written_file("--svg", purpose="Draw the HPA and the best policy into this file. Default: none.")
@click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(["json", "policy"]),
    help="json for scripts, or the recommended policy alone.",
)
@options.namespace_of_files
@options.debug
@click.pass_obj
def simulate(state: State, /, **values: Any) -> None:
    """Simulate what forestall would have saved on a modeled service: bad minutes, error budget and replica-hours.

    The traffic comes from a file or a Prometheus. The simulation covers its end (--last), and learns from what is
    before. It compares no scaling, a HorizontalPodAutoscaler on CPU, KEDA on the rate of requests, and forestall over
    each of them, with recommended policies and with yours (-f). If the difference may be chance, it recommends the HPA.
    It changes nothing.

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
            tuple(dict.fromkeys(chosen.autoscalers)) or tuple(AUTOSCALERS),
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
    max_replicas = chosen.max_replicas or max(chosen.min_replicas, own.max_replicas if own else 0, 2 * needed)
    first = math.ceil(float(traffic.simulated[0]) / capacity / chosen.hpa_target)
    replicas = chosen.replicas or first
    if max_replicas < chosen.min_replicas:
        raise InvalidInput(f"--max {max_replicas} is below --min {chosen.min_replicas}")
    return SimulatedService(
        terms, traffic, min(max(chosen.min_replicas, replicas), max_replicas), chosen.min_replicas, max_replicas
    )


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
        | {"min_replicas": comparison.service.min_replicas, "max_replicas": comparison.service.max_replicas},
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
        "alike": comparison.equivalent
        and {
            "autoscaler": comparison.equivalent.name,
            "target": comparison.equivalent.target,
            "replicaHours": comparison.equivalent.replica_hours,
        },
        "surely": comparison.confidence,
        "thin": comparison.uncertain_policy,
        "policy": recommended_policy(comparison),
    }


def _show(comparison: Comparison, report: Path | None) -> None:
    out, terms = console(), comparison.service.parameters
    click.echo(
        f"{format_duration(comparison.service.traffic.minutes * 60.0)} of traffic, {terms.capacity:g} requests per "
        f"second and replica, {format_duration(terms.start_up)} to start; a minute is bad if less than "
        f"{comparison.objective:g} % of its requests are good\n"
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
