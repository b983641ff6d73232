"""`forestall history`: what was done, and the whole life of one remediation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from forestall.api import Remediation
from forestall.api.remediation import TERMINAL
from forestall.api.times import seconds
from forestall.cli import options, remediations
from forestall.cli.headlines import say_first
from forestall.cli.objects import FIELDS, KINDS_BY_FIELD, find, kind_of, read, understood
from forestall.cli.output import console, document, listing, table
from forestall.cli.remediation_page import show_one
from forestall.cli.words import ago

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from forestall.cli.wiring import Session

_STATES: Final = (*remediations.PHASES, "live", "ended")


def _object(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, str] | None:
    if value is None:
        return None
    kind, slash, name = value.rpartition("/")
    if not name or (slash and not kind):
        raise click.BadParameter(f"{value!r} is neither the name of a remediation nor KIND/NAME.")
    plain = kind_of(kind) or kind.partition(".")[0]
    return (FIELDS.get(plain, plain.lower()) if slash else "remediation"), name


@click.command
@click.argument("subject", metavar="[OBJECT]", required=False, callback=_object)
@options.namespace
@click.option("-A", "--all-namespaces", is_flag=True, help="Show all namespaces.")
@click.option(
    "--since",
    callback=options.duration,
    metavar="DURATION",
    help="Show only remediations of this period, such as 7d. Default: all.",
)
@click.option(
    "--phase",
    type=click.Choice(_STATES, case_sensitive=False),
    help="Show only remediations in this phase; live and ended select several.",
)
@click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(["json", "yaml", "name"]),
    help="Output format for scripts. Default: text.",
)
@options.connected
async def history(
    session: Session,
    *,
    subject: tuple[str, str] | None,
    namespace: str | None,
    all_namespaces: bool,
    since: float | None,
    phase: str | None,
    form: str | None,
) -> None:
    """Show remediations, the newest first, or the whole lifecycle of one.

    OBJECT is the name of a remediation, or its subject: slo/NAME, policy/NAME, a workload such as deployment/NAME, or a
    node. Ended remediations are deleted after 30 days, or when an objective has more than 20, unless a cooldown, a
    lock, a budget or the current episode depends on them.

    \b
    Examples:
      forestall history -A --since 1d
      forestall history -n shop slo/checkout --phase ended
      forestall history -n shop checkout-scale-5f2c81
    """
    listed_namespace = "" if all_namespaces else namespace or session.namespace
    if subject is not None and subject[0] == "remediation":
        if all_namespaces:
            raise click.UsageError("one remediation is in one namespace: name it with -n")
        await show_one(session, listed_namespace, subject[1], form)
        return
    now = session.now()
    wanted = _filter(subject, None if since is None else now - since, phase)
    bodies = await find(session.cluster, Remediation.KIND, listed_namespace)
    pairs = [(understood(Remediation, body), body) for body in bodies]
    pairs = sorted((pair for pair in pairs if wanted(pair[0])), key=lambda pair: _decided(pair[0]), reverse=True)
    if form == "name":
        for remediation, _ in pairs:
            click.echo(f"remediation.forestall.dev/{remediation.name}")
    elif form:
        click.echo(document(listing(body for _, body in pairs), form))
    elif not pairs and subject is not None and listed_namespace and (kind := KINDS_BY_FIELD.get(subject[0])):
        await read(session.cluster, kind, listed_namespace, subject[1])  # a name with a typing error is said to be one
        _list([], listed_namespace, now)
    else:
        await say_first(session, listed_namespace)
        _list([remediation for remediation, _ in pairs], listed_namespace, now)


def _filter(subject: tuple[str, str] | None, since: float | None, phase: str | None) -> Callable[[Remediation], bool]:
    def concerns_subject(remediation: Remediation) -> bool:
        if subject is None:
            return True
        kind, name = subject
        intent = remediation.spec.intent
        if kind in ("objective", "policy"):
            return bool(getattr(intent, kind).name == name)
        return (intent.target.kind.lower(), intent.target.name) == (kind, name)

    def stands(remediation: Remediation) -> bool:
        match (phase or "").lower():
            case "":
                return True
            case "live":
                return remediation.status.phase not in TERMINAL
            case "ended":
                return remediation.status.phase in TERMINAL
            case wanted:
                return remediation.status.phase.lower() == wanted

    def wanted(remediation: Remediation) -> bool:
        return (
            (since is None or _decided(remediation) >= since) and concerns_subject(remediation) and stands(remediation)
        )

    return wanted


def _decided(remediation: Remediation) -> float:
    return seconds(remediation.spec.intent.created) or 0.0


def _list(matching: list[Remediation], namespace: str, now: float) -> None:
    if not matching:
        click.echo("Nothing of that kind was done.", err=True)
        return
    head = ([] if namespace else ["NAMESPACE"]) + ["DECIDED", "NAME", "WHAT", "PHASE", "REASON", "OBJECTIVE", "PEOPLE"]
    table(console(), head, [_row(remediation, namespace, now) for remediation in matching])


def _row(remediation: Remediation, namespace: str, now: float) -> list[tuple[str, str]]:
    intent, status = remediation.spec.intent, remediation.status
    cells = [] if namespace else [(remediation.namespace, "")]
    return [
        *cells,
        (f"{ago(intent.created, now)} ago", ""),
        (remediation.name, ""),
        (remediations.deed(remediation), ""),
        (status.phase, remediations.STYLES.get(status.phase, "cyan")),
        (status.reason or "-", ""),
        (intent.objective.name, ""),
        ("; ".join(_people(remediation)) or "-", ""),
    ]


def _people(remediation: Remediation) -> Iterator[str]:
    approval, feedback = remediation.spec.approval, remediation.feedback
    if approval:
        yield remediations.answer(approval.decision, approval.by)
    if remediation.undo:
        yield remediations.answer("undone", remediation.undo.by)
    if feedback:
        yield remediations.answer(feedback.verdict, feedback.by)
