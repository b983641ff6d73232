"""Respond to an incident: every command of that page of docs/operate.md, in order, and `undo`, on a real control plane.

The operator is a separate process with the chart's permissions, its metrics come from a real Prometheus, and the
admission policies are in force. The load is past every limit from the start, so that every allowed action is made.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.control_plane import QUICK_AUTOSCALERS

from forestall.devcluster.local import LocalCluster
from forestall.devcluster.prometheus import PrometheusServer
from forestall.devcluster.provider import local_cluster
from forestall.devcluster.remote_write import Series
from forestall.devcluster.repeating import repeatedly

API = "forestall.dev/v1alpha1"
FOUND = 3
DEADLINE_S = 400.0


def block_of(page: str, title: str) -> list[list[str]]:
    """Return the commands of a section, block by block."""
    section = re.split(r"^## ", page.partition(f"## {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    return [text.splitlines() for text in re.findall(r"^```bash\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)]


def until(holds: Callable[[], Any], told: Callable[[], str]) -> Any:
    """Wait until something holds, and return it."""
    end = time.monotonic() + DEADLINE_S
    while not (result := holds()):
        assert time.monotonic() < end, f"it did not happen in time: {told()}"
        time.sleep(0.3)
    return result


@pytest.fixture(scope="module")
def night(programs, root) -> Iterator["Night"]:
    """A separate cluster, because the test pauses all of it and ends its operator."""
    with local_cluster(programs, nodes=3, arguments=QUICK_AUTOSCALERS) as cluster:
        install = ("install", "forestall", root / "charts" / "forestall", "-n", "forestall-system")
        values = "--set=image.repository=forestall,replicas=0"
        cluster.helm(*install, "--create-namespace", values)
        with PrometheusServer(cluster.workspace, programs) as server:
            server.write([load([time.time() - age for age in range(600, 0, -5)])])

            with repeatedly(1.0, lambda: server.write([load([time.time()])])):
                world = Night(cluster, root, Path(programs["kubectl"]).parent)
                spec = {"url": server.url}
                cluster.apply(
                    {"apiVersion": API, "kind": "MetricSource", "metadata": {"name": "default"}, "spec": spec}
                )
                world.start_operator()
                yield world


def load(times: list[float]) -> Series:
    return Series({"__name__": "load"}, times, [500.0 for _ in times])


class Night:
    """The cluster, its operator, and a person with a shell."""

    def __init__(self, cluster: LocalCluster, root: Path, kubectl: Path) -> None:
        self.cluster = cluster
        self.root = root
        self.kubectl = kubectl
        """The folder of the program kubectl."""
        self.operator: subprocess.Popen[bytes] | None = None

    def start_operator(self) -> None:
        config = self.cluster.kubeconfig_for("forestall-system", "forestall")
        command = [sys.executable, "-m", "forestall", "run", "--namespace=forestall-system", "--identity=night"]
        command += ["--interval=2s", "--listen=127.0.0.1:0", f"--kubeconfig={config}"]
        self.operator = self.cluster.workspace.start("operator", command, env=dict(os.environ))

    def last_words(self) -> str:
        return self.cluster.workspace.last_words("operator")

    def shell(self, command: str, kubeconfig: Path | None = None) -> tuple[int, str]:
        """Run a command line of `forestall` or `kubectl` as a person does; return its exit code and output."""
        program = f"{sys.executable} -m forestall" if command.startswith("forestall ") else ""
        line = f"{program} {command.removeprefix('forestall ')}" if program else command
        there = {**os.environ, **self.cluster.environment, "NO_COLOR": "1"}
        there["PATH"] = os.pathsep.join([str(self.kubectl), there["PATH"]])
        there["KUBECONFIG"] = str(kubeconfig or self.cluster.kubeconfig)
        done = subprocess.run(["bash", "-c", line], env=there, capture_output=True, text=True, timeout=120, check=False)
        return done.returncode, done.stdout + done.stderr

    def namespace(self, name: str) -> None:
        """Make a namespace whose admin lets the operator change workloads."""
        self.cluster.kubectl("create", "namespace", name)
        role = ("--clusterrole=forestall-workloads", "--serviceaccount=forestall-system:forestall")
        self.cluster.kubectl("create", "rolebinding", "forestall-workloads", "-n", name, *role)

    def workload(self, namespace: str, name: str, mode: str, *, policy: str, autoscaler: bool = False) -> None:
        """Run a workload whose load is past its limit, with an objective and a policy for it."""
        kubectl = self.cluster.kubectl
        kubectl("create", "deployment", name, "-n", namespace, f"--image={name}", f"--replicas={FOUND}")
        kubectl("rollout", "status", f"deployment/{name}", "-n", namespace, "--timeout=90s")
        if autoscaler:
            kubectl("autoscale", "deployment", name, "-n", namespace, f"--min={FOUND}", "--max=40", "--cpu-percent=80")
        objective = {
            "target": {"name": name},
            "indicator": {"raw": {"errorRatio": "0 * sum(load)"}},
            "objective": 99.0,
            "leadingIndicators": [{"name": "load", "query": "sum(load)", "limit": 100, "horizon": "1m"}],
        }
        capacity = {"type": "Declared", "perReplica": 60, "indicator": "load"}
        acts = {
            "objectives": {"matchLabels": {"app": name}},
            "mode": mode,
            "actions": [{"scale": {"maxReplicas": 40, "stabilizationWindow": "10m", "capacity": capacity}}],
        }
        metadata = {"name": name, "labels": {"app": name}}
        self.cluster.apply(
            {"apiVersion": API, "kind": "ServiceLevelObjective", "metadata": metadata, "spec": objective},
            {"apiVersion": API, "kind": "RemediationPolicy", "metadata": {"name": policy}, "spec": acts},
            namespace=namespace,
        )

    def replicas(self, namespace: str, name: str) -> int:
        return int(self.cluster.get("deployment", name, namespace)["spec"]["replicas"])

    def remediation(self, namespace: str, policy: str, *phases: str) -> str | None:
        """Return the name of the Remediation of a policy, if it is in one of the phases."""
        listed = self.cluster.items("remediations", namespace)
        for each in listed:
            if each["spec"]["intent"]["policy"]["name"] == policy and each.get("status", {}).get("phase") in phases:
                return str(each["metadata"]["name"])
        return None

    def wait_for(self, namespace: str, policy: str, *phases: str) -> str:
        return str(until(lambda: self.remediation(namespace, policy, *phases), self.last_words))

    def end_of(self, namespace: str, name: str) -> tuple[str, str]:
        status = self.cluster.get("remediation", name, namespace)["status"]
        return status["phase"], status["reason"]

    def person(self, namespace: str, role: str) -> Path:
        """Return the kubeconfig of a user with one of the cluster's own roles in a namespace."""
        self.cluster.kubectl("create", "serviceaccount", role, "-n", namespace)
        subject = (f"--clusterrole={role}", f"--serviceaccount={namespace}:{role}")
        self.cluster.kubectl("create", "rolebinding", f"person-{role}", "-n", namespace, *subject)
        return self.cluster.kubeconfig_for(namespace, role)


