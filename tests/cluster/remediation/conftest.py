"""Remediations on a real API server, one after the other, with a comparison of the state before and after each."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from forestall.actions.node_action import CORDONED_BY
from forestall.actions.rollout import complete
from forestall.adapters.kubernetes import Access, Api, KubernetesCluster, Recorder
from forestall.api import Remediation
from forestall.api.remediation import Intent, ObjectRef
from forestall.api.times import stamp
from forestall.devcluster.kwok import KwokCluster
from forestall.errors import Unavailable
from forestall.remediation import RemediationReconciler, RiskOutlook

AT_RISK = {"probability": 0.9, "replicas_forecast": 5, "replicas_observed": 4}
CALM = {"probability": 0.0, "replicas_forecast": 1, "replicas_observed": 1}
ACTIONS = {
    "Scale": ({"scale": {"maxReplicas": 6, "stabilizationWindow": "1m"}}, {"from": 3, "to": 5}),
    "Restart": ({"restart": {}}, {}),
    "Evict": ({"evict": {}}, {}),
    "Cordon": ({"cordon": {"healthyFor": "1m"}}, {}),
    "Drain": ({"drain": {"healthyFor": "1m"}}, {}),
}

FEWEST_WRITES = {"Scale": 12, "Restart": 6, "Evict": 6, "Cordon": 8, "Drain": 10}
"""Fewer than a whole life of an action writes; how many more depends on how often it reports its progress."""
MOST_WRITES = 60


async def unguarded(_: Remediation) -> None:
    """No guard holds."""


@dataclass(frozen=True)
class Before:
    """The state before an action."""

    generation: int
    pods: dict[str, str]
    """The node of each pod, by the pod's UID."""


