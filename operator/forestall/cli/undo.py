"""`forestall undo`: a person wants back now what a remediation did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from forestall.actions import traits_of
from forestall.api.remediation import Undo
from forestall.cli import options, remediations
from forestall.cli.active_pauses import holding
from forestall.cli.caller import caller, written
from forestall.cli.headlines import unattended
from forestall.cli.words import before
from forestall.core.wording import printable

if TYPE_CHECKING:
    from forestall.api import Remediation
    from forestall.cli.wiring import Session


def _why(_: click.Context, __: click.Parameter, value: str) -> str:
    if not value.strip():
        raise click.BadParameter("say why: who looks at it tomorrow wants to know.")
    return value[:1024]


@click.command
@options.name("REMEDIATION", "Remediation")
@options.namespace
@click.option("--comment", required=True, callback=_why, help="The comment that is stored with the request.")
@options.connected
async def undo(session: Session, *, remediation: str, namespace: str | None, comment: str) -> None:
    """Revert a remediation now, whatever the risk and its policy say.

    In its next cycle the operator sets replicas or the autoscaler's minimum to the original value in one step,
    reverts a patched field, or uncordons the node. It needs no data, and works also while the policy is suspended or
    observes; a pause delays it. The policy is then locked for that objective until `unlock`. You need the verbs
    `approve` and `patch` on remediations.

    \b
    Example:
      forestall undo -n shop checkout-scale-5f2c81 --comment "the load was a test"
    """
    in_namespace = namespace or session.namespace
    user = await caller(session.cluster)

    def undo_patch(current: Remediation) -> dict[str, Any]:
        _check(current, session.now())
        return {"undo": Undo(by=user, at=written(session.now()), comment=comment).dump()}

    refused = (
        f"You ({user or 'unknown'}) may not undo remediations in namespace {in_namespace}: it needs the verbs "
        "`approve` and `patch` on remediations.forestall.dev"
    )
    amended = await remediations.amend(session.cluster, in_namespace, remediation, undo_patch, refused)
    intent = amended.spec.intent
    click.echo(
        f"remediation.forestall.dev/{remediation} will be reverted in the operator's next cycle: "
        f"{_reverted_text(amended)}"
    )
    if unseen := await unattended(session, in_namespace):
        click.echo(unseen, err=True)
    for text in await holding(session, in_namespace, objective=intent.objective.name, policy=intent.policy.name):
        click.echo(f"not before the pause ends: {text}", err=True)
    click.echo(
        f"policy {intent.policy.name} then does nothing more for objective {intent.objective.name} until "
        f"`forestall unlock -n {in_namespace} {intent.policy.name}`",
        err=True,
    )


def _check(remediation: Remediation, now: float) -> None:
    """Raise ClickException unless there is something that can be reverted."""
    name, status, intent = remediation.name, remediation.status, remediation.spec.intent
    if not traits_of(intent.action).kept_while_at_risk:
        raise click.ClickException(
            f"{remediations.deed(remediation)} can't be undone. By itself: {intent.rollback or 'none'}. "
            "`forestall pause` or `forestall reject` stops what has not been done yet."
        )
    if remediation.ended:
        raise click.ClickException(
            f"Remediation {name} has ended{before(status.ended, now)}: {status.phase}, {status.reason or 'no reason'}. "
            f"There is nothing to revert. {printable(status.message)}".strip()
        )
    if undo := remediation.spec.undo:
        raise click.ClickException(
            f"{undo.by or 'Somebody'} already requested it{before(undo.at, now)}: "
            f"{remediations.stand(remediation, now)}"
        )
    if status.phase == "AwaitingApproval":
        raise click.ClickException(
            f"Remediation {name} has changed nothing: it waits for approval. "
            f"`forestall reject -n {remediation.namespace} {name}` ends it."
        )


def _reverted_text(remediation: Remediation) -> str:
    intent = remediation.spec.intent
    if not remediation.status.steps:
        return f"{remediations.deed(remediation)} is not begun any more"
    if traits_of(intent.action).changes_replicas:
        return f"{intent.target.kind}/{intent.target.name} goes back to {intent.from_}"
    return f"{remediations.deed(remediation)}: {intent.rollback}"
