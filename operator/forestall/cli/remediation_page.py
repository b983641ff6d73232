"""The page about one remediation: its whole life."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from forestall.api import Remediation
from forestall.api.times import readable, seconds
from forestall.cli import remediations
from forestall.cli.headlines import say_first
from forestall.cli.objects import read, understood
from forestall.cli.output import Page, console, document, without_managers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from forestall.api.remediation import Approval, Feedback
    from forestall.cli.wiring import Session


async def show_one(session: Session, namespace: str, name: str, form: str | None) -> None:
    """Write the page about one remediation, or the object itself in `form`."""
    body = await read(session.cluster, Remediation.KIND, namespace, name)
    if form == "name":
        click.echo(f"remediation.forestall.dev/{name}")
    elif form:
        click.echo(document(without_managers(body), form))
    else:
        await say_first(session, namespace)
        _Life(understood(Remediation, body), body, session.now(), Page(console())).write()


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
            yield step.at, remediations.step_text(step)
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
            for command in remediations.decision_commands(self.remediation):
                self.page.say(command, indent=4, style="bold")
        elif remediations.can_be_undone(self.remediation):
            self.page.heading("Revert it now")
            self.page.say(f"{program} undo {arguments} --comment WHY", indent=4, style="bold")
        elif self.remediation.ended and self.remediation.feedback is None:
            self.page.heading("Was it right?")
            self.page.say(f"{program} feedback {arguments} helpful|unhelpful|false-alarm", indent=4, style="bold")


def _answer_text(verdict: str, answer: Approval | Feedback) -> str:
    return remediations.answer(verdict, answer.by) + (f": {answer.comment}" if answer.comment else "")
