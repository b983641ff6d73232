"""Hold for a while after a remediation of the same target has ended."""

from typing import Final

from forestall.core.decision import Hold
from forestall.core.duration import format_duration
from forestall.core.guards.guard_input import GuardInput

RESTED: Final = 300.0
"""For how long (s) at least what takes away pods that serve is not done again where it did not help."""


def cooldown(context: GuardInput) -> Hold | None:
    """Hold until the policy's cooldown has passed since the last remediation of the target ended.

    The next rung of the ladder, in the same episode, need not wait; the same rung for another object must, and so must
    the same action, whichever policy or rung it is of, where it can't be undone: what did not help once is not done a
    second time at once, and never sooner than `RESTED` s after.
    """
    ended = context.last_on_target
    if ended is None:
        return None
    # A clock that was set back must not make a cooldown endless, nor one that was set forward end it early by itself.
    before = [
        one
        for one in context.history
        if one.at == ended
        and (one.episode, one.objective_uid) == (context.episode, context.objective_uid)
        and (one.phase in ("RolledBack", "Failed") or one.refused)
    ]
    action = context.action
    again = action.takes_serving_pods and any(one.action == action.name and not one.refused for one in before)
    cooldown = max(context.cooldown, RESTED) if again else context.cooldown
    left = min(cooldown, cooldown - (context.now - ended))
    escalating = not again and any(
        one.rung is None or (one.policy_uid, one.rung) != (context.policy_uid, context.rung) for one in before
    )
    if left <= 0 or escalating:
        return None
    return Hold("Cooldown", f"a remediation of the target ended a short while ago; {format_duration(left)} are left")
