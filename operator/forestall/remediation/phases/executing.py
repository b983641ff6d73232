"""Executing: the first step is being made, or was made and has not taken effect yet."""

from typing import Final

from forestall.actions import MultiStepAction, ObservedState, Outcome
from forestall.actions.base import title
from forestall.actions.unfinished import is_stuck
from forestall.api.remediation import Remediation
from forestall.api.times import stamp
from forestall.core.decision import Hold
from forestall.errors import ClusterError, Conflict, Halted, NotFound, Throttled, Unavailable
from forestall.remediation.context import ReconcileContext, StepResult
from forestall.remediation.phases.authorized import reconcile_authorized
from forestall.remediation.progress import deadline
from forestall.remediation.status_updates import completed_condition, moved, with_condition
from forestall.remediation.transitions import begin_rollback, close, wait
from forestall.remediation.verification import verified_condition
from forestall.remediation.write_errors import refused_write, unconfirmed_write

_USUAL: Final = 20.0
"""How long (s) pods may start or end without a word about it."""


async def reconcile_executing(
    remediation: Remediation, observed: ObservedState, context: ReconcileContext
) -> StepResult:
    """Wait until the step has taken effect; one that was not made is begun again, as if it were only authorized."""
    status, now = remediation.status, context.now
    if not status.steps[-1].done:
        return await reconcile_authorized(remediation, context)
    if (failure := _failure(observed, now)) is not None:
        return await _give_up(remediation, failure, context)
    if observed.settled:
        return await _complete(remediation, context)
    if isinstance(context.action, MultiStepAction):
        return await _proceed(remediation, context.action, observed, context)
    if now >= deadline(remediation, now):
        message = f"{title(observed.subject)} was not complete by the deadline{_because(observed)}"
        return await _give_up(remediation, Hold("DeadlineExceeded", message), context)
    return await wait(remediation, status, _progress(observed, now), context)


def _failure(observed: ObservedState, now: float) -> Hold | None:
    """Return why the step will not take effect, by its controller or because no pod has become ready for too long."""
    if observed.failed is not None:
        return Hold(observed.failed.reason, f"{observed.failed.message}{_because(observed)}")
    if observed.unfinished is not None and is_stuck(observed.subject, observed.unfinished, now):
        return Hold("RolloutStuck", f"the rollout has made no progress for 10 minutes{_because(observed)}")
    return None


def _because(observed: ObservedState) -> str:
    return "" if observed.unfinished is None else f": {observed.unfinished.why.message}"


def _progress(observed: ObservedState, now: float) -> Hold:
    """Return what is waited for; that pods start or end is worth mentioning only if it takes longer than usual."""
    unfinished = observed.unfinished
    if unfinished is not None and (
        unfinished.is_reported or (unfinished.since is not None and now - unfinished.since >= _USUAL)
    ):
        return unfinished.why
    return Hold("InProgress", f"{title(observed.subject)} is under way")


async def _give_up(remediation: Remediation, cause: Hold, context: ReconcileContext) -> StepResult:
    """Revert what can be reverted of a step that did not take effect; end what can't."""
    if context.action.traits.kept_while_at_risk:
        return await begin_rollback(remediation, cause, context)
    return await close(remediation, remediation.status, Outcome("Failed", cause.reason, cause.message), context)


async def _complete(remediation: Remediation, context: ReconcileContext) -> StepResult:
    """Begin to verify: samples count from now on."""
    now = context.now
    status = remediation.status.model_copy(update={"completed": stamp(now), "calm_since": None})
    status = with_condition(status, completed_condition("True", "Completed", "the action is done", now))
    no_sample = verified_condition("Unknown", "Pending", "no sample from after the action yet", now)
    status = with_condition(status, no_sample)
    message = "it is done; samples from now on show whether it helped"
    verifying = moved(status, "Verifying", "Verifying", message, now)
    return StepResult(await context.store.save(remediation, verifying), continues=False)


async def _proceed(
    remediation: Remediation, action: MultiStepAction, observed: ObservedState, context: ReconcileContext
) -> StepResult:
    """Go on with what takes many writes; or revert what was begun, when it may go on no more."""
    if context.now >= deadline(remediation, context.now):
        over = Hold("DeadlineExceeded", f"its time was over before it was done; {observed.left}")
        return await begin_rollback(remediation, over, context)
    if context.outlook is not None and context.outlook.withdrawn is not None:
        return await begin_rollback(remediation, context.outlook.withdrawn, context)
    hold = await context.why_stopped(remediation) or await context.guard(remediation)
    if hold is None:
        try:
            hold = await action.proceed(context.fenced(remediation), remediation, observed)
        except (Conflict, NotFound, Throttled):
            raise
        except Unavailable as error:
            hold = unconfirmed_write(title(observed.subject), error)
        except Halted as error:
            hold = Hold(error.reason, str(error))
        except ClusterError as error:
            return await begin_rollback(remediation, refused_write(error, remediation.spec.intent), context)
    return await wait(remediation, remediation.status, hold, context)
