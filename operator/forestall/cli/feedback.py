"""`forestall feedback` and `forestall unlock`: what people thought of a remediation, which unlocks its policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import click

from forestall.api import Remediation, RemediationPolicy
from forestall.api.remediation import Feedback
from forestall.cli import options, remediations
from forestall.cli.caller import caller, written
from forestall.cli.objects import find, read, understood
from forestall.remediation import lockouts

if TYPE_CHECKING:
    from forestall.cli.wiring import Session

Verdict = Literal["Helpful", "Unhelpful", "FalseAlarm"]

VERDICTS: Final[dict[str, Verdict]] = {"helpful": "Helpful", "unhelpful": "Unhelpful", "false-alarm": "FalseAlarm"}
_comment = click.option("--comment", default="", help="The comment that is stored with the feedback. Default: none.")


@click.command
@options.name("REMEDIATION", "Remediation")
@click.argument("verdict", type=click.Choice(list(VERDICTS)))
@options.namespace
@_comment
@options.connected
async def feedback(session: Session, *, remediation: str, verdict: str, namespace: str | None, comment: str) -> None:
    """Give feedback on a remediation: whether it helped, or the risk was a false alarm.

    The Remediation records who gave it, when and why; later feedback replaces earlier. It unlocks a policy that this
    remediation locks. You need the verb `patch` on remediations.

    \b
    Example:
      forestall feedback -n shop checkout-scale-5f2c81 unhelpful --comment "the database was the cause"
    """
    in_namespace = namespace or session.namespace
    amended = await _say(session, in_namespace, remediation, VERDICTS[verdict], comment)
    click.echo(f"remediation.forestall.dev/{remediation} {verdict}: {remediations.deed(amended)}")


@click.command
@options.name("POLICY", "RemediationPolicy")
@options.namespace
@_comment
@options.connected
async def unlock(session: Session, *, policy: str, namespace: str | None, comment: str) -> None:
    """Unlock a policy that is locked because its last remediation did not help.

    It gives the feedback `unhelpful` on the remediations that lock the policy: look at them first. A change of the
    policy's actions unlocks it as well; suspending or resuming it does not.
    """
    in_namespace = namespace or session.namespace
    body = await read(session.cluster, RemediationPolicy.KIND, in_namespace, policy)
    bodies = await find(session.cluster, Remediation.KIND, in_namespace)
    locking = lockouts.locking_remediations(
        understood(RemediationPolicy, body),
        [understood(Remediation, remediation_body) for remediation_body in bodies],
    )
    if not locking:
        click.echo(f"remediationpolicy.forestall.dev/{policy} is not locked")
    for remediation in locking:
        await _say(session, in_namespace, remediation.name, "Unhelpful", comment)
        click.echo(f"remediation.forestall.dev/{remediation.name} unhelpful: {remediations.deed(remediation)}")


async def _say(session: Session, namespace: str, name: str, verdict: Verdict, comment: str) -> Remediation:
    user = await caller(session.cluster)
    feedback = Feedback(verdict=verdict, by=user, at=written(session.now()), comment=comment[:1024])
    refused = (
        f"You ({user or 'unknown'}) may not give feedback in namespace {namespace}: it needs the verb `patch` on "
        "remediations.forestall.dev"
    )

    def change(_: Remediation) -> dict[str, Any]:
        return {"feedback": feedback.dump()}

    return await remediations.amend(session.cluster, namespace, name, change, refused)
