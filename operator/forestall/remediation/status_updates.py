"""How the status of a Remediation changes; pure."""

from typing import Any, Final, Literal

from forestall.actions import Change, ObservedState, RiskOutlook
from forestall.api.meta import Condition, condition
from forestall.api.remediation import TERMINAL, Phase, Remediation, RemediationStatus, Seen, Step
from forestall.api.times import seconds, stamp
from forestall.core.decision import Hold

KEPT_STEPS: Final = 20
GIVEN_BACK: Final = "Reverted"


def moved(status: RemediationStatus, phase: Phase, reason: str, message: str, now: float) -> RemediationStatus:
    """Return the status in `phase`, for this reason."""
    update: dict[str, Any] = {"phase": phase, "reason": reason, "message": message}
    if phase != status.phase or not status.since:
        update["since"] = stamp(now)
    if phase in TERMINAL:
        update["ended"] = stamp(now)
    return status.model_copy(update=update)


def with_condition(status: RemediationStatus, new: Condition) -> RemediationStatus:
    """Return the status with `new` in place of the condition of its type."""
    other_conditions = [condition for condition in status.conditions if condition.type != new.type]
    return status.model_copy(update={"conditions": [*other_conditions, new]})


def with_step(
    status: RemediationStatus, move: Change, observed: ObservedState, outlook: RiskOutlook | None, now: float
) -> RemediationStatus:
    """Return the status with a step that is about to be made; one that was never made gives way to it."""
    load = outlook.load if outlook is not None and move.increases else None
    step = Step(
        at=stamp(now),
        change=move.description,
        subject=observed.subject,
        from_=observed.level,
        to=move.to,
        because=move.because,
        previous=observed.current_value,
        load=None if load is None else Seen(ready=load.ready, value=load.value),
    )
    return status.model_copy(update={"steps": [*without_open_step(status).steps, step][-KEPT_STEPS:]})


def without_open_step(status: RemediationStatus) -> RemediationStatus:
    """Return the status without the step that was written down but never made."""
    return status.model_copy(update={"steps": [step for step in status.steps if step.done]})


def with_step_done(status: RemediationStatus) -> RemediationStatus:
    """Return the status with its last step marked as made."""
    *earlier, last = status.steps
    return status.model_copy(update={"steps": [*earlier, last.model_copy(update={"done": True})]})


def with_risk(
    status: RemediationStatus, outlook: RiskOutlook | None, probability: float, now: float
) -> RemediationStatus:
    """Return the status that knows since when the risk has been gone, or unknown; without fresh data it is not gone."""
    if outlook is None:
        return status.model_copy(update={"calm_since": None})
    blind = None if outlook.fresh else status.blind_since or stamp(now)
    calm = None if not outlook.fresh or outlook.at_risk(probability) else status.calm_since or stamp(now)
    return status.model_copy(update={"calm_since": calm, "blind_since": blind})


def with_rollback_refused(status: RemediationStatus, hold: Hold, now: float) -> RemediationStatus:
    """Return the status that says, and since when, why what was done can't be reverted now."""
    before = condition(status.conditions, GIVEN_BACK)
    since = now if before is None else seconds(before.last_transition_time) or now
    return with_condition(status, Condition.since(since, GIVEN_BACK, "False", hold.reason, hold.message))


def without_rollback_refused(status: RemediationStatus) -> RemediationStatus:
    """Return the status of what can be reverted again."""
    remaining = [condition for condition in status.conditions if condition.type != GIVEN_BACK]
    return status if len(remaining) == len(status.conditions) else status.model_copy(update={"conditions": remaining})


def approved_condition(remediation: Remediation, now: float) -> Condition:
    """Return the condition that says who approved it."""
    approval = remediation.spec.approval
    by = (approval.by if approval else "") or "somebody"
    comment = f": {approval.comment}" if approval and approval.comment else ""
    return Condition.since(now, "Approved", "True", "Approved", f"by {by}{comment}")


def completed_condition(status: Literal["True", "False"], reason: str, message: str, now: float) -> Condition:
    """Return the condition that says whether what the action changes is complete, or why it never will be."""
    return Condition.since(now, "Completed", status, reason, message)


def back_to_holding(status: RemediationStatus, hold: Hold, now: float) -> RemediationStatus:
    """Return the status of what did not help, of which a part was reverted, and the rest is kept while it serves."""
    if status.phase != "RollingBack" or hold.reason not in ("NotHelped", "Contained"):
        return status
    return moved(status, "Holding", hold.reason, hold.message, now)
