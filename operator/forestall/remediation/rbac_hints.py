"""What to do about a right that is missing, in words and as a command."""

import re

from forestall.actions.base import title
from forestall.api.remediation import ObjectRef
from forestall.core.traits import ActionTraits

_SUBJECT = re.compile(r"system:serviceaccount:([a-z0-9-]+):([a-z0-9.-]+)")


def rbac_hint(refusal: str, target: ObjectRef, traits: ActionTraits) -> str:
    """Return how an admin can allow an action where the API server refused it; `refusal` is what it said.

    The chart names its roles after the ServiceAccount: `<name>-workloads`, and `<name>-nodes`.
    """
    value = traits.chart_value
    if traits.scope == "node":
        return f"A cluster admin can allow it for {title(target)} by the chart's value `{value}=true`."
    also = f". The chart's value `{value}` must allow it too" if value else ""
    subject = _SUBJECT.search(refusal)
    if subject is None:
        return f"An admin of namespace {target.namespace} can allow it by a RoleBinding{also}."
    namespace, name = subject.groups()
    return (
        f"An admin of namespace {target.namespace} can allow it: `kubectl create rolebinding {name}-workloads "
        f"--clusterrole={name}-workloads --serviceaccount={namespace}:{name} -n {target.namespace}`{also}"
    )
