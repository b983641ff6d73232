"""Whether a workload's rollout is complete, as `kubectl rollout status` judges it, without waiting."""

from collections.abc import Mapping
from typing import Any

from forestall.core.decision import Hold

KINDS = ("Deployment", "StatefulSet", "DaemonSet")


def complete(body: Mapping[str, Any]) -> bool:
    """Say whether every pod of a Deployment, StatefulSet or DaemonSet is of the newest template and available."""
    status = body.get("status", {})
    if status.get("observedGeneration", 0) < body["metadata"].get("generation", 0):
        return False
    match body["kind"]:
        case "Deployment":
            return _deployment(body.get("spec", {}).get("replicas", 1), status)
        case "StatefulSet":
            return _stateful_set(body.get("spec", {}), status)
        case _:
            wanted = status.get("desiredNumberScheduled", 0)
            return bool(min(status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0)) >= wanted)


def _deployment(wanted: int, status: Mapping[str, Any]) -> bool:
    updated = status.get("updatedReplicas", 0)
    old = status.get("replicas", 0) - updated
    return bool(updated >= wanted and old <= 0 and status.get("availableReplicas", 0) >= updated)


def _stateful_set(spec: Mapping[str, Any], status: Mapping[str, Any]) -> bool:
    wanted = spec.get("replicas", 1)
    partition = spec.get("updateStrategy", {}).get("rollingUpdate", {}).get("partition", 0)
    if status.get("availableReplicas", status.get("readyReplicas", 0)) < wanted:
        return False
    if partition > 0:
        return bool(status.get("updatedReplicas", 0) >= wanted - partition)
    return bool(status.get("updateRevision") == status.get("currentRevision"))


def stuck(body: Mapping[str, Any]) -> Hold | None:
    """Return why the rollout of the newest template will not complete by itself, if that is known."""
    status = body.get("status", {})
    if status.get("observedGeneration", 0) < body["metadata"].get("generation", 0):
        return None
    for condition in status.get("conditions", []):
        if condition.get("type") == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            return Hold("RolloutStuck", f"the rollout made no progress: {condition.get('message', '')}".rstrip(": "))
    return None


def obstacle(body: Mapping[str, Any], name: str) -> Hold | None:
    """Return why no rollout of the workload can be begun; `name` is how people know it."""
    if body["metadata"].get("deletionTimestamp"):
        return Hold("TargetGone", f"{name} is being deleted; nothing is changed")
    if body["spec"].get("paused"):
        return Hold("TargetPaused", f"{name} is paused (`kubectl rollout resume` ends that): it is left alone")
    if body["spec"].get("updateStrategy", {}).get("type") == "OnDelete":
        return Hold("NotRestartable", f"{name} has the update strategy OnDelete: its pods are only replaced by hand")
    return None
