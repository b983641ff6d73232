"""The actions on pods and nodes: the engine on a real API server, with the rights that the chart gives it and no more.

KWOK plays the nodes and the kubelets. Evictions, PodDisruptionBudgets, scheduling and controllers are real.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest

from forestall.actions.cordon import CORDONED_BY
from forestall.adapters.kubernetes import Access, Api, KubernetesCluster, Recorder
from forestall.api import Remediation, ServiceLevelObjective
from forestall.demo.controlplane import ControlPlane
from forestall.demo.programs import Programs
from forestall.engine import Engine, Settings
from forestall.ports import Answer, Sample
from forestall.registry import WATCHED, Registry

API = "forestall.dev/v1alpha1"
SYSTEM = "forestall-system"
INTERVAL = 10.0
Body = dict[str, Any]
NODES = ("node-1", "node-2", "node-3")
DRAIN: Body = {"drain": {"healthyFor": "30s"}}


@pytest.fixture(scope="module")
def plane(programs: Programs, root: Any) -> Iterator[ControlPlane]:
    """Three nodes, and the chart with all rights that its values can give, but no operator."""
    with ControlPlane(programs, nodes=3) as plane:
        values = ["replicas=0", "workloads.clusterWide=true", "nodes.drain=true"]
        options = [option for value in values for option in ("--set", value)]
        chart = root / "charts" / "forestall"
        plane.helm("install", "forestall", chart, "-n", SYSTEM, "--create-namespace", "--wait", *options)
        yield plane


class CountingCluster(KubernetesCluster):
    """Counts what is listed, by kind."""

    listed: Counter[str] = Counter()

    async def find(self, api_version: str, kind: str, *args: str, **more: str) -> Sequence[Mapping[str, Any]]:
        self.listed[kind] += 1
        return await super().find(api_version, kind, *args, **more)


@dataclass
class Script:
    """Implements the `Metrics` port: the values of the indicator `load`, by the label's value."""

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
    """An engine with the operator's rights, its namespace and its clock."""

    plane: ControlPlane
    cluster: CountingCluster
    namespace: str
    script: Script = field(default_factory=lambda: Script("pod"))
    registry: Registry = field(default_factory=Registry)
    now: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Let another operator take over, with nothing in memory."""
        self.registry = Registry()
        self.engine = Engine(self.script, self.cluster, self.registry, Settings(interval=INTERVAL))

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
        """Bring the registry up to date, as the watches do, with this test's namespace alone."""
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
        """Declare an objective of the Deployment `web` with an indicator per pod or node, and what is done about it."""
        self.script.label = label
        indicator = {"name": "load", "query": f"max by ({label}) (load)", "limit": 100, "per": label, "horizon": "5m"}
        raw = {"raw": {"errorRatio": "sum(errors)"}}
        spec = {"target": {"name": "web"}, "indicator": raw, "objective": 99.0, "leadingIndicators": [indicator]}
        self.apply("ServiceLevelObjective", "web", spec)
        self.apply("RemediationPolicy", "web", {"mode": "Auto", "cooldown": "0s", "actions": list(actions), **policy})

    def run_pods(self, replicas: int, kind: str = "Deployment", name: str = "web", **spec: Any) -> None:
        """Run a workload, and return when its pods are ready."""
        labels = {"app": name}
        pod = {"containers": [{"name": "main", "image": "example.com/web"}], **spec}
        usual = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
        size = {} if kind == "DaemonSet" else {"replicas": replicas}
        self.apply(kind, name, {**usual, **size}, "apps/v1")
        self.plane.kubectl("rollout", "status", f"{kind}/{name}", "-n", self.namespace, "--timeout=60s")

    def protect(self, available: int) -> None:
        """Let a PodDisruptionBudget keep so many pods of `web`."""
        spec = {"minAvailable": available, "selector": {"matchLabels": {"app": "web"}}}
        self.apply("PodDisruptionBudget", "web", spec, "policy/v1")
        seen = "--for=jsonpath={.status.observedGeneration}=1"
        self.plane.kubectl("wait", seen, "pdb/web", "-n", self.namespace, "--timeout=30s")

    def allow(self, **limits: int) -> None:
        """Let a Guardrail allow everything here, with these limits of nodes."""
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
        where = [f"--field-selector=spec.nodeName={node}"] if node else []
        listed = self.plane.kubectl("get", "pods", "-n", self.namespace, "-o", "json", *where).stdout
        items: list[Body] = json.loads(listed)["items"]
        return items

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
async def world(plane: ControlPlane) -> AsyncIterator[Field]:
    name = f"shop-{uuid4().hex[:6]}"
    plane.kubectl("create", "namespace", name)
    plane.kubectl("wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=30s")
    plane.apply(
        {"apiVersion": API, "kind": "MetricSource", "metadata": {"name": "default"}, "spec": {"url": "http://x"}}
    )
    access = await Access.find(str(plane.kubeconfig_for(SYSTEM, "forestall")))
    async with Api(access) as api, Recorder(api, "test") as recorder:
        yield Field(plane, CountingCluster(api, recorder, SYSTEM), name)
    plane.kubectl("delete", "namespace", name, "--wait=false")
    plane.kubectl("uncordon", *NODES)
    plane.kubectl("annotate", "node", *NODES, f"{CORDONED_BY}-")
    plane.kubectl("delete", "guardrail", "--all")


