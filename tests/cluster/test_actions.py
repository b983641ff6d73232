"""Scale, restart and cordon on a real API server with its controllers, through the journal."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from forestall.actions.cordon import CORDONED_BY
from forestall.actions.restart import RESTARTED_BY
from forestall.adapters.kubernetes import Access, Api, KubernetesCluster, Recorder
from forestall.api import Remediation
from forestall.api.remediation import Intent
from forestall.api.times import stamp
from forestall.demo.kwok import KwokCluster
from forestall.journal import Journal, Outlook, verified

AT_RISK = {"probability": 0.9, "replicas_forecast": 5, "replicas_observed": 4}
CALM = {"probability": 0.0, "replicas_forecast": 1, "replicas_observed": 1}
SCALE = {"scale": {"maxReplicas": 6, "stabilizationWindow": "1m"}}


async def unguarded(_: Remediation) -> None:
    """No guard holds."""


class Life:
    """One Remediation on the cluster. Its clock is the test's: a life of hours passes in seconds."""

    def __init__(self, cluster: KwokCluster, kubernetes: KubernetesCluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.journal = Journal(kubernetes)
        self.now = time.time()
        self.remediation: Remediation

    async def open(self, target: dict[str, Any], action: dict[str, Any], **changes: Any) -> Remediation:
        owner = {"apiVersion": "forestall.dev/v1alpha1", "namespace": self.namespace, "name": "web"}
        intent = {
            "policy": {**owner, "kind": "RemediationPolicy", "uid": "p-1"},
            "objective": {**owner, "kind": "ServiceLevelObjective", "uid": "o-1"},
            "episode": 1,
            "target": target,
            "action": action,
            "mode": "Auto",
            "evidence": {"indicator": "load", "reason": "load is forecast to pass its limit"},
            "created": stamp(self.now),
            "deadline": stamp(self.now + 1800),
        }
        self.remediation = await self.journal.open(Intent.model_validate({**intent, **changes}))
        return self.remediation

    async def cycle(self, after: float = 10.0, **changes: Any) -> Remediation:
        self.now += after
        view: dict[str, Any] = {"fresh": True, "breached": False, "sampled_at": self.now, **AT_RISK, **changes}
        self.remediation = await self.journal.advance(self.remediation, Outlook(**view), unguarded, self.now)
        return self.remediation

    async def until(self, phase: str, after: float = 1.0, **changes: Any) -> Remediation:
        """Run cycles until the Remediation is in `phase`, while the cluster's own controllers do their work."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            life = await self.cycle(after, **changes)
            if life.status.phase == phase:
                return life
            await asyncio.sleep(0.1)
        raise AssertionError(f"not {phase} in time: {self.remediation.status}")

    def target(self, kind: str, name: str, api_version: str = "apps/v1") -> dict[str, Any]:
        body = self.cluster.get(kind, name, self.namespace)
        namespace = body["metadata"].get("namespace", "")
        uid = body["metadata"]["uid"]
        return {"apiVersion": api_version, "kind": kind, "namespace": namespace, "name": name, "uid": uid}

    def replicas(self) -> int:
        count: int = self.cluster.get("deployment", "web", self.namespace)["spec"]["replicas"]
        return count


@pytest.fixture
async def life(cluster: KwokCluster, namespace: str) -> AsyncIterator[Life]:
    async with Api(await Access.find(str(cluster.kubeconfig))) as api, Recorder(api, "test") as recorder:
        yield Life(cluster, KubernetesCluster(api, recorder, namespace), namespace)


def workload(kind: str = "Deployment", **spec: Any) -> dict[str, Any]:
    labels = {"app": "web"}
    pod = {"containers": [{"name": "main", "image": "example.com/main"}]}
    usual = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "web"}, "spec": {**usual, **spec}}


@pytest.fixture
def web(cluster: KwokCluster, namespace: str) -> None:
    """A Deployment of three replicas that are all ready."""
    cluster.apply(workload(replicas=3), namespace=namespace)
    cluster.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=60s")


async def test_scale_raises_holds_and_gives_back(life, web):
    await life.open(life.target("Deployment", "web"), SCALE, **{"from": 3, "to": 5})
    assert (await life.cycle()).status.phase == "Verifying"
    assert life.replicas() == 5
    assert verified(await life.cycle(replicas_forecast=9, probability=0.1)) is True
    assert life.replicas() == 6
    seen = []
    for _ in range(14):
        await life.cycle(10, **CALM)
        seen.append(life.replicas())
    assert seen == sorted(seen, reverse=True)
    assert set(seen) == {6, 5, 4, 3}
    assert (life.remediation.status.phase, life.remediation.status.reason) == ("Succeeded", "Released")


async def test_scale_says_what_it_did_in_events(life, web):
    await life.open(life.target("Deployment", "web"), SCALE, **{"from": 3, "to": 5})
    await life.cycle()

    def told() -> bool:
        listed = life.cluster.kubectl("get", "events", "-n", life.namespace, "-o", "json").stdout
        return any(
            event["involvedObject"]["kind"] == "Deployment" and "3 -> 5" in event["message"]
            for event in json.loads(listed)["items"]
        )

    await _eventually(told)


async def test_scale_leaves_alone_what_somebody_else_scaled(life, web):
    await life.open(life.target("Deployment", "web"), SCALE, **{"from": 3, "to": 5})
    await life.cycle()
    life.cluster.kubectl("scale", "deployment/web", "-n", life.namespace, "--replicas=4")
    after = await life.cycle(replicas_forecast=6)
    assert (after.status.phase, after.status.reason, life.replicas()) == ("Aborted", "Superseded", 4)


@pytest.mark.parametrize("action", [SCALE, {"restart": {}}])
@pytest.mark.parametrize(("again", "reason"), [(False, "TargetGone"), (True, "TargetReplaced")])
async def test_a_target_that_went_is_left_alone(life, web, action, again, reason):
    await life.open(life.target("Deployment", "web"), action, **({"from": 3, "to": 5} if "scale" in action else {}))
    life.cluster.kubectl("delete", "deployment", "web", "-n", life.namespace)
    if again:
        life.cluster.apply(workload(replicas=3), namespace=life.namespace)
    after = await life.cycle()
    assert (after.status.phase, after.status.reason) == ("Aborted", reason)
    if again:
        assert life.replicas() == 3


async def test_a_kind_without_scale_is_not_scaled(life):
    life.cluster.apply(workload("DaemonSet"), namespace=life.namespace)
    await life.open(life.target("DaemonSet", "web"), SCALE, **{"from": 3, "to": 5})
    after = await life.cycle()
    assert (after.status.phase, after.status.reason) == ("Aborted", "NotScalable")


async def test_a_right_that_is_missing_is_named_with_the_command_that_grants_it(cluster, namespace, web):
    journal = "--resource=remediations.forestall.dev,remediations.forestall.dev/status"
    workloads = "--resource=deployments.apps,deployments.apps/scale,horizontalpodautoscalers.autoscaling"
    for name, verbs, resources in (("journal", "create,get,update", journal), ("look", "get,list", workloads)):
        cluster.kubectl("create", "role", name, "-n", namespace, f"--verb={verbs}", resources)
        subject = f"--serviceaccount={namespace}:default"
        cluster.kubectl("create", "rolebinding", name, "-n", namespace, f"--role={name}", subject)
    async with Api(await Access.find(str(cluster.kubeconfig_for(namespace, "default")))) as api:
        life = Life(cluster, KubernetesCluster(api, Recorder(api, "test"), namespace), namespace)
        await life.open(life.target("Deployment", "web"), SCALE, **{"from": 3, "to": 5})
        after = await life.cycle()
    assert (after.status.phase, after.status.reason, life.replicas()) == ("Failed", "Forbidden", 3)
    assert 'cannot patch resource "deployments/scale"' in after.status.message
    assert f"--serviceaccount={namespace}:default -n {namespace}`" in after.status.message


async def test_scale_raises_the_floor_of_an_autoscaler(life, web):
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    spec = {"scaleTargetRef": target, "minReplicas": 3, "maxReplicas": 8}
    autoscaler = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"}}
    life.cluster.apply({**autoscaler, "spec": spec}, namespace=life.namespace)
    await life.open(life.target("Deployment", "web"), SCALE, **{"from": 3, "to": 5})
    assert (await life.until("Verifying")).status.steps[0].to == 5
    await _eventually(lambda: life.replicas() == 5, seconds=60)  # by the autoscaler itself
    await life.until("Succeeded", 10, **CALM)
    floor = life.cluster.get("horizontalpodautoscaler", "web", life.namespace)["spec"]["minReplicas"]
    assert floor == 3


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
async def test_restart_replaces_every_pod_once(life, kind):
    size = {} if kind == "DaemonSet" else {"replicas": 2}
    life.cluster.apply(workload(kind, **size), namespace=life.namespace)
    life.cluster.kubectl("rollout", "status", f"{kind}/web", "-n", life.namespace, "--timeout=60s")
    before = pods(life)
    opened = await life.open(life.target(kind, "web"), {"restart": {}})
    await life.until("Verifying")
    after = pods(life)
    assert len(after) >= len(before) > 0
    assert not after & before
    template = life.cluster.get(kind, "web", life.namespace)["spec"]["template"]
    assert template["metadata"]["annotations"] == {RESTARTED_BY: opened.uid}
    generation = life.cluster.get(kind, "web", life.namespace)["metadata"]["generation"]
    after_that = await life.cycle(probability=0.1)
    assert (after_that.status.phase, after_that.status.reason) == ("Succeeded", "Verified")
    assert life.cluster.get(kind, "web", life.namespace)["metadata"]["generation"] == generation


async def test_a_paused_deployment_is_not_restarted(life, web):
    life.cluster.kubectl("rollout", "pause", "deployment/web", "-n", life.namespace)
    await life.open(life.target("Deployment", "web"), {"restart": {}})
    after = await life.cycle()
    assert (after.status.phase, after.status.reason) == ("Aborted", "TargetPaused")


async def test_a_rollout_that_makes_no_progress_fails(life, web):
    deadline = json.dumps({"spec": {"progressDeadlineSeconds": 2}})
    life.cluster.kubectl("patch", "deployment", "web", "-n", life.namespace, "-p", deadline)
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": {"pods": "0"}}}
    life.cluster.apply(quota, namespace=life.namespace)
    await _eventually(lambda: bool(life.cluster.get("resourcequota", "full", life.namespace).get("status")))
    await life.open(life.target("Deployment", "web"), {"restart": {}})
    after = await life.until("Failed")
    assert after.status.reason == "RolloutStuck"


@pytest.fixture
def node(cluster: KwokCluster) -> Iterator[str]:
    """A node that nobody has cordoned."""
    cluster.kubectl("uncordon", "node-3")
    yield "node-3"
    cluster.kubectl("uncordon", "node-3")
    cluster.kubectl("annotate", "node", "node-3", f"{CORDONED_BY}-")


CORDON = {"cordon": {"healthyFor": "1m"}}


def is_cordoned(life: Life, node: str) -> bool:
    return bool(life.cluster.get("node", node)["spec"].get("unschedulable"))


async def test_a_node_is_cordoned_and_given_back(life, node):
    opened = await life.open(life.target("Node", node, "v1"), CORDON)
    assert (await life.cycle()).status.phase == "Verifying"
    assert is_cordoned(life, node)
    assert life.cluster.get("node", node)["metadata"]["annotations"][CORDONED_BY] == opened.uid
    await life.cycle(30, **CALM)
    assert is_cordoned(life, node)
    await life.cycle(60, **CALM)
    after = await life.until("Succeeded", **CALM)  # the node's heartbeat writes to it as well
    assert not is_cordoned(life, node)
    assert CORDONED_BY not in life.cluster.get("node", node)["metadata"]["annotations"]
    assert (after.status.phase, after.status.reason) == ("Succeeded", "Released")


async def test_a_node_that_a_person_cordoned_stays_so(life, node):
    life.cluster.kubectl("cordon", node)
    await life.open(life.target("Node", node, "v1"), CORDON)
    after = await life.cycle()
    assert (after.status.phase, after.status.reason) == ("Aborted", "AlreadyCordoned")
    assert CORDONED_BY not in life.cluster.get("node", node)["metadata"]["annotations"]


async def test_a_node_that_a_person_took_over_stays_cordoned(life, node):
    await life.open(life.target("Node", node, "v1"), CORDON)
    await life.cycle()
    life.cluster.kubectl("uncordon", node)
    life.cluster.kubectl("cordon", node)
    after = await life.cycle(1900, **CALM)
    assert (after.status.phase, after.status.reason) == ("Aborted", "AlreadyCordoned")
    assert is_cordoned(life, node)


async def test_a_node_that_a_person_uncordoned_is_not_cordoned_again(life, node):
    await life.open(life.target("Node", node, "v1"), CORDON)
    await life.cycle()
    life.cluster.kubectl("uncordon", node)
    after = await life.cycle()
    assert (after.status.phase, after.status.reason) == ("Aborted", "Superseded")
    assert not is_cordoned(life, node)


def pods(life: Life) -> set[str]:
    listed = json.loads(life.cluster.kubectl("get", "pods", "-n", life.namespace, "-o", "json").stdout)
    return {pod["metadata"]["uid"] for pod in listed["items"] if "deletionTimestamp" not in pod["metadata"]}


async def _eventually(holds: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return
        await asyncio.sleep(0.2)
    raise AssertionError("it did not happen in time")
