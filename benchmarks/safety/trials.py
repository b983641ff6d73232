"""The trials of each action: its targets, its parameters, and its effects on objects.

An effect has an owner and the levels before and after. The owner comes from the object where possible (a UID in an
annotation, or an owner reference); otherwise it is the object itself.
"""

import itertools
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.safety.receiver import KIND as NOTICE
from benchmarks.safety.watch_recorder import WatchRecorder

from forestall.actions.node_action import CORDONED_BY
from forestall.actions.patch import PATCHED_BY
from forestall.actions.restart import RESTARTED_BY
from forestall.actions.rollback import ROLLED_BACK_BY
from forestall.api import Remediation
from forestall.devcluster.kwok import KwokCluster

Body = dict[str, Any]
Effects = Counter[tuple[str, int | None, int | None]]


@dataclass(frozen=True)
class Target:
    """The `target` of an intent, and further fields of it."""

    ref: Body
    numbers: Body


@dataclass(frozen=True)
class Trial:
    """One action with its own targets."""

    name: str
    rung: Body
    watched: str
    """The kind whose states show the effects."""
    targets: Callable[[KwokCluster, str, int], list[Target]]
    """Returns targets in a namespace, and creates missing ones."""
    effects: Callable[[WatchRecorder, str], Effects]
    """Returns the effects on the targets in a namespace."""
    owner: Callable[[Remediation], str]
    """Returns the owner of the steps of a Remediation, as `effects` names it."""

    def path(self, namespace: str) -> str:
        """Return the path of the watched objects."""
        group, plural = _PLACES[self.watched]
        return f"{group}/{plural}" if self.watched == "Node" else f"{group}/namespaces/{namespace}/{plural}"


_PLACES = {
    "Deployment": ("/apis/apps/v1", "deployments"),
    "HorizontalPodAutoscaler": ("/apis/autoscaling/v2", "horizontalpodautoscalers"),
    "Node": ("/api/v1", "nodes"),
    "Pod": ("/api/v1", "pods"),
    "Job": ("/apis/batch/v1", "jobs"),
    "ConfigMap": ("/api/v1", "configmaps"),
}


def _uid(life: Remediation) -> str:
    return life.uid


def _target(life: Remediation) -> str:
    return life.spec.intent.target.name


def _keys(recorder: WatchRecorder, kind: str, namespace: str) -> list[str]:
    return [key for key in recorder.states if key.startswith(f"{kind}/{namespace}/")]


# Levels that are numbers of the object.


def _numbers(kind: str, field: str) -> Callable[[WatchRecorder, str], Effects]:
    def effects(recorder: WatchRecorder, namespace: str) -> Effects:
        effects: Effects = Counter()
        for key in _keys(recorder, kind, namespace):
            levels = recorder.changes(key, lambda body: body["spec"][field])
            effects.update((key.rpartition("/")[2], *pair) for pair in itertools.pairwise(levels))
        return effects

    return effects


def _workloads(
    replicas: int, numbers: Body | None = None, *, autoscaled: bool = False
) -> Callable[[KwokCluster, str, int], list[Target]]:
    def targets(cluster: KwokCluster, namespace: str, count: int) -> list[Target]:
        names = _deploy(cluster, namespace, count, replicas)
        if autoscaled:
            cluster.apply(*map(autoscaler, names), namespace=namespace)
        return [Target(ref, numbers or {}) for ref in _references(cluster, "Deployment", names, namespace)]

    return targets


def _deploy(cluster: KwokCluster, namespace: str, count: int, replicas: int, **change: Any) -> list[str]:
    """Create missing Deployments; return their names when all are complete."""
    names = [f"web-{number}" for number in range(1, count + 1)]
    existing = cluster.kubectl("get", "deployments", "-n", namespace, "-o", "name").stdout.split()
    if len(existing) < count:
        cluster.apply(*(deployment(name, replicas, **change) for name in names), namespace=namespace)
    _complete(cluster, namespace)
    return names


def _complete(cluster: KwokCluster, namespace: str) -> None:
    cluster.kubectl("rollout", "status", "deployment", "--timeout=100s", "-n", namespace, timeout_s=110)


# Levels that are signatures: the UID of the Remediation.


def _signed(kind: str, signature: Callable[[Body], str]) -> Callable[[WatchRecorder, str], Effects]:
    def effects(recorder: WatchRecorder, namespace: str) -> Effects:
        changes = (recorder.changes(key, signature) for key in _keys(recorder, kind, namespace))
        return Counter((uid, 0, 1) for uids in changes for uid in uids[1:])

    return effects


def _restarted(body: Body) -> str:
    metadata = body["spec"]["template"].get("metadata") or {}
    return str((metadata.get("annotations") or {}).get(RESTARTED_BY, ""))


