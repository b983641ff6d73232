"""What each action is tried on: its targets, its terms, and what of the world it changes."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from forestall.actions.cordon import CORDONED_BY
from forestall.actions.restart import RESTARTED_BY
from forestall.demo.kwok import KwokCluster

Body = dict[str, Any]
Level = Callable[[Body], Any]


@dataclass(frozen=True)
class Trial:
    """One action on targets of its own."""

    name: str
    rung: Body
    kind: str
    """The kind of the targets."""
    subject: str
    """The kind of what is changed, which the level is read from."""
    level: Level
    """What is changed, as the journal counts it, from the subject's state."""
    numbers: Mapping[str, int] = field(default_factory=dict)
    """The intent's `from` and `to`."""
    autoscaled: bool = False

    def path(self, namespace: str) -> str:
        """Return the path under which the subjects are watched."""
        group, plural = _PLACES[self.subject]
        return f"{group}/{plural}" if self.subject == "Node" else f"{group}/namespaces/{namespace}/{plural}"

    def key(self, namespace: str, target: str) -> str:
        """Return what the witness calls the subject of a target."""
        return f"{self.subject}/{'' if self.subject == 'Node' else namespace}/{target}"

    def prepare(self, cluster: KwokCluster, namespace: str, count: int) -> list[Body]:
        """Make the targets; return a reference to each."""
        names = [f"node-{number}" if self.kind == "Node" else f"web-{number}" for number in range(1, count + 1)]
        if self.kind == "Node":
            cluster.scale_nodes(count)
        else:
            cluster.apply(*(deployment(name, self.numbers.get("from", 1)) for name in names), namespace=namespace)
            if self.autoscaled:
                cluster.apply(*(autoscaler(name) for name in names), namespace=namespace)
            for name in names:
                wait = ("--timeout=60s", "-n", namespace)
                cluster.kubectl("rollout", "status", f"deployment/{name}", *wait)
        return [reference(cluster, self.kind, name, namespace) for name in names]


def _replicas(body: Body) -> int:
    return int(body["spec"]["replicas"])


def _least(body: Body) -> int:
    return int(body["spec"]["minReplicas"])


def _restarted(body: Body) -> str:
    metadata = body["spec"]["template"].get("metadata") or {}
    return str((metadata.get("annotations") or {}).get(RESTARTED_BY, ""))


def _cordoned(body: Body) -> tuple[bool, str]:
    owner = (body["metadata"].get("annotations") or {}).get(CORDONED_BY, "")
    return bool(body["spec"].get("unschedulable")), str(owner)


_PLACES = {
    "Deployment": ("/apis/apps/v1", "deployments"),
    "HorizontalPodAutoscaler": ("/apis/autoscaling/v2", "horizontalpodautoscalers"),
    "Node": ("/api/v1", "nodes"),
}
_SCALE: Body = {"scale": {"maxReplicas": 6, "stabilizationWindow": "30s", "holdAtMost": "1m"}}
TRIALS = {
    trial.name: trial
    for trial in (
        Trial("scale", _SCALE, "Deployment", "Deployment", _replicas, {"from": 3, "to": 5}),
        Trial(
            "scale-floor",
            _SCALE,
            "Deployment",
            "HorizontalPodAutoscaler",
            _least,
            {"from": 3, "to": 5},
            autoscaled=True,
        ),
        Trial("restart", {"restart": {}}, "Deployment", "Deployment", _restarted),
        Trial("cordon", {"cordon": {"healthyFor": "30s"}}, "Node", "Node", _cordoned),
    )
}


def levels(trial: Trial, values: Sequence[Any]) -> list[tuple[str, int | None, int | None]]:
    """Return the changes of one subject as (owner, from, to); the owner is the Remediation where the world names it."""
    pairs = list(itertools.pairwise(values))
    match trial.name:
        case "restart":
            return [(after, 0, 1) for _, after in pairs]
        case "cordon":
            return [(after[1] or before[1], int(before[0]), int(after[0])) for before, after in pairs]
        case _:
            return [("", before, after) for before, after in pairs]


def deployment(name: str, replicas: int) -> Body:
    """Return a Deployment."""
    labels = {"app": name}
    pod = {"containers": [{"name": "main", "image": "example.com/main"}], "terminationGracePeriodSeconds": 0}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def autoscaler(name: str) -> Body:
    """Return an autoscaler of a Deployment."""
    metric = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
    }
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    spec = {"minReplicas": 3, "maxReplicas": 8, "scaleTargetRef": target, "metrics": [metric]}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name}, "spec": spec}


def reference(cluster: KwokCluster, kind: str, name: str, namespace: str) -> Body:
    """Return a reference to an object, with its UID."""
    body = cluster.get(kind, name, namespace)
    return {
        "apiVersion": body["apiVersion"],
        "kind": kind,
        "namespace": body["metadata"].get("namespace", ""),
        "name": name,
        "uid": body["metadata"]["uid"],
    }
