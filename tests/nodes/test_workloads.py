"""Workloads whose pods get into trouble after an action, as the operator sees and judges them.

All stories begin at the same time, each in a namespace of its own: a workload that serves, then what is wrong with it,
then a level past its limit, to which the operator answers. Each test follows one of them to its end.
"""

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import pytest
from tests.support.scaling import metric_source
from tests.support.situations import (
    WELL,
    Body,
    Levels,
    objective,
    policy,
    restart,
    scale_out,
    settings,
    template,
    workload,
)
from tests.support.waiting import until

from forestall.actions.rollout import complete
from forestall.devcluster.image_archive import write_image
from forestall.devcluster.node_packages import unpacked
from forestall.devcluster.nodes import RealNodes
from forestall.devcluster.prometheus import PrometheusServer
from forestall.devcluster.repeating import repeatedly

GONE: Final = "forestall.test/gone:1"
WIDE, SLOT = "stories.test/wide", "stories.test/slot"
"""Resources of node-1: one of the first, three of the second."""
ENDED: Final = ("Succeeded", "Failed", "Aborted", "RolledBack")
SECONDS: Final = 300.0
"""How long each step of a story may take on a busy machine."""
LONG: Final = "FORESTALL_LONG"
GIVEN_BACK_S: Final = 900.0
"""How long it may take until all is given back: ten minutes for what no node takes; a forecast needs some history."""
pytestmark = [
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        not os.environ.get(LONG), reason=f"fourteen workloads in trouble take minutes: `make nodes`, by {LONG}=1"
    ),
]


@dataclass(frozen=True)
class Story:
    """A workload that serves, what goes wrong with it, and what the operator may do."""

    web: Body
    policy: Body
    trouble: list[Body] = field(default_factory=list)
    extra: list[Body] = field(default_factory=list)
    per: str = ""
    level: float = 50.0


def quota(pods: int) -> Body:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small"},
        "spec": {"hard": {"pods": str(pods)}},
    }


def without_key(key: str) -> Body:
    """Return the settings without one of them, to which the pods refer."""
    return {**settings(), "data": {name: value for name, value in WELL.items() if name != key}}


def asking(resource: str) -> Body:
    amount = {resource: "1"}
    return {"resources": {"requests": amount, "limits": amount}}


def mortal() -> Body:
    """Return a template whose container serves until /data/stop exists, and can't start again then."""
    script = """
    [ -e /data/ran ] && exit 1
    /bin/busybox touch /data/ran
    /bin/busybox httpd -p 8080 -h /bin
    while [ ! -e /data/stop ]; do /bin/busybox sleep 1; done
    exit 1
    """
    mount = {"name": "data", "mountPath": "/data"}
    container = {"command": ["/bin/busybox", "sh", "-c", script], "volumeMounts": [mount]}
    return template(container, volumes=[{"name": "data", "emptyDir": {}}])


def stubborn(grace_s: int, **pod: Any) -> Body:
    """Return a template whose program ignores SIGTERM, as the first process does that has no handler for it."""
    return template(pod.pop("container", {}), terminationGracePeriodSeconds=grace_s, **pod)


def busy() -> list[Body]:
    """Return two pods of no priority that hold a slot each, and take their time to end."""
    batch = workload("Deployment", 2, stubborn(60, container=asking(SLOT)))
    batch["metadata"]["name"] = "batch"
    labels = {"app": "batch"}
    batch["spec"]["selector"]["matchLabels"] = labels
    batch["spec"]["template"]["metadata"]["labels"] = labels
    return [batch]


def job() -> Body:
    pods = template({"command": ["/bin/busybox", "sleep", "3600"], "readinessProbe": None})
    pods["metadata"]["labels"] = {"app": "once"}
    pods["spec"]["restartPolicy"] = "Never"
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": {"template": pods}}


QUICK = policy(restart(), within="10s")
PATIENT = policy(restart(), within="10m")
SLOW_START = {"readinessProbe": {"tcpSocket": {"port": 8080}, "initialDelaySeconds": 12, "periodSeconds": 1}}
HIGH = {
    "apiVersion": "scheduling.k8s.io/v1",
    "kind": "PriorityClass",
    "metadata": {"name": "stories-high"},
    "value": 1000,
}

