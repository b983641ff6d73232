"""`forestall backtest`: would forestall have helped? The same engine, on recorded history."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from rich.progress import Progress

from forestall.api import API_VERSION
from forestall.api.times import seconds
from forestall.backtest import prepare
from forestall.backtest.charts import moment_chart as draw_moment
from forestall.backtest.conclusion import conclusion, describe_recall
from forestall.backtest.evaluate import evaluate
from forestall.backtest.json_report import report_data
from forestall.backtest.page import page
from forestall.backtest.prepare import ReplayOptions
from forestall.backtest.replay import replay
from forestall.backtest.results import Assessment, BacktestReport, ForecasterScore, OperatingPoint
from forestall.backtest.terminal import terminal_chart
from forestall.backtest.wording import describe_false_actions
from forestall.cli import options
from forestall.cli.asking import SourceOptions, metrics_of, prometheus_options
from forestall.cli.command_line import command_line
from forestall.cli.files import FILE, report_file, write, written_file
from forestall.cli.objects import find
from forestall.cli.output import console, table
from forestall.cli.progress import progress
from forestall.cli.wiring import ClusterOptions
from forestall.core.duration import format_duration
from forestall.core.wording import plural
from forestall.errors import Forbidden, InvalidInput
from forestall.inputs import manifests, tables
from forestall.report.chart import standalone
from forestall.report.formatting import decimal, duration, percent

if TYPE_CHECKING:
    from forestall.backtest.charts import ForecastMoment
    from forestall.backtest.prepare import ReplayInput
    from forestall.cli.app import State

_WIDEST = 110


def _time(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    number = seconds(value)
    with contextlib.suppress(ValueError):
        number = float(value)
    if number is None or not math.isfinite(number):
        raise click.BadParameter(f"{value!r} is not a time: write 2026-01-31T12:00Z, or seconds since the epoch.")
    return number


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestOptions(SourceOptions):
    """What `forestall backtest` was told; times are seconds since the epoch, durations seconds."""

    files: tuple[Path, ...]
    namespace: str | None
    all_namespaces: bool
    history: tuple[Path, ...]
    start: float | None
    end: float | None
    last: float | None
    learn: float | None
    step: float | None
    lead_time: float | None
    replicas: int
    report: Path | None
    form: Literal["json"] | None
    at: float | None
    svg: Path | None
    kubeconfig: Path | None
    context: str | None

    def check(self) -> None:
        """Refuse options that do not go together.

        Raises:
            click.UsageError: they contradict each other, or something is missing.
        """
        if bool(self.history) == bool(self.url):
            raise click.UsageError("say where the history is, by --history or by --prometheus, not by both")
        if self.svg and self.at is None:
            raise click.UsageError("--svg goes with --at")
        if self.at is not None and (self.report or self.form):
            raise click.UsageError("--at shows one moment: --html and -o json go without it")
        if self.last is not None and self.start is not None:
            raise click.UsageError("give --from or --last, not both")

    def wish(self, namespace: str) -> ReplayOptions:
        """Return what is to be replayed, of objects in `namespace` where they name none."""
        return ReplayOptions(namespace, self.step, self.start, self.end, self.last, self.learn, self.at)


@click.command
@click.option(
    "-f",
    "--filename",
    "files",
    type=FILE,
    multiple=True,
    help="A YAML file with objectives and policies, or a folder. Default: the cluster's objects.",
)
@options.namespace
@click.option("-A", "--all-namespaces", is_flag=True, help="Use the objectives of all namespaces of the cluster.")
@click.option(
    "--history",
    type=FILE,
    multiple=True,
    help="A file with measurements: CSV (also as Grafana exports it), Parquet, or Prometheus JSON.",
)
@prometheus_options("The URL of a Prometheus with the measurements.")
@click.option(
    "--from", "start", callback=_time, metavar="TIME", help="The start of the evaluated period. Default: see --last."
)
@click.option(
    "--to", "end", callback=_time, metavar="TIME", help="The end of the evaluated period. Default: the end of the data."
)
@click.option(
    "--last",
    callback=options.duration,
    metavar="DURATION",
    help="The length of the evaluated period. Default: most of a file, or 7d of a Prometheus.",
)
@click.option(
    "--learn",
    callback=options.duration,
    metavar="DURATION",
    help="The length of the history before --from to learn from. Default: about a third of a file.",
)
@click.option(
    "--step",
    callback=options.duration,
    metavar="DURATION",
    help="The interval of the cycles. Default: a tenth of the shortest horizon.",
)
@click.option(
    "--lead-time",
    callback=options.duration,
    metavar="DURATION",
    help="The time until an action takes effect. Default: by action.",
)
@click.option(
    "--replicas", type=click.IntRange(min=1), default=1, show_default=True, help="The replicas of each workload."
)
@report_file
@click.option("-o", "--output", "form", type=click.Choice(["json"]), help="Output format for scripts. Default: text.")
@click.option("--at", callback=_time, metavar="TIME", help="Show only the forecasts of this time.")
@written_file("--svg", purpose="With --at: draw the most probable breach into this file.")
@options.kubeconfig
@options.context
@options.debug
@click.pass_obj
def backtest(state: State, /, **values: Any) -> None:
    """Replay recorded history with the same engine: how often it would have been right, and how early.

    It reads objectives and policies from files (-f) or from the cluster, and history from files (--history) or from a
    Prometheus. With files for both it needs no cluster. It changes nothing.

    A CSV file has a column `time` and a column for each indicator by its name (`sli` is the ratio of bad events), or
    the columns time, indicator and value, and others that become labels.

    \b
    Examples:
      forestall backtest -f slo.yaml --history last-month.csv --html report.html
      forestall backtest -n shop --prometheus http://localhost:9090 --last 14d
      forestall backtest -f slo.yaml --history last-month.csv --at 2026-01-31T12:00Z
    """
    chosen = BacktestOptions(**values)
    chosen.check()
    asyncio.run(_backtest(state, chosen))


async def _backtest(state: State, chosen: BacktestOptions) -> None:
    found_manifests, namespace = await _read_manifests(state, chosen)
    wish = chosen.wish(namespace)
    with progress() as bar:
        prepared = await _prepared(state, chosen, found_manifests, wish, bar)
        steps = bar.add_task("replaying", total=prepared.time_range.steps)
        records = await replay(
            prepared.registry,
            prepared.history,
            prepared.time_range,
            prepared.learn_from,
            chosen.replicas,
            lambda completed: bar.update(steps, completed=completed),
        )
    for note in prepared.notes:
        click.echo(f"note: {note}", err=True)
    if chosen.at is not None:
        _show_moment(prepare.forecast_moments(prepared, records), chosen.svg)
        return
    result = evaluate(records, prepared.time_range, prepared.learn_from, chosen.lead_time)
    if not result.objectives:
        raise InvalidInput(f"there is nothing to score: {'; '.join(result.missing)}")
    if chosen.report:
        write(chosen.report, page(result, command_line(state.text)))
    if chosen.form == "json":
        click.echo(json.dumps(report_data(result), indent=2, ensure_ascii=False))
    else:
        _show(result, chosen.report)


async def _read_manifests(state: State, chosen: BacktestOptions) -> tuple[list[manifests.Manifest], str]:
    """Return the objects, and the namespace of those that name none."""
    if chosen.files:
        return manifests.from_files(chosen.files), chosen.namespace or "default"
    async with state.wiring.connect(ClusterOptions(chosen.kubeconfig, chosen.context)) as session:
        namespace = chosen.namespace or session.namespace
        listed = []
        for kind in manifests.KINDS:
            list_namespace = namespace if kind.NAMESPACED and not chosen.all_namespaces else ""
            try:
                bodies = await find(session.cluster, kind.KIND, list_namespace)
            except Forbidden as error:
                if kind.NAMESPACED:
                    raise
                click.echo(f"note: every {kind.KIND} is left out: {error}", err=True)
                continue
            for body in bodies:
                document = {"apiVersion": API_VERSION, "kind": kind.KIND, **body}
                listed.append(manifests.Manifest(document, f"{kind.KIND} {body['metadata']['name']}"))
    if not any(manifest.body["kind"] == "ServiceLevelObjective" for manifest in listed):
        raise InvalidInput("there are no ServiceLevelObjectives there: give files by -f, or another namespace by -n")
    return listed, namespace


async def _prepared(
    state: State, chosen: BacktestOptions, objects: list[manifests.Manifest], wish: ReplayOptions, bar: Progress
) -> ReplayInput:
    if chosen.history:
        columns = []
        task = bar.add_task("reading", total=len(chosen.history))
        for path in chosen.history:
            columns += tables.read(path)
            bar.advance(task)
        return prepare.from_columns(objects, columns, wish)
    task = bar.add_task("reading", total=None)
    async with metrics_of(state, chosen, manifests.metric_sources(objects)) as metrics:
        return await prepare.from_source(
            objects,
            metrics,
            wish,
            time.time(),
            lambda completed, total: bar.update(task, completed=completed, total=total),
        )


def _show_moment(moments: list[ForecastMoment], svg: Path | None) -> None:
    if not moments:
        raise InvalidInput(
            "no series of the objectives has a forecast at this moment: there is no fresh data, or no past"
        )
    if svg is not None:
        write(svg, standalone(draw_moment(moments[0])))
        click.echo(f"drawn: {svg}")
        return
    out = console()
    for number, moment in enumerate(moments):
        if number:
            click.echo()
        for line in terminal_chart(moment, min(out.width, _WIDEST) if out.is_terminal else _WIDEST):
            click.echo(line)


def _show(result: BacktestReport, report: Path | None) -> None:
    out, time_range, total = console(), result.time_range, result.total
    length, learned = time_range.end - time_range.start, time_range.start - result.learn_from
    click.echo(
        f"{plural(len(result.objectives), 'objective')}, {format_duration(length)} at a step of "
        f"{format_duration(time_range.step)}, after {format_duration(learned)} to learn from\n"
    )
    head = [
        "OBJECTIVE",
        "PREDICTED",
        "OF EVENTS (95 % CONFIDENCE)",
        "LEAD",
        "P10",
        "USEFUL",
        "SKILL",
        "COVERAGE",
        "THRESHOLD",
        "AS CONFIGURED",
    ]
    rows = [_objective(objective.assessment) for objective in result.objectives]
    if len(result.objectives) > 1:
        rows.append(_objective(total))
    table(out, head, [[(cell, "") for cell in row] for row in rows])
    click.echo("\nOn the same events:")
    head = ["FORECASTER", "PREDICTED <=1/WEEK", "LEAD", "<=3/WEEK", "LEAD", "BRIER", "SKILL"]
    lines = [_forecaster(score, total.weeks) for score in (total.forestall, *total.baselines)]
    table(out, head, [[(cell, "") for cell in line] for line in lines])
    for warning in result.missing:
        click.echo(f"\nNot in the history: {warning}")
    click.echo(f"\nPREDICTED is at no more than one false action a week for each objective.\n{conclusion(total)}")
    if report is not None:
        click.echo(f"Report: {report}")


def _objective(assessment: Assessment) -> list[str]:
    best, now = assessment.forestall.within[0], assessment.as_configured
    lead = [duration(best.lead.median), duration(best.lead.p10), percent(best.lead.useful)] if best else ["-"] * 3
    return [
        assessment.name,
        percent(best.recall) if best else "-",
        describe_recall(best, assessment.events),
        *lead,
        decimal(assessment.forestall.skill),
        percent(assessment.coverage),
        "-" if assessment.recommended is None else f"{assessment.recommended:g}",
        "-" if now is None else f"{percent(now.recall)}, {describe_false_actions(now.false_a_week, assessment.weeks)}",
    ]


def _forecaster(score: ForecasterScore, weeks: float) -> list[str]:
    def cells(point: OperatingPoint | None) -> list[str]:
        return ["-", "-"] if point is None else [percent(point.recall), duration(point.lead.median)]

    name = score.name
    if len(score.curve) == 1:
        only = score.curve[0]
        name = f"{name}: {percent(only.recall)}, {describe_false_actions(only.false_a_week, weeks)}"
    return [name, *cells(score.within[0]), *cells(score.within[1]), decimal(score.brier, 3), decimal(score.skill)]