@pytest.mark.parametrize(
    ("autoscaler", "patch"),
    [(False, {"suspend": True}), (True, {"mode": "Observe"})],
    ids=["suspended, replicas", "observe, floor of an autoscaler"],
)
def test_undo_reverts_actions_of_a_policy_that_no_longer_acts(night, autoscaler, patch):
    """Kind: an action that can be undone stays forever because its policy no longer applies."""
    place = f"undo-{'hpa' if autoscaler else 'plain'}-{'suspended' if 'suspend' in patch else 'observe'}"
    night.namespace(place)
    night.workload(place, "checkout", "Auto", policy="early", autoscaler=autoscaler)
    name = night.wait_for(place, "early", "Verifying", "Holding", "RollingBack")
    until(lambda: night.replicas(place, "checkout") > FOUND, night.last_words)
    change = json.dumps({"spec": patch})
    code, words = night.shell(f"kubectl patch rempol early -n {place} --type=merge -p '{change}'")
    assert code == 0, words
    editor = night.person(place, "edit")
    code, words = night.shell(f"forestall undo -n {place} {name} --comment x", editor)
    assert (code, "needs the verb approve" in words) == (1, True), words
    assert "may not undo remediations" in words
    admin = night.person(place, "admin")
    code, words = night.shell(f"forestall undo -n {place} {name} --comment 'a load test'", admin)
    assert code == 0, words
    until(lambda: night.end_of(place, name) == ("RolledBack", "UndoRequested"), night.last_words)
    if autoscaler:
        assert night.cluster.get("hpa", "checkout", place)["spec"]["minReplicas"] == FOUND
    else:
        assert night.replicas(place, "checkout") == FOUND
    request = night.cluster.get("remediation", name, place)["spec"]["undo"]
    assert request["by"] == f"system:serviceaccount:{place}:admin"
    again = night.shell(f"forestall undo -n {place} {name} --comment again", admin)
    assert again[0] == 1
    assert "has ended" in again[1]
    forged = json.dumps({"spec": {"undo": {"by": "root", "comment": "x"}}})
    code, words = night.shell(f"kubectl patch remed {name} -n {place} --type=merge -p '{forged}'", admin)
    assert code != 0, words


