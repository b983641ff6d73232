"""The real KEDA: its operator and its metrics adapter as processes beside the control plane."""

from collections.abc import Mapping
from typing import Any

from benchmarks.truth.stand import SPEED, Stand, behavior

from forestall.demo.scenarios import NAMESPACE, WORKLOAD
from forestall.devcluster.keda import certificates, start_adapter, start_operator
from forestall.devcluster.programs import Programs


def start(stand: Stand, programs: Programs) -> None:
    """Start KEDA; it stops with the stand."""
    cluster, workspace = stand.cluster, stand.cluster.workspace
    proofs = certificates(workspace.path / "keda")
    service = start_operator(cluster, workspace, programs, proofs)
    start_adapter(cluster, workspace, programs, proofs, service)


def scale(stand: Stand, query: str, threshold: float, min_replicas: int, max_replicas: int) -> None:
    """Scale the shop with KEDA on a query; returns when its HorizontalPodAutoscaler exists."""
    stand.cluster.apply(_scaled_object(stand, query, threshold, min_replicas, max_replicas), namespace=NAMESPACE)
    name = f"keda-hpa-{WORKLOAD}"
    stand.cluster.kubectl("wait", "--for=create", f"hpa/{name}", "-n", NAMESPACE, "--timeout=60s", timeout_s=70)


def _scaled_object(
    stand: Stand, query: str, threshold: float, min_replicas: int, max_replicas: int
) -> Mapping[str, Any]:
    """Return a ScaledObject of the shop with the default behavior, faster by SPEED."""
    trigger = {"serverAddress": stand.prometheus.url, "query": query, "threshold": f"{threshold:g}"}
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": WORKLOAD, "namespace": NAMESPACE},
        "spec": {
            "scaleTargetRef": {"name": WORKLOAD},
            "pollingInterval": 30 // SPEED,
            "minReplicaCount": min_replicas,
            "maxReplicaCount": max_replicas,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": behavior()}},
            "triggers": [{"type": "prometheus", "metricType": "AverageValue", "metadata": trigger}],
        },
    }