async def test_the_one_bad_pod_is_evicted_and_the_others_go_on(world):
    world.run_pods(3)
    world.protect(2)
    bad, *others = [pod["metadata"] for pod in world.pods()]
    world.watch("pod", {"evict": {}}, {"restart": {}})
    values = {bad["name"]: 300.0, **{pod["name"]: 10.0 for pod in others}}
    await world.until(lambda: world.phase == "Verifying", **values)
    target = world.last.spec.intent.target
    assert (target.kind, target.name, target.uid) == ("Pod", bad["name"], bad["uid"])
    after = {pod["metadata"]["uid"] for pod in world.pods()}
    assert after > {pod["uid"] for pod in others}
    assert bad["uid"] not in after
    del world.script.says[bad["name"]]
    await world.until(lambda: world.phase == "Succeeded")
    assert len(world.remediations) == 1


async def test_a_budget_stops_an_eviction_and_the_deadline_ends_it(world):
    world.run_pods(2)
    world.protect(2)
    before = {pod["metadata"]["uid"] for pod in world.pods()}
    world.watch("pod", {"evict": {}}, deadline="1m")
    await world.until(lambda: world.phase == "Executing", **{world.pods()[0]["metadata"]["name"]: 300.0})
    assert world.last.status.reason == "Throttled"
    assert "The disruption budget web needs 2 healthy pods and has 2 currently" in world.last.status.message
    await world.until(lambda: world.phase == "Aborted")
    assert world.last.status.reason == "DeadlineExceeded"
    assert {pod["metadata"]["uid"] for pod in world.pods()} == before


async def test_a_pod_of_somebody_else_is_not_evicted(world):
    world.run_pods(2)
    world.run_pods(1, name="other")
    theirs = next(pod["metadata"]["name"] for pod in world.pods() if pod["metadata"]["labels"]["app"] == "other")
    world.watch("pod", {"evict": {}})
    world.script.says = {theirs: 300.0}
    await world.cycle(3)
    assert "PodNotOfTarget" in world.decisions[0]
    assert world.remediations == []


async def test_a_node_is_drained_and_given_back(world):
    world.allow()
    world.run_pods(6)
    world.run_pods(0, kind="DaemonSet", name="agent")
    world.protect(4)
    node = world.busiest()
    world.watch("node", DRAIN)
    await world.until(lambda: world.phase == "Verifying", **{node: 300.0})
    assert world.cordoned() == {node}
    assert {pod["metadata"]["labels"]["app"] for pod in world.pods(node)} == {"agent"}
    world.plane.kubectl("rollout", "status", "deployment/web", "-n", world.namespace, "--timeout=60s")
    await world.until(lambda: world.phase == "Succeeded", **{node: 0.0})
    assert world.cordoned() == set()
    assert CORDONED_BY not in world.node(node)["metadata"]["annotations"]
    assert len(world.remediations) == 1


async def test_a_budget_that_never_allows_it_stops_a_drain_and_the_node_is_given_back(world):
    world.allow()
    world.run_pods(3)
    world.protect(3)
    node = world.busiest()
    before = {pod["metadata"]["uid"] for pod in world.pods()}
    world.watch("node", DRAIN, deadline="2m")
    await world.until(lambda: world.phase == "Executing", **{node: 300.0})
    assert world.cordoned() == {node}
    assert world.last.status.reason == "Throttled"
    assert "The disruption budget web needs 3 healthy pods" in world.last.status.message
    await world.until(lambda: world.phase == "RolledBack")
    assert world.last.status.reason == "DeadlineExceeded"
    assert f"{world.namespace}/web-" in world.last.status.message
    assert world.cordoned() == set()
    assert {pod["metadata"]["uid"] for pod in world.pods()} == before


