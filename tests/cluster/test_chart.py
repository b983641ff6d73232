"""The chart on a separate control plane: rendering, installation, upgrade, uninstallation, and its permissions."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from forestall.api import KINDS
from forestall.cli.run import run
from forestall.devcluster.local import LocalCluster
from forestall.devcluster.programs import Programs
from forestall.devcluster.provider import local_cluster
from forestall.errors import CommandFailed
from forestall.process import LEASE

RELEASE = "forestall"
NAMESPACE = "forestall-system"
OPERATOR = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
Values = dict[str, Any]
Right = tuple[str, str, str]
"""Verb, resource and namespace, which is empty for the whole cluster."""


@pytest.fixture(scope="module")
def plane(programs: Programs) -> Iterator[LocalCluster]:
    """A control plane that has never seen forestall, whose pods must meet the restricted Pod Security Standard."""
    with local_cluster(programs, nodes=2) as plane:
        for name in (NAMESPACE, "shop", "other"):
            plane.kubectl("create", "namespace", name)
        plane.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
        yield plane


@pytest.fixture
def chart(root: Path) -> Path:
    return root / "charts" / "forestall"


@pytest.fixture
def release(plane: LocalCluster, chart: Path) -> Iterator["Release"]:
    release = Release(plane, chart)
    release.deploy()
    yield release
    plane.helm("uninstall", RELEASE, "-n", NAMESPACE, "--ignore-not-found", "--wait")


class Release:
    """The installed chart."""

    def __init__(self, plane: LocalCluster, chart: Path) -> None:
        self.plane = plane
        self.chart = chart

    def deploy(self, values: Values | None = None, chart: Path | None = None) -> None:
        """Install or upgrade with only `values`, and return when all pods are ready."""
        self.plane.helm(
            "upgrade",
            RELEASE,
            chart or self.chart,
            "--install",
            "--namespace",
            NAMESPACE,
            "--reset-values",
            *as_options(values or {}),
            "--wait",
            "--timeout=90s",
        )

    def may(self, verb: str, resource: str, namespace: str = "shop", name: str = "") -> bool:
        """Say whether the operator's ServiceAccount may do this; see `may_all`."""
        return (verb, resource, namespace) in self.may_all([(verb, resource, namespace)], name)

    def may_all(self, rights: Sequence[Right], name: str = "") -> set[Right]:
        """Return those permissions that the operator's ServiceAccount has."""
        reviews = {"apiVersion": "v1", "kind": "List", "items": [_review(right, name) for right in rights]}
        answers = self.plane.kubectl(
            "create", "-f", "-", "-o", 'jsonpath={.status.allowed}{"\\n"}', stdin=json.dumps(reviews)
        ).stdout.split()
        return {right for right, answer in zip(rights, answers, strict=True) if answer == "true"}


def _review(right: Right, name: str) -> dict[str, Any]:
    """Return the access review. A resource is written like `deployments.apps/scale`."""
    verb, resource, namespace = right
    full, _, subresource = resource.partition("/")
    plural, _, group = full.partition(".")
    attributes = {"verb": verb, "resource": plural, "group": group, "subresource": subresource}
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": OPERATOR,
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}", "system:authenticated"],
            "resourceAttributes": attributes | {"namespace": namespace, "name": name},
        },
    }


def as_options(values: Values) -> list[str]:
    """Return the options that set `values`, and the image, without which nothing is rendered."""
    if "image" not in values:
        values = {"image.repository": "registry.example/forestall"} | values
    return [option for key, value in values.items() for option in ("--set-json", f"{key}={json.dumps(value)}")]


def render(plane: LocalCluster, chart: Path, values: Values) -> list[dict[str, Any]]:
    text = plane.helm("template", RELEASE, chart, "-n", NAMESPACE, *as_options(values)).stdout
    return [each for each in yaml.safe_load_all(text) if each]


# What is rendered.


def test_lint_finds_nothing(plane: LocalCluster, chart: Path) -> None:
    assert "0 chart(s) failed" in plane.helm("lint", "--strict", chart, *as_options({})).stdout


