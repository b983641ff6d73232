"""The cluster of a replay: every target exists with the configured number of replicas, and nothing can be changed."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from forestall.api.remediation import ObjectRef
from forestall.errors import Conflict, Unavailable
from forestall.ports import Event, Patch, Right, ScaleSubresource, Served

_SPARE: Final = "another-node"


class HistoryCluster:
    """The port `Cluster`: answers reads, accepts statuses and Events, and refuses all other writes.

    Policies are in mode Observe in a replay, so the engine makes no other writes.
    """

    def __init__(self, replicas: int, targets: Sequence[ObjectRef] = ()) -> None:
        """Make a cluster with the `targets` of the objectives, each with `replicas` replicas."""
        self._replicas = replicas
        self._targets = targets
        self._nodes = {_SPARE}

    async def read(self, ref: ObjectRef) -> Mapping[str, Any]:
        """Return the object, which exists and is ready."""
        metadata = {"name": ref.name, "namespace": ref.namespace, "uid": _uid(ref), "resourceVersion": "1"}
        if ref.kind == "Node":
            self._nodes.add(ref.name)
        return {
            "apiVersion": ref.api_version,
            "kind": ref.kind,
            "metadata": metadata | ({"ownerReferences": self._owners(ref)} if ref.kind == "Pod" else {}),
            "spec": {"replicas": self._replicas},
            "status": {"readyReplicas": self._replicas},
        }

    async def find(self, _: str, kind: str, /, namespace: str = "", **__: str) -> Sequence[Mapping[str, Any]]:
        """Return the nodes that were read and a spare, or the pods of a namespace: one of each target, on any node."""
        if kind == "Pod":
            targets = [target for target in self._targets if target.namespace == namespace]
            return [{"metadata": {"name": target.name, "ownerReferences": [_owner(target)]}} for target in targets]
        return [_node(name) for name in sorted(self._nodes)] if kind == "Node" else ()

    async def find_metadata(self, _: str, kind: str, /, namespace: str = "", **__: str) -> Sequence[Mapping[str, Any]]:
        """Refuse: which pods and nodes there were is not in the history."""
        del namespace
        raise Unavailable(f"which objects of kind {kind} there were is not known")

    async def serves(self, _: str, kind: str, /) -> Served:
        """Return the kind with a guessed plural."""
        name = kind.lower()
        plural = f"{name[:-1]}ies" if name.endswith("y") else f"{name}es" if name.endswith("s") else f"{name}s"
        return Served(plural, namespaced=True)

    async def refusal(self, _: Right, /) -> str | None:
        """Allow everything."""
        return None

    async def read_scale(self, ref: ObjectRef) -> ScaleSubresource:
        """Return the configured number of replicas."""
        return ScaleSubresource(self._replicas, self._replicas, "", "1", _uid(ref))

    async def write_scale(self, ref: ObjectRef, _: int, __: str, /) -> ScaleSubresource:
        """Refuse."""
        raise _immutable(ref)

    async def patch(self, ref: ObjectRef, _: Patch, __: str, /) -> Mapping[str, Any]:
        """Refuse."""
        raise _immutable(ref)

    async def create(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Refuse."""
        raise Conflict(f"{body.get('kind')}: the past can't be changed")

    async def delete(self, ref: ObjectRef, _: str, /) -> None:
        """Refuse."""
        raise _immutable(ref)

    async def evict(self, pod: ObjectRef) -> None:
        """Refuse."""
        raise _immutable(pod)

    async def replace_status(self, ref: ObjectRef, _: Mapping[str, Any], __: str, /) -> Mapping[str, Any]:
        """Refuse."""
        raise _immutable(ref)

    async def apply_status(self, ref: ObjectRef, status: Mapping[str, Any], _: str, /) -> Mapping[str, Any]:
        """Accept the status, which the replay reads from the cycle's report instead."""
        return {"metadata": {"name": ref.name, "resourceVersion": "1"}, "status": dict(status)}

    async def record(self, event: Event) -> None:
        """Accept the Event."""

    def _owners(self, pod: ObjectRef) -> list[Mapping[str, Any]]:
        """Return the owner of a pod: the target whose name it starts with, or the only target in its namespace."""
        candidates = [target for target in self._targets if target.namespace == pod.namespace]
        named = [target for target in candidates if pod.name.startswith(f"{target.name}-")]
        owner = max(named, key=lambda target: len(target.name), default=candidates[0] if len(candidates) == 1 else None)
        return [] if owner is None else [_owner(owner)]


def _owner(target: ObjectRef) -> Mapping[str, Any]:
    return {
        "apiVersion": target.api_version,
        "kind": target.kind,
        "name": target.name,
        "uid": _uid(target),
        "controller": True,
    }


def _node(name: str) -> Mapping[str, Any]:
    return {"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}


def _uid(ref: ObjectRef) -> str:
    return ref.uid or f"{ref.kind}/{ref.namespace}/{ref.name}"


def _immutable(ref: ObjectRef) -> Conflict:
    return Conflict(f"{ref.kind} {ref.name}: the past can't be changed")
