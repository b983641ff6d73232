"""The kill switch: a cluster in which nothing is changed once people paused it, for maintenance or in an incident."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from forestall.api.remediation import ObjectRef
from forestall.core.decision import Hold
from forestall.errors import Halted
from forestall.ports import Cluster, Event, Patch, ReadThrough, ScaleSubresource

PauseQuestion = Callable[[], Awaitable[Hold | None]]
"""Says why nothing may be changed now."""


class PauseFence(ReadThrough):
    """Wraps a `Cluster`: before each write the pause_check is asked, so that a pause stops also what is half done.

    What is refused raises `Halted`, and is known not to have been sent.
    """

    def __init__(self, cluster: Cluster, pause_check: PauseQuestion) -> None:
        super().__init__(cluster)
        self._pause_check = pause_check

    async def write_scale(self, ref: ObjectRef, replicas: int, resource_version: str) -> ScaleSubresource:
        """Set the replicas."""
        await self._check()
        return await self._cluster.write_scale(ref, replicas, resource_version)

    async def patch(self, ref: ObjectRef, patch: Patch, resource_version: str) -> Mapping[str, Any]:
        """Merge-patch the object."""
        await self._check()
        return await self._cluster.patch(ref, patch, resource_version)

    async def create(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Create the object."""
        await self._check()
        return await self._cluster.create(body)

    async def delete(self, ref: ObjectRef, resource_version: str) -> None:
        """Delete the object."""
        await self._check()
        await self._cluster.delete(ref, resource_version)

    async def evict(self, pod: ObjectRef) -> None:
        """Evict the pod."""
        await self._check()
        await self._cluster.evict(pod)

    async def replace_status(
        self, ref: ObjectRef, status: Mapping[str, Any], resource_version: str
    ) -> Mapping[str, Any]:
        """Replace the status."""
        await self._check()
        return await self._cluster.replace_status(ref, status, resource_version)

    async def apply_status(self, ref: ObjectRef, status: Mapping[str, Any], resource_version: str) -> Mapping[str, Any]:
        """Apply the status."""
        await self._check()
        return await self._cluster.apply_status(ref, status, resource_version)

    async def record(self, event: Event) -> None:
        """Record the event: it changes nothing."""
        await self._cluster.record(event)

    async def _check(self) -> None:
        hold = await self._pause_check()
        if hold is not None:
            raise Halted(hold.reason, hold.message)
