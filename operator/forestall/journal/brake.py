"""A cluster in which nothing is changed once people have stopped it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from forestall.api.remediation import ObjectRef
from forestall.core.decision import Hold
from forestall.errors import Halted
from forestall.ports import Cluster, Event, Patch, Scale, Served

Brake = Callable[[], Hold | None]
"""Says why nothing may be changed now."""


class BrakedCluster:
    """Wraps a `Cluster`: before each write the brake is asked, so that a pause stops also what is half done.

    What is refused raises `Halted`, and is known not to have been sent.
    """

    def __init__(self, cluster: Cluster, brake: Brake) -> None:
        self._cluster = cluster
        self._brake = brake

    async def read(self, ref: ObjectRef) -> Mapping[str, Any]:
        """Return the object."""
        return await self._cluster.read(ref)

    async def find(
        self, api_version: str, kind: str, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> Sequence[Mapping[str, Any]]:
        """Return all objects of a kind."""
        return await self._cluster.find(api_version, kind, namespace, label_selector, field_selector)

    async def serves(self, api_version: str, kind: str) -> Served:
        """Return how the API serves a kind."""
        return await self._cluster.serves(api_version, kind)

    async def read_scale(self, ref: ObjectRef) -> Scale:
        """Return the /scale subresource."""
        return await self._cluster.read_scale(ref)

    async def write_scale(self, ref: ObjectRef, replicas: int, resource_version: str) -> Scale:
        """Set the replicas."""
        self._check()
        return await self._cluster.write_scale(ref, replicas, resource_version)

    async def patch(self, ref: ObjectRef, patch: Patch, resource_version: str) -> Mapping[str, Any]:
        """Merge-patch the object."""
        self._check()
        return await self._cluster.patch(ref, patch, resource_version)

    async def create(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Create the object."""
        self._check()
        return await self._cluster.create(body)

    async def delete(self, ref: ObjectRef, resource_version: str) -> None:
        """Delete the object."""
        self._check()
        await self._cluster.delete(ref, resource_version)

    async def evict(self, pod: ObjectRef) -> None:
        """Evict the pod."""
        self._check()
        await self._cluster.evict(pod)

    async def replace_status(
        self, ref: ObjectRef, status: Mapping[str, Any], resource_version: str
    ) -> Mapping[str, Any]:
        """Replace the status."""
        self._check()
        return await self._cluster.replace_status(ref, status, resource_version)

    async def apply_status(self, ref: ObjectRef, status: Mapping[str, Any]) -> Mapping[str, Any]:
        """Apply the status."""
        self._check()
        return await self._cluster.apply_status(ref, status)

    async def record(self, event: Event) -> None:
        """Record the event: it changes nothing."""
        await self._cluster.record(event)

    def _check(self) -> None:
        held = self._brake()
        if held is not None:
            raise Halted(held.message)
