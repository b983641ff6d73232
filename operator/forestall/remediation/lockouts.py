"""Which remediations keep a policy from acting, until a person has looked at them."""

from collections.abc import Collection, Iterable

from forestall.actions import has_helped, traits_of
from forestall.actions.base import condition_of
from forestall.api.meta import Condition
from forestall.api.remediation import Intent, Remediation
from forestall.api.remediation_policy import RemediationPolicy


def locking_remediations(policy: RemediationPolicy, remediations: Iterable[Remediation]) -> list[Remediation]:
    """Return, for each objective, the last remediation of `policy` if it did not help and nobody has looked at it.

    What the API server refused was not tried, and an action that is not meant to lower the risk did not fail by that.

    They lock the policy for that objective from the next episode on. A change of what the policy does unlocks, as
    feedback does.
    """
    last: dict[str, Remediation] = {}
    ended = (remediation for remediation in remediations if remediation.ended)
    for remediation in sorted(ended, key=lambda remediation: remediation.status.ended or ""):
        intent = remediation.spec.intent
        # Telling people is no attempt: it neither helps nor fails.
        if intent.policy.uid == policy.uid and traits_of(intent.action).changes_cluster:
            last[intent.objective.uid] = remediation
    return [
        remediation
        for remediation in last.values()
        if remediation.status.phase in ("RolledBack", "Failed")
        and remediation.feedback is None
        and not was_refused(remediation)
        and not was_contained(remediation)
        and not policy_changed(policy, remediation.spec.intent)
    ]


def was_refused(remediation: Remediation) -> bool:
    """Say whether it ended because the API server refused it: that is no word about whether it would have helped."""
    status = remediation.status
    return remediation.ended and status.reason in ("Forbidden", "Refused") and has_helped(remediation) is not False


def was_contained(remediation: Remediation) -> bool:
    """Say whether an action that is not meant to lower the risk did all that it is for.

    That the risk stayed is no failure of it, nor that no data told until its deadline: a node that fails is often
    silent, too.
    """
    reason, completed = remediation.status.reason, condition_of(remediation, "Completed")
    unjudged = reason == "DeadlineExceeded" and completed is not None and completed.status == "True"
    return reason == "Contained" or (unjudged and not traits_of(remediation.spec.intent.action).lowers_risk)


def locked_condition(
    policy: RemediationPolicy, remediations: Iterable[Remediation], open_episodes: Collection[tuple[str, int]]
) -> Condition:
    """Return whether a person must look before the policy acts again for some objective.

    In the episode in which it did not help the rest of the ladder is still open: `open_episodes` are those under way,
    each with the UID of its objective.
    """
    names = [
        remediation.spec.intent.objective.name
        for remediation in locking_remediations(policy, remediations)
        if remediation.undo is not None
        or (remediation.spec.intent.objective.uid, remediation.spec.intent.episode) not in open_episodes
    ]
    if not names:
        return Condition(type="Locked", status="False", reason="NotLocked", message="nothing keeps it from acting")
    objectives = ", ".join(sorted(names))
    message = f"its last remediation for {objectives} did not help or was undone, and nobody has looked at it since"
    return Condition(type="Locked", status="True", reason="Locked", message=message)


def policy_changed(policy: RemediationPolicy, intent: Intent) -> bool:
    """Say whether the policy does something else since `intent` was decided.

    Who suspends it, resumes it or has it observe for a while has not looked at what it does.
    """
    if not intent.policy_hash:  # an older version wrote none
        return intent.policy_generation != policy.metadata.generation
    return intent.policy_hash != policy.spec.content_hash
