"""`forestall approve` and `forestall reject`: a person's decision about a remediation that waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import click

from forestall.api.remediation import Approval
from forestall.api.times import seconds
from forestall.cli import options, remediations
from forestall.cli.caller import caller, written
from forestall.cli.headlines import unattended
from forestall.cli.words import before

if TYPE_CHECKING:
    from forestall.api import Remediation
    from forestall.cli.wiring import Session
Verdict = Literal["Approved", "Rejected"]

_name = options.name("REMEDIATION", "Remediation")
_comment = click.option("--comment", default="", help="The comment that is stored with the decision. Default: none.")


@click.command
@_name
@options.namespace
@_comment
@options.connected
async def approve(session: Session, *, remediation: str, namespace: str | None, comment: str) -> None:
    """Approve a remediation that waits for approval.

    The Remediation records who approved it, when and why. You need the verbs `approve` and `patch` on remediations.

    \b
    Example:
      forestall approve -n shop checkout-scale-5f2c81 --comment "traffic is real, campaign started"
    """
    await _decide(session, namespace or session.namespace, remediation, "Approved", comment)


@click.command
@_name
@options.namespace
@_comment
@options.connected
async def reject(session: Session, *, remediation: str, namespace: str | None, comment: str) -> None:
    """Reject a remediation that waits for approval.

    The Remediation records who rejected it, when and why. You need the verbs `approve` and `patch` on remediations.
    """
    await _decide(session, namespace or session.namespace, remediation, "Rejected", comment)


async def _decide(session: Session, namespace: str, name: str, verdict: Verdict, comment: str) -> None:
    user = await caller(session.cluster)

    def decided(remediation: Remediation) -> dict[str, Any]:
        _check(remediation, session.now())
        approval = Approval(decision=verdict, by=user, at=written(session.now()), comment=comment[:1024])
        return {"approval": approval.dump()}

    refused = (
        f"You ({user or 'unknown'}) may not decide about remediations in namespace {namespace}: it needs the verbs "
        "`approve` and `patch` on remediations.forestall.dev"
    )
    remediation = await remediations.amend(session.cluster, namespace, name, decided, refused)
    click.echo(f"remediation.forestall.dev/{name} {verdict.lower()}: {remediations.deed(remediation)}")
    if unseen := await unattended(session, namespace):
        click.echo(unseen, err=True)


def _check(remediation: Remediation, now: float) -> None:
    """Raise ClickException unless a decision can still be made about it."""
    name, status, intent = remediation.name, remediation.status, remediation.spec.intent
    decided = remediation.spec.approval
    if decided:
        by = f" by {decided.by}" if decided.by else ""
        raise click.ClickException(
            f"Remediation {name} was {decided.decision.lower()}{by}{before(decided.at, now)} already; that stands."
        )
    if remediation.ended:
        raise click.ClickException(
            f"Remediation {name} has ended{before(status.ended, now)}: {status.phase}, {status.reason or 'no reason'}."
        )
    expires = seconds(intent.approval_expires)
    if expires is not None and expires <= now:
        raise click.ClickException(
            f"Remediation {name} expired{before(intent.approval_expires, now)}. "
            "If the risk lasts, the policy asks anew."
        )
    if intent.mode != "Approve":
        raise click.ClickException(
            f"Remediation {name} waits for nobody: its policy's mode is {intent.mode}, its phase {status.phase}."
        )
