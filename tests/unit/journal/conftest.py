"""A model of the API server: objects with versions, and calls that a test can stop, fail, lose or delay at each point.

It stands in for the real one only where a test must choose the instant at which something goes wrong.
"""

import contextlib
import copy
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import pytest

from forestall.actions import Outlook
from forestall.actions.cordon import CORDONED_BY
from forestall.actions.patch import PATCHED_BY
from forestall.api import Remediation
from forestall.api.remediation import Intent, ObjectRef
from forestall.api.times import stamp
from forestall.errors import ClusterError, Conflict, NotFound, Throttled, Unavailable
from forestall.journal import Journal
from forestall.ports import Event, Patch, Right, Scale, Served

Key = tuple[str, str, str]
START = 1_000_000.0


class Point:
    """Where a process can be stopped; what the test sends there is raised, or tells what becomes of the call."""

    def __await__(self) -> Generator[None, Any, Any]:
        """Hand over to the test."""
        return (yield)


class World:
    """Implements the `Cluster` port in memory."""

    def __init__(self) -> None:
        self.objects: dict[Key, dict[str, Any]] = {}
        self.events: list[Event] = []
        self.writes: list[tuple[str, Any]] = []
        """Every change of a target that was committed: kind, and what was written."""
        self.late: list[Callable[[], None]] = []
        """Writes that are still under way although their caller has given up waiting."""
        self.before_write: Callable[[Any], None] = lambda _: None
        self.unavailable: set[str] = set()
        """Pods that their PodDisruptionBudgets do not let go."""
        self.after_call: Callable[[str], None] = lambda _: None
        """What happens just after a call of this name."""
        self.before_evict: Callable[[ObjectRef], None] = lambda _: None
        self.errors: dict[str, ClusterError] = {}
        """By name of the call: what it raises."""
        self.refusals: dict[str, str] = {}
        """By kind: why nothing may be done to it."""
        self.keda = False
        """Whether the cluster has KEDA's kinds."""
        self._version = 0

    # What tests do

    def put(self, kind: str, namespace: str, name: str, uid: str, **content: Any) -> None:
        metadata = {"name": name, "namespace": namespace, "uid": uid, "generation": 1}
        self.objects[kind, namespace, name] = self._stamped({"kind": kind, "metadata": metadata, **content})

    def change(self, kind: str, name: str, patch: Patch, namespace: str = "shop") -> None:
        """Change an object as somebody else does."""
        key = (kind, namespace, name)
        self.objects[key] = self._stamped(_merged(self.objects[key], patch))

    def deliver(self) -> None:
        """Let every write that is under way arrive."""
        late, self.late = self.late, []
        for write in late:
            write()

    def remediation(self) -> Remediation:
        """Return the only Remediation as it is stored."""
        return Remediation.read(next(body for key, body in self.objects.items() if key[0] == "Remediation"))

    # The port

    async def read(self, ref: ObjectRef) -> Mapping[str, Any]:
        return copy.deepcopy(await self._call("read", lambda: self._get(ref)))

    async def find(
        self, api_version: str, kind: str, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> Sequence[Mapping[str, Any]]:
        assert api_version in {"autoscaling/v2", "keda.sh/v1alpha1", "v1"}, "the model knows no other list"

        def listed() -> list[dict[str, Any]]:
            if api_version == "keda.sh/v1alpha1" and not self.keda:
                raise NotFound("the cluster has no kind ScaledObject of keda.sh/v1alpha1")
            of_kind = [body for key, body in self.objects.items() if key[0] == kind and namespace in {"", key[1]}]
            node = field_selector.removeprefix("spec.nodeName=")
            return [body for body in of_kind if not node or body["spec"]["nodeName"] == node]

        found: Sequence[Mapping[str, Any]] = await self._call("find", listed)
        return found

    async def serves(self, api_version: str, kind: str) -> Served:
        return Served(f"{kind.lower()}s", namespaced=kind != "Node")

    async def refusal(self, right: Right) -> str | None:
        return self.refusals.get(right.kind)

    async def read_scale(self, ref: ObjectRef) -> Scale:
        return _scale(await self._call("read_scale", lambda: self._get(ref)))

    async def write_scale(self, ref: ObjectRef, replicas: int, resource_version: str) -> Scale:
        made = {"replicas": replicas, "updatedReplicas": replicas}  # as its controller does at once
        patch = {"spec": {"replicas": replicas}, "status": made}
        return _scale(await self._call("write_scale", lambda: self._write(ref, patch, resource_version)))

    async def patch(self, ref: ObjectRef, patch: Patch, resource_version: str) -> Mapping[str, Any]:
        body: Mapping[str, Any] = await self._call("patch", lambda: self._write(ref, patch, resource_version))
        return body

    async def create(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        created: Mapping[str, Any] = await self._call("create", lambda: self._create(body))
        return created

    async def delete(self, ref: ObjectRef, resource_version: str) -> None:
        def remove() -> None:
            self._checked(ref, resource_version)
            del self.objects[ref.kind, ref.namespace, ref.name]

        await self._call("delete", remove)

    async def evict(self, pod: ObjectRef) -> None:
        await self._call("evict", lambda: self._evict(pod))

    async def replace_status(
        self, ref: ObjectRef, status: Mapping[str, Any], resource_version: str
    ) -> Mapping[str, Any]:
        written: Mapping[str, Any] = await self._call(
            "replace_status", lambda: self._replace_status(ref, status, resource_version)
        )
        return written

    async def apply_status(self, ref: ObjectRef, status: Mapping[str, Any], resource_version: str) -> Mapping[str, Any]:
        raise NotImplementedError

    async def record(self, event: Event) -> None:
        self.events.append(event)

    # How it is done

    async def _call(self, name: str, effect: Callable[[], Any]) -> Any:
        fate = await Point()
        if name in self.errors:
            raise self.errors[name]
        if fate == "refused":
            raise Unavailable("connection refused")
        if fate == "late":
            self.late.append(lambda: _attempt(effect))
            raise Unavailable("no answer within 4 s")
        answer = effect()
        self.after_call(name)
        fate = await Point()
        if fate == "lost":
            raise Unavailable("connection reset")
        return copy.deepcopy(answer)

    def _get(self, ref: ObjectRef) -> dict[str, Any]:
        body = self.objects.get((ref.kind, ref.namespace, ref.name))
        if body is None or (ref.uid and body["metadata"]["uid"] != ref.uid):
            raise NotFound(f"{ref.kind} {ref.name}")
        return body

    def _checked(self, ref: ObjectRef, version: str) -> dict[str, Any]:
        body = self._get(ref)
        if body["metadata"]["resourceVersion"] != version:
            raise Conflict(f"{ref.kind} {ref.name} has changed")
        return body

    def _write(self, ref: ObjectRef, patch: Patch, version: str) -> dict[str, Any]:
        body: dict[str, Any] = _merged(self._checked(ref, version), patch)
        self.before_write(patch)
        self.writes.append((ref.kind, patch))
        if ref.kind in ("Node", "ConfigMap"):
            _own(body)
        self.objects[ref.kind, ref.namespace, ref.name] = self._stamped(body)
        return body

    def _evict(self, pod: ObjectRef) -> None:
        body = self._get(pod.model_copy(update={"uid": ""}))
        if body["metadata"]["uid"] != pod.uid:
            raise Conflict(f"{pod.name} is another pod by now")
        if pod.name in self.unavailable:
            raise Throttled(f"Cannot evict pod {pod.name}; The disruption budget needs it")
        self.before_evict(pod)
        self.writes.append(("Pod", pod.name))
        del self.objects["Pod", pod.namespace, pod.name]

    def _create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        name, namespace = body["metadata"]["name"], body["metadata"]["namespace"]
        if (body["kind"], namespace, name) in self.objects:
            raise Conflict(f"{name} exists")
        metadata = {**body["metadata"], "uid": f"uid-of-{name}"}
        stored = self._stamped({**copy.deepcopy(dict(body)), "metadata": metadata})
        self.objects[body["kind"], namespace, name] = stored
        return stored

    def _replace_status(self, ref: ObjectRef, status: Mapping[str, Any], version: str) -> dict[str, Any]:
        body = self._stamped({**self._checked(ref, version), "status": copy.deepcopy(dict(status))})
        self.objects[ref.kind, ref.namespace, ref.name] = body
        return body

    def _stamped(self, body: dict[str, Any]) -> dict[str, Any]:
        self._version += 1
        return {**body, "metadata": {**body["metadata"], "resourceVersion": str(self._version)}}


def _own(body: dict[str, Any]) -> None:
    """Remember the operator as the manager of what it wrote."""
    fields: dict[str, Any] = {}
    signatures = {CORDONED_BY, PATCHED_BY} & body["metadata"].get("annotations", {}).keys()
    if signatures:
        fields["f:metadata"] = {"f:annotations": {f"f:{signature}": {} for signature in signatures}}
    if body.get("spec", {}).get("unschedulable"):
        fields["f:spec"] = {"f:unschedulable": {}}
    if PATCHED_BY in signatures:
        fields["f:data"] = {"f:flag": {}}
    body["metadata"]["managedFields"] = [{"manager": "forestall", "fieldsV1": fields}]


def _attempt(effect: Callable[[], Any]) -> None:
    with contextlib.suppress(ClusterError):  # nobody waits for the answer
        effect()


def _merged(body: Any, patch: Any) -> Any:
    """Return `body` after a JSON merge patch."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(body) if isinstance(body, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value)
    return result


def _scale(body: Mapping[str, Any]) -> Scale:
    metadata, replicas = body["metadata"], body["spec"]["replicas"]
    return Scale(replicas, replicas, "", metadata["resourceVersion"], metadata["uid"])


def intend(**changes: Any) -> Intent:
    """Return the intent of a scale-out of `shop/checkout` from 3 to 5, with changes."""
    policy = {"apiVersion": "forestall.dev/v1alpha1", "kind": "RemediationPolicy", "namespace": "shop"}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "checkout", "uid": "d-1"}
    usual = {
        "policy": {**policy, "name": "checkout", "uid": "p-1"},
        "objective": {**policy, "kind": "ServiceLevelObjective", "name": "checkout", "uid": "o-1"},
        "episode": 1,
        "target": target,
        "action": {"scale": {"maxReplicas": 12, "stabilizationWindow": "5m"}},
        "mode": "Auto",
        "from": 3,
        "to": 5,
        "evidence": {"indicator": "load", "reason": "load is forecast to pass its limit"},
        "created": stamp(START),
        "deadline": stamp(START + 1800),
    }
    return Intent.model_validate({**usual, **changes})


def foresee(**changes: Any) -> Outlook:
    """Return an outlook at risk that needs 5 replicas, with changes."""
    usual: dict[str, Any] = {
        "fresh": True,
        "probability": 0.9,
        "breached": False,
        "sampled_at": START,
        "replicas_forecast": 5,
        "replicas_observed": 4,
    }
    return Outlook(**{**usual, **changes})


@pytest.fixture
def world() -> World:
    """A cluster with the Deployment `shop/checkout` of 3 replicas, and the node `n1`."""
    world = World()
    template = {"metadata": {"labels": {"app": "checkout"}}}
    complete = {"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}
    world.put("Deployment", "shop", "checkout", "d-1", spec={"replicas": 3, "template": template}, status=complete)
    world.put("Node", "", "n1", "n-1", spec={}, status={})
    world.put("ConfigMap", "shop", "flags", "m-1", data={"flag": "on"})
    for number in (1, 2):
        name, uid = f"checkout-{number}", f"c-{number}"
        owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "checkout", "uid": "rs-1", "controller": True}
        metadata = {"name": name, "namespace": "shop", "uid": uid, "ownerReferences": [owner]}
        world.put("Pod", "shop", name, uid, metadata=metadata, spec={"nodeName": "n1"}, status={})
    return world


class Run:
    """One Remediation, driven as the engine does, at times that the test chooses."""

    intend = staticmethod(intend)
    foresee = staticmethod(foresee)

    def __init__(self, world: World) -> None:
        self.world = world
        self.now = START
        self.hold: Any = None
        self.stopped: Any = None
        """Why people have stopped it."""
        self.restart()

    async def open(self, **changes: Any) -> Remediation:
        return await self.journal.open(intend(**changes))

    async def cycle(self, after: float = 10.0, **outlook: Any) -> Remediation:
        """Let `after` s pass, and advance by an outlook whose sample is new."""
        self.now += after
        view = foresee(**{"sampled_at": self.now, **outlook})
        return await self.advance(view)

    async def cycles(self, count: int, after: float, **outlook: Any) -> Remediation:
        """Run several equal cycles, and return what the last one left."""
        for _ in range(count - 1):
            await self.cycle(after, **outlook)
        return await self.cycle(after, **outlook)

    async def advance(self, view: Outlook | None) -> Remediation:
        return await self.journal.advance(self.world.remediation(), view, self.guard, self.now)

    async def guard(self, remediation: Remediation) -> Any:
        return self.hold

    def restart(self) -> None:
        """Start anew, as after a crash."""
        self.journal = Journal(self.world, brake=self.brake)

    async def brake(self, remediation: Remediation, now: float) -> Any:
        return self.stopped

    @property
    def replicas(self) -> int:
        replicas: int = self.world.objects["Deployment", "shop", "checkout"]["spec"]["replicas"]
        return replicas


@pytest.fixture
def run(world: World) -> Run:
    """A journal on `world`."""
    return Run(world)
