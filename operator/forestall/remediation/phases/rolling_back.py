"""RollingBack: what was done is reverted, step by step; what still serves may be held once more."""

from forestall.actions import ObservedState
from forestall.api.remediation import Remediation
from forestall.remediation.context import ReconcileContext, StepResult
from forestall.remediation.phases.continuation import continue_after_step, update_verified


async def reconcile_rolling_back(
    remediation: Remediation, observed: ObservedState, context: ReconcileContext
) -> StepResult:
    """Revert more of it, or end when all is reverted."""
    return await continue_after_step(remediation, update_verified(remediation, observed, context), observed, context)