def test_rendering_without_an_image_fails_and_says_what_to_do(plane: LocalCluster, chart: Path) -> None:
    with pytest.raises(CommandFailed, match=r"image\.repository is not set.*\n*.*--set image\.repository="):
        plane.helm("template", RELEASE, chart)


@pytest.mark.parametrize(
    "interval",
    ["0s", "1s", "30s", "59s", "90s", "3600s", "3601s", "1m", "1m30s", "60m", "61m", "1h", "2h", "1d", "1", "5"],
)
def test_chart_and_program_accept_the_same_intervals(plane: LocalCluster, chart: Path, interval: str) -> None:
    """The kind: a value that the chart accepts and the program crash-loops on, or the other way round."""
    answer = CliRunner().invoke(run, ["--interval", interval, "--listen", "nowhere"])
    taken = "'--listen'" in answer.output
    try:
        render(plane, chart, {"operator.interval": interval})
    except CommandFailed:
        assert not taken
    else:
        assert taken, answer.output


def test_every_value_has_a_schema_and_every_schema_a_value(chart: Path) -> None:
    def agree(values: Values, schema: Values, path: str) -> None:
        assert schema["additionalProperties"] is False, path
        properties = {key: inner for key, inner in schema["properties"].items() if key not in {"global", "claims"}}
        assert properties.keys() == values.keys(), path
        for key, inner in properties.items():
            if "properties" in inner:
                agree(values[key], inner, f"{path}.{key}")

    schema = json.loads((chart / "values.schema.json").read_text())
    agree(yaml.safe_load((chart / "values.yaml").read_text()), schema, "")


@pytest.mark.parametrize(
    ("key", "value", "where"),
    [
        ("replicaCount", 2, "additional properties 'replicaCount' not allowed"),
        ("replicas", "two", "at '/replicas'"),
        ("replicas", -1, "at '/replicas'"),
        ("workloads.namespaces", "shop", "at '/workloads/namespaces'"),
        ("workloads.namespaces", ["Shop!"], "at '/workloads/namespaces/0'"),
        ("workloads.clusterwide", True, "additional properties 'clusterwide' not allowed"),
        ("operator.interval", "30", "at '/operator/interval'"),
        ("operator.interval", "0s", "at '/operator/interval'"),
        ("livenessProbe", {"period": 1}, "value must be one of 'initialDelaySeconds'"),
        ("imagePullSecrets", [{"secret": "x"}], "at '/imagePullSecrets/0'"),
        ("terminationGracePeriodSeconds", 1, "at '/terminationGracePeriodSeconds'"),
        ("podDisruptionBudget", {"minAvailable": 1, "maxUnavailable": 1}, "at '/podDisruptionBudget'"),
        ("operator.logLevel", "trace", "at '/operator/logLevel'"),
        ("image.digest", "sha256:1", "at '/image/digest'"),
        ("nodes.enabled", "yes", "at '/nodes/enabled'"),
        ("nodes.drain", "yes", "at '/nodes/drain'"),
        ("networkPolicy.egress", {}, "at '/networkPolicy/egress'"),
    ],
)
def test_wrong_values_are_refused(plane: LocalCluster, chart: Path, key: str, value: object, where: str) -> None:
    with pytest.raises(CommandFailed) as refused:
        render(plane, chart, {key: value})
    assert where in str(refused.value)


def test_own_service_account_must_be_named(plane: LocalCluster, chart: Path) -> None:
    with pytest.raises(CommandFailed, match=r"serviceAccount\.name is needed"):
        render(plane, chart, {"serviceAccount.create": False})
    rendered = render(plane, chart, {"serviceAccount.create": False, "serviceAccount.name": "mine"})
    assert not [each for each in rendered if each["kind"] == "ServiceAccount"]
    subjects = [
        subject["name"]
        for each in rendered
        for subject in each.get("subjects", [])
        if subject["kind"] == "ServiceAccount"
    ]
    assert set(subjects) == {"mine"}


