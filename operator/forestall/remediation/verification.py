"""Whether an action helped: has the risk fallen, by samples that were taken after the action was complete?"""

from typing import Literal

from forestall.actions import ObservedState, RiskOutlook, traits_of
from forestall.actions.base import StalledReplicas, UnfinishedRollout, condition_of, title
from forestall.actions.starting import PODS_READY, SETTLING
from forestall.api.meta import Condition
from forestall.api.remediation import Remediation
from forestall.api.times import seconds
from forestall.core.decision import Hold
from forestall.core.precision import format_percent_pair
from forestall.remediation.progress import deadline

VERIFIED = "Verified"


def verify(
    remediation: Remediation,
    outlook: RiskOutlook | None,
    now: float,
    *,
    exhausted: bool,
    pods: UnfinishedRollout | StalledReplicas | None = None,
) -> Condition:
    """Return the condition `Verified` as of now.

    True as soon as one fresh sample from after the completion shows the risk below the policy's probability. False
    when, after the policy's time, the newest such sample still does not. Unknown without such a sample: no data is no
    verdict. The reason is `Contained` instead of `NotHelped` for an action that is not meant to lower the risk. An
    action that did all it can (`exhausted`) and sees the risk come back starts again at Unknown. False is final.

    `pods` are those that were replaced or added and do not serve: a risk that is gone because nothing runs any more has
    not fallen, and what only starts has not been tried yet.
    """
    before = condition_of(remediation, VERIFIED)
    if before is None:
        return verified_condition("Unknown", "Pending", "no sample from after the action has been seen yet", now)
    if before.status == "False":
        return before
    if outlook is None or not outlook.fresh:
        return _unseen(before, pods)
    intent = remediation.spec.intent
    since = _judged_since(remediation, before, now)
    if outlook.sampled_at <= since:
        return _unseen(before, pods)
    chance, least = format_percent_pair(outlook.probability, intent.verify_probability)
    figure = f"the breach probability is {chance}"
    is_late = now >= since + intent.verify_within.seconds
    if not outlook.at_risk(intent.verify_probability):
        if before.status == "Unknown" and (why := _not_serving(pods, is_late=is_late)) is not None:
            if is_late:
                reason = traits_of(intent.action).reason_still_at_risk
                return verified_condition("False", reason, f"{figure}, but {why.message}", now)
            return before.model_copy(update={"reason": why.reason, "message": f"{figure}, but {why.message}"})
        return _unless_same(before, verified_condition("True", "RiskFell", f"{figure}, below {least}", now))
    if before.status == "True":
        return verified_condition("Unknown", "RiskReturned", f"{figure} again", now) if exhausted else before
    if is_late and not _only_starts(pods, remediation, since, now):
        past = ", and the limit is passed" if outlook.breached else ""
        traits = traits_of(intent.action)
        contained = "" if traits.lowers_risk else "; the action keeps it from spreading"
        unready = "" if pods is None else f"; {pods.why.message}"
        message = f"after {intent.verify_within} {figure}{past}{contained}{unready}"
        return verified_condition("False", traits.reason_still_at_risk, message, now)
    return before


def _judged_since(remediation: Remediation, before: Condition, now: float) -> float:
    """Return from when (s) on samples count, and the policy's time runs: what was added needs its time too."""
    since = max(seconds(remediation.status.completed) or now, seconds(before.last_transition_time) or 0.0)
    ready = condition_of(remediation, PODS_READY)
    if ready is None or ready.status != "True" or before.status != "Unknown":
        return since
    return max(since, seconds(ready.last_transition_time) or 0.0)


def _unseen(before: Condition, pods: UnfinishedRollout | StalledReplicas | None) -> Condition:
    """Return the condition where no sample can be judged: pods that do not start may be why there is none."""
    why = _not_serving(pods, is_late=True)
    if before.status != "Unknown" or why is None:
        return before
    return before.model_copy(update={"reason": why.reason, "message": why.message})


def _not_serving(pods: UnfinishedRollout | StalledReplicas | None, *, is_late: bool) -> Hold | None:
    """Return why a risk that is gone is no success: the pods that were replaced do not serve.

    What nobody reports a cause of may only take its time: it is waited for, but not for ever (`is_late`).
    """
    if not isinstance(pods, UnfinishedRollout) or pods.why.reason == "PodsTerminating":
        return None
    return pods.why if pods.is_reported or not is_late else None


def _only_starts(
    pods: UnfinishedRollout | StalledReplicas | None, remediation: Remediation, since: float, now: float
) -> bool:
    """Say whether replicas that were added may still be starting, so that they have not been tried yet."""
    if not isinstance(pods, StalledReplicas) or pods.why.reason not in ("PodsNotReady", "Preempting"):
        return False
    return now < min(since + SETTLING, deadline(remediation, now))


def not_helped_message(remediation: Remediation, observed: ObservedState) -> str:
    """Return in words that the action did not help, and whether more of it is possible."""
    why = condition_of(remediation, VERIFIED)
    at_most = (
        f"; {title(observed.subject)} is at {observed.level}, the most it may have" if _is_at_its_most(observed) else ""
    )
    return f"{why.message if why else ''}{at_most}; what was done is reverted when that is safe"


def _is_at_its_most(observed: ObservedState) -> bool:
    return observed.size is not None and observed.level >= observed.ceiling


def verified_condition(status: Literal["True", "False", "Unknown"], reason: str, message: str, now: float) -> Condition:
    """Return a condition `Verified`."""
    return Condition.since(now, VERIFIED, status, reason, message)


def _unless_same(before: Condition, after: Condition) -> Condition:
    return before if before.status == after.status else after
