"""`forestall undo`: a person wants back now what a remediation did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from forestall.actions import traits_of
from forestall.api.remediation import Undo
from forestall.cli import options, remediations
from forestall.cli.caller import caller, written
from forestall.cli.headlines import unattended
from forestall.cli.pauses import holding
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
@click.option("--comment", required=True, callback=_why, help="Why; it is kept with the request.")
@options.connected
async def undo(session: Session, *, remediation: str, namespace: str | None, comment: str) -> None:
    """Give back now what a remediation did, whatever the risk and its policy say.

    The operator does it in its next cycle, in one step, and never below what was found: replicas or the autoscaler's
    floor go back, a patched field is set back, a cordoned node is uncordoned. It needs no data, and works also while
    the policy is suspended or only observes; a pause holds it until it ends. Its policy is locked for that objective
    then, until `unlock`. It needs the verbs `approve` and `patch` on remediations.

    \b
    Example:
      forestall undo -n shop checkout-scale-5f2c81 --comment "the load was a test"
    """
    place = namespace or session.namespace
    who = await caller(session.cluster)

    def asked(found: Remediation) -> dict[str, Any]:
        _check(found, session.now())
        return {"undo": Undo(by=who, at=written(session.now()), comment=comment).dump()}

    refused = (
        f"You ({who or 'unknown'}) may not undo remediations in namespace {place}: it needs the verbs `approve` and "
        "`patch` on remediations.forestall.dev"
    )
    found = await remediations.amend(session.cluster, place, remediation, asked, refused)
    intent = found.spec.intent
    click.echo(f"remediation.forestall.dev/{remediation} is given back in the operator's next cycle: {_back(found)}")
    if unseen := await unattended(session, place):
        click.echo(unseen, err=True)
    for text in await holding(session, place, objective=intent.objective.name, policy=intent.policy.name):
        click.echo(f"not before the pause ends: {text}", err=True)
    click.echo(
        f"policy {intent.policy.name} then does nothing more for objective {intent.objective.name} until "
        f"`forestall unlock -n {place} {intent.policy.name}`",
        err=True,
    )


def _check(found: Remediation, now: float) -> None:
    """Raise ClickException unless there is something that can be given back."""
    name, status, intent = found.name, found.status, found.spec.intent
    if not traits_of(intent.action).kept_while_at_risk:
        raise click.ClickException(
            f"{remediations.deed(found)} can't be undone. By itself: {intent.rollback or 'none'}. "
            "`forestall pause` or `forestall reject` stops what has not been done yet."
        )
    if found.ended:
        raise click.ClickException(
            f"Remediation {name} has ended{before(status.ended, now)}: {status.phase}, {status.reason or 'no reason'}. "
            f"It holds nothing that could be given back. {printable(status.message)}".strip()
        )
    if undo := found.spec.undo:
        raise click.ClickException(
            f"{undo.by or 'Somebody'} asked for that{before(undo.at, now)} already: {remediations.stand(found, now)}"
        )
    if status.phase == "AwaitingApproval":
        raise click.ClickException(
            f"Remediation {name} has changed nothing: it waits for approval. "
            f"`forestall reject -n {found.namespace} {name}` ends it."
        )


def _back(found: Remediation) -> str:
    intent = found.spec.intent
    if not found.status.steps:
        return f"{remediations.deed(found)} is not begun any more"
    if traits_of(intent.action).sized:
        return f"{intent.target.kind}/{intent.target.name} goes back to {intent.from_}"
    return f"{remediations.deed(found)}: {intent.rollback}"
