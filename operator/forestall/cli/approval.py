"""`forestall approve` and `forestall reject`: a person's decision about a remediation that waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import click
from pydantic import ValidationError

from forestall.api import Remediation
from forestall.api.remediation import Approval, ObjectRef
from forestall.cli import options
from forestall.cli.caller import caller, written
from forestall.cli.objects import read
from forestall.cli.remediations import deed
from forestall.cli.words import ago, moment
from forestall.errors import Conflict, Forbidden

if TYPE_CHECKING:
    from forestall.cli.wiring import Session
Verdict = Literal["Approved", "Rejected"]

TRIES: Final = 5
"""The operator may write the status between reading and writing; nothing is lost by reading again."""

_name = options.name("REMEDIATION", "remediation")
_comment = click.option("--comment", default="", help="Why; it is kept with the decision.")


@click.command
@_name
@options.namespace
@_comment
@options.connected
async def approve(session: Session, *, remediation: str, namespace: str | None, comment: str) -> None:
    """Let a remediation go ahead that waits for approval.

    Who approved, when and why is kept in the Remediation. It needs the verbs `approve` and `patch` on remediations.

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
    """Refuse a remediation that waits for approval.

    Who refused, when and why is kept in the Remediation. It needs the verbs `approve` and `patch` on remediations.
    """
    await _decide(session, namespace or session.namespace, remediation, "Rejected", comment)


async def _decide(session: Session, namespace: str, name: str, verdict: Verdict, comment: str) -> None:
    who = await caller(session.cluster)
    for left in reversed(range(TRIES)):
        try:
            remediation = await _try(session, namespace, name, verdict, who, comment)
        except Conflict:
            if not left:
                raise
        else:
            click.echo(f"remediation.forestall.dev/{name} {verdict.lower()}: {deed(remediation)}")
            return


async def _try(session: Session, namespace: str, name: str, verdict: Verdict, who: str, comment: str) -> Remediation:
    remediation = await _waiting(session, namespace, name)
    approval = Approval(decision=verdict, by=who, at=written(session.now()), comment=comment[:1024])
    patch = {"spec": {"approval": approval.dump()}}
    try:
        await session.cluster.patch(ObjectRef.to(remediation), patch, remediation.metadata.resource_version)
    except Forbidden as error:
        raise Forbidden(
            f"You ({who or 'unknown'}) may not decide about remediations in namespace {namespace}: it needs the verbs "
            f"`approve` and `patch` on remediations.forestall.dev. {error}"
        ) from error
    return remediation


async def _waiting(session: Session, namespace: str, name: str) -> Remediation:
    """Return the Remediation, if a decision can still be made about it."""
    body = await read(session.cluster, Remediation.KIND, namespace, name)
    try:
        remediation = Remediation.read(body)
    except ValidationError as error:
        raise click.ClickException(f"Remediation {name} does not fit this version of forestall.") from error
    now, status, intent = session.now(), remediation.status, remediation.spec.intent
    decided = remediation.spec.approval
    if decided:
        by = f" by {decided.by}" if decided.by else ""
        raise click.ClickException(
            f"Remediation {name} was {decided.decision.lower()}{by}{_before(decided.at, now)} already; that stands."
        )
    if remediation.ended:
        raise click.ClickException(
            f"Remediation {name} has ended{_before(status.ended, now)}: {status.phase}, {status.reason or 'no reason'}."
        )
    expires = moment(intent.approval_expires)
    if expires is not None and expires <= now:
        raise click.ClickException(
            f"Remediation {name} expired{_before(intent.approval_expires, now)}. "
            "If the risk lasts, the policy asks anew."
        )
    if intent.mode != "Approve":
        raise click.ClickException(
            f"Remediation {name} waits for nobody: its policy's mode is {intent.mode}, its phase {status.phase}."
        )
    return remediation


def _before(when: str | None, now: float) -> str:
    since = ago(when, now)
    return f" {since} ago" if since else ""
