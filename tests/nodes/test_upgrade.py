"""The life of the chart on real nodes: upgraded and rolled back at work, uninstalled in the middle of it, and back."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.audit import AuditLog
from tests.support.operator_pods import OPERATOR_NAMESPACE, operator_pods, roll_out
from tests.support.scaling import CALM, HIGH, Load
from tests.support.waiting import until

from forestall import __version__
from forestall.adapters.kubernetes.lease import Timing
from forestall.devcluster.nodes import RealNodes

REPOSITORY = "localhost/forestall"
NEXT = "next"
"""The tag of another version: the same image, under another name."""
SCALED = 3
LEASE_S = Timing().duration


class Release:
    """The installed chart, and what the operator has done in a namespace."""

    def __init__(self, cluster: RealNodes, chart: Path, namespace: str) -> None:
        self.cluster = cluster
        self.chart = chart
        self.namespace = namespace

    def helm(self, command: str, *arguments: str | Path) -> None:
        """Run helm on the release, and return when its pods have replaced those before."""
        self.cluster.helm(command, "forestall", *arguments, "-n", OPERATOR_NAMESPACE)
        roll_out(self.cluster)

    def images(self) -> set[str]:
        """Return the images of the operator's pods that are not about to go."""
        pods = operator_pods(self.cluster)
        return {container["image"] for pod in pods for container in pod["spec"]["containers"]}

    def replicas(self) -> int:
        return int(self.cluster.get("deployment", "app", self.namespace)["spec"]["replicas"])

    def remediation(self) -> dict[str, Any]:
        """Return the only Remediation; empty while there is none."""
        listed = self.cluster.kubectl("get", "remediations", "-n", self.namespace, "-o", "json").stdout
        remediations = json.loads(listed)["items"]
        assert len(remediations) < 2, [item["metadata"]["name"] for item in remediations]
        return remediations[0] if remediations else {}

    def phase(self) -> str:
        return str(self.remediation().get("status", {}).get("phase", ""))

    def steps(self) -> list[tuple[int, int, bool]]:
        """Return what each step of the Remediation changed: from, to, and whether it is done."""
        return [(step["from"], step["to"], step["done"]) for step in self.remediation()["status"]["steps"]]


@pytest.fixture
def release(operator: RealNodes, root: Path, namespace: str) -> Release:
    return Release(operator, root / "charts" / "forestall", namespace)


def test_upgrade_and_rollback_continue_what_is_under_way(release: Release, load: Load, audit: AuditLog):
    """The scale-out is made by one version, kept by the next, and reverted by the first: each once, none forgotten."""
    for node in release.cluster.nodes:
        names = [f"{REPOSITORY}:{__version__}", f"{REPOSITORY}:{NEXT}"]
        node.run("ctr", "--namespace=k8s.io", "images", "tag", "--force", *names)
    generation = release.cluster.get("deployment", "app", release.namespace)["metadata"]["generation"]
    load.value = HIGH
    until(lambda: release.replicas() == SCALED, 300)
    uid = release.remediation()["metadata"]["uid"]

    audit.mark()
    release.helm("upgrade", release.chart, "--reuse-values", f"--set=image.tag={NEXT}")
    assert release.images() == {f"{REPOSITORY}:{NEXT}"}
    assert (release.phase(), release.replicas()) == ("Verifying", SCALED)
    load.value = CALM
    release.helm("rollback")
    assert release.images() == {f"{REPOSITORY}:{__version__}"}
    until(lambda: release.phase() == "Succeeded", 300)

    assert release.remediation()["metadata"]["uid"] == uid
    assert release.steps() == [(2, SCALED, True), (SCALED, 2, True)]
    assert release.cluster.get("deployment", "app", release.namespace)["metadata"]["generation"] == generation + 2
    writers = audit.writers()
    assert len(writers) == len(set(writers)) > 1, "a replica wrote after another had taken over"
    assert audit.longest_gap_s() < LEASE_S
