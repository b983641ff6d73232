"""The port `Cluster` over a model: its workloads, autoscalers and nodes, and the Remediations.

Every service has its own namespace, in which its Deployment and its HorizontalPodAutoscaler have the same name.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from forestall.actions.restart import RESTARTED_BY
from forestall.api import API_VERSION, Remediation
from forestall.api.remediation import ObjectRef
from forestall.errors import Conflict, NotFound
from forestall.ports import Event, Patch, Right, ScaleSubresource, Served
from forestall.sim.model_state import ModelState
from forestall.sim.node_objects import NODE, NodeObjects

DEPLOYMENT: Final = ("apps/v1", "Deployment")
AUTOSCALER: Final = ("autoscaling/v2", "HorizontalPodAutoscaler")


class ModelCluster:
    """Changes workloads and nodes in the model, stores Remediations, and accepts other statuses and Events."""

    def __init__(self, state: ModelState, locations: Mapping[str, tuple[int, str]], *, autoscalers: bool) -> None:
        """`locations`: number and workload name of the service in each namespace."""
        self._state, self._locations, self._autoscalers = state, locations, autoscalers
        self._stored: dict[tuple[str, str], dict[str, Any]] = {}
        self._restarted: dict[int, str] = {}
        self._nodes = NodeObjects(state)
        self._version = 0
        self.restarts: list[tuple[float, int]] = []
        """Time (s since the epoch) and service of each restart."""
        self.changes: Counter[int] = Counter()
        """Number of the operator's changes by service."""

    @property
    def remediations(self) -> list[Remediation]:
        """The stored Remediations."""
        return [Remediation.read(body) for body in self._stored.values()]

    async def read(self, ref: ObjectRef) -> Mapping[str, Any]:
        """See the port."""
        if ref.kind == Remediation.KIND:
            return self._entry(ref)
        body: Mapping[str, Any]
        if ref.kind == NODE:
            body = self._nodes.read(ref.name)
        elif ref.kind == AUTOSCALER[1]:
            self._service(ref)
            body = self._autoscaler(ref.namespace)
        else:
            body = self._deployment(self._service(ref), ref)
        if ref.uid and body["metadata"]["uid"] != ref.uid:
            raise NotFound(f"{ref.kind} {ref.name}")
        return body

    async def find(self, _: str, kind: str, /, namespace: str = "", **__: str) -> Sequence[Mapping[str, Any]]:
        """See the port; API groups and labels are ignored."""
        if kind == AUTOSCALER[1] and self._autoscalers and namespace in self._locations:
            return (self._autoscaler(namespace),)
        return self._nodes.all() if kind == NODE else ()

    async def find_metadata(self, _: str, kind: str, /, namespace: str = "", **__: str) -> Sequence[Mapping[str, Any]]:
        """See the port; a simulated service has no pods."""
        if kind != NODE:
            raise NotFound(f"a simulated service has no {kind} in {namespace}")
        return [node["metadata"] for node in self._nodes.all()]

    async def serves(self, api_version: str, kind: str) -> Served:
        """Refuse: a simulated service has no other objects."""
        raise NotFound(f"a simulated service has no {kind} of {api_version}")

    async def refusal(self, _: Right, /) -> str | None:
        """Allow everything."""
        return None

    async def read_scale(self, ref: ObjectRef) -> ScaleSubresource:
        """See the port."""
        service, scales = self._service(ref), self._state.scales
        desired = int(scales.replicas[service])
        return ScaleSubresource(
            desired, desired, "", str(scales.workload_versions[service]), _uid("deployment", ref.namespace)
        )

    async def write_scale(self, ref: ObjectRef, replicas: int, resource_version: str) -> ScaleSubresource:
        """See the port."""
        service = self._service(ref)
        self._check(self._state.scales.workload_versions[service], resource_version, ref)
        self.changes[service] += 1
        self._state.scales.set_replicas(service, replicas)
        return await self.read_scale(ref)

    async def patch(self, ref: ObjectRef, patch: Patch, resource_version: str) -> Mapping[str, Any]:
        """See the port. Patches `minReplicas` of an autoscaler, the annotation of a restart, or a node's cordon."""
        if ref.kind == NODE:
            return self._nodes.patch(ref.name, patch, resource_version)
        service, scales = self._service(ref), self._state.scales
        if ref.kind == AUTOSCALER[1]:
            self._check(scales.autoscaler_versions[service], resource_version, ref)
            self.changes[service] += 1
            scales.set_min_replicas(service, int(patch["spec"]["minReplicas"]))
            return self._autoscaler(ref.namespace)
        self._check(scales.workload_versions[service], resource_version, ref)
        annotations = patch["spec"]["template"]["metadata"]["annotations"]
        if self._restarted.get(service) != annotations[RESTARTED_BY]:
            self.changes[service] += 1
            self._restarted[service] = annotations[RESTARTED_BY]
            self._state.fleet.roll_out(service)
            self.restarts.append((self._state.now, service))
            scales.bump_version(service)
        return self._deployment(service, ref)

    async def create(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """See the port."""
        metadata = body["metadata"]
        key = (metadata["namespace"], metadata["name"])
        if key in self._stored:
            raise Conflict(f"{metadata['name']} exists")
        uid = _uid("remediation", f"{key[0]}-{key[1]}")
        return self._store({**body, "metadata": {**metadata, "uid": uid, "generation": 1}})

    async def delete(self, ref: ObjectRef, resource_version: str) -> None:
        """See the port."""
        self._check(self._entry(ref)["metadata"]["resourceVersion"], resource_version, ref)
        del self._stored[ref.namespace, ref.name]

    async def evict(self, pod: ObjectRef) -> None:
        """Refuse: the model's pods have no names."""
        raise NotFound(f"{pod.kind} {pod.name}")

    async def replace_status(
        self, ref: ObjectRef, status: Mapping[str, Any], resource_version: str
    ) -> Mapping[str, Any]:
        """See the port."""
        body = self._entry(ref)
        self._check(body["metadata"]["resourceVersion"], resource_version, ref)
        return self._store({**body, "status": status})

    async def apply_status(self, ref: ObjectRef, status: Mapping[str, Any], _: str, /) -> Mapping[str, Any]:
        """Accept the status of an object other than a Remediation; it is not stored."""
        return {"metadata": {"name": ref.name, "resourceVersion": "1"}, "status": status}

    async def record(self, event: Event) -> None:
        """Accept the Event."""

    def _store(self, body: Mapping[str, Any]) -> dict[str, Any]:
        self._version += 1
        metadata = {**body["metadata"], "resourceVersion": str(self._version)}
        # Bodies are replaced, never changed, so that an earlier read stays as it is.
        stored = {**body, "apiVersion": API_VERSION, "metadata": metadata}
        self._stored[metadata["namespace"], metadata["name"]] = stored
        return stored

    def _entry(self, ref: ObjectRef) -> dict[str, Any]:
        body = self._stored.get((ref.namespace, ref.name))
        if body is None or (ref.uid and body["metadata"]["uid"] != ref.uid):
            raise NotFound(f"{ref.kind} {ref.name}")
        return body

    def _service(self, ref: ObjectRef) -> int:
        location = self._locations.get(ref.namespace)
        if location is None or location[1] != ref.name:
            raise NotFound(f"{ref.kind} {ref.name}")
        return location[0]

    def _check(self, version: object, expected: str, ref: ObjectRef) -> None:
        if str(version) != expected:
            raise Conflict(f"{ref.kind} {ref.name} has changed")

    def _deployment(self, service: int, ref: ObjectRef) -> dict[str, Any]:
        fleet, scales = self._state.fleet, self._state.scales
        desired, ready = int(scales.replicas[service]), int(fleet.ready[service])
        updated = 0 if fleet.is_rolling_out(service) else desired
        annotations = {RESTARTED_BY: self._restarted[service]} if service in self._restarted else {}
        return {
            "apiVersion": ref.api_version,
            "kind": ref.kind,
            "metadata": {
                "name": ref.name,
                "namespace": ref.namespace,
                "uid": _uid("deployment", ref.namespace),
                "resourceVersion": str(scales.workload_versions[service]),
                "generation": 1,
            },
            "spec": {"replicas": desired, "template": {"metadata": {"annotations": annotations}}},
            "status": {
                "observedGeneration": 1,
                "replicas": desired,
                "updatedReplicas": updated,
                "readyReplicas": ready,
                "availableReplicas": ready,
            },
        }

    def _autoscaler(self, namespace: str) -> dict[str, Any]:
        service, name = self._locations[namespace]
        scales = self._state.scales
        return {
            "apiVersion": AUTOSCALER[0],
            "kind": AUTOSCALER[1],
            "metadata": {
                "name": name,
                "namespace": namespace,
                "uid": _uid("autoscaler", namespace),
                "resourceVersion": str(scales.autoscaler_versions[service]),
            },
            "spec": {
                "scaleTargetRef": {"apiVersion": DEPLOYMENT[0], "kind": DEPLOYMENT[1], "name": name},
                "minReplicas": int(scales.min_replicas[service]),
                "maxReplicas": int(scales.max_replicas[service]),
            },
        }


def _uid(kind: str, name: str) -> str:
    return f"{kind}-{name}"
