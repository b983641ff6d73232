"""The cluster of a replay: every target exists and has the size it is said to have, and nothing that is done changes
what was measured."""

from collections.abc import Mapping, Sequence
from typing import Any

from forestall.api.remediation import ObjectRef
from forestall.errors import Conflict
from forestall.ports import Event, Patch, Scale, Served


class HistoryCluster:
    """The port `Cluster`: answers reads, accepts the statuses and Events that the engine writes, refuses the rest.

    Policies only observe in a replay, so nothing else is written; a write would be a fault of the replay.
    """

    def __init__(self, replicas: int) -> None:
        self._replicas = replicas

    async def read(self, ref: ObjectRef) -> Mapping[str, Any]:
        """Return the object, which is there and ready."""
        return {
            "apiVersion": ref.api_version,
            "kind": ref.kind,
            "metadata": {"name": ref.name, "namespace": ref.namespace, "uid": _uid(ref), "resourceVersion": "1"},
            "spec": {"replicas": self._replicas},
            "status": {"readyReplicas": self._replicas},
        }

    async def find(
        self,
        api_version: str,  # noqa: ARG002 -- the port's: there are no other objects
        kind: str,  # noqa: ARG002 -- the port's
        namespace: str = "",  # noqa: ARG002 -- the port's
        label_selector: str = "",  # noqa: ARG002 -- the port's
        field_selector: str = "",  # noqa: ARG002 -- the port's
    ) -> Sequence[Mapping[str, Any]]:
        """Return nothing: there is no autoscaler, no cordoned node and no other remediation."""
        return ()

    async def serves(self, api_version: str, kind: str) -> Served:  # noqa: ARG002 -- the port's
        """Return the kind's plural as English has it: whether it is right, the API server knows."""
        name = kind.lower()
        plural = f"{name[:-1]}ies" if name.endswith("y") else f"{name}es" if name.endswith("s") else f"{name}s"
        return Served(plural, namespaced=True)

    async def read_scale(self, ref: ObjectRef) -> Scale:
        """Return the size that was given."""
        return Scale(self._replicas, self._replicas, "", "1", _uid(ref))

    async def write_scale(self, ref: ObjectRef, replicas: int, resource_version: str) -> Scale:  # noqa: ARG002
        """Refuse."""
        raise _past(ref)

    async def patch(self, ref: ObjectRef, patch: Patch, resource_version: str) -> Mapping[str, Any]:  # noqa: ARG002
        """Refuse."""
        raise _past(ref)

    async def create(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Refuse."""
        raise Conflict(f"{body.get('kind')}: the past can't be changed")

    async def delete(self, ref: ObjectRef, resource_version: str) -> None:  # noqa: ARG002
        """Refuse."""
        raise _past(ref)

    async def evict(self, pod: ObjectRef) -> None:
        """Refuse."""
        raise _past(pod)

    async def replace_status(
        self,
        ref: ObjectRef,
        status: Mapping[str, Any],  # noqa: ARG002
        resource_version: str,  # noqa: ARG002
    ) -> Mapping[str, Any]:
        """Refuse."""
        raise _past(ref)

    async def apply_status(self, ref: ObjectRef, status: Mapping[str, Any]) -> Mapping[str, Any]:
        """Accept the status: the engine writes what it found, which is read from the cycle's report instead."""
        return {"metadata": {"name": ref.name, "resourceVersion": "1"}, "status": dict(status)}

    async def record(self, event: Event) -> None:
        """Accept the Event."""


def _uid(ref: ObjectRef) -> str:
    return ref.uid or f"{ref.kind}/{ref.namespace}/{ref.name}"


def _past(ref: ObjectRef) -> Conflict:
    return Conflict(f"{ref.kind} {ref.name}: the past can't be changed")
