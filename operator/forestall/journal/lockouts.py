"""Which remediations keep a policy from acting, until a person has looked at them."""

from collections.abc import Iterable

from forestall.actions import verified
from forestall.api.remediation import Remediation
from forestall.api.remediation_policy import RemediationPolicy


def locking(policy: RemediationPolicy, remediations: Iterable[Remediation]) -> list[Remediation]:
    """Return, for each objective, the last remediation of `policy` if it did not help and nobody has looked at it.

    What the API server refused was not tried.

    They lock the policy for that objective from the next episode on. A change of the policy unlocks, as feedback does.
    """
    last: dict[str, Remediation] = {}
    for each in sorted((one for one in remediations if one.ended), key=lambda one: one.status.ended or ""):
        intent = each.spec.intent
        # Telling people is no attempt: it neither helps nor fails.
        if intent.policy.uid == policy.uid and intent.action.notify is None:
            last[intent.objective.uid] = each
    return [
        each
        for each in last.values()
        if each.status.phase in ("RolledBack", "Failed")
        and each.spec.feedback is None
        and (each.status.reason not in ("Forbidden", "Refused") or verified(each) is False)
        and each.spec.intent.policy_generation == policy.metadata.generation
    ]