STORIES: Final[dict[str, Story]] = {
    "crash": Story(workload("Deployment", 2), QUICK, [settings(START="false")]),
    "late-crash": Story(workload("Deployment", 1, mortal()), PATIENT),
    "image": Story(workload("Deployment", 1, template({"image": GONE})), QUICK),
    "probe": Story(workload("Deployment", 1), QUICK, [settings(READY="no")]),
    "quota": Story(workload("Deployment", 1), QUICK, [quota(1)]),
    "config": Story(workload("StatefulSet", 2), QUICK, [without_key("READY")]),
    "sigterm": Story(workload("StatefulSet", 1, stubborn(35)), PATIENT),
    "daemons": Story(workload("DaemonSet", 2), PATIENT),
    "scale-quota": Story(workload("Deployment", 2), policy(scale_out(5)), [quota(2)]),
    "scale-pending": Story(workload("Deployment", 1, template(asking(WIDE))), policy(scale_out(3), within="5s")),
    "scale-ordered": Story(
        workload("StatefulSet", 1, template(SLOW_START)), policy(scale_out(3), within="15s"), level=25
    ),
    "scale-unready": Story(workload("StatefulSet", 1), policy(scale_out(3), within="2s"), [settings(READY="no")]),
    "preemption": Story(
        workload("Deployment", 1, template(asking(SLOT), priorityClassName="stories-high")),
        policy(scale_out(3)),
        extra=busy(),
        level=25,
    ),
    "eviction": Story(workload("Deployment", 1), policy({"evict": {}}), extra=[job()], per="pod"),
}


class Stories:
    """The cluster in which the stories run, their levels, and what became of each Remediation so far."""

    def __init__(self, cluster: RealNodes, levels: Levels) -> None:
        self.cluster = cluster
        self.levels = levels
        self._past: dict[str, list[dict[str, Any]]] = {}

    @contextmanager
    def live(self) -> Iterator[Self]:
        """Watch the Remediations during the body."""
        with repeatedly(1, self._watch):
            yield self

    def pods(self, namespace: str) -> list[dict[str, Any]]:
        return self.cluster.items("pods", namespace)

    def job_pod(self) -> dict[str, Any]:
        (pod,) = [pod for pod in self.pods("eviction") if pod["metadata"]["name"].startswith("once-")]
        return pod

    def status(self, namespace: str) -> dict[str, Any]:
        """Return the newest status of the only Remediation; empty before there is one."""
        return next(reversed(self._past.get(namespace, [])), {})

    def condition(self, namespace: str, kind: str) -> dict[str, Any]:
        return condition(self.status(namespace), kind)

    def until_reason(self, namespace: str, reason: str) -> dict[str, Any]:
        """Return the status that the Remediation had, or has at last, with this reason."""
        return self.until_status(namespace, lambda status: status.get("reason") == reason)

    def until_condition(self, namespace: str, kind: str, status: str, reason: str = "") -> dict[str, Any]:
        """Return a condition that the Remediation had, or has at last, with this status, and reason if one is given."""

        def has(body: dict[str, Any]) -> bool:
            found = condition(body, kind)
            return found.get("status") == status and reason in ("", found["reason"])

        return condition(self.until_status(namespace, has), kind)

    def until_ended(self, namespace: str, seconds: float = GIVEN_BACK_S) -> dict[str, Any]:
        """Return the status when the Remediation has ended."""
        return self.until_status(namespace, lambda status: status.get("phase") in ENDED, seconds)

    def until_status(
        self, namespace: str, reached: Callable[[dict[str, Any]], bool], seconds: float = SECONDS
    ) -> dict[str, Any]:
        """Return the first status that the Remediation had, or has at last, of which this holds."""

        def statuses() -> list[dict[str, Any]]:
            return [status for status in self._past.get(namespace, []) if reached(status)]

        def look() -> bool:
            found, last = statuses(), self.status(namespace)
            assert found or last.get("phase") not in ENDED, last
            return bool(found)

        until(look, seconds=seconds, pause=0.5)
        return statuses()[0]

    def _watch(self) -> None:
        """Remember each status that a Remediation has had: tests look at one story after the other."""
        answer = self.cluster.kubectl("get", "remediations", "-A", "-o", "json", check=False)
        for body in json.loads(answer.stdout or '{"items": []}')["items"]:
            past = self._past.setdefault(body["metadata"]["namespace"], [])
            status = body.get("status") or {}
            if not past or past[-1] != status:
                past.append(status)


def condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    return next((condition for condition in status.get("conditions", []) if condition["type"] == kind), {})


def placed(namespace: str, *bodies: Body) -> list[Body]:
    return [{**body, "metadata": {**body["metadata"], "namespace": namespace}} for body in bodies]


def apply(cluster: RealNodes, bodies: list[Body]) -> None:
    manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": bodies})
    cluster.kubectl("apply", "-f", "-", stdin=manifest)


def serving(cluster: RealNodes) -> set[str]:
    """Return the namespaces whose workload and Jobs run."""
    kinds = "deployments,statefulsets,daemonsets,jobs"
    items = cluster.items(kinds, "", "-A")
    waiting = {
        item["metadata"]["namespace"]
        for item in items
        if not (item["status"].get("ready") if item["kind"] == "Job" else complete(item))
    }
    return {item["metadata"]["namespace"] for item in items} - waiting


@pytest.fixture(scope="module")
def levels(prometheus: PrometheusServer) -> Iterator[Levels]:
    with Levels(prometheus).live() as levels:
        yield levels


@pytest.fixture(scope="module")
def stories(operator: RealNodes, prometheus: PrometheusServer, levels: Levels, tmp_path_factory) -> Iterator[Stories]:
    """All stories, each from the moment at which its policy and its objective exist: its level is past the limit."""
    cluster = operator
    (busybox,) = unpacked(["busybox-static"]).rglob("busybox")
    archive: Path = tmp_path_factory.mktemp("images") / "gone.tar"
    programs = {"/bin/busybox": busybox, "/bin/sh": busybox}
    cluster.import_image(write_image(archive, GONE, programs, ["/bin/busybox"]))
    capacity = {"status": {"capacity": {WIDE: "1", SLOT: "3"}}}
    cluster.kubectl("patch", "node", "node-1", "--subresource=status", "--type=merge", "-p", json.dumps(capacity))
    namespaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in STORIES]
    apply(cluster, [*namespaces, HIGH, metric_source("levels", prometheus.pod_url)])
    accounts = ["wait", "--for=create", "serviceaccount/default", "--timeout=180s", "-n"]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: cluster.kubectl(*accounts, name), STORIES))
    bodies = [placed(name, settings(), story.web, *story.extra) for name, story in STORIES.items()]
    apply(cluster, [body for group in bodies for body in group])
    until(lambda: serving(cluster) >= set(STORIES), seconds=SECONDS, pause=1)
    for node in cluster.nodes:
        node.run("ctr", "-n", "k8s.io", "images", "rm", "--sync", GONE)
    bodies = [
        placed(name, *story.trouble, story.policy, objective(name, story.web["kind"], story.per))
        for name, story in STORIES.items()
    ]
    with Stories(cluster, levels).live() as stories:
        for name, story in STORIES.items():
            pod = stories.job_pod()["metadata"]["name"] if story.per else ""
            levels.set(story.level, name, pod=pod)
        apply(cluster, [body for group in bodies for body in group])
        yield stories
    cluster.kubectl("delete", "namespace", *STORIES, "--wait=false")
    cluster.kubectl("delete", "metricsource/levels", "priorityclass/stories-high", "--wait=false")


def give_up(stories: Stories, namespace: str) -> None:
    """Let the deadline of the rollout be over, once what the test waits for has been seen."""
    deadline = '{"spec": {"progressDeadlineSeconds": 1}}'
    stories.cluster.kubectl("patch", "deployment", "web", "-n", namespace, "-p", deadline)


def ready(stories: Stories, namespace: str, kind: str = "deployment") -> int:
    return int(stories.cluster.get(kind, "web", namespace)["status"].get("readyReplicas", 0))


