"""What is raised to scale a workload: its replicas, or the floor of the autoscaler that owns them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from forestall.actions.base import missing, title
from forestall.actions.ownership import field_owned, taken_over
from forestall.api.remediation import ObjectRef
from forestall.core.decision import Hold
from forestall.errors import Forbidden, NotFound
from forestall.ports import Cluster

AUTOSCALER: Final = ("autoscaling/v2", "HorizontalPodAutoscaler")
SCALED_OBJECT: Final = ("keda.sh/v1alpha1", "ScaledObject")
FIELDS: Final = {AUTOSCALER[1]: "minReplicas", SCALED_OBJECT[1]: "minReplicaCount"}
"""The field that is raised, by the kind of the autoscaler."""
_OWNER: Final = "scaledobject.keda.sh/name"
"""The label by which KEDA's HorizontalPodAutoscalers name their ScaledObject."""
_PAUSED: Final = "autoscaling.keda.sh/paused"
_PAUSED_AT: Final = "autoscaling.keda.sh/paused-replicas"
_KEDA_MAXIMUM: Final = 100
"""KEDA's default where maxReplicaCount is not set."""


@dataclass(frozen=True, slots=True)
class Floor:
    """What is raised for a workload: its replicas, or the floor of its autoscaler."""

    level: int
    """The floor now; an intent's `from`."""
    replicas: int
    """The replicas that the workload asks for now."""
    subject: ObjectRef
    """The object that is written."""
    resource_version: str
    taken_over: bool
    """Whether somebody else than the operator was the last to change the level."""
    ceiling: int | None = None
    """The most that the autoscaler allows; None where there is none."""


async def find_floor(cluster: Cluster, target: ObjectRef) -> Floor | Hold:
    """Return what is raised to scale `target`, or why it can't be scaled.

    Raises:
        ClusterError: the cluster could not say.
    """
    try:
        body = await cluster.read(target)
        scale = await cluster.read_scale(target)
    except NotFound:
        return await missing(cluster, target) or Hold(
            "NotScalable", f"{title(target)} has no /scale subresource: it can't be scaled"
        )
    owners = [
        body
        for body in await cluster.find(*AUTOSCALER, namespace=target.namespace)
        if _scales(body, target) and not body["metadata"].get("deletionTimestamp")
    ]
    if not owners:
        # Of the version that was checked: whoever takes the field over meanwhile makes the write fail.
        version = str(body["metadata"]["resourceVersion"])
        return field_owned(body, target, ("spec", "replicas")) or Floor(
            scale.spec_replicas, scale.spec_replicas, target, version, taken_over(body, ("spec", "replicas"))
        )
    if len(owners) > 1:
        names = ", ".join(sorted(body["metadata"]["name"] for body in owners))
        return Hold("AmbiguousAutoscaler", f"several HorizontalPodAutoscalers scale {title(target)}: {names}; keep one")
    if owner := owners[0]["metadata"].get("labels", {}).get(_OWNER):
        return await _keda_floor(cluster, target, owner, scale.spec_replicas)
    return _autoscaler_floor(owners[0], target, scale.spec_replicas)


def _scales(body: Mapping[str, Any], target: ObjectRef) -> bool:
    ref = body["spec"]["scaleTargetRef"]
    group = ref.get("apiVersion", "").partition("/")[0]
    return (ref["kind"], ref["name"], group) == (target.kind, target.name, target.api_version.partition("/")[0])


def _autoscaler_floor(body: Mapping[str, Any], target: ObjectRef, replicas: int) -> Floor | Hold:
    metadata, spec = body["metadata"], body["spec"]
    subject = ObjectRef(
        api_version=AUTOSCALER[0],
        kind=AUTOSCALER[1],
        namespace=target.namespace,
        name=metadata["name"],
        uid=metadata["uid"],
    )
    # The API's default where minReplicas is not set.
    return _floor(body, subject, replicas, spec["maxReplicas"], unset=1)


async def _keda_floor(cluster: Cluster, target: ObjectRef, owner: str, replicas: int) -> Floor | Hold:
    version, kind = SCALED_OBJECT
    subject = ObjectRef(api_version=version, kind=kind, namespace=target.namespace, name=owner)
    try:
        body = await cluster.read(subject)
    except (NotFound, Forbidden) as error:
        return Hold(
            "ScaledByKeda",
            f"the KEDA {title(subject)} owns the replicas of {title(target)}, and it can't be read: {error}; a cluster "
            f"admin can allow it by the chart's value `workloads.keda=true`",
        )
    metadata, spec = body["metadata"], body.get("spec") or {}
    subject = subject.model_copy(update={"uid": metadata["uid"]})
    annotations = metadata.get("annotations") or {}
    if annotations.get(_PAUSED, "false") != "false" or _PAUSED_AT in annotations:
        return Hold("TargetPaused", f"the KEDA {title(subject)} is paused by an annotation: it is left alone")
    # KEDA's own default is 0.
    return _floor(body, subject, replicas, spec.get("maxReplicaCount", _KEDA_MAXIMUM), unset=0)


def _floor(body: Mapping[str, Any], subject: ObjectRef, replicas: int, ceiling: int, *, unset: int) -> Floor | Hold:
    """Return the floor of an autoscaler, or who owns it; `unset` is what it is where the field is not there."""
    field = ("spec", FIELDS[subject.kind])
    level = (body.get("spec") or {}).get(field[1], unset)
    version = body["metadata"]["resourceVersion"]
    return field_owned(body, subject, field) or Floor(
        level, replicas, subject, version, taken_over(body, field), ceiling
    )