def test_every_command_of_the_page_works(night):
    """With a dead operator, the first line of the output says so."""
    shop = "shop"
    night.namespace(shop)
    night.workload(shop, "checkout", "Auto", policy="early")
    night.workload(shop, "cart", "Approve", policy="asks")
    night.workload(shop, "search", "Approve", policy="asks-too")
    acted = night.wait_for(shop, "early", "Verifying", "Holding", "RollingBack")
    names = {
        "approve": night.wait_for(shop, "asks", "AwaitingApproval"),
        "reject": night.wait_for(shop, "asks-too", "AwaitingApproval"),
    }
    blocks = block_of((night.root / "docs" / "operate.md").read_text("utf-8"), "Respond to an incident")
    said: dict[str, str] = {}
    assert len(blocks) == 6
    for line in (line for block in blocks for line in block):
        verb = line.split()[1]
        if verb == "unlock":
            until(lambda: night.end_of(shop, acted) == ("RolledBack", "UndoRequested"), night.last_words)
            assert night.replicas(shop, "checkout") == FOUND
        code, words = night.shell(line.replace("REMEDIATION", names.get(verb, acted)))
        assert code == 0, f"{line}\n{words}\n{night.last_words()}"
        said[line.partition(" -n ")[0]] = words
        if verb == "pause":
            assert "paused: namespace shop" in night.shell("forestall explain -n shop checkout")[1]
        if verb == "resume":
            assert "SUSPENDED: policy early" in night.shell("forestall status -n shop")[1]
    assert "checkout" in said["forestall status -A"]
    assert f"forestall undo -n shop {acted}" in said["forestall explain"]
    assert acted in said["forestall history"]
    # The suspension before changed when the policy acts, and not what it does: it is locked until a person has looked.
    assert re.search(rf"{acted} unhelpful: .*{FOUND} → \d+ → {FOUND}", said["forestall unlock"])
    assert re.search(r"EVALUATED.*\n(.*\n)*.*shop +checkout +.*True +\d+[ms]", said["kubectl get fslo -A"])
    assert re.match(r"\d{4}-\d\d-\d\dT", said["kubectl get lease forestall"])


def test_dead_operator_is_reported(night):
    """Kind: the last state is shown as the present one. This is the last test, because it ends the operator."""
    place = "quiet"
    night.namespace(place)
    night.workload(place, "web", "Observe", policy="early")
    viewer = night.person(place, "view")

    def looked() -> bool:
        return bool(night.cluster.get("fslo", "web", place).get("status", {}).get("lastEvaluated"))

    until(looked, night.last_words)
    assert "NOT RUNNING" not in night.shell(f"forestall status -n {place}", viewer)[1]
    night.operator.kill()
    night.operator.wait(30)
    until(lambda: "OPERATOR NOT RUNNING" in night.shell(f"forestall status -n {place}", viewer)[1], night.last_words)
    explained = night.shell(f"forestall explain -n {place} web", viewer)[1]
    assert "OPERATOR NOT RUNNING: the last evaluation was" in explained
