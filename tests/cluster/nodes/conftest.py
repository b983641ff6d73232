"""An engine that acts on pods and nodes of a real API server, with only the permissions that the chart grants.

KWOK simulates the nodes and the kubelets. Evictions, PodDisruptionBudgets, scheduling and controllers are real.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.support.control_plane import PooledCluster
from tests.support.settings import PatientSettings

from forestall.actions.node_action import CORDONED_BY
from forestall.adapters.kubernetes import Access, Api, KubernetesCluster, Recorder
from forestall.api import Remediation, ServiceLevelObjective
from forestall.devcluster.controlplane import ControlPlane
from forestall.devcluster.programs import Programs
from forestall.engine import Engine
from forestall.ports import Answer, Sample
from forestall.registry import WATCHED, Registry

API = "forestall.dev/v1alpha1"
SYSTEM = "forestall-system"
INTERVAL = 10.0
Body = dict[str, Any]
NODES = ("node-1", "node-2", "node-3")


@pytest.fixture(scope="session")
def plane(programs: Programs, root: Any) -> Iterator[PooledCluster]:
    """A control plane with three nodes, and the chart with all permissions that its values can grant, but without an
    operator.
    """
    with (
        ControlPlane(programs, nodes=3) as started,
        closing(PooledCluster(started.kubeconfig, programs, started.workspace.path)) as plane,
    ):
        values = ["image.repository=forestall", "replicas=0", "workloads.clusterWide=true", "nodes.drain=true"]
        options = [option for value in values for option in ("--set", value)]
        chart = root / "charts" / "forestall"
        plane.helm("install", "forestall", chart, "-n", SYSTEM, "--create-namespace", "--wait", *options)
        spec = {"url": "http://x", "trustedLabels": ["node"]}
        plane.apply({"apiVersion": API, "kind": "MetricSource", "metadata": {"name": "default"}, "spec": spec})
        yield plane


@pytest.fixture(scope="session")
def operator(plane: PooledCluster) -> Path:
    """A kubeconfig of the operator's ServiceAccount."""
    return plane.kubeconfig_for(SYSTEM, "forestall")


class CountingCluster(KubernetesCluster):
    """Counts list requests, by kind."""

    listed: Counter[str] = Counter()

    async def find(self, api_version: str, kind: str, *args: str, **more: str) -> Sequence[Mapping[str, Any]]:
        self.listed[kind] += 1
        return await super().find(api_version, kind, *args, **more)


@dataclass
class Script:
    """Implements the `Metrics` port: the values of the indicator `load`, by label value."""

    label: str
    says: dict[str, float] = field(default_factory=dict)

    async def instant(self, source, queries, at):
        return {query.key: Answer(self._answer(query.key[1]), at) for query in queries}

    def _answer(self, indicator: str) -> tuple[Sample, ...]:
        """Return the series of `load`, or of `load-node-1` that of node-1 alone."""
        if not indicator.startswith("load"):
            return (Sample((), 0.0),)
        one = indicator.removeprefix("load").removeprefix("-")
        return tuple(Sample(((self.label, name),), value) for name, value in self.says.items() if one in ("", name))

    async def range(self, source, queries, start, end, step):
        return {query.key: () for query in queries}


