"""The journal on a real API server: people's decisions, crashes at every write, lost answers, and two leaders."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from forestall.actions.cordon import CORDONED_BY
from forestall.adapters.kubernetes import Access, Api, KubernetesCluster, Recorder
from forestall.api import Remediation
from forestall.api.remediation import Intent
from forestall.api.times import stamp
from forestall.demo.kwok import KwokCluster
from forestall.errors import Unavailable
from forestall.journal import Journal, Outlook

AT_RISK = {"probability": 0.9, "replicas_forecast": 5, "replicas_observed": 4}
CALM = {"probability": 0.0, "replicas_forecast": 1, "replicas_observed": 1}
ACTIONS = {
    "Scale": ({"scale": {"maxReplicas": 6, "stabilizationWindow": "1m"}}, {"from": 3, "to": 5}),
    "Restart": ({"restart": {}}, {}),
    "Evict": ({"evict": {}}, {}),
    "Cordon": ({"cordon": {"healthyFor": "1m"}}, {}),
    "Drain": ({"drain": {"healthyFor": "1m"}}, {}),
}
ALL_WRITES = {"Scale": 19, "Restart": 10, "Evict": 11, "Cordon": 13, "Drain": 20}
"""More writes than a whole life makes: the last boundaries are behind its end."""


async def unguarded(_: Remediation) -> None:
    """No guard holds."""


@dataclass(frozen=True)
class Before:
    """What was there before something was done."""

    generation: int
    pods: dict[str, str]
    """The node of each pod, by the pod's UID."""


class Lives:
    """Remediations of one target, one after the other."""

    def __init__(self, cluster: KwokCluster, kubernetes: KubernetesCluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.journal = Journal(kubernetes)
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
            "target": self.target(action),
            "action": rung,
            "mode": "Auto",
            "evidence": {"indicator": "load", "reason": "load is forecast to pass its limit"},
            "created": stamp(self.now),
            "deadline": stamp(self.now + 1800),
        }
        return await self.journal.open(Intent.model_validate({**intent, **numbers, **changes}))

    def target(self, action: str) -> dict[str, Any]:
        kind, name, namespace = "Deployment", "web", self.namespace
        if action in ("Cordon", "Drain"):
            nodes = [pod["spec"]["nodeName"] for pod in self.pods().values()]
            kind, name, namespace = "Node", max(nodes, key=nodes.count), ""
        elif action == "Evict":
            kind, name = "Pod", min(pod["metadata"]["name"] for pod in self.pods().values())
        uid = self.cluster.get(kind, name, self.namespace)["metadata"]["uid"]
        version = "apps/v1" if kind == "Deployment" else "v1"
        return {"apiVersion": version, "kind": kind, "namespace": namespace, "name": name, "uid": uid}

    def pods(self) -> dict[str, dict[str, Any]]:
        """Return the pods that are there to stay, by UID, when there are as many as there should be."""
        self.cluster.kubectl("rollout", "status", "deployment/web", "-n", self.namespace, "--timeout=30s")
        listed = json.loads(self.cluster.kubectl("get", "pods", "-n", self.namespace, "-o", "json").stdout)["items"]
        return {pod["metadata"]["uid"]: pod for pod in listed if "deletionTimestamp" not in pod["metadata"]}

    def view(self, **changes: Any) -> dict[str, Any]:
        return {"fresh": True, "breached": False, "sampled_at": self.now, **AT_RISK, **changes}

    async def cycle(self, life: Remediation, after: float = 10, **changes: Any) -> Remediation:
        self.now += after
        return await self.journal.advance(life, Outlook(**self.view(**changes)), unguarded, self.now)

    async def finish(self, life: Remediation) -> Remediation:
        """Take it to its end: the risk lasts until something was done about it."""
        deadline = time.monotonic() + 40
        while time.monotonic() < deadline:
            life = await self.cycle(life, **(CALM if life.status.completed else AT_RISK))
            if life.ended:
                return life
            if life.status.reason in ("InProgress", "Draining"):
                await asyncio.sleep(0.1)
        raise AssertionError(f"it does not end: {life.status}")

    def cycles(self) -> list[tuple[float, dict[str, Any]]]:
        """Return the cycles of a whole life, for a process of its own."""
        start, result = self.now, []
        for number in range(16):
            at = start + 10 * (number + 1)
            result.append((at, self.view(sampled_at=at, **(AT_RISK if number == 0 else CALM))))
        return result

    def generation(self) -> int:
        generation: int = self.cluster.get("deployment", "web", self.namespace)["metadata"]["generation"]
        return generation

    def before(self) -> Before:
        """Return what a life is compared with afterwards."""
        return Before(self.generation(), {uid: pod["spec"]["nodeName"] for uid, pod in self.pods().items()})

    def check(self, action: str, life: Remediation, before: Before) -> None:
        """Check that each step was made once, and that nothing is left behind."""
        assert life.status.phase == "Succeeded", life.status
        assert all(step.done for step in life.status.steps)
        target, changes = life.spec.intent.target, 0
        if action in ("Cordon", "Drain"):
            assert [(step.from_, step.to) for step in life.status.steps] == [(0, 1), (1, 0)]
            node = self.cluster.get("node", target.name)
            assert not node["spec"].get("unschedulable")
            assert CORDONED_BY not in node["metadata"]["annotations"]
        elif action != "Evict":
            changes = len(life.status.steps)
        # Every change of the spec counts: as many as there are steps.
        assert self.generation() - before.generation == changes
        if action == "Scale":
            assert self.cluster.get("deployment", "web", self.namespace)["spec"]["replicas"] == 3
        if action in ("Evict", "Drain"):
            gone = before.pods.keys() - self.pods().keys()
            assert gone == {uid for uid, node in before.pods.items() if target.name == node or target.uid == uid}


