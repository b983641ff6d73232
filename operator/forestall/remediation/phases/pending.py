"""Pending and AwaitingApproval: nothing was changed; it waits for its guards, and for a person in mode Approve."""

from dataclasses import dataclass

from forestall.actions import Outcome
from forestall.api.remediation import Remediation
from forestall.core.decision import Hold
from forestall.remediation.authorization import ApprovalRequired, authorize, newly_approved
from forestall.remediation.context import ReconcileContext, StepResult
from forestall.remediation.status_updates import approved_condition, moved, with_condition, with_risk
from forestall.remediation.transitions import abandon, wait


@dataclass(frozen=True, slots=True)
class Cleared:
    """Nothing keeps the remediation from going on."""

    remediation: Remediation
    """With what this cycle knows of the risk and of its approval, which is not written yet."""


async def reconcile_pending(remediation: Remediation, context: ReconcileContext) -> StepResult:
    """Authorize it where nothing is in the way."""
    clearance = await clear(remediation, context)
    if isinstance(clearance, StepResult):
        return clearance
    status = clearance.remediation.status
    authorized = moved(status, "Authorized", "GuardsPassed", "every guard lets it pass", context.now)
    return StepResult(await context.store.save(remediation, authorized), continues=True)


async def clear(remediation: Remediation, context: ReconcileContext) -> Cleared | StepResult:
    """Ask whether it may go ahead now; return what became of it where it may not."""
    status = with_risk(remediation.status, context.outlook, remediation.spec.intent.verify_probability, context.now)
    if newly_approved(remediation, context.now):
        status = with_condition(status, approved_condition(remediation, context.now))
    updated = remediation.model_copy(update={"status": status})
    answer = authorize(updated, context.outlook, context.now) or await context.guard(updated)
    match answer:
        case Outcome():
            return await abandon(remediation, status, answer, context)
        case ApprovalRequired():
            awaiting = moved(status, "AwaitingApproval", "AwaitingApproval", answer.message, context.now)
            return StepResult(await context.store.save(remediation, awaiting), continues=False)
        case Hold():
            return await wait(remediation, status, answer, context)
    return Cleared(updated)