def _rolled_back(body: Body) -> str:
    return str((body["metadata"].get("annotations") or {}).get(ROLLED_BACK_BY, ""))


def _revised(cluster: KwokCluster, namespace: str, count: int) -> list[Target]:
    """Return Deployments with two revisions, of which the newest is rolled back."""
    names = _deploy(cluster, namespace, count, 1)
    listed = cluster.items("deployments", namespace)
    revisions = {body["metadata"]["name"]: _revision(body) for body in listed}
    if fresh := [name for name in names if revisions[name] < 2]:
        cluster.apply(*(deployment(name, 1, image="example.com/main:2") for name in fresh), namespace=namespace)
        _complete(cluster, namespace)
        revisions = {body["metadata"]["name"]: _revision(body) for body in cluster.items("deployments", namespace)}
    return [
        Target(ref, {"from": revisions[ref["name"]], "to": revisions[ref["name"]] - 1})
        for ref in _references(cluster, "Deployment", names, namespace)
    ]


def _revision(body: Body) -> int:
    return int((body["metadata"].get("annotations") or {}).get("deployment.kubernetes.io/revision", 0))


# Nodes.


def _nodes(cluster: KwokCluster, namespace: str, count: int) -> list[Target]:
    """Return nodes of the trial, without pods of others."""
    names = [f"{namespace}-{number}" for number in range(1, count + 1)]
    existing = {body["metadata"]["name"] for body in cluster.items("nodes", namespace)}
    model = cluster.get("node", "node-1")
    missing = []
    for name in names:
        if name not in existing:
            labels = {**model["metadata"]["labels"], "kubernetes.io/hostname": name, "trial": namespace}
            metadata = {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}}
            spec = {"taints": [{"key": "trial", "value": namespace, "effect": "NoSchedule"}]}
            size = {key: model["status"][key] for key in ("capacity", "allocatable")}
            missing.append({"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec, "status": size})
    if missing:
        cluster.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": missing}))
    return [Target(ref, {}) for ref in _references(cluster, "Node", names, "default")]


def _cordoned(recorder: WatchRecorder, namespace: str) -> Effects:
    effects: Effects = Counter()
    for key in recorder.states:
        if key.startswith(f"Node//{namespace}-"):
            for before, after in itertools.pairwise(recorder.changes(key, mark)):
                effects[after[1] or before[1], int(before[0]), int(after[0])] += 1
    return effects


def mark(node: Body) -> tuple[bool, str]:
    """Return whether a node is cordoned, and by which Remediation."""
    owner = (node["metadata"].get("annotations") or {}).get(CORDONED_BY, "")
    return bool(node["spec"].get("unschedulable")), str(owner)


def _busy_nodes(cluster: KwokCluster, namespace: str, count: int) -> list[Target]:
    """Return nodes with pods on them."""
    nodes = _nodes(cluster, namespace, count)
    spec = {"nodeSelector": {"trial": namespace}, "tolerations": [{"key": "trial", "operator": "Exists"}]}
    _deploy(cluster, namespace, count, 2, **spec)
    return nodes


# Pods and Jobs.


def _pods(cluster: KwokCluster, namespace: str, count: int) -> list[Target]:
    """Return one pod of each Deployment."""
    _deploy(cluster, namespace, count, 2)
    chosen: dict[str, str] = {}
    for pod in cluster.items("pods", namespace):
        if not pod["metadata"].get("deletionTimestamp"):
            chosen[pod["metadata"]["labels"]["app"]] = pod["metadata"]["name"]
    return [Target(ref, {}) for ref in _references(cluster, "Pod", list(chosen.values()), namespace)]


def _evicted(recorder: WatchRecorder, namespace: str) -> Effects:
    return Counter(
        (key.rpartition("/")[2], 0, 1)
        for key in _keys(recorder, "Pod", namespace)
        if any("deletionTimestamp" in body["metadata"] or "deleted" in body for body in recorder.states[key])
    )


def _with_runbook(cluster: KwokCluster, namespace: str, count: int) -> list[Target]:
    pod = {"containers": [{"name": "main", "image": "example.com/main"}], "restartPolicy": "Never"}
    job = {"spec": {"template": {"spec": pod}}}
    spec = {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": job}
    body = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "runbook"}, "spec": spec}
    cluster.apply(body, namespace=namespace)
    names = _deploy(cluster, namespace, count, 1)
    return [Target(ref, {}) for ref in _references(cluster, "Deployment", names, namespace)]


def _jobs(recorder: WatchRecorder, namespace: str) -> Effects:
    return Counter(
        (owner["uid"], 0, 1)
        for key in _keys(recorder, "Job", namespace)
        # As many as there were: one that was deleted and made again has another UID.
        for body in {entry["metadata"]["uid"]: entry for entry in recorder.states[key]}.values()
        for owner in body["metadata"]["ownerReferences"]
    )


def _notified(recorder: WatchRecorder, namespace: str) -> Effects:
    """Return the receivers of notifications; repeated ids count once."""
    return Counter((key.rpartition("/")[2], 0, 1) for key in _keys(recorder, NOTICE, namespace))


# One field.


def _flags(cluster: KwokCluster, namespace: str, count: int) -> list[Target]:
    """Return ConfigMaps with a flag, each with the action that turns it off."""
    names = [f"flags-{number}" for number in range(1, count + 1)]
    existing = {body["metadata"]["name"] for body in cluster.items("configmaps", namespace)}
    fresh: list[Body] = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"flag": "on"}}
        for name in names
        if name not in existing
    ]
    if fresh:
        stdin = json.dumps({"apiVersion": "v1", "kind": "List", "items": fresh})
        cluster.kubectl("create", "-n", namespace, "-f", "-", stdin=stdin)
    resource = {"apiVersion": "v1", "kind": "ConfigMap", "resource": "configmaps"}
    terms = {"field": "/data/flag", "value": "off", "stabilizationWindow": "30s", "holdAtMost": "1m"}
    return [
        Target(ref, {"action": {"patch": {**terms, "target": {**resource, "name": ref["name"]}}}})
        for ref in _references(cluster, "ConfigMap", names, namespace)
    ]


def _flagged(recorder: WatchRecorder, namespace: str) -> Effects:
    effects: Effects = Counter()
    for key in _keys(recorder, "ConfigMap", namespace):
        for before, after in itertools.pairwise(recorder.changes(key, _flag)):
            effects[after[1] or before[1], int(before[0]), int(after[0])] += 1
    return effects


def _flag(body: Body) -> tuple[bool, str]:
    return body["data"].get("flag") == "off", str((body["metadata"].get("annotations") or {}).get(PATCHED_BY, ""))


_SCALE: Body = {"scale": {"maxReplicas": 6, "stabilizationWindow": "30s", "holdAtMost": "1m"}}
_RAISE = {"from": 3, "to": 5}
_FLOOR = _workloads(3, _RAISE, autoscaled=True)
_RAISED = _workloads(3, _RAISE)
_HEALTHY: Body = {"healthyFor": "30s"}
TRIALS = {
    trial.name: trial
    for trial in (
        Trial("scale", _SCALE, "Deployment", _RAISED, _numbers("Deployment", "replicas"), _target),
        Trial(
            "scale-floor",
            _SCALE,
            "HorizontalPodAutoscaler",
            _FLOOR,
            _numbers("HorizontalPodAutoscaler", "minReplicas"),
            _target,
        ),
        Trial("restart", {"restart": {}}, "Deployment", _workloads(1), _signed("Deployment", _restarted), _uid),
        Trial("rollback", {"rollback": {}}, "Deployment", _revised, _signed("Deployment", _rolled_back), _uid),
        Trial("evict", {"evict": {}}, "Pod", _pods, _evicted, _target),
        Trial("cordon", {"cordon": _HEALTHY}, "Node", _nodes, _cordoned, _uid),
        Trial("drain", {"drain": _HEALTHY}, "Node", _busy_nodes, _cordoned, _uid),
        Trial("patch", {}, "ConfigMap", _flags, _flagged, _uid),
        Trial("job", {"job": {"cronJob": "runbook"}}, "Job", _with_runbook, _jobs, _uid),
        Trial("notify", {"notify": {"channel": "people"}}, "Deployment", _workloads(1), _notified, _uid),
    )
}


def deployment(name: str, replicas: int, image: str = "example.com/main", **pod: Any) -> Body:
    """Return a Deployment; `pod` are further fields of its pods."""
    labels = {"app": name}
    containers = [{"name": "main", "image": image}]
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": containers, "terminationGracePeriodSeconds": 0, **pod},
    }
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def autoscaler(name: str) -> Body:
    """Return an autoscaler of a Deployment."""
    busy = {"type": "Utilization", "averageUtilization": 80}
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": busy}}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    spec = {"minReplicas": 3, "maxReplicas": 8, "scaleTargetRef": target, "metrics": [metric]}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name}, "spec": spec}


def _references(cluster: KwokCluster, kind: str, names: Sequence[str], namespace: str) -> list[Body]:
    """Return references to objects, with their UIDs."""
    listed = {body["metadata"]["name"]: body for body in cluster.items(kind.lower(), namespace)}
    return [
        {
            "apiVersion": listed[name]["apiVersion"],
            "kind": kind,
            "namespace": listed[name]["metadata"].get("namespace", ""),
            "name": name,
            "uid": listed[name]["metadata"]["uid"],
        }
        for name in names
    ]