class Lives:
    """Remediations of one target, one after the other."""

    def __init__(self, cluster: KwokCluster, kubernetes: KubernetesCluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.port = kubernetes
        self.reconciler = RemediationReconciler(kubernetes)
        self.web = ObjectRef(api_version="apps/v1", kind="Deployment", namespace=namespace, name="web")
        self.now = time.time()
        self.episode = 0

    async def open(self, action: str, **changes: Any) -> Remediation:
        self.episode += 1
        self.now += 10_000
        rung, numbers = ACTIONS[action]
        owner = {"apiVersion": "forestall.dev/v1alpha1", "namespace": self.namespace, "name": "web"}
        intent = {
            "policy": {**owner, "kind": "RemediationPolicy", "uid": "p-1"},
            "objective": {**owner, "kind": "ServiceLevelObjective", "uid": "o-1"},
            "episode": self.episode,
            "target": await self.target(action),
            "action": rung,
            "mode": "Auto",
            "evidence": {"indicator": "load", "reason": "load is forecast to pass its limit"},
            "created": stamp(self.now),
            "deadline": stamp(self.now + 1800),
        }
        return await self.reconciler.open(Intent.model_validate({**intent, **numbers, **changes}))

    async def target(self, action: str) -> dict[str, Any]:
        if action in ("Cordon", "Drain"):
            nodes = [pod["spec"]["nodeName"] for pod in (await self.pods()).values()]
            ref = ObjectRef(api_version="v1", kind="Node", name=max(nodes, key=nodes.count))
        elif action == "Evict":
            name = min(pod["metadata"]["name"] for pod in (await self.pods()).values())
            ref = ObjectRef(api_version="v1", kind="Pod", namespace=self.namespace, name=name)
        else:
            ref = self.web
        uid = (await self.port.read(ref))["metadata"]["uid"]
        return ref.model_copy(update={"uid": uid}).dump()

    async def pods(self) -> dict[str, Mapping[str, Any]]:
        """Return the pods that are there to stay, by UID, when the rollout of the Deployment is complete."""
        async with asyncio.timeout(180):
            while not complete({"kind": "Deployment", **await self.port.read(self.web)}):  # noqa: ASYNC110 -- it polls
                await asyncio.sleep(0.05)
        listed = await self.port.find("v1", "Pod", self.namespace)
        return {pod["metadata"]["uid"]: pod for pod in listed if "deletionTimestamp" not in pod["metadata"]}

    def view(self, **changes: Any) -> dict[str, Any]:
        return {"fresh": True, "breached": False, "sampled_at": self.now, **AT_RISK, **changes}

    async def cycle(self, life: Remediation, after: float = 10, **changes: Any) -> Remediation:
        self.now += after
        return await self.reconciler.reconcile(life, RiskOutlook(**self.view(**changes)), unguarded, self.now)

    async def finish(self, life: Remediation) -> Remediation:
        """Drive it to its end: the risk lasts until the action was made."""
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline:
            life = await self.cycle(life, **(CALM if life.status.completed else AT_RISK))
            if life.ended:
                return life
            if life.status.reason in ("InProgress", "Draining"):
                await asyncio.sleep(0.1)
        raise AssertionError(f"it does not end: {life.status}")

    def cycles(self) -> list[tuple[float, dict[str, Any]]]:
        """Return the cycles of a whole life, for a separate process."""
        start, result = self.now, []
        for number in range(16):
            at = start + 10 * (number + 1)
            result.append((at, self.view(sampled_at=at, **(AT_RISK if number == 0 else CALM))))
        return result

    async def generation(self) -> int:
        return int((await self.port.read(self.web))["metadata"]["generation"])

    async def before(self) -> Before:
        """Return the state to compare with after a life."""
        pods = {uid: pod["spec"]["nodeName"] for uid, pod in (await self.pods()).items()}
        return Before(await self.generation(), pods)

    async def check(self, action: str, life: Remediation, before: Before) -> None:
        """Check that each step was made once, and that the action was fully reverted."""
        assert life.status.phase == "Succeeded", life.status
        assert all(step.done for step in life.status.steps)
        target, changes = life.spec.intent.target, 0
        if action in ("Cordon", "Drain"):
            assert [(step.from_, step.to) for step in life.status.steps] == [(0, 1), (1, 0)]
            node = await self.port.read(target)
            assert not node["spec"].get("unschedulable")
            assert CORDONED_BY not in node["metadata"]["annotations"]
        elif action != "Evict":
            changes = len(life.status.steps)
        # Every change of the spec counts: as many as there are steps.
        assert await self.generation() - before.generation == changes
        if action == "Scale":
            assert (await self.port.read(self.web))["spec"]["replicas"] == 3
        if action in ("Evict", "Drain"):
            gone = before.pods.keys() - (await self.pods()).keys()
            assert gone == {uid for uid, node in before.pods.items() if target.name == node or target.uid == uid}


@pytest.fixture
async def kubernetes(cluster: KwokCluster, namespace: str) -> AsyncIterator[KubernetesCluster]:
    async with Api(await Access.find(str(cluster.kubeconfig))) as api:
        yield LosingCluster(api, Recorder(api, "test"), namespace)


@pytest.fixture
def lives(cluster: KwokCluster, kubernetes: KubernetesCluster, namespace: str) -> Lives:
    """A Deployment of three ready replicas, with its Remediations."""
    labels = {"app": "web"}
    pod = {"containers": [{"name": "main", "image": "example.com/main"}]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 3, "selector": {"matchLabels": labels}, "template": template}
    web = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}
    cluster.apply(web, namespace=namespace)
    cluster.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=240s")
    return Lives(cluster, kubernetes, namespace)


class LosingCluster(KubernetesCluster):
    """Loses the response of one write: the server has executed it, but the caller gets an error."""

    lost_after = -1

    async def _request(self, method: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        answer = await super()._request(method, *args, **kwargs)
        if method != "GET":
            self.lost_after -= 1
            if self.lost_after == 0:
                raise Unavailable("the connection was reset")
        return answer


@pytest.fixture
def mortal() -> Iterator[subprocess.Popen[str]]:
    """The program `mortal.py`, whose processes are killed."""
    program = [sys.executable, "-W", "error", str(Path(__file__).with_name("mortal.py"))]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.fixture(params=sorted(ACTIONS))
def action(request: pytest.FixtureRequest) -> str:
    """Each action in turn."""
    name: str = request.param
    return name
