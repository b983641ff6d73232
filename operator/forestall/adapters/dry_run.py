"""A cluster and a notifier for dry runs: reads are real, writes are only logged."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog

from forestall.api.remediation import ObjectRef
from forestall.errors import Conflict
from forestall.ports import Event, Notice, Patch, ReadThrough, ScaleSubresource

_log = structlog.get_logger(__name__)


class DryRunCluster(ReadThrough):
    """Wraps a `Cluster`: reads pass through; writes are logged and return what a real write would."""

    async def write_scale(self, ref: ObjectRef, replicas: int, resource_version: str) -> ScaleSubresource:
        """Log the new size; `Conflict` unless the object still has `resource_version`."""
        current = await self._cluster.read_scale(ref)
        _check(current.resource_version, resource_version, ref)
        _log.info("would scale", **log_fields(ref), replicas=replicas, now=current.spec_replicas)
        return replace(current, spec_replicas=replicas)

    async def patch(self, ref: ObjectRef, patch: Patch, resource_version: str) -> Mapping[str, Any]:
        """Log the patch; `Conflict` unless the object still has `resource_version`."""
        current = await self._cluster.read(ref)
        _check(current["metadata"]["resourceVersion"], resource_version, ref)
        _log.info("would patch", **log_fields(ref), patch=dict(patch))
        return _merged(current, patch)

    async def create(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Log the object."""
        metadata = body["metadata"]
        _log.info("would create", kind=body["kind"], namespace=metadata.get("namespace", ""), name=metadata["name"])
        return _merged(body, {"metadata": {"uid": "dry-run", "resourceVersion": "0", "generation": 1}})

    async def delete(self, ref: ObjectRef, resource_version: str) -> None:
        """Log the deletion; `Conflict` unless the object still has `resource_version`."""
        current = await self._cluster.read(ref)
        _check(current["metadata"]["resourceVersion"], resource_version, ref)
        _log.info("would delete", **log_fields(ref))

    async def evict(self, pod: ObjectRef) -> None:
        """Log the eviction; PodDisruptionBudgets are not checked."""
        current = await self._cluster.read(pod.model_copy(update={"uid": ""}))
        _check(current["metadata"]["uid"], pod.uid, pod)
        _log.info("would evict", **log_fields(pod))

    async def replace_status(
        self, ref: ObjectRef, status: Mapping[str, Any], resource_version: str
    ) -> Mapping[str, Any]:
        """Log the status; `Conflict` unless the object still has `resource_version`."""
        current = await self._cluster.read(ref)
        _check(current["metadata"]["resourceVersion"], resource_version, ref)
        _log.info("would replace status", **log_fields(ref), status=dict(status))
        return {**current, "status": dict(status)}

    async def apply_status(self, ref: ObjectRef, status: Mapping[str, Any], resource_version: str) -> Mapping[str, Any]:
        """Log the status; `Conflict` unless the object still has `resource_version`."""
        current = await self._cluster.read(ref)
        _check(current["metadata"]["resourceVersion"], resource_version, ref)
        _log.info("would apply status", **log_fields(ref), status=dict(status))
        return {**current, "status": dict(status)}

    async def record(self, event: Event) -> None:
        """Log the event."""
        _log.info("would record event", **log_fields(event.regarding), reason=event.reason, message=event.message)


class DryRunNotifier:
    """Logs notifications instead of sending them."""

    async def send(self, channel: str, notice: Notice) -> None:
        """Log the notice."""
        _log.info("would tell", channel=channel, topic=notice.topic, namespace=notice.namespace, title=notice.title)


def _check(actual: str, wanted: str, ref: ObjectRef) -> None:
    if actual != wanted:
        raise Conflict(f"{ref.kind} {ref.namespace}/{ref.name} was changed by somebody else")


def log_fields(ref: ObjectRef) -> dict[str, str]:
    """Return the fields that identify an object in a log line."""
    return {"kind": ref.kind, "namespace": ref.namespace, "name": ref.name}


def _merged(body: Mapping[str, Any], patch: Patch) -> dict[str, Any]:
    """Return `body` after a JSON merge patch (RFC 7386)."""
    merged = dict(body)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            below = merged.get(key)
            merged[key] = _merged(below if isinstance(below, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged
