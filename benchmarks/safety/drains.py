"""Nodes are drained one after the other with PodDisruptionBudgets that allow one pod each: is a budget ever exceeded?

The states of all pods are ordered by the API server's writes, and the healthy pods of each workload are counted after
each write. In the last rounds the budgets allow no eviction.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from benchmarks.safety.environment import ACCOUNT, OPERATOR, SafetyEnvironment
from benchmarks.safety.watch_recorder import WatchRecorder

from forestall.actions.node_action import CORDONED_BY
from forestall.adapters.kubernetes import Access, Api, KubernetesCluster, Recorder
from forestall.api import Remediation
from forestall.api.remediation import Intent, ObjectRef
from forestall.api.times import stamp
from forestall.devcluster.kwok import KwokCluster
from forestall.errors import Throttled
from forestall.remediation import RemediationReconciler, RiskOutlook

Body = dict[str, Any]
REPLICAS = 3
STEP = 5.0
"""Interval of cycles on the faster clock (s); on the wall clock it is `PAUSE`."""
PAUSE = 0.3
DEADLINE = 1800.0
HOPELESS = 60.0
"""Deadline (s) where the budgets allow no eviction."""


class CountingCluster(KubernetesCluster):
    """Counts evictions and refusals."""

    evicted = 0
    refused = 0

    async def evict(self, pod: ObjectRef) -> None:
        try:
            await super().evict(pod)
        except Throttled:
            self.refused += 1
            raise
        self.evicted += 1


async def measure(environment: SafetyEnvironment, *, quick: bool) -> dict[str, Any]:
    """Drain node after node, and count the healthy pods after each write."""
    apps, rounds, hopeless = (6, 3, 1) if quick else (20, 20, 4)
    with environment.namespace(f"drains-{uuid4().hex[:6]}") as namespace:
        names = [f"app-{number}" for number in range(apps)]
        _deploy(environment.cluster, namespace, names)
        _budget(environment.cluster, namespace, names, REPLICAS - 1)
        access = await Access.find(str(environment.cluster.kubeconfig_for(OPERATOR, ACCOUNT)))
        watcher = await Access.find(str(environment.cluster.kubeconfig))
        async with (
            Api(access) as api,
            Recorder(api, "bench") as events,
            WatchRecorder(watcher, f"/api/v1/namespaces/{namespace}/pods").watching() as recorder,
        ):
            cluster = CountingCluster(api, events, OPERATOR)
            began = time.monotonic()
            ended = [
                await _drain(environment.cluster, cluster, namespace, number, DEADLINE) for number in range(rounds)
            ]
            seconds = (time.monotonic() - began) / rounds
            evicted, refused = cluster.evicted, cluster.refused
            _budget(environment.cluster, namespace, names, REPLICAS)
            given_back = [
                await _drain(environment.cluster, cluster, namespace, rounds + number, HOPELESS)
                for number in range(hopeless)
            ]
            await recorder.settle()
        least = _least_healthy(recorder.states, names)
    violations = {name: count for name, count in least.items() if count < REPLICAS - 1}
    return {
        "drains": len(ended),
        "drained": ended.count("Succeeded"),
        "evicted": evicted,
        "refusedAndAskedAgain": refused,
        "leastHealthyOfThree": min(least.values()),
        "violations": len(violations),
        "secondsEach": round(seconds, 1),
        "budgetsThatAllowNothing": {
            "drains": len(given_back),
            "givenBack": given_back.count("RolledBack"),
            "evicted": cluster.evicted - evicted,
        },
        "nodesLeftCordoned": len(_cordoned(environment.cluster)),
        "holds": not violations
        and refused > 0
        and set(ended) == {"Succeeded"}
        and set(given_back) == {"RolledBack"}
        and cluster.evicted == evicted
        and not _cordoned(environment.cluster),
    }


async def _drain(kwok: KwokCluster, cluster: CountingCluster, namespace: str, number: int, deadline: float) -> str:
    """Drain the node with the most pods, and uncordon it; return how the Remediation ends."""
    await asyncio.to_thread(kwok.kubectl, "rollout", "status", "deployment", "-n", namespace, "--timeout=120s")
    nodes = Counter(pod["spec"]["nodeName"] for pod in kwok.items("pods", namespace))
    reconciler, now = RemediationReconciler(cluster), time.time()
    life = await reconciler.open(_intent(kwok, namespace, nodes.most_common(1)[0][0], number, now, deadline))
    end = time.monotonic() + 180
    while not life.ended:
        if time.monotonic() > end:
            return f"{life.status.phase}: {life.status.message}"
        now += STEP
        at_risk = life.status.completed is None
        view = RiskOutlook(fresh=True, probability=0.9 if at_risk else 0.0, breached=False, sampled_at=now)
        life = await reconciler.reconcile(life, view, _unguarded, now)
        await asyncio.sleep(PAUSE)
    return life.status.phase


async def _unguarded(_: Remediation) -> None:
    """Allow everything: the budgets must hold without guards."""


def _intent(kwok: KwokCluster, namespace: str, node: str, number: int, now: float, deadline: float) -> Intent:
    owner = {"apiVersion": "forestall.dev/v1alpha1", "namespace": namespace, "name": "drains"}
    uid = kwok.get("node", node)["metadata"]["uid"]
    return Intent.model_validate(
        {
            "policy": {**owner, "kind": "RemediationPolicy", "uid": "p"},
            "objective": {**owner, "kind": "ServiceLevelObjective", "uid": "o"},
            "episode": number + 1,
            "target": {"apiVersion": "v1", "kind": "Node", "name": node, "uid": uid},
            "action": {"drain": {"healthyFor": "30s"}},
            "mode": "Auto",
            "evidence": {"indicator": "disk", "reason": "the disk is forecast to fill"},
            "created": stamp(now),
            "deadline": stamp(now + deadline),
        }
    )


def _least_healthy(states: Mapping[str, Sequence[Body]], names: Sequence[str]) -> dict[str, int]:
    """Return the lowest number of healthy pods of each workload, after all were healthy."""
    writes = sorted(
        (int(body["metadata"]["resourceVersion"]), key, body) for key, bodies in states.items() for body in bodies
    )
    healthy: dict[str, set[str]] = {name: set() for name in names}
    least: dict[str, int] = {}
    for _, key, body in writes:
        name = body["metadata"]["labels"]["app"]
        (healthy[name].add if _is_healthy(body) else healthy[name].discard)(key)
        if name in least or len(healthy[name]) == REPLICAS:
            least[name] = min(least.get(name, REPLICAS), len(healthy[name]))
    return least


def _is_healthy(pod: Body) -> bool:
    if "deleted" in pod or "deletionTimestamp" in pod["metadata"]:
        return False
    conditions = pod.get("status", {}).get("conditions") or []
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _deploy(kwok: KwokCluster, namespace: str, names: Sequence[str]) -> None:
    """Create the workloads, whose pods take a while to start."""
    for name in names:
        labels = {"app": name}
        annotations = {"demo.forestall.dev/start-up": "500ms"}
        pod = {"containers": [{"name": "main", "image": "example.com/main"}]}
        template = {"metadata": {"labels": labels, "annotations": annotations}, "spec": pod}
        spec = {"replicas": REPLICAS, "selector": {"matchLabels": labels}, "template": template}
        kwok.apply(
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec},
            namespace=namespace,
        )
    kwok.kubectl("rollout", "status", "deployment", "-n", namespace, "--timeout=120s", timeout_s=130)


def _budget(kwok: KwokCluster, namespace: str, names: Sequence[str], available: int) -> None:
    """Create a budget for each workload, and wait until it is in force."""
    for name in names:
        spec = {"minAvailable": available, "selector": {"matchLabels": {"app": name}}}
        body = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": spec}
        kwok.apply(body, namespace=namespace)
    desired = f"--for=jsonpath={{.status.desiredHealthy}}={available}"
    kwok.kubectl("wait", desired, "pdb", "--all", "-n", namespace, "--timeout=60s", timeout_s=70)


def _cordoned(kwok: KwokCluster) -> list[str]:
    """Return the nodes that a drain has cordoned."""
    nodes = kwok.items("nodes")
    return [node["metadata"]["name"] for node in nodes if CORDONED_BY in node["metadata"].get("annotations", {})]
