"""What to do about a right that is missing, in words and as a command."""

import re

from forestall.actions.base import title
from forestall.api.remediation import ObjectRef

_SUBJECT = re.compile(r"system:serviceaccount:([a-z0-9-]+):([a-z0-9.-]+)")


def advice(refusal: str, target: ObjectRef) -> str:
    """Return how an admin can allow what the API server refused; `refusal` is what it said.

    The chart names its roles after the ServiceAccount: `<name>-workloads`, and `<name>-nodes`.
    """
    if not target.namespace:
        return f"A cluster admin can allow it for {title(target)} by the chart's value `nodes.enabled=true`."
    subject = _SUBJECT.search(refusal)
    if subject is None:
        return f"An admin of namespace {target.namespace} can allow it by a RoleBinding."
    namespace, name = subject.groups()
    return (
        f"An admin of namespace {target.namespace} can allow it: `kubectl create rolebinding {name}-workloads "
        f"--clusterrole={name}-workloads --serviceaccount={namespace}:{name} -n {target.namespace}`"
    )
