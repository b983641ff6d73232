"""Hold for a while after a remediation of the same target has ended."""

from forestall.core.decision import Hold
from forestall.core.duration import format_duration
from forestall.core.guards.context import Context


def cooldown(context: Context) -> Hold | None:
    """Hold until the policy's cooldown has passed since the last remediation of the target ended.

    The next rung of the ladder, in the same episode, need not wait; the same rung for another object must.
    """
    ended = context.last_on_target
    if ended is None:
        return None
    # A clock that was set back must not make a cooldown endless, nor one that was set forward end it early by itself.
    left = min(context.cooldown, context.cooldown - (context.now - ended))
    escalating = any(
        one.episode == context.episode and one.objective_uid == context.objective_uid and one.at == ended
        for one in context.history
        if one.phase in ("RolledBack", "Failed")
        and (one.rung is None or (one.policy_uid, one.rung) != (context.policy_uid, context.rung))
    )
    if left <= 0 or escalating:
        return None
    return Hold("Cooldown", f"a remediation of the target ended a short while ago; {format_duration(left)} are left")
