"""The life of the chart on real nodes: upgraded and rolled back at work, uninstalled in the middle of it, and back."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.audit import AuditLog
from tests.support.operator_pods import OPERATOR_NAMESPACE, all_ready, leader, operator_pods, restarts, roll_out
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
MOST_REFUSED = 25
"""Requests with a token that is no longer valid: a few for each of the connections of two replicas."""


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


def test_older_definitions_stop_the_operator_until_the_current_ones_are_applied(
    release: Release, load: Load, root: Path
):
    """A step whose fields the definition drops would be lost; so nothing is done, and said why. Objects stay."""
    cluster, namespace = release.cluster, release.namespace
    uids = [cluster.get(kind, "app", namespace)["metadata"]["uid"] for kind in ("fslo", "remediationpolicy")]
    definition = cluster.get("crd", "remediations.forestall.dev")
    (version,) = definition["spec"]["versions"]
    steps = version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]["steps"]
    del steps["items"]["properties"]["because"]
    cluster.kubectl("replace", "-f", "-", stdin=json.dumps(definition))
    try:
        load.value = HIGH
        until(lambda: any("definitions are older" in message for message in not_recorded(cluster, namespace)), 300)
        assert release.replicas() == 2
    finally:
        cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", root / "crds")
    until(lambda: release.replicas() == SCALED, 300)
    release.helm("upgrade", release.chart, "--reuse-values", "--force-conflicts")  # the chart's again
    load.value = CALM
    until(lambda: release.phase() == "Succeeded", 300)
    assert release.steps() == [(2, SCALED, True), (SCALED, 2, True)]
    assert uids == [cluster.get(kind, "app", namespace)["metadata"]["uid"] for kind in ("fslo", "remediationpolicy")]


def not_recorded(cluster: RealNodes, namespace: str) -> list[str]:
    """Return the messages of the Events that say that something could not be written down."""
    events = cluster.items("events", namespace, "--field-selector=reason=NotRecorded")
    return [event.get("message") or event.get("note", "") for event in events]


TOKENS = {
    "extraVolumes": [
        {
            "name": "token",
            "projected": {
                "sources": [
                    {"secret": {"name": "operator-token"}},
                    {"configMap": {"name": "kube-root-ca.crt"}},
                    {
                        "downwardAPI": {
                            "items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]
                        }
                    },
                ]
            },
        }
    ],
    "extraVolumeMounts": [
        {"name": "token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True}
    ],
}
"""Values by which the token comes from a Secret; the kubelet's own is replaced after 48 minutes, at the earliest."""


class Tokens:
    """Tokens of the operator, each of which is valid as long as a Secret is there."""

    def __init__(self, cluster: RealNodes) -> None:
        self.cluster = cluster

    def issue(self, anchor: str) -> str:
        """Return a token that ends with the Secret `anchor`."""
        self.kubectl("create", "secret", "generic", anchor)
        bound = ("--bound-object-kind=Secret", f"--bound-object-name={anchor}")
        return self.kubectl("create", "token", "forestall", *bound).strip()

    def put(self, token: str) -> None:
        """Have the kubelets put a token into the pods' files."""
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "operator-token"},
            "stringData": {"token": token},
        }
        self.cluster.apply(secret, namespace=OPERATOR_NAMESPACE)

    def files(self) -> set[str]:
        """Return what is in the pods' files."""
        code = "print(open('/var/run/secrets/kubernetes.io/serviceaccount/token').read())"
        names = [pod["metadata"]["name"] for pod in operator_pods(self.cluster)]
        return {self.kubectl("exec", name, "--", "python3", "-c", code).strip() for name in names}

    def revoke(self, *anchors: str) -> None:
        """End tokens."""
        self.kubectl("delete", "secret", *anchors, "--ignore-not-found")

    def kubectl(self, *arguments: str) -> str:
        return self.cluster.kubectl(*arguments[:1], "-n", OPERATOR_NAMESPACE, *arguments[1:]).stdout


def test_a_token_that_is_replaced_and_revoked_costs_nothing(
    release: Release, load: Load, audit: AuditLog, tmp_path: Path
):
    """The kubelet writes the next token into the file, and the API server refuses the last: it is read again, once."""
    tokens, values = Tokens(release.cluster), tmp_path / "values.json"
    values.write_text(json.dumps(TOKENS))
    tokens.put(tokens.issue("first"))
    try:
        release.helm("upgrade", release.chart, "--reuse-values", f"--values={values}")
        until(lambda: all_ready(release.cluster) and bool(leader(release.cluster)), 300)
        before = restarts(release.cluster)
        audit.mark()
        second = tokens.issue("second")
        tokens.put(second)
        until(lambda: tokens.files() == {second}, 300)
        tokens.revoke("first")
        until(lambda: len(audit.refused()) > 0, 300)
        load.value = HIGH
        until(lambda: release.replicas() == SCALED, 300)
        load.value = CALM
        until(lambda: release.phase() == "Succeeded", 300)
        assert restarts(release.cluster) == before
        assert len(audit.refused()) <= MOST_REFUSED
        assert audit.longest_gap_s() < LEASE_S
    finally:
        release.helm("rollback")
        tokens.revoke("first", "second", "operator-token")


def test_after_an_uninstallation_what_is_in_effect_stays_and_the_next_installation_ends_it(
    release: Release, load: Load
):
    """Definitions, objects and the Lease stay, what gives rights goes, and nobody does anything twice."""
    cluster = release.cluster
    load.value = HIGH
    until(lambda: release.replicas() == SCALED and release.phase() == "Verifying", 300)
    uid = release.remediation()["metadata"]["uid"]
    values = cluster.helm("get", "values", "forestall", "-n", OPERATOR_NAMESPACE, "-o", "json").stdout
    kept = kinds(cluster, "crd", "leases")
    try:
        cluster.helm("uninstall", "forestall", "-n", OPERATOR_NAMESPACE, "--wait")
        until(lambda: not operator_pods(cluster), 300)
        assert kinds(cluster, "crd", "leases") == kept
        own = (
            "clusterroles",
            "clusterrolebindings",
            "validatingadmissionpolicies",
            "rolebindings",
            "poddisruptionbudgets",
        )
        assert kinds(cluster, *own, "serviceaccounts", "services", "deployments") == set()
        assert (release.phase(), release.replicas()) == ("Verifying", SCALED)
        load.value = CALM
    finally:
        installed = json.loads(values)
        options = [f"--set-json={key}={json.dumps(value)}" for key, value in installed.items()]
        release.helm("install", release.chart, *options)
    until(lambda: release.phase() == "Succeeded", 300)
    assert release.remediation()["metadata"]["uid"] == uid
    assert release.steps() == [(2, SCALED, True), (SCALED, 2, True)]


def kinds(cluster: RealNodes, *resources: str) -> set[str]:
    """Return the objects of these kinds that are the operator's, by their names."""
    listed = cluster.kubectl("get", ",".join(resources), "-n", OPERATOR_NAMESPACE, "-o", "name").stdout.split()
    return {name for name in listed if "forestall" in name.partition("/")[2]}
