"""The operator's pods, where the chart has installed it on nodes that run them."""

import json
from typing import Any

from forestall.devcluster.cluster import RunningCluster

OPERATOR_NAMESPACE = "forestall-system"
SELECTOR = "app.kubernetes.io/name=forestall"


def operator_pods(cluster: RunningCluster) -> list[dict[str, Any]]:
    """Return the operator's pods, without those that are about to go."""
    answer = cluster.kubectl("get", "pods", "-n", OPERATOR_NAMESPACE, "-l", SELECTOR, "-o", "json")
    return [pod for pod in json.loads(answer.stdout)["items"] if not pod["metadata"].get("deletionTimestamp")]


def leader(cluster: RunningCluster) -> str:
    """Return the identity of the process that leads; empty where the Lease was given back."""
    return str(cluster.get("lease", "forestall", OPERATOR_NAMESPACE)["spec"].get("holderIdentity") or "")


def leading_pod(cluster: RunningCluster) -> dict[str, Any]:
    """Return the pod of the process that leads."""
    identity = leader(cluster)
    (pod,) = [pod for pod in operator_pods(cluster) if identity.startswith(pod["metadata"]["name"])]
    return pod


def restarts(cluster: RunningCluster) -> dict[str, int]:
    """Return how often the container of each pod was restarted, by the pod's name."""
    pods = operator_pods(cluster)
    return {pod["metadata"]["name"]: pod["status"]["containerStatuses"][0]["restartCount"] for pod in pods}


def all_ready(cluster: RunningCluster) -> bool:
    """Say whether both replicas are there and ready."""
    pods = operator_pods(cluster)
    return len(pods) == 2 and all(pod["status"].get("containerStatuses", [{}])[0].get("ready") for pod in pods)


def roll_out(cluster: RunningCluster) -> None:
    """Return when the pods are those of the newest template, and ready."""
    command = ("rollout", "status", "deployment/forestall", "-n", OPERATOR_NAMESPACE, "--timeout=400s")
    cluster.kubectl(*command, timeout_s=420)
