"""A model of the API server: objects with versions, and calls that a test can stop, fail, lose or delay at each point.

It stands in for the real one only where a test must choose the instant at which something goes wrong.
"""

import contextlib
from collections.abc import Callable, Generator, Mapping
from typing import Any

import pytest
from tests.support.kinds import Kind
from tests.support.lifecycle import documented_transitions
from tests.support.memory_cluster import Key, MemoryCluster, Request, copied

from forestall.actions import RiskOutlook
from forestall.api import Remediation
from forestall.api.remediation import Intent, ObjectRef
from forestall.api.times import stamp
from forestall.core.untrusted import get_path
from forestall.errors import ClusterError, NotFound, Throttled, Unavailable
from forestall.ports import Patch
from forestall.remediation import RemediationReconciler

START = 1_000_000.0
TRANSITIONS = documented_transitions()


class Point:
    """Where a process can be stopped; what the test sends there is raised, or tells what becomes of the call."""

    def __await__(self) -> Generator[None, Any, Any]:
        """Hand over to the test."""
        return (yield)


class World(MemoryCluster):
    """A cluster in memory whose calls a test can stop at each point; its controllers do their part at once."""

    def __init__(self) -> None:
        super().__init__(extensions=["ScaledObject"])
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
        self.keda = False
        """Whether the cluster has KEDA's kinds."""

    def put(self, kind: str, namespace: str, name: str, uid: str, **content: Any) -> None:
        """Put an object there."""
        metadata = {"name": name, "namespace": namespace, "uid": uid, "generation": 1}
        self.insert({"kind": kind, "metadata": metadata, **content})

    def new_uid(self, name: str) -> str:
        return f"uid-of-{name}"

    def deliver(self) -> None:
        """Let every write that is under way arrive."""
        late, self.late = self.late, []
        for write in late:
            write()

    def remediation(self) -> Remediation:
        """Return the only Remediation as it is stored."""
        return Remediation.read(next(body for key, body in self.objects.items() if key[0] == "Remediation"))

    async def _serve(self, request: Request, effect: Callable[[], Any]) -> Any:
        fate = await Point()
        if request.verb in self.errors:
            raise self.errors[request.verb]
        if fate == "refused":
            raise Unavailable("connection refused")
        if fate == "late":
            self.late.append(lambda: _attempt(effect))
            raise Unavailable("no answer within 4 s")
        answer = copied(effect())
        self.after_call(request.verb)
        fate = await Point()
        if fate == "lost":
            raise Unavailable("connection reset")
        return answer

    def _kind(self, api_version: str, kind: str) -> Kind:
        if kind == "ScaledObject" and not self.keda:
            raise NotFound("the cluster has no kind ScaledObject of keda.sh/v1alpha1")
        return super()._kind(api_version, kind)

    def _patch(self, ref: ObjectRef, patch: Patch, version: str) -> dict[str, Any]:
        self._unchanged(ref, version)
        self.before_write(patch)
        self.writes.append((ref.kind, patch))
        stored = super()._patch(ref, patch, version)
        if ref.kind == "Deployment" and "replicas" in patch.get("spec", {}):
            stored["status"] |= dict.fromkeys(("replicas", "updatedReplicas"), patch["spec"]["replicas"])
        return stored

    def _write_status(self, ref: ObjectRef, status: Mapping[str, Any], version: str) -> dict[str, Any]:
        before, stored = copied(self._get(ref)), super()._write_status(ref, status, version)
        if ref.kind == "Remediation" and "restored" not in stored["spec"]:
            old, new = (get_path(body, "status", "phase") or "Pending" for body in (before, stored))
            assert old == new or new in TRANSITIONS[old], f"{old} -> {new} is not in docs/concepts.md"
        return stored

    def _evict(self, pod: ObjectRef) -> None:
        self._unchanged(pod, "")
        if pod.name in self.unavailable:
            raise Throttled(f"Cannot evict pod {pod.name}; The disruption budget needs it")
        self.before_evict(pod)
        self.writes.append(("Pod", pod.name))
        super()._evict(pod)

    def _store(self, key: Key, body: dict[str, Any]) -> dict[str, Any]:
        before, stored = self.objects.get(key), super()._store(key, body)
        if before is None or before.get("spec") == stored.get("spec"):
            return stored
        if get_path(before, "status", "observedGeneration") == before["metadata"]["generation"]:
            stored["status"] = {**stored["status"], "observedGeneration": stored["metadata"]["generation"]}
        return stored


def _attempt(effect: Callable[[], Any]) -> None:
    with contextlib.suppress(ClusterError):  # nobody waits for the answer
        effect()


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


def foresee(**changes: Any) -> RiskOutlook:
    """Return an outlook at risk that needs 5 replicas, with changes."""
    usual: dict[str, Any] = {
        "fresh": True,
        "probability": 0.9,
        "breached": False,
        "sampled_at": START,
        "replicas_forecast": 5,
        "replicas_observed": 4,
    }
    return RiskOutlook(**{**usual, **changes})


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
        return await self.reconciler.open(intend(**changes))

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

    async def advance(self, view: RiskOutlook | None) -> Remediation:
        return await self.reconciler.reconcile(self.world.remediation(), view, self.guard, self.now)

    async def guard(self, remediation: Remediation) -> Any:
        return self.hold

    def restart(self) -> None:
        """Start anew, as after a crash."""
        self.reconciler = RemediationReconciler(self.world, pause_check=self.pause_check)

    async def pause_check(self, remediation: Remediation, now: float) -> Any:
        return self.stopped

    @property
    def replicas(self) -> int:
        replicas: int = self.world.objects["Deployment", "shop", "checkout"]["spec"]["replicas"]
        return replicas


@pytest.fixture
def run(world: World) -> Run:
    """A reconciler on `world`."""
    return Run(world)