def started(pod: dict[str, Any]) -> bool:
    """Say whether the pod's container runs, and is not ready."""
    return any(
        container.get("started") and not container["ready"] for container in pod["status"].get("containerStatuses", [])
    )


def replicas(stories: Stories, namespace: str, kind: str = "deployment") -> int:
    return int(stories.cluster.get(kind, "web", namespace)["spec"]["replicas"])


def test_a_restart_into_crashes_names_the_pods_and_how_they_end(stories):
    status = stories.until_reason("crash", "CrashLooping")
    assert "of deployment crash/web crash" in status["message"]
    assert "(web-" in status["message"]
    assert "exit code 1" in status["message"]
    give_up(stories, "crash")
    status = stories.until_ended("crash")
    assert (status["phase"], status["reason"]) == ("Failed", "RolloutStuck")
    assert "exit code 1" in status["message"]
    assert ready(stories, "crash") == 2, "the old pods serve on"


def test_pods_that_crash_after_the_rollout_are_no_success_although_the_risk_is_gone(stories):
    stories.until_condition("late-crash", "Completed", "True")
    (pod,) = [pod for pod in stories.pods("late-crash") if "deletionTimestamp" not in pod["metadata"]]
    stop = ("--", "/bin/busybox", "touch", "/data/stop")
    stories.cluster.kubectl("exec", "-n", "late-crash", pod["metadata"]["name"], *stop)
    until(lambda: ready(stories, "late-crash") == 0, seconds=SECONDS, pause=1)
    stories.levels.set(0, "late-crash")
    until(
        lambda: (
            ", but 1 pod of deployment late-crash/web crashes (web-"
            in stories.condition("late-crash", "Verified").get("message", "")
        ),
        seconds=SECONDS,
        pause=1,
    )
    assert stories.condition("late-crash", "Verified")["status"] == "Unknown"
    assert stories.status("late-crash")["phase"] == "Verifying"


def test_an_image_that_is_gone_is_named(stories):
    assert GONE in stories.until_reason("image", "ImagePullFailed")["message"]
    give_up(stories, "image")
    status = stories.until_ended("image")
    assert (status["phase"], status["reason"]) == ("Failed", "RolloutStuck")
    assert "1 pod of deployment image/web can't start (web-" in status["message"]
    assert ready(stories, "image") == 1


def test_a_pod_that_runs_and_is_not_ready_is_named_with_its_probe(stories):
    stories.until_reason("probe", "PodsNotReady")
    until(lambda: any(started(pod) for pod in stories.pods("probe")), seconds=SECONDS, pause=1)
    give_up(stories, "probe")
    status = stories.until_ended("probe")
    assert (status["phase"], status["reason"]) == ("Failed", "RolloutStuck")
    assert "container main runs, and its readiness probe has not passed" in status["message"]


def test_a_rollout_that_a_quota_refuses_names_the_quota(stories):
    stories.until_reason("quota", "QuotaExceeded")
    give_up(stories, "quota")
    status = stories.until_ended("quota")
    assert (status["phase"], status["reason"]) == ("Failed", "RolloutStuck")
    assert "exceeded quota: small" in status["message"]
    assert ready(stories, "quota") == 1


def test_a_stateful_set_names_the_pod_that_cannot_start(stories):
    """The last pod is replaced first."""
    status = stories.until_reason("config", "ContainerFailed")
    assert "configmap" in status["message"].lower()
    assert "1 pod of statefulset config/web can't start (web-1): container main: CreateContainer" in status["message"]
    assert ready(stories, "config", "statefulset") == 1


def test_a_pod_that_ignores_sigterm_is_waited_for_until_its_grace_period_is_over(stories):
    status = stories.until_reason("sigterm", "PodsTerminating")
    assert "not ended yet (web-0): its grace period of 35 s lasts until" in status["message"]
    stories.until_condition("sigterm", "Completed", "True")
    stories.levels.set(0, "sigterm")
    status = stories.until_ended("sigterm")
    assert (status["phase"], status["reason"]) == ("Succeeded", "Verified")


