"""Holding: it did not help, and is kept while the risk lasts: to take it away could make things worse."""

from forestall.actions import ObservedState
from forestall.api.remediation import Remediation
from forestall.remediation.context import ReconcileContext, StepResult
from forestall.remediation.phases.continuation import continue_after_step, update_verified


async def reconcile_holding(remediation: Remediation, observed: ObservedState, context: ReconcileContext) -> StepResult:
    """Keep it, or begin to revert it."""
    return await continue_after_step(remediation, update_verified(remediation, observed, context), observed, context)
