"""How a change of the cluster is made, so that a crash at any instant does nothing twice.

1. Read the target, and remember its version (`observe`).
2. Write the step down (not done), on the condition that nobody wrote the Remediation since it was read.
3. Change the target, on the condition that nobody changed it since 1.
4. Write down that the step is done (`confirm_step`).

Whoever finds a step that is not done looks at the target: it is at the step's `to`, so the step was made; or at its
`from`, so it was not, and 1 to 3 are gone through again; or elsewhere, so somebody else has taken over and it is left
alone. Two processes that both believe to lead can't both pass 2 and 3: for the slower one, a version no longer holds.
"""

from forestall.actions import Change, ObservedState, has_helped
from forestall.api.remediation import Remediation, RemediationStatus
from forestall.api.times import stamp
from forestall.core.decision import Hold
from forestall.errors import ClusterError, Conflict, Forbidden, Halted, NotFound, NotSent, Throttled, Unavailable
from forestall.remediation.context import ReconcileContext, StepResult
from forestall.remediation.progress import deadline
from forestall.remediation.status_updates import with_step, with_step_done
from forestall.remediation.transitions import obstructed, wait
from forestall.remediation.write_errors import refused_write, unconfirmed_write


async def observe(remediation: Remediation, context: ReconcileContext) -> ObservedState | Hold:
    """Return the target as it is now, or why the action can have no part in it any more.

    Raises:
        ClusterError: the cluster could not say; nothing is known.
    """
    try:
        return await context.action.observe(context.reader, remediation)
    except Forbidden as error:
        return refused_write(error, remediation.spec.intent)


async def make_step(
    remediation: Remediation,
    status: RemediationStatus,
    move: Change,
    observed: ObservedState,
    context: ReconcileContext,
) -> StepResult:
    """Write a step down, together with `status`, then make it."""
    recorded = await context.store.commit(remediation, with_step(status, move, observed, context.outlook, context.now))
    try:
        await context.step_backup(recorded, context.now)
    except ClusterError as error:
        if move.increases:
            hold = Hold("NotRecorded", f"{move.description}: it could not be noted in the objective: {error}")
            return await wait(recorded, recorded.status, hold, context)
    context.reader.forget_below(observed.subject)
    try:
        await context.action.write(context.fenced(recorded), recorded, observed, move.to)
    except Conflict:
        context.reader.forget()
        return StepResult(recorded, continues=True)
    except (NotSent, Halted) as error:
        return await wait(recorded, recorded.status, Hold(error.reason, str(error)), context)
    except Throttled as error:
        return await wait(recorded, recorded.status, Hold("Throttled", f"{move.description}: {error}"), context)
    except NotFound:
        return StepResult(recorded, continues=False)  # the next cycle says what is gone
    except Unavailable as error:
        return await wait(recorded, recorded.status, unconfirmed_write(move.description, error), context)
    except ClusterError as error:
        return await obstructed(recorded, refused_write(error, recorded.spec.intent), context)
    return await confirm_step(recorded, context)


async def confirm_step(remediation: Remediation, context: ReconcileContext) -> StepResult:
    """Write down that the last step is done."""
    status = with_step_done(remediation.status)
    step = status.steps[-1]
    raised = status.completed is not None and (step.to or 0) > (step.from_ or 0)
    if raised and has_helped(remediation) is None and context.now < deadline(remediation, context.now):
        # What was added needs its time too before it is judged.
        status = status.model_copy(update={"completed": stamp(context.now)})
    saved = await context.store.save(remediation, status)
    message = f"{step.change}; {step.because}" if step.because else step.change
    await context.store.record_event(saved, saved.spec.intent.target, "Normal", context.action.traits.name, message)
    return StepResult(saved, continues=True)
