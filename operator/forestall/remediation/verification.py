"""Whether an action helped: has the risk fallen, by samples that were taken after the action was complete?"""

from typing import Literal

from forestall.actions import ObservedState, RiskOutlook, traits_of
from forestall.actions.base import condition_of, title
from forestall.api.meta import Condition
from forestall.api.remediation import Remediation
from forestall.api.times import seconds
from forestall.core.precision import format_percent_pair

VERIFIED = "Verified"


def verify(remediation: Remediation, outlook: RiskOutlook | None, now: float, *, exhausted: bool) -> Condition:
    """Return the condition `Verified` as of now.

    True as soon as one fresh sample from after the completion shows the risk below the policy's probability. False
    when, after the policy's time, the newest such sample still does not. Unknown without such a sample: no data is no
    verdict. The reason is `Contained` instead of `NotHelped` for an action that is not meant to lower the risk. An
    action that did all it can (`exhausted`) and sees the risk come back starts again at Unknown. False is final.
    """
    before = condition_of(remediation, VERIFIED)
    if before is None:
        return verified_condition("Unknown", "Pending", "no sample from after the action has been seen yet", now)
    if before.status == "False" or outlook is None or not outlook.fresh:
        return before
    intent = remediation.spec.intent
    since = max(seconds(remediation.status.completed) or now, seconds(before.last_transition_time) or 0.0)
    if outlook.sampled_at <= since:
        return before
    chance, least = format_percent_pair(outlook.probability, intent.verify_probability)
    figure = f"the breach probability is {chance}"
    if not outlook.at_risk(intent.verify_probability):
        return _unless_same(before, verified_condition("True", "RiskFell", f"{figure}, below {least}", now))
    if before.status == "True":
        return verified_condition("Unknown", "RiskReturned", f"{figure} again", now) if exhausted else before
    if now >= since + intent.verify_within.seconds:
        past = ", and the limit is passed" if outlook.breached else ""
        traits = traits_of(intent.action)
        contained = "" if traits.lowers_risk else "; the action keeps it from spreading"
        message = f"after {intent.verify_within} {figure}{past}{contained}"
        return verified_condition("False", traits.reason_still_at_risk, message, now)
    return before


def not_helped_message(remediation: Remediation, world: ObservedState) -> str:
    """Return in words that the action did not help, and whether more of it is possible."""
    why = condition_of(remediation, VERIFIED)
    at_most = f"; {title(world.subject)} is at {world.level}, the most it may have" if _is_at_its_most(world) else ""
    return f"{why.message if why else ''}{at_most}; what was done is reverted when that is safe"


def _is_at_its_most(world: ObservedState) -> bool:
    return world.size is not None and world.level >= world.ceiling


def verified_condition(status: Literal["True", "False", "Unknown"], reason: str, message: str, now: float) -> Condition:
    """Return a condition `Verified`."""
    return Condition.since(now, VERIFIED, status, reason, message)


def _unless_same(before: Condition, after: Condition) -> Condition:
    return before if before.status == after.status else after
