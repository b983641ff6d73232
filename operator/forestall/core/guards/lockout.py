"""Hold a policy whose last remediation did not help, until a person has reviewed it."""

from forestall.core.decision import Hold
from forestall.core.guards.guard_input import GuardInput


def lockout(context: GuardInput) -> Hold | None:
    """Hold while the policy's last remediation for this objective failed in an earlier episode and is not reviewed.

    A remediation that a person has undone holds at once, in its own episode too: they did not want the next rung
    instead. A change of the policy's behavior, or feedback on that remediation, unlocks the policy.
    """
    same_policy = [
        remediation
        for remediation in context.history
        if remediation.policy_uid == context.policy_uid and remediation.objective_uid == context.objective_uid
    ]
    last = max(same_policy, key=lambda remediation: remediation.ended_at, default=None)
    if last is None or last.phase not in ("RolledBack", "Failed") or last.reviewed:
        return None
    if last.refused or last.contained:
        return None
    if last.episode == context.episode and not last.undone:
        return None
    return Hold(
        "Locked",
        f"{last.name} {'was undone by a person' if last.undone else f'did not help ({last.phase})'} and nobody has "
        f"reviewed it: run `forestall feedback` or `forestall unlock`, or change the policy",
    )
