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
@click.argument("what", metavar="[OBJECT]", required=False, callback=_object)
@options.namespace
@click.option("-A", "--all-namespaces", is_flag=True, help="Show all namespaces.")
@click.option("--since", callback=_since, metavar="DURATION", help="Only what was decided in the last 7d, for example.")
@click.option("--phase", type=click.Choice(_STATES, case_sensitive=False), help="Only those that stand there.")
@click.option("-o", "--output", "form", type=click.Choice(["json", "yaml", "name"]), help="For programs.")
@options.connected
async def history(
    session: Session,
    *,
    what: tuple[str, str] | None,
    namespace: str | None,
    all_namespaces: bool,
    since: float | None,
    phase: str | None,
    form: str | None,
) -> None:
    """Show what was done, the newest first; of one remediation its whole life.

    OBJECT is the name of a remediation, or what it was about: slo/NAME, policy/NAME, or the workload or node, such as
    deployment/NAME. What has ended is kept for 30 days, and the last 20 of each objective.

    \b
    Examples:
      forestall history -A --since 1d
      forestall history -n shop slo/checkout --phase ended
      forestall history -n shop checkout-scale-5f2c81
    """
    place = "" if all_namespaces else namespace or session.namespace
    if what is not None and what[0] == "remediation":
        if all_namespaces:
            raise click.UsageError("one remediation is in one namespace: name it with -n")
        await show_one(session, place, what[1], form)
        return
    now = session.now()
    wanted = _filter(what, None if since is None else now - since, phase)
    bodies = await find(session.cluster, Remediation.KIND, place)
    pairs = [(remediations.understood(body), body) for body in bodies]
    pairs = sorted((pair for pair in pairs if wanted(pair[0])), key=lambda pair: _decided(pair[0]), reverse=True)
    if form == "name":
        for each, _ in pairs:
            click.echo(f"remediation.forestall.dev/{each.name}")
    elif form:
        click.echo(document(listing(body for _, body in pairs), form))
    elif not pairs and what is not None and place and (kind := _OBJECTS.get(what[0])):
        await read(session.cluster, kind, place, what[1])  # a name with a typing error is said to be one
        _list([], place, now)
    else:
        await say_first(session, place)
        _list([each for each, _ in pairs], place, now)


def _filter(what: tuple[str, str] | None, since: float | None, phase: str | None) -> Callable[[Remediation], bool]:
    def about(one: Remediation) -> bool:
        if what is None:
            return True
        kind, name = what
        intent = one.spec.intent
        if kind in ("objective", "policy"):
            return bool(getattr(intent, kind).name == name)
        return (intent.target.kind.lower(), intent.target.name) == (kind, name)

    def stands(one: Remediation) -> bool:
        match (phase or "").lower():
            case "":
                return True
            case "live":
                return one.status.phase not in TERMINAL
            case "ended":
                return one.status.phase in TERMINAL
            case wanted:
                return one.status.phase.lower() == wanted

    def wanted(one: Remediation) -> bool:
        return (since is None or _decided(one) >= since) and about(one) and stands(one)

    return wanted


def _decided(one: Remediation) -> float:
    return seconds(one.spec.intent.created) or 0.0


def _list(found: list[Remediation], namespace: str, now: float) -> None:
    if not found:
        click.echo("Nothing of that kind was done.", err=True)
        return
    head = ([] if namespace else ["NAMESPACE"]) + ["DECIDED", "NAME", "WHAT", "PHASE", "REASON", "OBJECTIVE", "PEOPLE"]
    table(console(), head, [_row(each, namespace, now) for each in found])


def _row(one: Remediation, namespace: str, now: float) -> list[tuple[str, str]]:
    intent, status = one.spec.intent, one.status
    cells = [] if namespace else [(one.namespace, "")]
    return [
        *cells,
        (f"{ago(intent.created, now)} ago", ""),
        (one.name, ""),
        (remediations.deed(one), ""),
        (status.phase, remediations.STYLES.get(status.phase, "cyan")),
        (status.reason or "-", ""),
        (intent.objective.name, ""),
        ("; ".join(_people(one)) or "-", ""),
    ]


def _people(one: Remediation) -> Iterator[str]:
    approval, feedback = one.spec.approval, one.feedback
    if approval:
        yield f"{approval.decision} by {approval.by or 'somebody'}"
    if one.undo:
        yield f"undone by {one.undo.by or 'somebody'}"
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

    def __init__(self, one: Remediation, body: Mapping[str, Any], now: float, page: Page) -> None:
        self.one = one
        self.body = body
        self.now = now
        self.page = page

    def write(self) -> None:
        one, page = self.one, self.page
        intent = one.spec.intent
        page.title(f"{one.name} in {one.namespace}", one.status.phase, remediations.STYLES.get(one.status.phase, ""))
        page.say(f"{remediations.deed(one)}, decided by policy {intent.policy.name} ({intent.mode}).")
        page.say(remediations.stand(one, self.now))
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
        one, intent, status = self.one, self.one.spec.intent, self.one.status
        if undo := one.undo:
            yield undo.at or intent.created, f"undo asked for by {undo.by or 'somebody'}: {undo.comment}"
        yield intent.created, f"decided for objective {intent.objective.name}, episode {intent.episode}"
        if one.spec.approval:
            yield one.spec.approval.at or intent.created, _said(one.spec.approval.decision, one.spec.approval)
        for step in status.steps:
            because = f": {step.because}" if step.because else ""
            yield step.at, f"{step.what}{'' if step.done else ' (not known to be done)'}{because}"
        for each in status.conditions:
            if each.last_transition_time:
                said = f"{each.type}={each.status} {each.reason}" + (f": {each.message}" if each.message else "")
                yield each.last_transition_time, said
        if status.ended:
            yield status.ended, f"{status.phase}, {status.reason}: {status.message}"
        if one.feedback:
            yield one.feedback.at or status.ended or "", _said(one.feedback.verdict, one.feedback)

    def _yours(self) -> None:
        program = click.get_current_context().find_root().info_name
        where = f"-n {self.one.namespace} {self.one.name}"
        if remediations.waiting(self.one, self.now):
            self.page.heading("It waits for you")
            self.page.say(f"{program} approve {where}", indent=4, style="bold")
            self.page.say(f"{program} reject {where} --comment WHY", indent=4, style="bold")
        elif remediations.can_be_undone(self.one):
            self.page.heading("To have it back now")
            self.page.say(f"{program} undo {where} --comment WHY", indent=4, style="bold")
        elif self.one.ended and self.one.feedback is None:
            self.page.heading("Was it right?")
            self.page.say(f"{program} feedback {where} helpful|unhelpful|false-alarm", indent=4, style="bold")


def _said(verdict: str, said: Approval | Feedback) -> str:
    return f"{verdict} by {said.by or 'somebody'}" + (f": {said.comment}" if said.comment else "")
