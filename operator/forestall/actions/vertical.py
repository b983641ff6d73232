"""Who sets the resources of a workload's pods: a VerticalPodAutoscaler does as they are made, whatever is declared.

To patch them would replace every pod, and change nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from forestall.actions.autoscalers import points_at
from forestall.actions.base import title
from forestall.api.remediation import ObjectRef
from forestall.core.decision import Hold
from forestall.core.untrusted import get_path, mappings, string
from forestall.errors import Forbidden, NotFound
from forestall.ports import Reader

VERTICAL: Final = ("autoscaling.k8s.io/v1", "VerticalPodAutoscaler")
_OFF: Final = "Off"
"""The mode in which it only recommends."""


async def sized_by(cluster: Reader, ref: ObjectRef, path: Sequence[str]) -> Hold | None:
    """Return which VerticalPodAutoscaler sets the field at `path` of the pods of `ref`; None where none does.

    Raises:
        ClusterError: the cluster could not say.
    """
    container = _container(path)
    if container is None:
        return None
    try:
        listed = await cluster.find(*VERTICAL, namespace=ref.namespace)
    except NotFound:
        return None  # the cluster has none
    except Forbidden as error:
        return Hold(
            "FieldOwned",
            f"a VerticalPodAutoscaler may set the resources of {title(ref)}, and none can be read: {error}; a cluster "
            f"admin can allow it by the chart's value `workloads.read=true`",
        )
    for body in listed:
        if _points_at(body, ref) and _sets(body, container):
            name = f"verticalpodautoscaler {get_path(body, 'metadata', 'name')}"
            return Hold(
                "FieldOwned",
                f"the {name} sets the resources of the pods of {title(ref)} as they are made, so a patch of the "
                f"template would replace them for nothing; let its mode for container {container} be Off, or leave it "
                f"to it",
            )
    return None


def _container(path: Sequence[str]) -> str | None:
    """Return the container whose resources the field is part of."""
    if tuple(path[:3]) != ("spec", "template", "spec") or "resources" not in path:
        return None
    return next((part.removeprefix("name=") for part in path if part.startswith("name=")), "")


def _points_at(body: Mapping[str, Any], ref: ObjectRef) -> bool:
    return points_at({"kind": VERTICAL[1], "spec": {"scaleTargetRef": get_path(body, "spec", "targetRef")}}, ref)


def _sets(body: Mapping[str, Any], container: str) -> bool:
    if get_path(body, "spec", "updatePolicy", "updateMode") == _OFF:
        return False
    policies = mappings(get_path(body, "spec", "resourcePolicy", "containerPolicies"))
    named = {string(policy.get("containerName")): string(policy.get("mode")) for policy in policies}
    return named.get(container, named.get("*", "")) != _OFF
