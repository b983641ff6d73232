"""`forestall history`: what was done, and the whole life of one remediation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from forestall.api import Remediation
from forestall.api.remediation import TERMINAL
from forestall.api.times import readable, seconds
from forestall.cli import options, remediations
from forestall.cli.headlines import say_first
from forestall.cli.objects import find, kind_of, read
from forestall.cli.output import Page, console, document, listing, table, without_managers
from forestall.cli.words import ago
from forestall.core.duration import parse_duration
from forestall.errors import InvalidDuration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from forestall.api.remediation import Approval, Feedback
    from forestall.cli.wiring import Session

_KINDS: Final = {"ServiceLevelObjective": "objective", "RemediationPolicy": "policy"}
_OBJECTS: Final = {field: kind for kind, field in _KINDS.items()}
_STATES: Final = (*remediations.PHASES, "live", "ended")


def _object(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, str] | None:
    if value is None:
        return None
    kind, slash, name = value.rpartition("/")
    if not name or (slash and not kind):
        raise click.BadParameter(f"{value!r} is neither the name of a remediation nor KIND/NAME.")
    plain = kind_of(kind) or kind.partition(".")[0]
    return (_KINDS.get(plain, plain.lower()) if slash else "remediation"), name


def _since(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    try:
        return None if value is None else parse_duration(value)
    except InvalidDuration as error:
        raise click.BadParameter(str(error)) from error


@click.command
@click.argument("subject", metavar="[OBJECT]", required=False, callback=_object)
@options.namespace
@click.option("-A", "--all-namespaces", is_flag=True, help="Show all namespaces.")
@click.option(
    "--since",
    callback=_since,
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
    node. Remediations that have ended are kept for 30 days, and at least the last 20 of each objective.

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
    pairs = [(remediations.understood(body), body) for body in bodies]
    pairs = sorted((pair for pair in pairs if wanted(pair[0])), key=lambda pair: _decided(pair[0]), reverse=True)
    if form == "name":
        for remediation, _ in pairs:
            click.echo(f"remediation.forestall.dev/{remediation.name}")
    elif form:
        click.echo(document(listing(body for _, body in pairs), form))
    elif not pairs and subject is not None and listed_namespace and (kind := _OBJECTS.get(subject[0])):
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
        yield f"{approval.decision} by {approval.by or 'somebody'}"
    if remediation.undo:
        yield f"undone by {remediation.undo.by or 'somebody'}"
    if feedback:
        yield f"{feedback.verdict} by {feedback.by or 'somebody'}"


async def show_one(session: Session, namespace: str, name: str, form: str | None) -> None:
    """Write the page about one remediation, or the object itself in `form`."""
    body = await read(session.cluster, Remediation.KIND, namespace, name)
    if form == "name":
        click.echo(f"remediation.forestall.dev/{name}")
    elif form:
        click.echo(document(without_managers(body), form))
    else:
        await say_first(session, namespace)
        _Life(remediations.understood(body), body, session.now(), Page(console())).write()


class _Life:
    """The page about one remediation."""

    def __init__(self, remediation: Remediation, body: Mapping[str, Any], now: float, page: Page) -> None:
        self.remediation = remediation
        self.body = body
        self.now = now
        self.page = page

    def write(self) -> None:
        remediation, page = self.remediation, self.page
        intent = remediation.spec.intent
        page.title(
            f"{remediation.name} in {remediation.namespace}",
            remediation.status.phase,
            remediations.STYLES.get(remediation.status.phase, ""),
        )
        page.say(f"{remediations.deed(remediation)}, decided by policy {intent.policy.name} ({intent.mode}).")
        page.say(remediations.stand(remediation, self.now))
        page.heading("Why")
        evidence = intent.evidence
        page.say(evidence.reason or "The Remediation does not say.")
        series = ", ".join(f"{key}={value}" for key, value in evidence.labels.items())
        figures = [
            f"{evidence.indicator}{f' ({series})' if series else ''} {evidence.value}".rstrip(),
            f"limit {evidence.limit}" if evidence.limit else "",
            f"breach probability {evidence.probability}" if evidence.probability else "",
            f"time to breach {evidence.time_to_breach}" if evidence.time_to_breach else "",
        ]
        page.say("; ".join(filter(None, figures)) + ".")
        page.heading("Its life")
        for at, text in sorted(self._events(), key=lambda event: seconds(event[0]) or 0.0):
            page.item(readable(at).removesuffix(" UTC"), text)
        page.heading("How it ends")
        page.say(f"Ended at {readable(intent.deadline)} at the latest. Undone by: {intent.rollback or 'nothing'}.")
        self._yours()

    def _events(self) -> Iterator[tuple[str, str]]:
        remediation, intent, status = self.remediation, self.remediation.spec.intent, self.remediation.status
        if undo := remediation.undo:
            yield undo.at or intent.created, f"undo requested by {undo.by or 'somebody'}: {undo.comment}"
        yield intent.created, f"decided for objective {intent.objective.name}, episode {intent.episode}"
        if remediation.spec.approval:
            yield (
                remediation.spec.approval.at or intent.created,
                _answer_text(remediation.spec.approval.decision, remediation.spec.approval),
            )
        for step in status.steps:
            because = f": {step.because}" if step.because else ""
            yield step.at, f"{step.what}{'' if step.done else ' (not known to be done)'}{because}"
        for condition in status.conditions:
            if condition.last_transition_time:
                message = f": {condition.message}" if condition.message else ""
                yield condition.last_transition_time, f"{condition.type}={condition.status} {condition.reason}{message}"
        if status.ended:
            yield status.ended, f"{status.phase}, {status.reason}: {status.message}"
        if remediation.feedback:
            yield (
                remediation.feedback.at or status.ended or "",
                _answer_text(remediation.feedback.verdict, remediation.feedback),
            )

    def _yours(self) -> None:
        program = click.get_current_context().find_root().info_name
        arguments = f"-n {self.remediation.namespace} {self.remediation.name}"
        if remediations.waiting(self.remediation, self.now):
            self.page.heading("Waits for approval")
            self.page.say(f"{program} approve {arguments}", indent=4, style="bold")
            self.page.say(f"{program} reject {arguments} --comment WHY", indent=4, style="bold")
        elif remediations.can_be_undone(self.remediation):
            self.page.heading("Revert it now")
            self.page.say(f"{program} undo {arguments} --comment WHY", indent=4, style="bold")
        elif self.remediation.ended and self.remediation.feedback is None:
            self.page.heading("Was it right?")
            self.page.say(f"{program} feedback {arguments} helpful|unhelpful|false-alarm", indent=4, style="bold")


def _answer_text(verdict: str, answer: Approval | Feedback) -> str:
    return f"{verdict} by {answer.by or 'somebody'}" + (f": {answer.comment}" if answer.comment else "")
