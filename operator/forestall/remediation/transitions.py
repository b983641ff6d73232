"""The transitions that every phase shares: stay for a reason, give up, revert, end.

Each writes the status once, on the condition that nobody wrote it since it was read.
"""

from typing import Final

from forestall.actions import ObservedState, Outcome
from forestall.actions.base import Deferred, title
from forestall.api.remediation import Remediation, RemediationStatus
from forestall.core.decision import Hold
from forestall.remediation.context import ReconcileContext, StepResult
from forestall.remediation.progress import deadline, has_changed, has_write_in_flight, rollback_deadline
from forestall.remediation.status_updates import (
    completed_condition,
    moved,
    with_condition,
    with_rollback_refused,
    without_open_step,
)

_REFUSED: Final = frozenset({"Forbidden", "Refused"})


async def wait(
    remediation: Remediation, status: RemediationStatus, hold: Hold, context: ReconcileContext
) -> StepResult:
    """Stay in the phase for this reason; another message alone is not worth a write."""
    if hold.reason != status.reason:
        status = moved(status, status.phase, hold.reason, hold.message, context.now)
    return StepResult(await context.store.save(remediation, status), continues=False)


async def close(
    remediation: Remediation, status: RemediationStatus, end: Outcome, context: ReconcileContext
) -> StepResult:
    """End the remediation."""
    ended = moved(status, end.phase, end.reason, end.message, context.now)
    return StepResult(await context.store.save(remediation, ended), continues=False)


async def abandon(
    remediation: Remediation, status: RemediationStatus, end: Outcome, context: ReconcileContext
) -> StepResult:
    """End an intent that has changed nothing; a write whose answer was lost must have had its time."""
    if has_write_in_flight(status, context.now):
        return StepResult(remediation, continues=False)
    return await close(remediation, without_open_step(status), end, context)


async def begin_rollback(remediation: Remediation, cause: Hold, context: ReconcileContext) -> StepResult:
    """Begin to revert what was done."""
    status = remediation.status
    if not status.completed:
        status = with_condition(status, completed_condition("False", cause.reason, cause.message, context.now))
    rolling_back = moved(status, "RollingBack", cause.reason, cause.message, context.now)
    return StepResult(await context.store.save(remediation, rolling_back), continues=True)


async def superseded(remediation: Remediation, observed: ObservedState, context: ReconcileContext) -> StepResult:
    """End what somebody else has taken over: the target is neither as the last step left it nor as it was before."""
    step = remediation.status.steps[-1]
    expected = step.to if step.done else step.from_
    changed = f"set to {expected}" if observed.level == expected else f"changed from {expected} to {observed.level}"
    message = f"{title(observed.subject)} was {changed} by somebody else; it is left alone"
    return await close(remediation, remediation.status, Outcome("Aborted", "Superseded", message), context)


async def handle_unobservable(remediation: Remediation, obstacle: Hold, context: ReconcileContext) -> StepResult:
    """End what can't go on because of how its target is, or because that may not be read."""
    if obstacle.reason in _REFUSED and not has_changed(remediation.status):
        return await _not_tried(remediation, remediation.status, obstacle, context)
    return await obstructed(remediation, obstacle, context)


async def obstructed(remediation: Remediation, obstacle: Hold, context: ReconcileContext) -> StepResult:
    """End what can't go on; a right that is missing for reverting may still be granted, a pause may end."""
    status = remediation.status
    if isinstance(obstacle, Deferred) and status.steps:
        return await wait(remediation, with_rollback_refused(status, obstacle, context.now), obstacle, context)
    if obstacle.reason not in _REFUSED:
        return await close(remediation, status, Outcome("Aborted", obstacle.reason, obstacle.message), context)
    if not has_changed(status):
        return await _not_tried(remediation, without_open_step(status), obstacle, context)
    if context.now < rollback_deadline(remediation, context.now):
        return await wait(remediation, with_rollback_refused(status, obstacle, context.now), obstacle, context)
    return await close(remediation, status, Outcome("Failed", obstacle.reason, obstacle.message), context)


async def _not_tried(
    remediation: Remediation, status: RemediationStatus, refusal: Hold, context: ReconcileContext
) -> StepResult:
    """Wait for a right that is missing; what admission refuses ends, and has not failed: it was not tried."""
    if refusal.reason == "Forbidden" and context.now < deadline(remediation, context.now):
        return await wait(remediation, status, refusal, context)
    return await abandon(remediation, status, Outcome("Aborted", refusal.reason, refusal.message), context)
