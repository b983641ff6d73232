"""The commands against a real API server: permissions, messages and written objects."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from forestall.devcluster.cluster import RunningCluster

API = "forestall.dev/v1alpha1"
SCRIPTS = Path(sys.executable).parent


@pytest.fixture
def forestall(cluster: RunningCluster):
    """Run `forestall` as a separate process, with the permissions of a kubeconfig."""

    def run(*words: str, kubeconfig: Path | str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        config = str(kubeconfig or cluster.kubeconfig)
        return subprocess.run(
            [sys.executable, "-m", "forestall", *words],
            env={**os.environ, "KUBECONFIG": config, "NO_COLOR": "1", **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def objective(cluster: RunningCluster, namespace: str) -> str:
    """An objective at risk, as the operator writes it."""
    spec = {
        "target": {"name": "checkout"},
        "indicator": {"ratio": {"good": 'http_requests_total{code!~"5.."}', "total": "http_requests_total"}},
        "objective": 99.5,
    }
    body = {"apiVersion": API, "kind": "ServiceLevelObjective", "metadata": {"name": "checkout"}, "spec": spec}
    status = {
        "state": "AtRisk",
        "sli": "99.710%",
        "breachProbability": "93%",
        "timeToBreach": "6m",
        "cause": {"indicator": "utilisation", "value": "0.71", "limit": "0.85", "probability": "93%"},
        "decisions": [
            {"policy": "early", "verdict": "Hold", "reason": "Cooldown", "message": "4m are left"},
        ],
    }
    cluster.apply(body, namespace=namespace)
    write_status(cluster, "servicelevelobjective", "checkout", namespace, status)
    return "checkout"


def write_status(cluster: RunningCluster, kind: str, name: str, namespace: str, status: object) -> None:
    patch = json.dumps({"status": status})
    cluster.kubectl("patch", kind, name, "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)


def intend(cluster: RunningCluster, namespace: str, name: str, mode: str = "Approve") -> str:
    """Create a Remediation that waits for approval."""
    uid = cluster.get("servicelevelobjective", "checkout", namespace)["metadata"]["uid"]
    now = datetime.now(UTC)

    def at(minutes: float) -> str:
        return (now + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")

    objective = {"apiVersion": API, "kind": "ServiceLevelObjective", "namespace": namespace, "name": "checkout"}
    intent = {
        "policy": {"apiVersion": API, "kind": "RemediationPolicy", "namespace": namespace, "name": "early"},
        "objective": {**objective, "uid": uid},
        "episode": 1,
        "target": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": namespace, "name": "checkout"},
        "action": {"scale": {"maxReplicas": 9}},
        "mode": mode,
        "from": 3,
        "to": 6,
        "evidence": {"indicator": "utilisation", "reason": "utilisation is forecast to pass 0.85"},
        "created": at(-1),
        "deadline": at(29),
        "approvalExpires": at(14),
    }
    body = {"apiVersion": API, "kind": "Remediation", "metadata": {"name": name}, "spec": {"intent": intent}}
    cluster.apply(body, namespace=namespace)
    write_status(cluster, "remediation", name, namespace, {"phase": "AwaitingApproval", "since": at(-1)})
    return name


def user(cluster: RunningCluster, namespace: str, name: str, *verbs: str) -> Path:
    """Return the kubeconfig of a user with only these verbs on Remediations."""
    cluster.kubectl("create", "serviceaccount", name, "-n", namespace)
    cluster.kubectl("create", "role", name, "-n", namespace, "--resource=remediations.forestall.dev", *map(verb, verbs))
    cluster.kubectl(
        "create", "rolebinding", name, "-n", namespace, f"--role={name}", f"--serviceaccount={namespace}:{name}"
    )
    return cluster.kubeconfig_for(namespace, name)


def verb(name: str) -> str:
    return f"--verb={name}"


@pytest.mark.usefixtures("objective")
def test_status_of_a_namespace(forestall, namespace):
    done = forestall("status", "-n", namespace, "--exit-code")
    assert (done.returncode, done.stderr) == (3, "")
    head, line = done.stdout.splitlines()
    assert head.split()[:4] == ["NAME", "STATE", "BREACH", "IN"]
    assert line.split()[:4] == ["checkout", "AtRisk", "93%", "6m"]
    assert "Hold Cooldown" in line


@pytest.mark.usefixtures("objective")
def test_namespace_of_the_kubeconfig_is_the_default(forestall, cluster, namespace):
    cluster.kubectl("create", "serviceaccount", "reader", "-n", namespace)
    cluster.kubectl("create", "role", "reader", "-n", namespace, "--verb=get,list", "--resource=*.forestall.dev")
    cluster.kubectl(
        "create", "rolebinding", "reader", "-n", namespace, "--role=reader", f"--serviceaccount={namespace}:reader"
    )
    done = forestall("status", kubeconfig=cluster.kubeconfig_for(namespace, "reader"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "checkout" in done.stdout
    refused = forestall("status", "-A", kubeconfig=cluster.kubeconfig_for(namespace, "reader"))
    assert refused.returncode == 1
    assert "cannot list resource" in refused.stderr
    assert "Ask a cluster admin" in refused.stderr


@pytest.mark.usefixtures("objective")
def test_json_equals_that_of_kubectl(forestall, cluster, namespace):
    mine = json.loads(forestall("status", "-n", namespace, "-o", "json").stdout)
    theirs = json.loads(cluster.kubectl("get", "fslo", "-n", namespace, "-o", "json").stdout)
    assert [each["metadata"]["uid"] for each in mine["items"]] == [each["metadata"]["uid"] for each in theirs["items"]]
    assert mine["items"][0]["kind"] == "ServiceLevelObjective"
    assert mine["items"][0]["status"] == theirs["items"][0]["status"]


@pytest.mark.usefixtures("objective")
def test_names_work_with_kubectl(forestall, cluster, namespace):
    name = forestall("status", "-n", namespace, "-o", "name").stdout.strip()
    assert cluster.kubectl("get", name, "-n", namespace, "-o", "name").stdout.strip() == name


def test_explain_shows_pending_approvals_with_working_commands(forestall, cluster, namespace, objective):
    intend(cluster, namespace, "early-scale-1")
    shown = forestall("explain", objective, "-n", namespace)
    assert (shown.returncode, shown.stderr) == (0, "")
    command = next(line for line in shown.stdout.splitlines() if "forestall approve" in line)
    approved = forestall(*command.split()[1:])
    assert (approved.returncode, approved.stderr) == (0, "")
    assert "early-scale-1 approved: Scale Deployment/checkout 3 → 6" in approved.stdout
    assert "forestall approve" not in forestall("explain", objective, "-n", namespace).stdout


def test_approval_is_recorded_with_the_user_name_of_the_server(forestall, cluster, namespace, objective):
    del objective
    intend(cluster, namespace, "early-scale-1")
    config = user(cluster, namespace, "oncall", "get", "list", "patch", "approve")
    done = forestall("approve", "early-scale-1", "--comment", "campaign", kubeconfig=config)
    assert (done.returncode, done.stderr) == (0, "")
    approval = cluster.get("remediation", "early-scale-1", namespace)["spec"]["approval"]
    assert approval["by"] == f"system:serviceaccount:{namespace}:oncall"
    assert approval["decision"] == "Approved"
    assert approval["comment"] == "campaign"
    assert abs(datetime.fromisoformat(approval["at"]) - datetime.now(UTC)) < timedelta(minutes=1)
    again = forestall("reject", "early-scale-1", "-n", namespace)
    assert again.returncode == 1
    assert f"was approved by system:serviceaccount:{namespace}:oncall" in again.stderr


def test_refused_decision_names_the_missing_permission(forestall, cluster, namespace, objective):
    del objective
    intend(cluster, namespace, "early-scale-1")
    config = user(cluster, namespace, "looker", "get", "list")
    done = forestall("reject", "early-scale-1", kubeconfig=config)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"You (system:serviceaccount:{namespace}:looker) may not decide" in done.stderr
    assert "approval" not in cluster.get("remediation", "early-scale-1", namespace)["spec"]


def test_approval_of_a_remediation_that_needs_none_is_refused(forestall, cluster, namespace, objective):
    del objective
    intend(cluster, namespace, "early-scale-1", mode="Auto")
    done = forestall("approve", "early-scale-1", "-n", namespace)
    assert done.returncode == 1
    assert "its policy's mode is Auto" in done.stderr


def test_unknown_name_suggests_similar_ones(forestall, namespace, objective):
    done = forestall("explain", "chekout", "-n", namespace)
    assert done.returncode == 1
    assert f"Did you mean {objective}?" in done.stderr


@pytest.mark.usefixtures("objective")
def test_plugin_of_kubectl(cluster, programs, namespace):
    """kubectl finds `kubectl-forestall` on the PATH."""
    path = os.pathsep.join([str(SCRIPTS), os.environ.get("PATH", "")])
    kubectl = subprocess.run(
        [programs["kubectl"], "forestall", "status", "-n", namespace, "-o", "name"],
        env={**os.environ, **cluster.environment, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert kubectl.stdout == "servicelevelobjective.forestall.dev/checkout\n"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"KUBECONFIG": "/nowhere/config"}, "no kubeconfig at /nowhere/config"),
        ({"words": "--context=nowhere"}, "nowhere"),
        ({"server": "https://127.0.0.1:1"}, "Is the cluster up"),
        ({"token": "expired"}, "credentials"),
    ],
)
def test_unreachable_cluster_is_one_line_that_says_what_to_do(forestall, cluster, tmp_path, change, said):
    config = Path(change.get("KUBECONFIG", tmp_path / "config"))
    if "KUBECONFIG" not in change:
        view = json.loads(cluster.kubectl("config", "view", "--raw", "--flatten", "-o", "json").stdout)
        if "server" in change:
            view["clusters"][0]["cluster"] |= {"server": change["server"]}
        if "token" in change:
            view["users"][0]["user"] = {"token": change["token"]}
        config.write_text(json.dumps(view))
    done = forestall("status", *filter(None, [change.get("words")]), kubeconfig=config)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr


def test_missing_crds_are_reported_with_how_to_install_them(forestall, cluster, tmp_path):
    """The shared cluster has them; a second API version of the group does not."""
    program = (
        "import sys, forestall.api, forestall.api.meta\n"
        "forestall.api.API_VERSION = forestall.api.meta.API_VERSION = 'forestall.dev/v9'\n"
        "from forestall.__main__ import main\n"
        "sys.argv = ['forestall', 'status']\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "forestall crds | kubectl apply" in done.stderr