def test_the_pods_of_a_daemon_set_are_restarted_on_all_nodes(stories):
    stories.until_condition("daemons", "Completed", "True")
    (remediation,) = stories.cluster.items("remediations", "daemons")
    created = {pod["metadata"]["creationTimestamp"] for pod in stories.pods("daemons")}
    assert min(created) >= remediation["metadata"]["creationTimestamp"]
    stories.levels.set(0, "daemons")
    assert stories.until_ended("daemons")["phase"] == "Succeeded"


def test_replicas_that_a_quota_refuses_are_given_back(stories):
    status = stories.until_ended("scale-quota")
    assert (status["phase"], status["reason"]) == ("RolledBack", "QuotaExceeded")
    assert "can't be created" in status["message"]
    assert "exceeded quota: small" in status["message"]
    assert replicas(stories, "scale-quota") == 2


def test_replicas_that_no_node_takes_are_named_and_given_back(stories):
    stories.until_condition("scale-pending", "Verified", "False")
    status = stories.until_reason("scale-pending", "Unschedulable")
    assert f"Insufficient {WIDE}" in status["message"]
    assert "the 2 that serve nobody are removed in " in status["message"]
    assert stories.condition("scale-pending", "PodsReady")["status"] == "False"
    stories.levels.set(0, "scale-pending")
    status = stories.until_ended("scale-pending")
    assert (status["phase"], status["reason"]) == ("RolledBack", "Unschedulable")
    assert replicas(stories, "scale-pending") == 1


def test_a_stateful_set_scales_out_in_order_and_its_start_up_is_measured(stories):
    """The policy judges after 15 s, and the pods, one after the other, take 24 s: it is not judged before."""
    stories.until_condition("scale-ordered", "PodsReady", "True")
    assert "the pods that were asked for are ready, " in stories.condition("scale-ordered", "PodsReady")["message"]
    stories.until_condition("scale-ordered", "Verified", "True", "RiskFell")
    stories.levels.set(0, "scale-ordered")
    status = stories.until_ended("scale-ordered")
    assert (status["phase"], status["reason"]) == ("Succeeded", "Released")
    assert replicas(stories, "scale-ordered", "statefulset") == 1


def test_in_order_one_pod_that_is_not_ready_keeps_the_next_from_being_made(stories):
    message = (
        "1 pod of statefulset scale-unready/web has not become ready (web-1): container main runs, and its readiness "
        "probe has not passed"
    )
    status = stories.until_status(
        "scale-unready", lambda status: message in condition(status, "PodsReady").get("message", "")
    )
    assert condition(status, "Verified")["status"] == "Unknown"
    assert [pod["metadata"]["name"] for pod in stories.pods("scale-unready")] == ["web-0", "web-1"]
    stories.levels.set(0, "scale-unready")
    stories.until_ended("scale-unready")
    assert replicas(stories, "scale-unready", "statefulset") == 1


def test_pods_of_lower_priority_that_give_way_are_told_of(stories):
    stories.until_condition("preemption", "PodsPreempted", "True")
    preempted = stories.condition("preemption", "PodsPreempted")
    assert "the scheduler removes pods of lower priority from node node-1" in preempted["message"]
    until(lambda: ready(stories, "preemption") == 3, seconds=SECONDS, pause=1)
    assert stories.condition("preemption", "PodsPreempted") == preempted


def test_the_pod_of_a_job_is_not_evicted(stories):
    def decision() -> dict[str, Any]:
        status = stories.cluster.get("servicelevelobjective", "web", "eviction").get("status") or {}
        return next(iter(status.get("decisions", [])), {})

    until(lambda: bool(decision()) and decision()["reason"] != "BelowThreshold", seconds=SECONDS, pause=1)
    pod = stories.job_pod()
    assert "deletionTimestamp" not in pod["metadata"]
    assert f"{pod['metadata']['name']} does not belong to deployment eviction/web" in json.dumps(decision())


def test_a_stateful_set_that_makes_no_progress_ends_after_ten_minutes_without_a_deadline_of_its_controller(stories):
    status = stories.until_ended("config")
    assert (status["phase"], status["reason"]) == ("Failed", "RolloutStuck")
    assert "no progress for 10 minutes: 1 pod of statefulset config/web can't start" in status["message"]
