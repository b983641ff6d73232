"""Hold during the cooldown of a target."""

from typing import Final

from forestall.core.decision import Hold
from forestall.core.duration import format_duration
from forestall.core.guards.guard_input import GuardInput

MIN_REPEAT_COOLDOWN: Final = 300.0
"""The minimum cooldown (s) before an action that removes ready pods is repeated where it did not help."""


def cooldown(context: GuardInput) -> Hold | None:
    """Hold until the policy's cooldown has passed since the last remediation of the target ended.

    The next rung of the ladder, in the same episode, skips the cooldown. The same rung for another object does not. Nor
    does the same action of any policy or rung where it removes ready pods: it is repeated `MIN_REPEAT_COOLDOWN` s later
    at the earliest.
    """
    ended = context.last_ended_at
    if ended is None:
        return None
    # A clock that was set back must not prolong the cooldown: at most its full length is left.
    unsuccessful = [
        remediation
        for remediation in context.history
        if remediation.ended_at == ended
        and (remediation.episode, remediation.objective_uid) == (context.episode, context.objective_uid)
        and (remediation.phase in ("RolledBack", "Failed") or remediation.refused)
    ]
    action = context.action
    repeats = action.takes_serving_pods and any(
        remediation.action == action.name and not remediation.refused for remediation in unsuccessful
    )
    cooldown = max(context.cooldown, MIN_REPEAT_COOLDOWN) if repeats else context.cooldown
    left = min(cooldown, cooldown - (context.now - ended))
    escalating = not repeats and any(
        remediation.rung is None or (remediation.policy_uid, remediation.rung) != (context.policy_uid, context.rung)
        for remediation in unsuccessful
    )
    if left <= 0 or escalating:
        return None
    return Hold("Cooldown", f"a remediation of the target ended a short while ago; {format_duration(left)} are left")