@pytest.fixture
async def kubernetes(cluster: KwokCluster, namespace: str) -> AsyncIterator[KubernetesCluster]:
    async with Api(await Access.find(str(cluster.kubeconfig))) as api:
        yield LosingCluster(api, Recorder(api, "test"), namespace)


@pytest.fixture
def lives(cluster: KwokCluster, kubernetes: KubernetesCluster, namespace: str) -> Lives:
    """A Deployment of three replicas that are all ready, and what is done about it."""
    labels = {"app": "web"}
    pod = {"containers": [{"name": "main", "image": "example.com/main"}]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 3, "selector": {"matchLabels": labels}, "template": template}
    web = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}
    cluster.apply(web, namespace=namespace)
    cluster.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=60s")
    return Lives(cluster, kubernetes, namespace)


class LosingCluster(KubernetesCluster):
    """Loses the answer of one write: the server has done it, the caller never hears of it."""

    lost_after = -1

    async def _request(self, method: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        answer = await super()._request(method, *args, **kwargs)
        if method != "GET":
            self.lost_after -= 1
            if self.lost_after == 0:
                raise Unavailable("the connection was reset")
        return answer


@pytest.fixture
def mortal(root: Path) -> Iterator[subprocess.Popen[str]]:
    """The program whose processes are killed."""
    program = [sys.executable, "-W", "error", str(root / "tests" / "cluster" / "mortal.py")]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def run_until_killed(mortal: subprocess.Popen[str], lives: Lives, life: Remediation, killed_after: int) -> int:
    assert mortal.stdin is not None
    assert mortal.stdout is not None
    order = {"kubeconfig": str(lives.cluster.kubeconfig), "body": life.dump(), "cycles": lives.cycles()}
    mortal.stdin.write(json.dumps({**order, "killed_after": killed_after}) + "\n")
    mortal.stdin.flush()
    return int(mortal.stdout.readline())


@pytest.mark.parametrize("action", sorted(ACTIONS))
async def test_a_process_that_is_killed_at_any_write_is_followed_by_one_that_completes_it(mortal, lives, action):
    ends = []
    for killed_after in range(ALL_WRITES[action]):
        before = lives.before()
        life = await lives.open(action)
        ends.append(await asyncio.to_thread(run_until_killed, mortal, lives, life, killed_after))
        lives.now += 20
        lives.check(action, await lives.finish(life), before)
    assert ends == sorted(ends), "each is killed until the boundaries are behind the end of its life"
    assert (ends[5], ends[-1]) == (-9, 0)


@pytest.mark.parametrize("action", sorted(ACTIONS))
async def test_a_lost_answer_at_any_write_does_nothing_twice(kubernetes, lives, action):
    lost = []
    for lost_after in range(1, ALL_WRITES[action]):
        before = lives.before()
        life = await lives.open(action)
        kubernetes.lost_after = lost_after
        lives.check(action, await lives.finish(life), before)
        lost.append(kubernetes.lost_after <= 0)
        kubernetes.lost_after = -1
    assert lost == sorted(lost, reverse=True)
    assert (lost[4], lost[-1]) == (True, False), "the last boundary is behind the end of its life"


@pytest.mark.parametrize("action", sorted(ACTIONS))
async def test_two_leaders_at_once_do_nothing_twice(kubernetes, lives, action):
    before = lives.before()
    life = await lives.open(action)
    other = Journal(kubernetes)
    outlook = Outlook(**lives.view())
    for _ in range(3):
        lives.now += 10
        await asyncio.gather(
            *(journal.advance(life, outlook, unguarded, lives.now) for journal in (lives.journal, other) * 2)
        )
    lives.check(action, await lives.finish(life), before)


async def test_the_same_intent_opened_twice_is_one_remediation(lives):
    first = await lives.open("Scale")
    again = await lives.journal.open(first.spec.intent)
    assert again.uid == first.uid


def decide(lives: Lives, life: Remediation, decision: str) -> None:
    """Decide as a person does without the command-line tool."""
    patch = json.dumps({"spec": {"approval": {"decision": decision, "by": "kim", "comment": "so be it"}}})
    lives.cluster.kubectl("patch", "remediation", life.name, "-n", lives.namespace, "--type=merge", "-p", patch)


async def waiting(lives: Lives) -> Remediation:
    """Return a Remediation that waits for approval."""
    life = await lives.open("Scale", mode="Approve", approvalExpires=stamp(lives.now + 10_900))
    life = await lives.cycle(life)
    assert life.status.phase == "AwaitingApproval"
    return life


async def test_what_is_approved_is_done(lives):
    life = await waiting(lives)
    decide(lives, life, "Approved")
    life = await lives.cycle(life)
    assert life.status.phase == "Verifying"
    assert any(each.type == "Approved" and "kim" in each.message for each in life.status.conditions)


async def test_what_is_rejected_is_not_done(lives):
    before = lives.generation()
    life = await waiting(lives)
    decide(lives, life, "Rejected")
    life = await lives.cycle(life)
    assert (life.status.phase, life.status.reason, lives.generation()) == ("Aborted", "Rejected", before)


@pytest.mark.parametrize("late", [False, True])
async def test_what_nobody_approves_in_time_is_not_done(lives, late):
    before = lives.generation()
    life = await waiting(lives)
    if late:
        decide(lives, life, "Approved")
    life = await lives.cycle(life, 900)
    assert (life.status.phase, life.status.reason, lives.generation()) == ("Aborted", "ApprovalExpired", before)
