"""What people are told about a Remediation; pure."""

from typing import Final

from forestall.actions.base import title
from forestall.api.remediation import Remediation
from forestall.api.times import seconds
from forestall.ports import Notice

_TITLES: Final = {
    "Notify": "{objective} is at risk",
    "ApprovalRequired": "{action} for {objective} waits for approval",
    "LadderExhausted": "{objective} is at risk, and every action was tried",
    "Locked": "{policy} does nothing for {objective} until a person has looked",
}


def notice_of(remediation: Remediation, topic: str, at: float, message: str = "") -> Notice:
    """Return the notice about `topic`, found at `at` (s); `message` is what the policy's author wants to be said."""
    intent, name, namespace = remediation.spec.intent, remediation.name, remediation.namespace
    evidence, arguments = intent.evidence, f"-n {namespace}"
    commands = {
        "explain": f"kubectl forestall explain {arguments} {intent.objective.name}",
        "history": f"kubectl forestall history {arguments} {name}",
        "pause": f"kubectl forestall pause {arguments} slo/{intent.objective.name}",
    }
    if topic == "ApprovalRequired":
        commands = {
            "approve": f"kubectl forestall approve {arguments} {name}",
            "reject": f"kubectl forestall reject {arguments} {name}",
            **commands,
        }
    if topic == "Locked":
        commands = {"unlock": f"kubectl forestall unlock {arguments} {intent.policy.name}", **commands}
    figures = {
        **evidence.labels,
        "indicator": evidence.indicator,
        "value": evidence.value,
        "limit": evidence.limit,
        "probability": evidence.probability,
        "timeToBreach": evidence.time_to_breach,
    }
    subjects = {"objective": f"{namespace}/{intent.objective.name}", "policy": f"policy {intent.policy.name}"}
    ends = intent.approval_expires if topic == "ApprovalRequired" else None
    return Notice(
        id=remediation.signature if topic == "Notify" else f"{remediation.signature}.{topic}",
        topic=topic,
        at=at,
        title=_TITLES[topic].format(action=intent.action.name, **subjects),
        reason=evidence.reason,
        namespace=namespace,
        objective=intent.objective.name,
        policy=intent.policy.name,
        remediation=name,
        action=intent.action.name,
        target=title(intent.target),
        evidence={key: value for key, value in figures.items() if value},
        commands=commands,
        message=message,
        until=seconds(ends),
    )
