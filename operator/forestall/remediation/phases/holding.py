"""Holding: it did not help, and is kept while the risk lasts: to take it away could make things worse."""

from forestall.actions import ObservedState
from forestall.api.remediation import Remediation
from forestall.remediation.context import ReconcileContext, StepResult
from forestall.remediation.phases.continuation import carry_on, judge


async def reconcile_holding(remediation: Remediation, world: ObservedState, context: ReconcileContext) -> StepResult:
    """Keep it, or begin to revert it."""
    return await carry_on(remediation, judge(remediation, world, context), world, context)
