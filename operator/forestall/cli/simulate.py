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
from forestall.cli.asking import SourceOptions, asked, prometheus_options
from forestall.cli.backtest import duration_option, progress, writable_option, write
from forestall.cli.command_line import shown
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
    most: int | None
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
            whole, notes = traffic_input.from_file(chosen.file)
        else:
            whole, notes = traffic_input.from_series("the traffic", await _fetched(state, chosen))
        service = _service(traffic_input.split(whole, chosen.last), own, chosen)
        objective = chosen.objective or (own.slo.spec.objective if own else 99.0)
        task = bar.add_task("simulating", total=None)
        found = await compare(
            service,
            objective,
            chosen.hpa_target,
            own,
            interval,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    notes = (*notes, *(own.notes if own else ()))
    if found.lower_bound is None:
        notes = (*notes, "the least possible is left out: it needs SciPy (pip install 'forestall[arena]')")
    for note in notes:
        click.echo(f"note: {note}", err=True)
    if chosen.report:
        write(chosen.report, page(found, notes, shown(state.words)))
    if chosen.svg:
        write(chosen.svg, comparison_chart(found))
    match chosen.form:
        case "json":
            click.echo(json.dumps(_data(found), indent=2))
        case "policy":
            click.echo(recommended_policy(found) or f"# {conclusion(found)}")
        case _:
            _show(found, chosen.report)


def _service(traffic: TrafficTrace, own: UserObjects | None, chosen: SimulateOptions) -> SimulatedService:
    capacity = chosen.capacity if chosen.capacity is not None else own.per_replica if own else None
    if capacity is None:
        raise InvalidInput("how much does one replica carry? Give --capacity, in requests a second")
    start_up = 60.0 if chosen.start_up is None else chosen.start_up
    terms = ServiceParameters(capacity=capacity, start_up=start_up, warm_up=chosen.warm_up or 0.0)
    needed = math.ceil(float(traffic.simulated.max()) / capacity / chosen.hpa_target)
    most = chosen.most or max(chosen.least, own.max_replicas if own else 0, 2 * needed)
    first = math.ceil(float(traffic.simulated[0]) / capacity / chosen.hpa_target)
    replicas = chosen.replicas or first
    if most < chosen.least:
        raise InvalidInput(f"--max {most} is below --min {chosen.least}")
    return SimulatedService(terms, traffic, min(max(chosen.least, replicas), most), chosen.least, most)


async def _fetched(state: State, chosen: SimulateOptions) -> tuple[RangeSeries, ...]:
    """Return what the query gives for the last days, day by day."""
    end = math.floor(time.time() / 60) * 60.0
    query = Query("traffic", chosen.query or "")
    points: dict[Any, dict[float, float]] = {}
    async with asked(state, chosen, ("default",)) as metrics:
        start = end - max(_FETCHED, 2 * (chosen.last or 0.0))
        while start < end:
            last = min(start + _DAY, end)
            for one in await _part(metrics, query, start, last):
                points.setdefault(one.labels, {}).update(zip(one.times, one.values, strict=True))
            start = last
    return tuple(RangeSeries(labels, tuple(some), tuple(some.values())) for labels, some in points.items())


async def _part(metrics: Metrics, query: Query, start: float, end: float) -> tuple[RangeSeries, ...]:
    answer = (await metrics.range("default", [query], start, end, 60.0))[query.key]
    if isinstance(answer, QueryFailure):
        raise MetricsError(answer.reason, answer.message)
    return answer


def _data(found: Comparison) -> dict[str, Any]:
    return {
        "traffic": found.service.traffic.name,
        "minutes": found.service.traffic.minutes,
        "objective": found.objective,
        "service": asdict(found.service.parameters)
        | {"least": found.service.min_replicas, "most": found.service.max_replicas},
        "hpaTarget": found.target,
        "limitReplicaHours": found.lower_bound,
        "contestants": [
            {"name": one.name, "actions": one.actions, **asdict(one.figures), "spared": asdict(one.bad_minutes_saved)}
            for one in found.results
        ],
        "recommended": found.best,
        "hpaAlike": found.equivalent_hpa
        and {"target": found.equivalent_hpa.target, "replicaHours": found.equivalent_hpa.replica_hours},
        "surely": found.confidence,
        "thin": found.uncertain_policy,
        "policy": recommended_policy(found),
    }


def _show(found: Comparison, report: Path | None) -> None:
    out, terms = console(), found.service.parameters
    click.echo(
        f"{format_duration(found.service.traffic.minutes * 60.0)} of traffic, {terms.capacity:g} requests a second a "
        f"replica, {format_duration(terms.start_up)} to start; a minute is bad with less than {found.objective:g} % "
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
    for one in found.results:
        each = one.figures
        share = "-" if not found.lower_bound else f"{each.replica_hours / found.lower_bound:.2f}"
        beside = "-" if one.name == HPA else describe_savings(one)
        cells = [one.name, f"{each.bad_minutes}", beside, each.budget_text, f"{each.replica_hours:.1f}", share]
        rows.append([*cells, f"{each.most_replicas}", f"{one.actions}"])
    if found.lower_bound:
        rows.append(["least possible", "0", "-", "0%", f"{found.lower_bound:.1f}", "1.00", "-", "-"])
    table(out, head, [[(cell, "") for cell in row] for row in rows])
    click.echo(f"\n{conclusion(found)}")
    if found.best is not None:
        click.echo("The policy: run it again with -o policy.")
    if report is not None:
        click.echo(f"Report: {report}")
