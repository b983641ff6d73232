"""Hold a policy whose last remediation did not help, until a person has looked."""

from forestall.core.decision import Hold
from forestall.core.guards.guard_input import GuardInput


def lockout(context: GuardInput) -> Hold | None:
    """Hold when the policy's last remediation for this objective failed in an earlier episode and nobody has looked.

    What a person has undone holds at once, in its own episode too: they did not want the next rung instead. A change
    of what the policy does, or feedback on that remediation, unlocks it.
    """
    mine = [
        one
        for one in context.history
        if one.policy_uid == context.policy_uid and one.objective_uid == context.objective_uid
    ]
    last = max(mine, key=lambda one: one.at, default=None)
    if last is None or last.phase not in ("RolledBack", "Failed") or last.reviewed or last.refused:
        return None
    if last.episode == context.episode and not last.undone:
        return None
    return Hold(
        "Locked",
        f"{last.name} {'was undone by a person' if last.undone else f'did not help ({last.phase})'} and nobody has "
        f"looked at it since: "
        f"`forestall feedback` on it, `forestall unlock` or a change of what the policy does unlocks",
    )
