"""Authorized: guards and people let it pass; they are asked once more, then the first step is made."""

from forestall.api.remediation import Remediation
from forestall.core.decision import Hold
from forestall.remediation.context import ReconcileContext, StepResult
from forestall.remediation.phases.pending import clear
from forestall.remediation.status_updates import moved
from forestall.remediation.transitions import handle_unobservable, obstructed, wait
from forestall.remediation.write_ahead import make_step, observe


async def reconcile_authorized(remediation: Remediation, context: ReconcileContext) -> StepResult:
    """Make the first step, where it may still go ahead."""
    clearance = await clear(remediation, context)
    if isinstance(clearance, StepResult):
        return clearance
    status = clearance.remediation.status
    observed = await observe(remediation, context)
    if isinstance(observed, Hold):
        return await handle_unobservable(remediation, observed, context)
    first = context.action.first_change(remediation, observed)
    if isinstance(first, Hold):
        return await obstructed(remediation, first, context)
    if (paused := await context.pause_check(remediation, context.now)) is not None:
        return await wait(remediation, status, paused, context)
    executing = moved(status, "Executing", "Executing", first.description, context.now)
    return await make_step(remediation, executing, first, observed, context)