@dataclass
class Field:
    """An engine with the operator's permissions, its namespace and its clock."""

    plane: PooledCluster
    cluster: CountingCluster
    namespace: str
    script: Script = field(default_factory=lambda: Script("pod"))
    registry: Registry = field(default_factory=Registry)
    now: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Start a new engine with an empty memory, as after a change of leader."""
        self.registry = Registry()
        self.engine = Engine(self.script, self.cluster, self.registry, PatientSettings(interval=INTERVAL))

    async def cycle(self, count: int = 1) -> None:
        for _ in range(count):
            await self._read()
            await self.engine.cycle(self.now, leading=True)
            self.now += INTERVAL
        await self._read()

    async def until(self, holds: Callable[[], bool], **values: float) -> None:
        """Run cycles until something holds, while the cluster's own controllers do their work."""
        self.script.says.update(values)
        end = time.monotonic() + 30
        while not holds():
            assert time.monotonic() < end, ([one.status for one in self.remediations], self.decisions)
            await self.cycle()
            await asyncio.sleep(0.1)

    async def _read(self) -> None:
        """Update the registry with the objects of this test's namespace, as the watches do."""
        for model in WATCHED:
            version = "v1" if model.KIND == "Namespace" else API
            listed = await self.cluster.find(version, model.KIND)
            mine = [one for one in listed if one["metadata"].get("namespace", self.namespace) == self.namespace]
            for body in mine:
                self.registry.put(model.KIND, body)
            self.registry.prune(model.KIND, self.registry.uids(model.KIND) - {one["metadata"]["uid"] for one in mine})
            self.registry.mark_synced(model.KIND)

    def apply(self, kind: str, name: str, spec: Body, api_version: str = API, **metadata: Any) -> None:
        body = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}
        self.plane.apply(body, namespace=self.namespace)

    def watch(self, label: str, *actions: Body, **policy: Any) -> None:
        """Apply an objective of the Deployment `web` with an indicator per pod or node, and its policy."""
        self.script.label = label
        indicator = {"name": "load", "query": f"max by ({label}) (load)", "limit": 100, "per": label, "horizon": "5m"}
        raw = {"raw": {"errorRatio": "sum(errors)"}}
        spec = {"target": {"name": "web"}, "indicator": raw, "objective": 99.0, "leadingIndicators": [indicator]}
        self.apply("ServiceLevelObjective", "web", spec)
        self.apply("RemediationPolicy", "web", {"mode": "Auto", "cooldown": "0s", "actions": list(actions), **policy})

    def run_pods(self, replicas: int, kind: str = "Deployment", name: str = "web", **spec: Any) -> None:
        """Create a workload, and return when its pods are ready."""
        labels = {"app": name}
        pod = {"containers": [{"name": "main", "image": "example.com/web"}], **spec}
        usual = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
        size = {} if kind == "DaemonSet" else {"replicas": replicas}
        self.apply(kind, name, {**usual, **size}, "apps/v1")
        self.plane.kubectl("rollout", "status", f"{kind}/{name}", "-n", self.namespace, "--timeout=240s")

    def protect(self, available: int) -> None:
        """Apply a PodDisruptionBudget that keeps this number of pods of `web`."""
        spec = {"minAvailable": available, "selector": {"matchLabels": {"app": "web"}}}
        self.apply("PodDisruptionBudget", "web", spec, "policy/v1")
        seen = "--for=jsonpath={.status.observedGeneration}=1"
        self.plane.kubectl("wait", seen, "pdb/web", "-n", self.namespace, "--timeout=180s")

    def allow(self, **limits: int) -> None:
        """Apply a Guardrail that allows everything in this namespace, with these node limits."""
        named = {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}}
        allowed = [{"namespaces": named, "actions": ["Evict", "Restart", "Cordon", "Drain"]}]
        self.apply("Guardrail", self.namespace, {"nodes": limits or {"maxCordoned": 1}, "allow": allowed})

    def node(self, name: str) -> Body:
        return self.plane.get("node", name)

    def cordoned(self) -> set[str]:
        """Return the nodes that are unschedulable."""
        return {name for name in NODES if self.node(name)["spec"].get("unschedulable")}

    def busiest(self) -> str:
        """Return a node on which there are pods of this namespace."""
        return max(NODES, key=lambda name: len(self.pods(name)))

    def pods(self, node: str = "") -> list[Body]:
        """Return the pods of the namespace, of one node where it is given."""
        return self.plane.find("Pod", self.namespace, f"spec.nodeName={node}" if node else "")

    @property
    def remediations(self) -> list[Remediation]:
        found = self.registry.all(Remediation, self.namespace)
        return sorted(found, key=lambda one: one.spec.intent.created)

    @property
    def last(self) -> Remediation:
        return self.remediations[-1]

    @property
    def phase(self) -> str:
        return self.last.status.phase if self.remediations else ""

    @property
    def decisions(self) -> list[str]:
        found = self.registry.get(ServiceLevelObjective, "web", self.namespace)
        return [f"{one.reason}: {one.message}" for one in found.status.decisions or ()] if found else []


@pytest.fixture
async def world(plane: PooledCluster, operator: Path) -> AsyncIterator[Field]:
    name = f"shop-{uuid4().hex[:6]}"
    plane.create_namespace(name)
    access = await Access.find(str(operator))
    async with Api(access) as api, Recorder(api, "test") as recorder:
        yield Field(plane, CountingCluster(api, recorder, SYSTEM), name)
    plane.delete("Namespace", name)
    for node in plane.find("Node"):
        if node["spec"].get("unschedulable"):
            plane.kubectl("uncordon", node["metadata"]["name"])
        if CORDONED_BY in node["metadata"]["annotations"]:
            plane.kubectl("annotate", "node", node["metadata"]["name"], f"{CORDONED_BY}-")
    for guardrail in plane.find("Guardrail"):
        plane.delete("Guardrail", guardrail["metadata"]["name"])
