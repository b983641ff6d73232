"""What is raised to scale a workload: its replicas, or the floor of the autoscaler that decides about them.

The floor of a HorizontalPodAutoscaler (HPA) is its `minReplicas`, that of a KEDA ScaledObject its `minReplicaCount`.

What was raised is remembered by its reference, UID included, and looked at by that, also while the autoscaler is
paused, hidden, or points elsewhere: only what was written is ever released, and always where it was written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from forestall.actions.autoscalers import (
    AUTOSCALER,
    SCALED_OBJECT,
    Autoscalers,
    controlled_by,
    find_owners,
    no_scale_out,
    only_autoscaler,
    paused,
    points_at,
    reference,
)
from forestall.actions.base import Deferred, missing, title
from forestall.actions.ownership import field_owned, holds_scale, taken_over
from forestall.api.remediation import ObjectRef
from forestall.core.decision import Hold
from forestall.core.untrusted import get_path, integer, parsing
from forestall.errors import Forbidden, NotFound, Unreadable
from forestall.ports import Reader

Body = Mapping[str, Any]

FIELDS: Final = {AUTOSCALER[1]: "minReplicas", SCALED_OBJECT[1]: "minReplicaCount"}
"""The field that is raised, by the kind of the autoscaler."""
_CEILINGS: Final = {AUTOSCALER[1]: "maxReplicas", SCALED_OBJECT[1]: "maxReplicaCount"}
_UNSET: Final = {AUTOSCALER[1]: 1, SCALED_OBJECT[1]: 0}
"""The floor where its field is not set, by the defaults of the API and of KEDA."""
_SCALED_BY_SPEC: Final = frozenset({"Deployment", "StatefulSet", "ReplicaSet"})
"""The kinds of apps/v1 whose /scale says what `spec.replicas` says: it need not be asked for."""
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
    blocked: Hold | None = None
    """Why it must not be raised now, although it may be released."""
    orphaned: Hold | None = None
    """Why it holds nothing up any more, and is to be released at once."""
    workload: Body | None = None
    """The workload as it was read; None where it is gone."""
    autoscaler: Body | None = None
    """The HorizontalPodAutoscaler that acts on it, which may be KEDA's."""


async def find_floor(cluster: Reader, target: ObjectRef) -> Floor | Hold:
    """Return what is raised to scale `target`, or why it can't be scaled.

    Raises:
        ClusterError: the cluster could not say.
    """
    try:
        workload = await cluster.read(target)
        replicas = _replicas(workload, target)
        if replicas is None:
            replicas = (await cluster.read_scale(target)).spec_replicas
    except NotFound:
        return await missing(cluster, target) or Hold(
            "NotScalable", f"{title(target)} has no /scale subresource: it can't be scaled"
        )
    if get_path(workload, "metadata", "deletionTimestamp"):
        return Hold("TargetGone", f"{title(target)} is being deleted; nothing is changed")
    if (resting := paused(workload, target)) is not None:
        return resting
    with parsing(f"what scales {title(target)}"):
        owners = await find_owners(cluster, target)
        if isinstance(owners, Hold):
            return owners
        deciding = only_autoscaler(owners, target)
        if isinstance(deciding, Hold):
            return deciding
        if deciding is None:
            return _of_workload(workload, target, replicas)
        return _of_autoscaler(deciding, reference(deciding, target), workload, owners, replicas)


async def find_raised(cluster: Reader, target: ObjectRef, raised: ObjectRef) -> Floor | Hold:
    """Return the floor of `target` that was raised in the object `raised`, as it is now.

    `Deferred` says that it can't be looked at for a while, or that people have paused it; any other Hold, that nothing
    of it is left to release.

    Raises:
        ClusterError: the cluster could not say.
    """
    floor = await find_floor(cluster, target)
    if isinstance(floor, Floor) and _is_same(floor.subject, raised):
        return floor
    why = floor if isinstance(floor, Hold) else _decided_elsewhere(floor.subject, target)
    if _is_same(raised, target):
        return Deferred.of(why) if why.reason == "TargetPaused" else why
    try:
        body = await cluster.read(raised)
    except Forbidden as error:
        return Deferred("FloorHidden", f"{title(raised)} holds a raised floor, and can't be read: {error}")
    except NotFound:
        return await _vanished(cluster, raised)
    if (resting := paused(body, raised)) is not None:
        return Deferred.of(resting)
    left = _read(body, raised, 0)
    if isinstance(left, Hold):
        return left
    is_lost = why.reason in ("TargetGone", "TargetReplaced") or not points_at({"kind": raised.kind, **body}, target)
    return replace(left, blocked=why, orphaned=why if is_lost else None)