async def test_a_new_leader_goes_on_with_a_drain(world):
    world.allow()
    world.run_pods(3)
    world.protect(3)
    node = world.busiest()
    world.watch("node", DRAIN)
    await world.until(lambda: world.phase == "Executing", **{node: 300.0})
    world.restart()
    world.plane.kubectl("delete", "pdb", "web", "-n", world.namespace)
    await world.until(lambda: world.phase == "Verifying")
    assert world.pods(node) == []
    assert len(world.remediations) == 1


async def test_pods_that_must_not_be_evicted_leave_the_case_to_the_next_rung(world):
    world.allow()
    scratch = [{"name": "scratch", "emptyDir": {}}]
    world.run_pods(3, volumes=scratch)
    node = world.busiest()
    world.watch("node", DRAIN, {"cordon": {}})
    await world.until(lambda: world.phase == "Verifying", **{node: 300.0})
    assert world.last.spec.intent.action.cordon
    assert world.cordoned() == {node}
    assert len(world.pods(node)) > 0


async def test_a_policy_may_give_up_data_and_protected_pods_stay(world):
    world.allow()
    scratch = [{"name": "scratch", "emptyDir": {}}]
    world.run_pods(3, volumes=scratch)
    node = world.busiest()
    kept = world.pods(node)[0]["metadata"]["name"]
    world.plane.kubectl("annotate", "pod", kept, "forestall.dev/protected=true", "-n", world.namespace)
    alone = {"containers": [{"name": "main", "image": "example.com/web"}], "nodeName": node}
    world.apply("Pod", "alone", alone, "v1")
    world.run_pods(1, name="db", nodeSelector={"kubernetes.io/hostname": node})
    world.plane.kubectl("annotate", "deployment", "db", "forestall.dev/protected=true", "-n", world.namespace)
    world.watch("node", {"drain": {"deleteEmptyDirData": True, "force": True}})
    await world.until(lambda: world.phase == "Verifying", **{node: 300.0})
    names = {pod["metadata"]["name"]: pod["metadata"].get("labels", {}).get("app") for pod in world.pods(node)}
    assert names.pop(kept) == "web"
    assert list(names.values()) == ["db"]


async def test_a_node_is_not_drained_where_the_others_have_no_room(world):
    world.allow()
    request = {"resources": {"requests": {"cpu": "5"}}}  # of 8 that a node has
    world.run_pods(3, containers=[{"name": "main", "image": "example.com/web", **request}])
    world.watch("node", DRAIN)
    world.script.says = {"node-1": 300.0}
    await world.cycle(3)
    assert "NoRoom" in world.decisions[0]
    assert (world.cordoned(), world.remediations) == (set(), [])


async def test_a_node_is_not_drained_where_the_room_is_for_pods_that_wait(world):
    def asking(cpu: str) -> list[Body]:
        return [{"name": "main", "image": "example.com/web", "resources": {"requests": {"cpu": cpu}}}]

    world.allow()
    world.run_pods(3, containers=asking("3"))  # of 8 that a node has
    for name, cpu in (("waits-1", "3"), ("waits-2", "3"), ("in-vain", "100")):
        world.apply("Pod", name, {"containers": asking(cpu), "schedulerName": "slow"}, "v1")
    world.watch("node", DRAIN)
    world.script.says = {world.busiest(): 300.0}
    await world.cycle(3)
    assert "NoRoom" in world.decisions[0]
    assert (world.cordoned(), world.remediations) == (set(), [])
    world.plane.kubectl("delete", "pod", "waits-1", "waits-2", "-n", world.namespace, "--grace-period=0", "--force")
    await world.until(lambda: world.phase == "Verifying")


async def test_several_nodes_at_risk_at_once_never_exceed_the_limit(world):
    world.allow(maxCordoned=2, maxCordonedPercent=50)
    world.run_pods(2)
    world.watch("node", {"cordon": {"healthyFor": "30s"}})
    for name in NODES:
        label = {"name": f"load-{name}", "query": f'max by (node) (load{{node="{name}"}})', "limit": 100, "per": "node"}
        raw = {"raw": {"errorRatio": "sum(errors)"}}
        spec = {"target": {"name": "web"}, "indicator": raw, "objective": 99.0, "leadingIndicators": [label]}
        world.apply("ServiceLevelObjective", name, spec)
    world.script.says = dict.fromkeys(NODES, 300.0)
    for _ in range(4):
        await world.cycle()
        assert len(world.cordoned()) <= 1, "half of three, rounded down"
    assert len(world.cordoned()) == 1


