"""The applications that fail, and what watches them: Deployments of the shop's image, objectives, policies."""

from collections.abc import Sequence
from typing import Any

Body = dict[str, Any]
API = "forestall.dev/v1alpha1"
GENERAL = ("node-1", "node-2")
"""The nodes that nothing happens to."""
SOURCE = "kubelets"


def app(
    name: str,
    *,
    arguments: Sequence[str] = (),
    replicas: int = 1,
    memory_mib: int = 256,
    node: str = "",
    spread: bool = False,
    min_ready_s: int = 0,
) -> list[Body]:
    """Return a Deployment of the shop and its Service, on the general nodes, or on `node` first and on them else."""
    labels = {"app": name}
    container = {
        "name": "shop",
        "image": "example.com/shop:1.0",
        "args": ["serve", "--own-pod", "--address=0.0.0.0", "--port=8080", "--drain=5", *arguments],
        "env": [
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        ],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 2, "timeoutSeconds": 2},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": f"{memory_mib}Mi"}},
    }
    pod: Body = {"terminationGracePeriodSeconds": 15, "containers": [container], "affinity": _affinity(node)}
    if spread:
        selector = {"labelSelector": {"matchLabels": labels}}
        spreading = {"topologyKey": "kubernetes.io/hostname", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}
        pod["topologySpreadConstraints"] = [{**spreading, **selector}]
    spec = {
        "replicas": replicas,
        "minReadySeconds": min_ready_s,
        "selector": {"matchLabels": labels},
        "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    service = {"type": "NodePort", "selector": labels, "ports": [{"port": 80, "targetPort": 8080}]}
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": labels}, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": labels}, "spec": service},
    ]


def _affinity(node: str) -> Body:
    hosts = [node, *GENERAL] if node else list(GENERAL)
    key = "kubernetes.io/hostname"
    terms = [{"matchExpressions": [{"key": key, "operator": "In", "values": hosts}]}]
    affinity: Body = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    if node:
        preference = {"matchExpressions": [{"key": key, "operator": "In", "values": [node]}]}
        affinity["preferredDuringSchedulingIgnoredDuringExecution"] = [{"weight": 100, "preference": preference}]
    return {"nodeAffinity": affinity}


def source(url: str) -> Body:
    """Return the metric source of all objectives."""
    spec = {"url": url, "timeout": "5s", "staleAfter": "1m", "trustedLabels": ["node"]}
    return {"apiVersion": API, "kind": "MetricSource", "metadata": {"name": SOURCE}, "spec": spec}


def guardrail(cordoned: int) -> Body:
    """Return the permission to drain so many nodes; all these faults at once are no storm."""
    allow = [{"actions": ["Restart", "Rollback", "Evict", "Cordon", "Drain"]}]
    spec = {"nodes": {"maxCordoned": cordoned}, "storm": {"objectives": 1000}, "allow": allow}
    return {"apiVersion": API, "kind": "Guardrail", "metadata": {"name": "benchmark"}, "spec": spec}


def objective(name: str, namespace: str, *indicators: Body) -> Body:
    """Return the objective of an application: its pods answer."""
    available = f'1 - avg(up{{job="pods",namespace="{namespace}",pod=~"{name}-.*"}})'
    spec = {
        "source": SOURCE,
        "target": {"kind": "Deployment", "name": name},
        "indicator": {"raw": {"errorRatio": available}},
        "objective": 95,
        "window": "1h",
        "leadingIndicators": list(indicators),
    }
    metadata = {"name": name, "labels": {"benchmark": "nodes"}}
    return {"apiVersion": API, "kind": "ServiceLevelObjective", "metadata": metadata, "spec": spec}


def memory(name: str, namespace: str, limit: float) -> Body:
    """Return the leading indicator of the pods' memory, which the kubelet measures; `limit` in MiB."""
    series = f'container_memory_working_set_bytes{{namespace="{namespace}",pod=~"{name}-.*",container="shop"}}'
    query = f"max by (pod) ({series}) / 1024 / 1024"
    return {"name": "memory", "query": query, "limit": limit, "per": "pod", "trend": "Saturation", "horizon": "60s"}


def disk(node: str) -> Body:
    """Return the leading indicator of a node's disk, which the kubelet measures."""
    usage, size = (f'container_fs_{part}_bytes{{id="/",device="overlay",node="{node}"}}' for part in ("usage", "limit"))
    query = f"max by (node) ({usage} / {size})"
    return {"name": "disk", "query": query, "limit": 0.85, "per": "node", "trend": "Saturation", "horizon": "60s"}


def errors(name: str, namespace: str) -> Body:
    """Return the leading indicator of the share of requests that fail."""
    total = f'shop_request_duration_seconds_count{{namespace="{namespace}",pod=~"{name}-.*"'
    query = f'(sum(rate({total},code!="200"}}[45s])) or vector(0)) / sum(rate({total}}}[45s]))'
    return {"name": "errors", "query": query, "limit": 0.1, "horizon": "60s"}


def policy(*actions: Body, probability: float = 0.7, within: str = "90s") -> Body:
    """Return the policy of a namespace."""
    spec = {
        "objectives": {"matchLabels": {"benchmark": "nodes"}},
        "mode": "Auto",
        "when": {"probability": probability, "for": "5s"},
        "actions": list(actions),
        "verification": {"within": within},
        "cooldown": "30s",
    }
    return {"apiVersion": API, "kind": "RemediationPolicy", "metadata": {"name": "heal"}, "spec": spec}
