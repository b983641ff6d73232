"""What Verifying, Holding and RollingBack share: judge whether it helped, then do what the action says comes next."""

from forestall.actions import Change, ObservedState, Outcome, proportion
from forestall.actions.starting import noted, preempted
from forestall.api.remediation import Phase, Remediation
from forestall.remediation.context import ReconcileContext, StepResult
from forestall.remediation.progress import has_write_in_flight
from forestall.remediation.status_updates import (
    back_to_holding,
    moved,
    with_condition,
    with_risk,
    without_open_step,
    without_rollback_refused,
)
from forestall.remediation.transitions import close, wait
from forestall.remediation.verification import verify
from forestall.remediation.write_ahead import make_step


def update_verified(remediation: Remediation, observed: ObservedState, context: ReconcileContext) -> Remediation:
    """Return the remediation with what this cycle shows: the risk, the pods that were added, the verdict."""
    now, status = context.now, without_rollback_refused(remediation.status)
    status = with_risk(status, context.outlook, remediation.spec.intent.verify_probability, now)
    noticed = (
        noted(remediation, observed, now),
        preempted(remediation, observed, now),
        proportion.noted(remediation, context.recent, now),
    )
    for condition in noticed:
        status = status if condition is None else with_condition(status, condition)
    updated = remediation.model_copy(update={"status": status})
    verdict = verify(
        updated,
        context.outlook,
        now,
        exhausted=observed.level >= observed.ceiling,
        pods=observed.unfinished or observed.stalled,
    )
    return updated.model_copy(update={"status": with_condition(status, verdict)})


async def continue_after_step(
    remediation: Remediation, judged: Remediation, observed: ObservedState, context: ReconcileContext
) -> StepResult:
    """Raise, keep or revert what was done, or end. `judged` is `remediation` as of now, which is not written yet."""
    status, now = judged.status, context.now
    upcoming = context.action.next_change(judged, observed, context.recent, now)
    repeats = isinstance(upcoming, Change) and bool(status.steps) and upcoming.to == status.steps[-1].to
    if has_write_in_flight(status, now) and not repeats:
        return StepResult(await context.store.save(remediation, status), continues=False)
    if isinstance(upcoming, Change):
        return await _move(remediation, judged, upcoming, observed, context)
    status = without_open_step(status)
    if isinstance(upcoming, Outcome):
        return await close(remediation, status, upcoming, context)
    return await wait(remediation, back_to_holding(status, upcoming, now), upcoming, context)


async def _move(
    remediation: Remediation, judged: Remediation, move: Change, observed: ObservedState, context: ReconcileContext
) -> StepResult:
    hold = await context.why_stopped(judged) or (await context.guard(judged) if move.increases else None)
    if hold is not None:
        return await wait(remediation, without_open_step(judged.status), hold, context)
    phase: Phase = "RollingBack" if judged.status.phase == "Holding" else judged.status.phase
    reason = "Raising" if move.increases else "Releasing"
    status = moved(judged.status, phase, reason, f"{move.description}; {move.because}", context.now)
    result = await make_step(remediation, status, move, observed, context)
    # One change in a cycle: the next is decided when this one can be seen.
    return StepResult(result.remediation, continues=False)