EVERYTHING: Values = {
    "replicas": 3,
    "image": {"repository": "registry.example/forestall", "digest": "sha256:" + "0" * 64, "pullPolicy": "Always"},
    "imagePullSecrets": ["pull", {"name": "another"}],
    "global": {"imagePullSecrets": [{"name": "of-all"}], "imageRegistry": "mirror.example"},
    "nameOverride": "slo-operator",
    "commonLabels": {"team": "sre"},
    "commonAnnotations": {"owner": "sre"},
    "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
    "extraArgs": ["--log-level=warning"],
    "extraEnv": [{"name": "SSL_CERT_FILE", "value": "/ca/ca.crt"}],
    "extraEnvFrom": [{"secretRef": {"name": "more", "optional": True}}],
    "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
    "extraVolumeMounts": [{"name": "ca", "mountPath": "/ca"}],
    "extraContainers": [{"name": "proxy", "image": "proxy"}],
    "extraInitContainers": [{"name": "wait", "image": "wait"}],
    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
    "hostUsers": False,
    "dnsPolicy": "ClusterFirst",
    "dnsConfig": {"options": [{"name": "ndots", "value": "2"}]},
    "hostAliases": [{"ip": "192.0.2.1", "hostnames": ["prometheus"]}],
    "runtimeClassName": "gvisor",
    "podDisruptionBudget": {"minAvailable": "50%", "unhealthyPodEvictionPolicy": "AlwaysAllow"},
    "deploymentAnnotations": {"e": "f"},
    "service": {"annotations": {"g": "h"}, "labels": {"i": "j"}, "port": 9090},
    "serviceAccount.labels": {"k": "l"},
    "extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-extra"}}],
    "operator": {"interval": "10s", "logLevel": "debug", "logFormat": "text", "dryRun": True},
    "workloads": {
        "namespaces": ["shop", "other"],
        "clusterWide": True,
        "keda": True,
        "rollback": True,
        "jobs": True,
        "extraRules": [{"apiGroups": ["argoproj.io"], "resources": ["rollouts"], "verbs": ["get", "patch"]}],
    },
    "nodes": {"enabled": True, "drain": True},
    "secrets.names": ["prometheus"],
    "serviceAccount.annotations": {"a": "b"},
    "podAnnotations": {"a": "b"},
    "podLabels": {"c": "d"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "system-cluster-critical",
    "serviceMonitor": {
        "enabled": True,
        "namespace": "monitoring",
        "interval": "1m",
        "scrapeTimeout": "10s",
        "labels": {"release": "prometheus"},
        "relabelings": [{"action": "labeldrop", "regex": "instance"}],
        "targetLabels": ["team"],
    },
    "networkPolicy": {
        "enabled": True,
        "from": [{"namespaceSelector": {}}],
        "egress": [{"ports": [{"port": 443}]}],
    },
}
NOTHING: Values = {
    "replicas": 0,
    "crds.install": False,
    "workloads.read": False,
    "userRoles.aggregate": False,
    "admissionPolicies.enabled": False,
    "podDisruptionBudget.enabled": False,
    "resources": {},
}


@pytest.mark.parametrize(
    "values",
    [{}, EVERYTHING, NOTHING, {"fullnameOverride": "guard"}, {"networkPolicy.enabled": True}],
    ids=["default", "everything", "nothing", "renamed", "network"],
)
def test_server_accepts_the_rendered_objects(plane: LocalCluster, chart: Path, values: Values) -> None:
    objects = render(plane, chart, values)
    known = [
        each for each in objects if each["kind"] != "ServiceMonitor"
    ]  # its definition is the Prometheus Operator's
    assert len(objects) - len(known) == (values is EVERYTHING)
    manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": known})
    plane.kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", stdin=manifest)
    assert not [each for each in objects if "helm.sh/hook" in each["metadata"].get("annotations", {})]


def test_switched_off_parts_are_not_rendered(plane: LocalCluster, chart: Path) -> None:
    kinds = {each["kind"] for each in render(plane, chart, NOTHING)}
    assert not kinds & {
        "CustomResourceDefinition",
        "PodDisruptionBudget",
        "ValidatingAdmissionPolicy",
        "NetworkPolicy",
        "ServiceMonitor",
    }
    text = json.dumps(render(plane, chart, NOTHING))
    assert "aggregate-to" not in text
    assert '"nodes"' not in text