async def test_the_last_node_is_never_taken(world):
    world.allow(maxCordoned=3)
    world.run_pods(2)
    world.plane.kubectl("cordon", "node-2", "node-3")
    world.watch("node", {"cordon": {}})
    world.script.says = {"node-1": 300.0}
    await world.cycle(3)
    assert "LastNode" in world.decisions[0]
    assert world.cordoned() == {"node-2", "node-3"}


async def test_a_node_whose_remediation_was_deleted_is_given_back(world):
    world.allow()
    world.run_pods(2)
    world.watch("node", {"cordon": {"healthyFor": "1h"}})
    await world.until(lambda: world.phase == "Verifying", **{"node-1": 300.0})
    assert world.cordoned() == {"node-1"}
    world.script.says = {}
    world.plane.kubectl("cordon", "node-2")
    world.plane.kubectl("delete", "remediationpolicy,remediation", "--all", "-n", world.namespace)
    await world.cycle(2)
    assert world.cordoned() == {"node-2"}, "what a person cordoned stays"
    assert CORDONED_BY not in world.node("node-1")["metadata"]["annotations"]


async def test_a_node_that_was_made_anew_in_the_middle_is_left_alone(world):
    world.allow()
    world.run_pods(3)
    world.protect(3)
    node = world.busiest()
    world.watch("node", DRAIN)
    await world.until(lambda: world.phase == "Executing", **{node: 300.0})
    body = world.node(node)
    world.plane.kubectl("delete", "node", node)
    metadata = {key: body["metadata"][key] for key in ("name", "labels")}
    metadata["annotations"] = {"kwok.x-k8s.io/node": "fake"}
    new = {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": body["status"]}
    world.plane.kubectl("create", "-f", "-", stdin=json.dumps(new))
    world.plane.kubectl("wait", "--for=condition=Ready", f"node/{node}", "--timeout=30s")
    await world.until(lambda: world.phase == "Aborted")
    assert world.remediations[0].status.reason in {"TargetReplaced", "TargetGone"}
    assert world.cordoned() == set()


async def test_nodes_are_listed_once_a_cycle_and_only_when_it_matters(world):
    world.allow(maxCordoned=3)
    world.run_pods(2)
    world.watch("node", {"cordon": {"healthyFor": "1h"}})
    world.script.says = {"node-1": 0.0}
    await world.cycle(2)  # an operator that begins to lead looks for nodes that were left behind
    world.cluster.listed.clear()
    await world.cycle(3)
    assert world.cluster.listed["Node"] == 0
    world.script.says = {"node-1": 300.0}
    await world.cycle()
    assert world.phase == "Verifying"
    assert world.cluster.listed["Node"] == 1, "decided, confirmed, authorized and begun on one list"
    await world.cycle(5)
    assert world.phase == "Verifying"
    assert world.cluster.listed["Node"] <= 6, "the policy is asked anew in each cycle at risk"
    world.script.says = {"node-1": 0.0}
    world.cluster.listed.clear()
    await world.cycle(5)
    assert world.phase == "Verifying"
    assert world.cluster.listed["Node"] == 0, "what is held needs no guard"


async def test_a_node_is_drained_when_cordoning_it_did_not_help(world):
    world.allow()
    world.run_pods(3)
    node = world.busiest()
    check = {"within": "20s"}
    world.watch("node", {"cordon": {"healthyFor": "30s"}}, DRAIN, verification=check)
    await world.until(lambda: len(world.remediations) == 2 and world.phase == "Verifying", **{node: 300.0})
    first, second = world.remediations
    assert (first.spec.intent.action.name, second.spec.intent.action.name) == ("Cordon", "Drain")
    assert world.node(node)["metadata"]["annotations"][CORDONED_BY] == second.uid
    assert world.pods(node) == []
    await world.until(lambda: world.phase == "Succeeded", **{node: 0.0})
    assert (world.remediations[0].status.phase, world.remediations[0].status.reason) == ("Aborted", "TakenOver")
    assert world.cordoned() == set()
