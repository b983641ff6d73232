"""Whether a workload's rollout is complete, as `kubectl rollout status` judges it, without waiting."""

import math
from collections.abc import Mapping
from typing import Any

from forestall.actions.autoscalers import controlled_by
from forestall.actions.base import title
from forestall.api.remediation import ObjectRef
from forestall.core.decision import Hold
from forestall.core.untrusted import get_path, integer, mapping, mappings

KINDS = ("Deployment", "StatefulSet", "DaemonSet")


def complete(body: Mapping[str, Any]) -> bool:
    """Say whether every pod of a Deployment, StatefulSet or DaemonSet is of the newest template and available."""
    if not _is_observed(body):
        return False
    spec, status = mapping(body.get("spec")), mapping(body.get("status"))
    match body.get("kind"):
        case "Deployment":
            return _deployment(_number(spec, "replicas", 1), status)
        case "StatefulSet":
            return _stateful_set(spec, status)
        case _:
            wanted = _number(status, "desiredNumberScheduled")
            return min(_number(status, "updatedNumberScheduled"), _number(status, "numberAvailable")) >= wanted


def _deployment(wanted: float, status: Mapping[str, Any]) -> bool:
    updated = _number(status, "updatedReplicas")
    old = _number(status, "replicas") - updated
    return updated >= wanted and old <= 0 and _number(status, "availableReplicas") >= updated


def _stateful_set(spec: Mapping[str, Any], status: Mapping[str, Any]) -> bool:
    wanted = _number(spec, "replicas", 1)
    partition = _number(mapping(get_path(spec, "updateStrategy", "rollingUpdate")), "partition")
    available = "availableReplicas" if "availableReplicas" in status else "readyReplicas"
    # Written this way round, what is not a number leaves the rollout incomplete.
    if not _number(status, available) >= wanted:
        return False
    if partition > 0:
        return _number(status, "updatedReplicas") >= wanted - partition
    return not math.isnan(partition) and bool(status.get("updateRevision") == status.get("currentRevision"))


def _number(holder: Mapping[str, Any], field: str, unset: int = 0) -> float:
    """Return a number; NaN, with which no comparison holds, where it can't be understood."""
    number = integer(holder.get(field), unset)
    return math.nan if number is None else number


def _is_observed(body: Mapping[str, Any]) -> bool:
    """Say whether the status speaks of the newest spec."""
    return _number(mapping(body.get("status")), "observedGeneration") >= _number(
        mapping(body.get("metadata")), "generation"
    )


def stuck(body: Mapping[str, Any]) -> Hold | None:
    """Return why the rollout of the newest template will not complete by itself, if that is known."""
    if not _is_observed(body):
        return None
    for condition in mappings(get_path(body, "status", "conditions")):
        if condition.get("type") == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            message = f"the rollout made no progress: {condition.get('message', '')}".rstrip(":. ")
            return Hold("RolloutStuck", message)
    return None


def obstacle(body: Mapping[str, Any], ref: ObjectRef) -> Hold | None:
    """Return why no rollout of the workload can be begun."""
    name = title(ref)
    if get_path(body, "metadata", "deletionTimestamp"):
        return Hold("TargetGone", f"{name} is being deleted; nothing is changed")
    if get_path(body, "spec", "paused"):
        return Hold("TargetPaused", f"{name} is paused (`kubectl rollout resume` ends that): it is left alone")
    if get_path(body, "spec", "updateStrategy", "type") == "OnDelete":
        return Hold("NotRestartable", f"{name} has the update strategy OnDelete: its pods are only replaced by hand")
    return controlled_by(body, ref)
