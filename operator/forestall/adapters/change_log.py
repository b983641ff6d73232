"""Logs changes and Events, so that `kubectl logs` shows what the operator decides and does."""

from collections.abc import Mapping
from typing import Any

import structlog

from forestall.adapters.dry_run import log_fields
from forestall.api.remediation import ObjectRef
from forestall.ports import Event, Patch, ReadThrough, ScaleSubresource

_log = structlog.get_logger(__name__)


class LoggedCluster(ReadThrough):
    """Wraps a `Cluster` and logs one line at level info for each change and each Event.

    Events are recorded for each change of state, decision and phase, with the names that `explain` uses. Status writes
    are not logged, because they repeat the same.
    """

    async def write_scale(self, ref: ObjectRef, replicas: int, resource_version: str) -> ScaleSubresource:
        """Set the replicas, and log it."""
        scale = await self._cluster.write_scale(ref, replicas, resource_version)
        _log.info("scaled", **log_fields(ref), replicas=replicas)
        return scale

    async def patch(self, ref: ObjectRef, patch: Patch, resource_version: str) -> Mapping[str, Any]:
        """Patch the object, and log which fields."""
        body = await self._cluster.patch(ref, patch, resource_version)
        _log.info("patched", **log_fields(ref), fields=sorted(_paths(patch)))
        return body

    async def create(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Create the object, and log it."""
        created = await self._cluster.create(body)
        metadata = created["metadata"]
        _log.info("created", kind=body["kind"], namespace=metadata.get("namespace", ""), name=metadata.get("name", ""))
        return created

    async def delete(self, ref: ObjectRef, resource_version: str) -> None:
        """Delete the object, and log it."""
        await self._cluster.delete(ref, resource_version)
        _log.info("deleted", **log_fields(ref))

    async def evict(self, pod: ObjectRef) -> None:
        """Evict the pod, and log it."""
        await self._cluster.evict(pod)
        _log.info("evicted", **log_fields(pod))

    async def replace_status(
        self, ref: ObjectRef, status: Mapping[str, Any], resource_version: str
    ) -> Mapping[str, Any]:
        """Replace the status."""
        return await self._cluster.replace_status(ref, status, resource_version)

    async def apply_status(self, ref: ObjectRef, status: Mapping[str, Any], resource_version: str) -> Mapping[str, Any]:
        """Apply the status."""
        return await self._cluster.apply_status(ref, status, resource_version)

    async def record(self, event: Event) -> None:
        """Record the Event, and log it."""
        await self._cluster.record(event)
        _log.info(
            "event", **log_fields(event.regarding), reason=event.reason, message=event.message, action=event.action
        )


def _paths(patch: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return the paths of the fields that a merge patch sets; their values may be confidential."""
    return [
        path
        for key, value in patch.items()
        for path in (_paths(value, f"{prefix}/{key}") if isinstance(value, Mapping) and value else [f"{prefix}/{key}"])
    ]