def test_rendered_objects_have_labels_and_namespaces(plane: LocalCluster, chart: Path) -> None:
    objects = render(plane, chart, EVERYTHING)
    mine = [each for each in objects if each["kind"] not in ("CustomResourceDefinition", "ConfigMap")]
    assert all(each["metadata"]["labels"]["team"] == "sre" for each in mine)
    assert all(each["metadata"]["annotations"]["owner"] == "sre" for each in mine)
    (deployment,) = [each for each in objects if each["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    assert [secret["name"] for secret in pod["imagePullSecrets"]] == ["of-all", "pull", "another"]
    assert pod["containers"][0]["image"].startswith("mirror.example/registry.example/forestall@sha256:")
    assert pod["containers"][0]["args"][-1] == "--log-level=warning"
    assert [each["name"] for each in pod["containers"]] == ["forestall", "proxy"]
    assert {mount["name"] for mount in pod["containers"][0]["volumeMounts"]} == {
        each["name"] for each in pod["volumes"]
    }
    (monitor,) = [each for each in objects if each["kind"] == "ServiceMonitor"]
    assert monitor["spec"]["endpoints"][0]["honorLabels"] is True
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": [NAMESPACE]}


def test_a_pod_monitor_comes_instead_of_a_service_monitor(plane: LocalCluster, chart: Path) -> None:
    (monitor,) = [each for each in render(plane, chart, {"podMonitor.enabled": True}) if each["kind"] == "PodMonitor"]
    assert monitor["spec"]["podMetricsEndpoints"][0]["honorLabels"] is True
    with pytest.raises(CommandFailed, match="choose one"):
        render(plane, chart, {"podMonitor.enabled": True, "serviceMonitor.enabled": True})


def test_the_shop_of_the_examples_meets_the_restricted_standard(plane: LocalCluster, root: Path) -> None:
    """Its pods have the settings of a real workload, so that people who copy from it copy them too."""
    level = "pod-security.kubernetes.io/warn"
    plane.kubectl("label", "namespace", "shop", f"{level}=restricted")
    try:
        options = ("--server-side", "--dry-run=server", "--validate=strict", "--warnings-as-errors")
        plane.kubectl("apply", *options, "-f", root / "examples" / "shop" / "workload.yaml")
    finally:
        plane.kubectl("label", "namespace", "shop", f"{level}-")


# Its life.


def test_a_second_release_is_refused(release: Release) -> None:
    """It would act on the same objects, and its admission policies would keep the first from writing any status."""
    values = as_options({"crds.install": False})
    with pytest.raises(
        CommandFailed, match=f"{RELEASE} in namespace {NAMESPACE} runs forestall in this cluster already"
    ):
        release.plane.helm("install", "second", release.chart, "-n", "other", *values)


def test_two_replicas_run_under_the_restricted_standard(release: Release) -> None:
    deployment = release.plane.get("deployment", RELEASE, NAMESPACE)
    assert deployment["status"]["readyReplicas"] == 2
    budget = release.plane.get("poddisruptionbudget", RELEASE, NAMESPACE)
    assert budget["spec"]["maxUnavailable"] == 1
    pods = release.plane.items("pods", NAMESPACE)
    assert len({pod["spec"]["nodeName"] for pod in pods}) == 2
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_upgrade_changes_values_and_definitions(release: Release, tmp_path: Path) -> None:
    newer = tmp_path / "forestall"
    shutil.copytree(release.chart, newer)
    template = newer / "templates" / "crds" / "guardrails.yaml"
    text = template.read_text()
    assert "- grail" in text
    template.write_text(text.replace("- grail", "- grail\n    - rail"))

    release.deploy({"replicas": 3, "operator.interval": "10s"}, chart=newer)

    deployment = release.plane.get("deployment", RELEASE, NAMESPACE)
    assert deployment["status"]["readyReplicas"] == 3
    assert "--interval=10s" in deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    names = release.plane.get("crd", "guardrails.forestall.dev")["spec"]["names"]
    assert names["shortNames"] == ["grail", "rail"]


def test_uninstall_leaves_definitions_and_objects_and_installs_again(release: Release) -> None:
    source = {
        "apiVersion": "forestall.dev/v1alpha1",
        "kind": "MetricSource",
        "metadata": {"name": "kept"},
        "spec": {"url": "http://prometheus:9090"},
    }
    release.plane.apply(source)
    release.plane.helm("uninstall", RELEASE, "-n", NAMESPACE, "--wait")
    for kind in KINDS:
        assert release.plane.get("crd", f"{kind.PLURAL}.forestall.dev")
    assert release.plane.get("metricsource", "kept")
    left = release.plane.kubectl(
        "get",
        "all,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,validatingadmissionpolicies,pdb",
        "--all-namespaces",
        "--selector=app.kubernetes.io/name=forestall",
        "--ignore-not-found",
        "-o",
        "name",
    ).stdout
    assert left == ""
    release.deploy()
    assert release.plane.get("metricsource", "kept")


def remove_definitions(plane: LocalCluster) -> None:
    """Delete the CRDs, and return when they are gone.

    Where a CRD goes while the API server sets its storage up anew, as after a change, the server may fail to look for
    its objects ("storage is (re)initializing"), and looks again only when the CRD is written to.
    """
    crds = [f"crd/{kind.PLURAL}.forestall.dev" for kind in KINDS]
    plane.kubectl("delete", *crds, "--ignore-not-found", "--wait=false")
    for turn in range(6):
        try:
            plane.kubectl("wait", "--for=delete", *crds, "--timeout=15s")
        except CommandFailed:
            left = plane.kubectl("get", *crds, "--ignore-not-found", "-o", "name").stdout.split()
            if left:
                plane.kubectl("annotate", *left, f"example.com/turn={turn}", "--overwrite")
        else:
            return
    told = plane.kubectl("get", *crds, "--ignore-not-found", "-o", "jsonpath={..status.conditions}").stdout
    raise AssertionError(f"CRDs that do not go: {told}")


def test_definitions_applied_by_hand_can_be_taken_over(plane: LocalCluster, chart: Path, root: Path) -> None:
    remove_definitions(plane)
    plane.kubectl("apply", "--server-side", "-f", root / "crds")
    install: list[str | Path] = ["install", RELEASE, chart, "-n", NAMESPACE, *as_options({})]
    with pytest.raises(CommandFailed, match="cannot be imported into the current release"):
        plane.helm(*install)
    plane.helm(*install, "--take-ownership", "--force-conflicts")
    plane.helm("uninstall", RELEASE, "-n", NAMESPACE, "--wait")
    assert plane.get("crd", "guardrails.forestall.dev")


def test_notes_say_what_to_do_next_with_commands_that_work(release: Release) -> None:
    notes = release.plane.helm("get", "notes", RELEASE, "-n", NAMESPACE).stdout
    manifests = [part.partition("\nEOF")[0] for part in notes.split("<<EOF\n")[1:]]
    assert [yaml.safe_load(manifest)["kind"] for manifest in manifests] == ["MetricSource", "ServiceLevelObjective"]
    for manifest in manifests:
        release.plane.kubectl("apply", "-n", "shop", "--dry-run=server", "-f", "-", stdin=manifest)

    command = notes[notes.index("kubectl create rolebinding") :].partition("\n\n")[0].split("\n   ")[0]
    words = command.replace("\\\n", " ").replace("YOUR-NAMESPACE", "shop").split()
    assert not release.may("patch", "deployments.apps/scale")
    release.plane.kubectl(*words[1:])
    try:
        assert release.may("patch", "deployments.apps/scale")
        assert not release.may("patch", "deployments.apps/scale", "other")
    finally:
        release.plane.kubectl("delete", "rolebinding", f"{RELEASE}-workloads", "-n", "shop")


# Its rights.

ALWAYS = [
    *(("watch", f"{kind.PLURAL}.forestall.dev", "") for kind in KINDS),
    *(("patch", f"{kind.PLURAL}.forestall.dev/status", "shop") for kind in KINDS),
    ("create", "remediations.forestall.dev", "shop"),
    ("delete", "remediations.forestall.dev", "shop"),
    ("update", "remediations.forestall.dev/status", "shop"),
    ("create", "events", "shop"),
    ("patch", "events", "shop"),
    ("list", "namespaces", ""),
    ("get", "deployments.apps", "shop"),
    ("get", "statefulsets.apps/scale", "shop"),
    ("list", "horizontalpodautoscalers.autoscaling", "shop"),
    ("list", "poddisruptionbudgets.policy", "shop"),
    ("list", "scaledobjects.keda.sh", "shop"),
    ("list", "verticalpodautoscalers.autoscaling.k8s.io", "shop"),
    ("get", "pods", "shop"),
    ("create", "leases.coordination.k8s.io", NAMESPACE),
    ("get", "secrets", NAMESPACE),
]
WORKLOADS = [
    ("patch", "deployments.apps"),
    ("patch", "statefulsets.apps"),
    ("patch", "daemonsets.apps"),
    ("patch", "deployments.apps/scale"),
    ("patch", "statefulsets.apps/scale"),
    ("patch", "horizontalpodautoscalers.autoscaling"),
    ("create", "pods/eviction"),
    ("list", "pods"),
]
OPT_INS = {
    "keda": [("patch", "scaledobjects.keda.sh")],
    "rollback": [("list", "replicasets.apps"), ("list", "controllerrevisions.apps")],
    "jobs": [("get", "cronjobs.batch"), ("get", "jobs.batch"), ("create", "jobs.batch")],
}
"""What each switch of `workloads` adds, where workloads may be changed."""
NODES = [("get", "nodes"), ("list", "nodes"), ("patch", "nodes")]
PODS = [("list", "pods"), ("create", "pods/eviction")]
NEVER = [
    ("get", "secrets", "shop"),
    ("list", "secrets", NAMESPACE),
    ("create", "leases.coordination.k8s.io", "kube-system"),
    ("update", "leases.coordination.k8s.io", NAMESPACE),  # of any name
    ("get", "configmaps", NAMESPACE),
    ("list", "pods", "shop"),
    ("delete", "pods", "shop"),
    ("patch", "pods", "shop"),
    ("create", "pods", "shop"),
    ("create", "pods/exec", "shop"),
    ("create", "deployments.apps", "shop"),
    ("delete", "deployments.apps", "shop"),
    ("update", "deployments.apps", "shop"),
    ("list", "deployments.apps", "shop"),
    ("patch", "replicasets.apps", "shop"),
    ("delete", "nodes", ""),
    ("create", "serviceaccounts/token", NAMESPACE),
    ("create", "rolebindings.rbac.authorization.k8s.io", NAMESPACE),
    ("impersonate", "users", ""),
    ("patch", "servicelevelobjectives.forestall.dev", "shop"),
    ("patch", "remediationpolicies.forestall.dev", "shop"),
    ("patch", "remediations.forestall.dev", "shop"),
    ("approve", "remediations.forestall.dev", "shop"),
    ("patch", "guardrails.forestall.dev", ""),
    ("update", "customresourcedefinitions.apiextensions.k8s.io", ""),
    ("get", "customresourcedefinitions.apiextensions.k8s.io", ""),
    ("update", "servicelevelobjectives.forestall.dev/status", "shop"),
    ("update", "deployments.apps/scale", "shop"),
    ("patch", "rollouts.argoproj.io/scale", "shop"),
]


def rights(release: Release) -> set[Right]:
    asked = [
        *ALWAYS,
        *NEVER,
        *((*right, namespace) for right in WORKLOADS for namespace in ("shop", "other")),
        *((*right, "") for right in (*NODES, *PODS)),
    ]
    return release.may_all(asked)


@pytest.mark.parametrize(
    ("values", "workloads_in", "everywhere"),
    [
        ({}, [], []),
        ({"workloads.namespaces": ["shop"]}, ["shop"], []),
        ({"workloads.clusterWide": True}, ["shop", "other"], PODS),
        ({"nodes.enabled": True}, [], NODES),
    ],
    ids=["default", "one namespace", "everywhere", "nodes"],
)
def test_operator_has_exactly_these_permissions(
    release: Release, values: Values, workloads_in: list[str], everywhere: list[tuple[str, str]]
) -> None:
    release.deploy(values)
    expected = {
        *ALWAYS,
        *((*right, namespace) for right in WORKLOADS for namespace in workloads_in),
        *((*right, "") for right in everywhere),
    }
    assert rights(release) == expected


@pytest.mark.parametrize("switch", OPT_INS)
def test_switch_adds_exactly_the_permissions_of_its_action(release: Release, switch: str) -> None:
    asked = [(*right, namespace) for each in OPT_INS.values() for right in each for namespace in ("shop", "other")]
    # What says whether a target exists and what would be done is read everywhere.
    unread = {("patch", "scaledobjects.keda.sh"), ("get", "jobs.batch"), ("create", "jobs.batch")}
    reads = {(*right, "other") for right in OPT_INS[switch] if right not in unread}
    release.deploy({f"workloads.{switch}": True, "workloads.namespaces": ["shop"]})
    assert release.may_all(asked) == {(*right, "shop") for right in OPT_INS[switch]} | reads
    release.deploy({"workloads.namespaces": ["shop"]})
    assert release.may_all(asked) == set()


def test_draining_is_a_switch_of_its_own(release: Release) -> None:
    release.deploy({"nodes.drain": True})
    held = release.may_all([(*right, "") for right in (*NODES, *PODS)])
    assert held == {(*right, "") for right in (*NODES, *PODS)}
    assert not release.may("delete", "pods", "shop")
    assert not release.may("patch", "deployments.apps", "shop")


@pytest.mark.parametrize(("role", "bound"), [("admin", True), ("edit", False)])
def test_admins_of_a_namespace_bind_the_role_themselves(release: Release, role: str, bound: bool) -> None:
    release.plane.kubectl("create", "rolebinding", role, "-n", "shop", "--user=kim", f"--clusterrole={role}")
    try:
        what = (f"--clusterrole={RELEASE}-workloads", f"--serviceaccount={NAMESPACE}:{RELEASE}", "--dry-run=server")
        tried = release.plane.kubectl("create", "rolebinding", "mine", "-n", "shop", "--as=kim", *what, check=False)
        assert (tried.returncode == 0) is bound, tried.stderr
    finally:
        release.plane.kubectl("delete", "rolebinding", role, "-n", "shop")


def test_operator_may_use_only_its_own_lease(release: Release) -> None:
    for verb in ("get", "update"):
        assert release.may(verb, "leases.coordination.k8s.io", NAMESPACE, LEASE)
        assert not release.may(verb, "leases.coordination.k8s.io", NAMESPACE, "another")
        assert not release.may(verb, "leases.coordination.k8s.io", "kube-system", LEASE)


def test_reading_can_be_narrowed(release: Release) -> None:
    release.deploy({"workloads.read": False, "workloads.namespaces": ["shop"], "secrets.names": ["prometheus"]})
    for right in (("get", "deployments.apps"), ("get", "deployments.apps/scale")):
        assert release.may(*right, "shop")
        assert not release.may(*right, "other")
    assert release.may("get", "secrets", NAMESPACE, "prometheus")
    assert not release.may("get", "secrets", NAMESPACE, "other")


def test_rules_for_other_targets_can_be_added(release: Release) -> None:
    rules = [
        {"apiGroups": ["argoproj.io"], "resources": ["rollouts"], "verbs": ["get"]},
        {"apiGroups": ["argoproj.io"], "resources": ["rollouts/scale"], "verbs": ["get", "patch"]},
    ]
    release.deploy({"workloads.extraRules": rules, "workloads.namespaces": ["shop"]})
    assert release.may("get", "rollouts.argoproj.io", "shop")
    assert release.may("patch", "rollouts.argoproj.io/scale", "shop")
    assert not release.may("get", "rollouts.argoproj.io", "other")
