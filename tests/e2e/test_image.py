"""The image in a cluster with real pods: it is built, installed by the chart, comes up, leads, reads and tells."""

import shutil
import time
from pathlib import Path

import pytest

from forestall.devcluster.kind import KindCluster
from forestall.devcluster.processes import run

NAMESPACE = "forestall-system"
IMAGE = "forestall:e2e"
SOURCE = {
    "apiVersion": "forestall.dev/v1alpha1",
    "kind": "MetricSource",
    "metadata": {"name": "default"},
    "spec": {"url": "http://nothing.default.svc:9090"},
}
OBJECTIVE = {
    "apiVersion": "forestall.dev/v1alpha1",
    "kind": "ServiceLevelObjective",
    "metadata": {"name": "dns"},
    "spec": {
        "target": {"kind": "Deployment", "name": "forestall"},
        "indicator": {"ratio": {"good": 'requests_total{code!~"5.."}', "total": "requests_total"}},
        "objective": 99,
    },
}


@pytest.fixture(scope="module")
def installed(kind: KindCluster, root: Path) -> KindCluster:
    """The cluster with the operator, from the image of this checkout."""
    run([shutil.which("docker") or "docker", "build", "--tag", IMAGE, root], timeout_s=900)
    kind.load(IMAGE)
    repository, tag = IMAGE.split(":")
    settings = ["--set", f"image.repository={repository}", "--set", f"image.tag={tag}", "--set", "operator.interval=2s"]
    kind.helm(
        *("install", "forestall", root / "charts" / "forestall", "--namespace", NAMESPACE, "--create-namespace"),
        *settings,
    )
    return kind


def test_both_replicas_come_up_under_the_restricted_standard(installed: KindCluster) -> None:
    installed.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    installed.kubectl("rollout", "restart", "deployment/forestall", "-n", NAMESPACE)
    installed.kubectl("rollout", "status", "deployment/forestall", "-n", NAMESPACE, "--timeout=180s", timeout_s=200)


def test_an_objective_is_told_that_its_source_is_down(installed: KindCluster) -> None:
    installed.apply(SOURCE)
    installed.apply(OBJECTIVE, namespace=NAMESPACE)
    deadline = time.monotonic() + 120
    conditions: dict[str, str] = {}
    while conditions.get("DataFresh") != "False":
        assert time.monotonic() < deadline, conditions
        time.sleep(1)
        status = installed.get("servicelevelobjectives", "dns", NAMESPACE).get("status") or {}
        conditions = {each["type"]: each["status"] for each in status.get("conditions", [])}


def test_a_pod_that_leads_and_ends_is_replaced(installed: KindCluster) -> None:
    lease = installed.get("lease", "forestall", NAMESPACE)
    leader = lease["spec"]["holderIdentity"]
    pods = installed.kubectl("get", "pods", "-n", NAMESPACE, "-o", "name").stdout.split()
    (pod,) = [name for name in pods if name.removeprefix("pod/") in leader]
    installed.kubectl("delete", pod, "-n", NAMESPACE, "--wait=false")
    deadline = time.monotonic() + 60
    while installed.get("lease", "forestall", NAMESPACE)["spec"]["holderIdentity"] == leader:
        assert time.monotonic() < deadline, "nobody took over"
        time.sleep(1)
