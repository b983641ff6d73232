"""Real memory that leaks, as the kubelet tells of it: foreseen, restarted in time, and verified, again and again.

The kubelet measures every ten seconds or more, with timestamps of its own, and Prometheus keeps them, as it does by
default: values repeat between two measurements, and the last one of a pod that is gone stays for five minutes.
"""

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import yaml

from forestall.devcluster.nodes import RealNodes
from forestall.devcluster.prometheus import PrometheusServer

LONG = "FORESTALL_LONG"
pytestmark = [
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not os.environ.get(LONG), reason=f"two leaks take minutes: `make nodes` runs them, by {LONG}=1"),
]

NAMESPACE = "shop"
LIMIT_MIB = 190
MEMORY = 'max by (pod) (container_memory_working_set_bytes{namespace="shop",container="shop"}) / 1024 / 1024'
ERRORS = {"errorRatio": "1 - avg(up)"}
ENDED = ("Succeeded", "Failed", "Aborted", "RolledBack")
LEAKS = 2


def objects(url: str) -> list[dict[str, Any]]:
    """Return the source, an objective on the pods' memory, and a policy that restarts them."""
    source = {
        "apiVersion": "forestall.dev/v1alpha1",
        "kind": "MetricSource",
        "metadata": {"name": "kubelets"},
        "spec": {"url": url, "timeout": "5s", "staleAfter": "1m", "namespaces": {"matchLabels": {"team": "shop"}}},
    }
    memory = {"name": "memory", "query": MEMORY, "limit": LIMIT_MIB, "per": "pod", "trend": "Saturation"}
    objective = {
        "apiVersion": "forestall.dev/v1alpha1",
        "kind": "ServiceLevelObjective",
        "metadata": {"name": "shop", "namespace": NAMESPACE, "labels": {"scenario": "leak"}},
        "spec": {
            "source": "kubelets",
            "target": {"kind": "Deployment", "name": "shop"},
            "indicator": {"raw": ERRORS},
            "objective": 95,
            "window": "1h",
            "leadingIndicators": [{**memory, "horizon": "30s"}],
        },
    }
    policy = {
        "apiVersion": "forestall.dev/v1alpha1",
        "kind": "RemediationPolicy",
        "metadata": {"name": "shop-leak", "namespace": NAMESPACE},
        "spec": {
            "objectives": {"matchLabels": {"scenario": "leak"}},
            "mode": "Auto",
            "when": {"probability": 0.7, "for": "2s"},
            "actions": [{"indicators": ["memory"], "restart": {}}],
            "verification": {"within": "60s"},
            "cooldown": "30s",
        },
    }
    return [source, objective, policy]


@pytest.fixture
def leaking(operator: RealNodes, prometheus: PrometheusServer, root) -> Iterator[RealNodes]:
    """The cluster with the shop: each of two pods leaks 1.5 MiB a second, and would be killed long after the limit."""
    manifests = list(yaml.safe_load_all((root / "examples" / "shop" / "workload.yaml").read_text()))
    (deployment,) = [manifest for manifest in manifests if manifest["kind"] == "Deployment"]
    deployment["spec"]["replicas"] = 2
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    container["args"].append("--leak-per-second=1.5")
    container["resources"] = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}
    for manifest in manifests:
        operator.apply(manifest, namespace=NAMESPACE)
    operator.kubectl("rollout", "status", "deployment/shop", "-n", NAMESPACE, "--timeout=180s")
    for manifest in objects(prometheus.pod_url):
        operator.apply(manifest, namespace=NAMESPACE)
    yield operator
    operator.kubectl("delete", "namespace", NAMESPACE, "--wait=false")
    operator.kubectl("delete", "metricsource", "kubelets", "--wait=false")


def verdicts(cluster: RealNodes) -> list[tuple[str, str, str]]:
    """Return phase, status and reason of the verification of each Remediation, the oldest first."""
    remediations = sorted(
        cluster.items("remediations", NAMESPACE), key=lambda item: item["metadata"]["creationTimestamp"]
    )
    found = []
    for remediation in remediations:
        status = remediation.get("status", {})
        verified = [item for item in status.get("conditions", []) if item["type"] == "Verified"]
        condition = verified[0] if verified else {"status": "", "reason": ""}
        found.append((status.get("phase", ""), condition["status"], condition["reason"]))
    return found


def test_real_leaks_are_foreseen_and_each_restart_is_verified(leaking, prometheus):
    """Nobody is killed, and no verdict rests on the last value of pods that are gone."""
    restarts = 0
    deadline = time.monotonic() + 900
    while len([phase for phase, _, _ in verdicts(leaking) if phase in ENDED]) < LEAKS:
        assert time.monotonic() < deadline, verdicts(leaking)
        statuses = [
            status for pod in leaking.items("pods", NAMESPACE) for status in pod["status"].get("containerStatuses", [])
        ]
        restarts = max([restarts, *(status["restartCount"] for status in statuses)])
        time.sleep(1)
    assert verdicts(leaking)[:LEAKS] == [("Succeeded", "True", "RiskFell")] * LEAKS
    assert restarts == 0
    gone = requests.get(f"{prometheus.url}/api/v1/query", params={"query": MEMORY}, timeout=30).json()["data"]["result"]
    assert len(gone) > len(leaking.items("pods", NAMESPACE)), "the series of pods that are gone are still there"
