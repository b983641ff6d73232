"""A cluster that is only looked at."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog

from forestall.api.remediation import ObjectRef
from forestall.errors import Conflict
from forestall.ports import Event, Notice, Patch, ReadThrough, Scale

_log = structlog.get_logger(__name__)


class DryRunCluster(ReadThrough):
    """Wraps a `Cluster`: reads are done, writes are logged, and answered as if they had been done."""

    async def write_scale(self, ref: ObjectRef, replicas: int, resource_version: str) -> Scale:
        """Log the new size; `Conflict` unless the object still has `resource_version`."""
        found = await self._cluster.read_scale(ref)
        _check(found.resource_version, resource_version, ref)
        _log.info("would scale", **_who(ref), replicas=replicas, now=found.spec_replicas)
        return replace(found, spec_replicas=replicas)

    async def patch(self, ref: ObjectRef, patch: Patch, resource_version: str) -> Mapping[str, Any]:
        """Log the patch; `Conflict` unless the object still has `resource_version`."""
        found = await self._cluster.read(ref)
        _check(found["metadata"]["resourceVersion"], resource_version, ref)
        _log.info("would patch", **_who(ref), patch=dict(patch))
        return _merged(found, patch)

    async def create(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Log the object."""
        metadata = body["metadata"]
        _log.info("would create", kind=body["kind"], namespace=metadata.get("namespace", ""), name=metadata["name"])
        return _merged(body, {"metadata": {"uid": "dry-run", "resourceVersion": "0", "generation": 1}})

    async def delete(self, ref: ObjectRef, resource_version: str) -> None:
        """Log what would go; `Conflict` unless the object still has `resource_version`."""
        found = await self._cluster.read(ref)
        _check(found["metadata"]["resourceVersion"], resource_version, ref)
        _log.info("would delete", **_who(ref))

    async def evict(self, pod: ObjectRef) -> None:
        """Log the eviction; what a PodDisruptionBudget says of it is not known."""
        found = await self._cluster.read(pod.model_copy(update={"uid": ""}))
        _check(found["metadata"]["uid"], pod.uid, pod)
        _log.info("would evict", **_who(pod))

    async def replace_status(
        self, ref: ObjectRef, status: Mapping[str, Any], resource_version: str
    ) -> Mapping[str, Any]:
        """Log the status; `Conflict` unless the object still has `resource_version`."""
        found = await self._cluster.read(ref)
        _check(found["metadata"]["resourceVersion"], resource_version, ref)
        _log.info("would replace status", **_who(ref), status=dict(status))
        return {**found, "status": dict(status)}

    async def apply_status(self, ref: ObjectRef, status: Mapping[str, Any], resource_version: str) -> Mapping[str, Any]:
        """Log the status; `Conflict` unless the object still has `resource_version`."""
        found = await self._cluster.read(ref)
        _check(found["metadata"]["resourceVersion"], resource_version, ref)
        _log.info("would apply status", **_who(ref), status=dict(status))
        return {**found, "status": dict(status)}

    async def record(self, event: Event) -> None:
        """Log the event."""
        _log.info("would record event", **_who(event.about), reason=event.reason, message=event.message)


class DryRunNotifier:
    """Logs what would be sent."""

    async def send(self, channel: str, notice: Notice) -> None:
        """Log the notice."""
        _log.info("would tell", channel=channel, topic=notice.topic, namespace=notice.namespace, title=notice.title)


def _check(found: str, wanted: str, ref: ObjectRef) -> None:
    if found != wanted:
        raise Conflict(f"{ref.kind} {ref.namespace}/{ref.name} was changed by somebody else")


def _who(ref: ObjectRef) -> dict[str, str]:
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
