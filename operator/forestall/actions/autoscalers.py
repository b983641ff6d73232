"""What scales a workload: the autoscalers that point at it (a HorizontalPodAutoscaler, HPA, or a ScaledObject of KEDA),
and who else decides about its size.

They are found by what points at the workload, not by what they use: KEDA deletes its HorizontalPodAutoscaler while it
is paused, and its ScaledObject points at the workload all the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from forestall.actions.base import title
from forestall.actions.protection import controller
from forestall.api.remediation import ObjectRef
from forestall.core.decision import Hold
from forestall.core.untrusted import get_path, string, string_map
from forestall.errors import Forbidden, NotFound
from forestall.ports import Reader

Body = Mapping[str, Any]

AUTOSCALER: Final = ("autoscaling/v2", "HorizontalPodAutoscaler")
SCALED_OBJECT: Final = ("keda.sh/v1alpha1", "ScaledObject")
_OWNER: Final = "scaledobject.keda.sh/name"
"""The label by which KEDA's HorizontalPodAutoscalers name their ScaledObject."""
_PAUSED: Final = "autoscaling.keda.sh/paused"
_PAUSED_AT: Final = "autoscaling.keda.sh/paused-replicas"
_PAUSED_OUT: Final = "autoscaling.keda.sh/paused-scale-out"
_FALSE: Final = frozenset({"0", "f", "F", "false", "False", "FALSE"})
"""What KEDA takes for no; whatever else such an annotation says is yes."""


@dataclass(frozen=True, slots=True)
class Autoscalers:
    """The autoscalers that point at one workload."""

    autoscalers: Sequence[Body]
    """HorizontalPodAutoscalers, also those that KEDA keeps."""
    scaled_objects: Sequence[Body]


async def find_owners(cluster: Reader, target: ObjectRef) -> Autoscalers | Hold:
    """Return what points at `target`, or why that can't be told.

    Raises:
        ClusterError: the cluster could not say.
    """
    autoscalers = [
        body
        for body in await cluster.find(*AUTOSCALER, namespace=target.namespace)
        if points_at(body, target) and not get_path(body, "metadata", "deletionTimestamp")
    ]
    names = sorted({name for body in autoscalers if (name := _scaled_object_of(body))})
    try:
        listed = await cluster.find(*SCALED_OBJECT, namespace=target.namespace)
    except (NotFound, Forbidden) as error:
        if isinstance(error, NotFound) and not names:
            return Autoscalers(autoscalers, ())  # the cluster has no KEDA
        autoscaler = f"scaledobject {target.namespace}/{names[0]}" if names else "ScaledObject of the namespace"
        return unreadable(autoscaler, target, error)
    scaled_objects = [body for body in listed if points_at(body, target)]
    missing = [name for name in names if name not in {body["metadata"]["name"] for body in scaled_objects}]
    if missing:
        autoscaler = f"scaledobject {target.namespace}/{missing[0]}"
        return unreadable(autoscaler, target, NotFound("no such ScaledObject points at it"))
    return Autoscalers(autoscalers, scaled_objects)


def unreadable(autoscaler: str, target: ObjectRef, error: Exception) -> Hold:
    """Return the Hold for what KEDA may own and the operator can't read."""
    return Hold(
        "ScaledByKeda",
        f"the KEDA {autoscaler} may own the replicas of {title(target)}, and it cannot be read: {error}; an admin "
        f"can allow it by the chart's values `workloads.read=true` or `workloads.keda=true`",
    )


def points_at(body: Body, target: ObjectRef) -> bool:
    """Say whether an autoscaler scales `target`; KEDA's own default is a Deployment."""
    ref = get_path(body, "spec", "scaleTargetRef")
    keda = body.get("kind") == SCALED_OBJECT[1]
    version = string(get_path(ref, "apiVersion")) or ("apps/v1" if keda else "")
    kind = string(get_path(ref, "kind")) or ("Deployment" if keda else "")
    group = target.api_version.partition("/")[0]
    return (kind, get_path(ref, "name"), version.partition("/")[0]) == (target.kind, target.name, group)


