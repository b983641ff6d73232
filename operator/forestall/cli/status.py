"""`forestall status`: all objectives, those at risk first."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click
from pydantic import ValidationError

from forestall.api import ServiceLevelObjective
from forestall.cli import options
from forestall.cli.headlines import say_first
from forestall.cli.objectives import STYLES, burning
from forestall.cli.objects import find
from forestall.cli.output import console, document, listing, table
from forestall.cli.words import number, seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from forestall.cli.wiring import Session
    from forestall.ports import Reader

AT_RISK: Final = 3
WATCH_EVERY: Final = 2.0

_RANK: Final = {"Breached": 0, "AtRisk": 1, "Invalid": 2, "Unknown": 3, "Exhausted": 4, "Pending": 5, "Healthy": 6}


@dataclass(frozen=True, slots=True)
class Row:
    """One objective, with what it is sorted by."""

    body: Mapping[str, Any]
    objective: ServiceLevelObjective | None
    """None where the object does not fit the schema of this version."""

    @property
    def state(self) -> str:
        """The state of its status; Pending before the first, Invalid where it cannot be read."""
        return (self.objective.status.state or "Pending") if self.objective else "Invalid"

    @property
    def endangered(self) -> bool:
        """Whether it is in breach or forecast to be."""
        return self.state in {"Breached", "AtRisk"}

    @property
    def rank(self) -> tuple[float, float, float, str, str]:
        """Sorts the most urgent first."""
        metadata = self.body["metadata"]
        status = self.objective.status if self.objective else None
        probability = number(status.breach_probability) if status else math.nan
        return (
            _RANK.get(self.state, 3),
            math.inf if math.isnan(probability) else -probability,
            seconds(status.time_to_breach) if status else math.inf,
            metadata.get("namespace", ""),
            metadata["name"],
        )


@click.command
@options.namespace
@click.option("-A", "--all-namespaces", is_flag=True, help="Show all namespaces.")
@click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(["wide", "json", "yaml", "name"]),
    help="Output format: wide adds columns; json, yaml and name are for scripts.",
)
@click.option("-w", "--watch", is_flag=True, help="Watch, and print changes.")
@click.option("--exit-code", is_flag=True, help="Exit with 3 when an objective is at risk or in breach.")
@options.connected
async def status(
    session: Session,
    *,
    namespace: str | None,
    all_namespaces: bool,
    form: str | None,
    watch: bool,
    exit_code: bool,
) -> int:
    """Show all objectives of a namespace, those at risk first.

    BREACH is the probability that the SLI or a leading indicator passes its limit within its horizon, IN the median
    time until it does, BUDGET the share of the error budget that is left.

    \b
    Examples:
      forestall status -A
      forestall status -n shop -o wide
      forestall status -n shop --exit-code || echo "something is at risk"
    """
    in_namespace = "" if all_namespaces else namespace or session.namespace
    if watch and (form in {"json", "yaml", "name"} or exit_code):
        raise click.UsageError("--watch goes with the tables only")
    if watch:
        await _watch(session, in_namespace, wide=form == "wide")
    rows = await _rows(session.cluster, in_namespace)
    if form in {None, "wide"}:
        await say_first(session, in_namespace, [row.body for row in rows])
    match form:
        case "json" | "yaml":
            click.echo(document(listing(row.body for row in rows), form))
        case "name":
            for row in rows:
                click.echo(f"servicelevelobjective.forestall.dev/{row.body['metadata']['name']}")
        case _:
            _show(console(), rows, in_namespace, wide=form == "wide")
    return AT_RISK if exit_code and any(row.endangered for row in rows) else 0


async def _rows(cluster: Reader, namespace: str) -> list[Row]:
    bodies = await find(cluster, ServiceLevelObjective.KIND, namespace)
    return sorted((_row(body) for body in bodies), key=lambda row: row.rank)


def _row(body: Mapping[str, Any]) -> Row:
    try:
        return Row(body, ServiceLevelObjective.read(body))
    except ValidationError:
        return Row(body, None)


def _show(out: Console, rows: Sequence[Row], namespace: str, *, wide: bool) -> None:
    if not rows:
        location = f"in namespace {namespace}" if namespace else "in this cluster"
        click.echo(f"There are no ServiceLevelObjectives {location}.", err=True)
        return
    table(out, _head(namespace, wide=wide), [_cells(row, namespace, wide=wide) for row in rows])


def _head(namespace: str, *, wide: bool) -> list[str]:
    head = [] if namespace else ["NAMESPACE"]
    head += ["NAME", "STATE", "BREACH", "IN", "CAUSE", "DECISION", "BUDGET", "SLI"]
    return head + (["OBJECTIVE", "BURN", "TARGET", "WHY"] if wide else [])


def _cells(row: Row, namespace: str, *, wide: bool) -> list[tuple[str, str]]:
    metadata = row.body["metadata"]
    cells = [] if namespace else [(metadata.get("namespace", ""), "")]
    cells += [(metadata["name"], ""), (row.state, STYLES.get(row.state, ""))]
    objective = row.objective
    if objective is None:
        missing = [("-", "")] * (10 if wide else 6)
        return cells + missing
    now = objective.status
    cells += [
        (now.breach_probability or "-", ""),
        (now.time_to_breach or "-", ""),
        ((now.cause.indicator if now.cause and row.endangered else "") or "-", ""),
        (_decision(objective), ""),
        (now.budget_remaining or "-", ""),
        (now.sli or "-", ""),
    ]
    if wide:
        target = objective.spec.target
        cells += [
            (f"{objective.spec.objective:g}%", ""),
            (burning(now) or "-", ""),
            (f"{target.kind}/{target.name}", ""),
            (_why(objective), ""),
        ]
    return cells


def _decision(objective: ServiceLevelObjective) -> str:
    """The decision that weighs most: an action before one that would have been, before a hold."""
    decisions = objective.status.decisions or []
    for verdict in ("Act", "WouldAct", "Hold"):
        weightiest = next((decision for decision in decisions if decision.verdict == verdict), None)
        if weightiest:
            return f"{verdict} {weightiest.action or weightiest.reason}"
    return "-"


def _why(objective: ServiceLevelObjective) -> str:
    """The first condition that stands in the way, else the deciding policy's words."""
    for condition in objective.status.conditions:
        if condition.type != "AtRisk" and condition.status == "False":
            return condition.message or condition.reason
    decisions = objective.status.decisions or []
    acting = [decision for decision in decisions if decision.verdict != "Hold"] or decisions
    return " ".join(acting[0].message.split()) if acting else "-"


async def _watch(session: Session, namespace: str, *, wide: bool) -> NoReturn:
    """Show the table again and again; where nobody looks at a terminal, only lines that changed."""
    out = console()
    previous: set[tuple[str, ...]] = set()
    first = True
    while True:
        rows = await _rows(session.cluster, namespace)
        if out.is_terminal:
            out.clear()
            await say_first(session, namespace, [row.body for row in rows])
            _show(out, rows, namespace, wide=wide)
        else:
            head = _head(namespace, wide=wide)
            lines = [tuple(text for text, _ in _cells(row, namespace, wide=wide)) for row in rows]
            if first:
                click.echo("\t".join(head))
            for line in lines:
                if line not in previous:
                    click.echo("\t".join(line))
            previous = set(lines)
        first = False
        await asyncio.sleep(WATCH_EVERY)
