"""Verifying: the action is complete; samples show whether it helped, and it may be raised or reverted meanwhile."""

from forestall.actions import ObservedState, has_helped
from forestall.api.remediation import Remediation
from forestall.remediation.context import ReconcileContext, StepResult
from forestall.remediation.phases.continuation import continue_after_step, update_verified
from forestall.remediation.status_updates import moved
from forestall.remediation.verification import not_helped_message


async def reconcile_verifying(
    remediation: Remediation, observed: ObservedState, context: ReconcileContext
) -> StepResult:
    """Go on by the verdict; what did not help and is kept while the risk lasts is held."""
    judged = update_verified(remediation, observed, context)
    if context.action.traits.kept_while_at_risk and has_helped(judged) is False:
        reason = context.action.traits.reason_still_at_risk
        holding = moved(judged.status, "Holding", reason, not_helped_message(judged, observed), context.now)
        return StepResult(await context.store.save(remediation, holding), continues=True)
    return await continue_after_step(remediation, judged, observed, context)
