"""Remediations in words: what they do, and where they stand; and the part of them that people write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from forestall.actions import traits_of
from forestall.api import Remediation
from forestall.api.remediation import ObjectRef, change_of
from forestall.cli.objects import read, understood
from forestall.cli.words import ago, clock, until
from forestall.core.wording import printable
from forestall.errors import Conflict, Forbidden

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from forestall.api.remediation import Step
    from forestall.ports import Cluster

TRIES: Final = 5
"""The operator may write the status between reading and writing; nothing is lost by reading again."""
PHASES: Final = {
    "Pending": "decided, not started",
    "AwaitingApproval": "waits for approval",
    "Authorized": "about to be executed",
    "Executing": "being executed",
    "Verifying": "executed; the operator checks whether the risk falls",
    "Holding": "did not help; kept while the risk lasts, because less would not help either",
    "RollingBack": "being reverted",
    "Succeeded": "helped",
    "RolledBack": "reverted",
    "Failed": "could not be executed or reverted",
    "Aborted": "abandoned",
}
STYLES: Final = {"Succeeded": "green", "RolledBack": "yellow", "Failed": "bold red", "Aborted": "yellow"}


def deed(remediation: Remediation) -> str:
    """Return what it does, such as `Scale Deployment/checkout 3 → 6`, as it is now."""
    intent = remediation.spec.intent
    change = change_of(intent, remediation.status.steps)
    return f"{intent.action.name} {intent.target.kind}/{intent.target.name}" + (f" {change}" if change else "")


def stand(remediation: Remediation, now: float) -> str:
    """Return where it stands, since when, and why."""
    status = remediation.status
    since = ago(status.ended if remediation.ended else status.since, now)
    when = f" {since} ago" if since and remediation.ended else f" for {since}" if since else ""
    # While it waits for approval its message is the commands that the page shows anyway.
    reason_and_message = (status.reason, status.message) if status.reason != status.phase else ("", "")
    why = ": ".join(part for part in reason_and_message if part)
    return f"{status.phase}{when}: {PHASES[status.phase]}." + (f" {printable(why)}" if why else "")


def can_be_undone(remediation: Remediation) -> bool:
    """Say whether it may have done something that `forestall undo` reverts."""
    is_withdrawn = remediation.undo is not None or remediation.ended
    return (
        traits_of(remediation.spec.intent.action).kept_while_at_risk
        and not is_withdrawn
        and bool(remediation.status.steps)
    )


def waiting(remediation: Remediation, now: float) -> str:
    """Return until when an approval is waited for; empty where none is."""
    if remediation.status.phase != "AwaitingApproval" or remediation.spec.approval:
        return ""
    left = until(remediation.spec.intent.approval_expires, now)
    return f"for another {left}" if left else "until it expires"


def line(step: Step) -> str:
    """Return one step in words, with its time."""
    return f"{clock(step.at)} UTC  {step_text(step)}"


def step_text(step: Step) -> str:
    """Return one step in words."""
    suffix = "" if step.done else " (not known to be done)"
    because = f": {step.because}" if step.because else ""
    return f"{step.change}{suffix}{because}"


def answer(verdict: str, by: str) -> str:
    """Return what a person answered, and who it was."""
    return f"{verdict} by {by or 'somebody'}"


def decision_commands(remediation: Remediation) -> tuple[str, str]:
    """Return the commands that approve and reject it."""
    program = click.get_current_context().find_root().info_name
    arguments = f"-n {remediation.namespace} {remediation.name}"
    return f"{program} approve {arguments}", f"{program} reject {arguments} --comment WHY"


async def amend(
    cluster: Cluster,
    namespace: str,
    name: str,
    change: Callable[[Remediation], Mapping[str, Any]],
    refused: str,
) -> Remediation:
    """Write what a person says into the spec of a Remediation; return it as it was before.

    `change` returns the fields to write, given what was just read; it may raise. `refused` says which right is missing
    where one is.

    Raises:
        click.ClickException: it is not there, or does not fit this version.
        Forbidden: the caller lacks the right.
        ClusterError: as the port says.
    """
    for left in reversed(range(TRIES)):
        try:
            remediation = understood(Remediation, await read(cluster, Remediation.KIND, namespace, name))
            patch = {"spec": dict(change(remediation))}
            await cluster.patch(ObjectRef.to(remediation), patch, remediation.metadata.resource_version)
        except Conflict:
            if not left:
                raise
        except Forbidden as error:
            raise Forbidden(f"{refused}. {error}") from error
        else:
            return remediation
    raise AssertionError("the last try returns or raises")