def _replicas(workload: Body, target: ObjectRef) -> int | None:
    """Return the replicas that the workload asks for, where they can be told without its /scale subresource."""
    wanted = get_path(workload, "spec", "replicas")
    is_plain = target.api_version == "apps/v1" and target.kind in _SCALED_BY_SPEC and type(wanted) is int
    return wanted if is_plain and wanted >= 0 else None


def _of_workload(body: Body, target: ObjectRef, replicas: int) -> Floor | Hold:
    field = ("spec", "replicas")
    # Of the version that was checked: whoever takes the field over meanwhile makes the write fail.
    version = str(body["metadata"]["resourceVersion"])
    return (
        controlled_by(body, target)
        or field_owned(body, target, field)
        or Floor(replicas, replicas, target, version, taken_over(body, field) and not holds_scale(body), workload=body)
    )


def _of_autoscaler(body: Body, subject: ObjectRef, workload: Body, owners: Autoscalers, replicas: int) -> Floor | Hold:
    if get_path(body, "metadata", "deletionTimestamp"):
        return Hold("TargetPaused", f"{title(subject)} is being deleted: what scales then is not known yet")
    acting = next(iter(owners.autoscalers), None)
    floor = paused(body, subject) or _read(body, subject, replicas)
    if isinstance(floor, Hold):
        return floor
    blocked = no_scale_out(body, subject)
    if acting is not None:
        blocked = blocked or no_scale_out(acting, reference(acting, subject))
    return replace(floor, blocked=blocked, workload=workload, autoscaler=acting)


def _read(body: Body, subject: ObjectRef, replicas: int) -> Floor | Hold:
    """Return the floor of an autoscaler, or who owns it."""
    kind = subject.kind
    field = ("spec", FIELDS[kind])
    level, ceiling = (
        integer(get_path(body, *field), _UNSET[kind]),
        integer(get_path(body, "spec", _CEILINGS[kind]), _KEDA_MAXIMUM),
    )
    if level is None or ceiling is None:
        raise Unreadable(f"{title(subject)} has bounds that are no numbers")
    version = str(body["metadata"]["resourceVersion"])
    return field_owned(body, subject, field) or Floor(
        level, replicas, subject, version, taken_over(body, field), ceiling
    )


def _is_same(ref: ObjectRef, other: ObjectRef) -> bool:
    return (ref.kind, ref.name, ref.uid) == (other.kind, other.name, other.uid)


def _decided_elsewhere(subject: ObjectRef, target: ObjectRef) -> Hold:
    return Hold("Superseded", f"{title(subject)} decides about the size of {title(target)} since; that is left to it")


async def _vanished(cluster: Reader, raised: ObjectRef) -> Hold:
    """Return what became of an autoscaler that can't be found by its UID."""
    name = title(raised)
    try:
        await cluster.serves(raised.api_version, raised.kind)
    except NotFound:
        return Deferred(
            "FloorHidden", f"{name} holds a raised floor, and the cluster does not serve its kind at present"
        )
    still_missing = await missing(cluster, raised)
    if still_missing is not None and still_missing.reason == "TargetReplaced":
        return Hold(
            "FloorReplaced",
            f"{name}, whose floor was raised, was deleted and made anew since; the floor of the new one is that of "
            f"whoever made it, and is left alone",
        )
    return Hold(
        "FloorGone",
        f"{name}, whose floor was raised, was deleted, and the floor with it; the replicas are left as they are",
    )
