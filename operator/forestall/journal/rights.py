"""What to do about a right that is missing, in words and as a command."""

import re
from typing import Final

from forestall.actions.base import title
from forestall.api.remediation import ObjectRef

_SUBJECT = re.compile(r"system:serviceaccount:([a-z0-9-]+):([a-z0-9.-]+)")


_SWITCHES: Final = {"Rollback": "workloads.rollback", "Patch": "workloads.extraRules", "Job": "workloads.jobs"}
"""The chart's value without which the role does not allow an action."""


def advice(refusal: str, target: ObjectRef, action: str) -> str:
    """Return how an admin can allow `action` where the API server refused it; `refusal` is what it said.

    The chart names its roles after the ServiceAccount: `<name>-workloads`, and `<name>-nodes`.
    """
    if not target.namespace:
        value = "nodes.drain" if '"pods' in refusal else "nodes.enabled"
        return f"A cluster admin can allow it for {title(target)} by the chart's value `{value}=true`."
    also = f". The chart's value `{_SWITCHES[action]}` must allow it too" if action in _SWITCHES else ""
    subject = _SUBJECT.search(refusal)
    if subject is None:
        return f"An admin of namespace {target.namespace} can allow it by a RoleBinding{also}."
    namespace, name = subject.groups()
    return (
        f"An admin of namespace {target.namespace} can allow it: `kubectl create rolebinding {name}-workloads "
        f"--clusterrole={name}-workloads --serviceaccount={namespace}:{name} -n {target.namespace}`{also}"
    )