def _scaled_object_of(body: Body) -> str | None:
    """Return the name of the ScaledObject that keeps a HorizontalPodAutoscaler."""
    owner = controller(body)
    if owner is not None:
        return string(owner.get("name")) if owner.get("kind") == SCALED_OBJECT[1] else None
    return string_map(get_path(body, "metadata", "labels")).get(_OWNER)


def only_autoscaler(owners: Autoscalers, target: ObjectRef) -> Body | Hold | None:
    """Return the one autoscaler that decides about the size of `target`; None where none does.

    Of a ScaledObject and the HorizontalPodAutoscaler that it keeps, the ScaledObject is the one.
    """
    scaled_names = {str(body["metadata"]["name"]) for body in owners.scaled_objects}
    own = [body for body in owners.autoscalers if _scaled_object_of(body) not in scaled_names]
    deciding = [*owners.scaled_objects, *own]
    if len(deciding) > 1:
        names = ", ".join(sorted(f"{body['kind'].lower()} {body['metadata']['name']}" for body in deciding))
        return Hold("AmbiguousAutoscaler", f"several autoscalers scale {title(target)}: {names}; keep one")
    if not deciding:
        return None
    return controlled_by(deciding[0], reference(deciding[0], target)) or deciding[0]


def controlled_by(body: Body, ref: ObjectRef) -> Hold | None:
    """Return the Hold for an object that another one controls, which would set it back; None where none does."""
    owner = controller(body)
    if owner is None:
        return None
    owner_text = f"{owner.get('kind', 'object')} {owner.get('name', '')}".strip()
    return Hold(
        "OwnedByController",
        f"{title(ref)} is controlled by the {owner_text}, which would set it back, so it is left alone; "
        f"what is to be changed is to be changed there",
    )


def reference(body: Body, target: ObjectRef) -> ObjectRef:
    """Return a reference to an autoscaler of `target`."""
    version, kind = SCALED_OBJECT if body["kind"] == SCALED_OBJECT[1] else AUTOSCALER
    metadata = body["metadata"]
    return ObjectRef(
        api_version=version, kind=kind, namespace=target.namespace, name=metadata["name"], uid=metadata["uid"]
    )


def paused(body: Body, ref: ObjectRef) -> Hold | None:
    """Return why a workload or its autoscaler is left alone: people have paused it, or its rollout waits for them."""
    annotations = string_map(get_path(body, "metadata", "annotations"))
    if ref.kind == SCALED_OBJECT[1]:
        if _PAUSED_AT in annotations or _says_yes(annotations.get(_PAUSED)):
            return Hold("TargetPaused", f"the KEDA {title(ref)} is paused by an annotation: it is left alone")
        return None
    if get_path(body, "spec", "paused") is True or get_path(body, "spec", "suspend") is True:
        return Hold("TargetPaused", f"{title(ref)} is paused: it is left alone until it is resumed")
    if get_path(body, "status", "pauseConditions") or get_path(body, "status", "controllerPause"):
        return Hold("TargetPaused", f"a rollout of {title(ref)} is paused at one of its steps: it is left alone")
    return None


def no_scale_out(body: Body, ref: ObjectRef) -> Hold | None:
    """Return why an autoscaler is not to scale out now, although it may scale in.

    Raising its floor would do so all the same: a floor comes before `behavior`.
    """
    spec = get_path(body, "spec")
    if ref.kind == SCALED_OBJECT[1]:
        if _says_yes(string_map(get_path(body, "metadata", "annotations")).get(_PAUSED_OUT)):
            return Hold("TargetPaused", f"scaling out is paused by an annotation of the KEDA {title(ref)}")
        spec = get_path(spec, "advanced", "horizontalPodAutoscalerConfig")
    policy = get_path(spec, "behavior", "scaleUp", "selectPolicy")
    if policy == "Disabled":
        return Hold("TargetPaused", f"scaling out is disabled by `behavior.scaleUp.selectPolicy` of {title(ref)}")
    return None


def _says_yes(value: str | None) -> bool:
    return value is not None and value not in _FALSE
