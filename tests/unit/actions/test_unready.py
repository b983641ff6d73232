"""What is said of pods that do not serve: how many, which, and why, in the words of whoever keeps them from it."""

from typing import Any

import pytest

from forestall.actions.unready import creation_failure, explain, listed

WORKLOAD = "deployment shop/web"


def pod(name: str, *containers: dict[str, Any], spec: Any = None, **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec or {}, "status": {"containerStatuses": containers, **status}}


def container(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "main", "ready": False, "restartCount": 0, "state": state, **more}


ENDED = {"terminated": {"exitCode": 1, "reason": "Error"}}
BACK_OFF = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}}
PULL = {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "shop/web:2"'}}
CONFIG = {"waiting": {"reason": "CreateContainerConfigError", "message": 'configmap "settings" not found'}}
RUNS = {"running": {"startedAt": "2027-01-15T08:00:00Z"}}
PENDING = {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/2 nodes are available"}]}
PROBED = {"containers": [{"name": "main", "readinessProbe": {}}]}
GATED = {"readinessGates": [{"conditionType": "ready.example.com"}]}


@pytest.mark.parametrize(
    ("content", "reason", "message"),
    [
        (pod("a", container(BACK_OFF, restartCount=3, lastState=ENDED)), "CrashLooping",
         ("1 pod of deployment shop/web crashes (a): container main: CrashLoopBackOff, 3 restarts, its last run ended "
         "with exit code 1 (Error)")),
        (pod("a", container(RUNS, restartCount=3, lastState=ENDED)), "CrashLooping", "3 restarts"),
        (pod("a", container(ENDED)), "CrashLooping", "exit code 1 (Error)"),
        (pod("a", container(PULL)), "ImagePullFailed",
         ("1 pod of deployment shop/web can't start (a): container main: ImagePullBackOff: Back-off pulling image "
         '"shop/web:2"')),
        (pod("a", container(CONFIG)), "ContainerFailed", 'configmap "settings" not found'),
        (pod("a", **PENDING), "Unschedulable", "can't start (a): 0/2 nodes are available"),
        (
            pod("a", **PENDING, nominatedNodeName="n1"),
            "Preempting",
            "waits (a): the scheduler removes pods of lower priority from node n1",
        ),
        (pod("a", phase="Failed", reason="Evicted", message="low on disk"), "PodsFailed", "Evicted: low on disk"),
    ],
)  # fmt: skip
def test_a_cause_that_a_component_reports_is_told_in_its_words(content, reason, message):
    unready = explain([content], WORKLOAD)
    assert unready is not None
    assert (unready.why.reason, unready.is_reported) == (reason, True)
    assert message in unready.why.message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pod("a", container(RUNS), spec=PROBED), "container main runs, and its readiness probe has not passed"),
        (pod("a", container(RUNS)), "container main runs, and is not ready"),
        (pod("a", container(RUNS, started=False), spec={"containers": [{"name": "main", "startupProbe": {}}]}),
         "container main runs, and its startup probe has not passed"),
        (pod("a", container({"waiting": {"reason": "ContainerCreating"}})), "container main waits: ContainerCreating"),
        (pod("a", container(RUNS, ready=True), spec=GATED), "its readiness gate ready.example.com has not passed"),
        (pod("a", initContainerStatuses=[container(ENDED, ready=True)]), "nothing says why"),
        (pod("a", spec="?", conditions="?", initContainerStatuses="?"), "nothing says why"),
    ],
)  # fmt: skip
def test_how_far_a_pod_is_that_nothing_says_a_cause_of(content, message):
    unready = explain([content], WORKLOAD)
    assert unready is not None
    assert (unready.why.reason, unready.is_reported) == ("PodsNotReady", False)
    assert unready.why.message == f"1 pod of deployment shop/web has not become ready (a): {message}"


def test_a_reported_cause_comes_first_and_counts_the_pods_that_have_it():
    crash = container(BACK_OFF, restartCount=1)
    pods = [pod("a", container(RUNS)), *(pod(name, crash) for name in "fedcb"), pod("g", container(PULL))]
    unready = explain(pods, WORKLOAD)
    assert unready is not None
    assert unready.why.message.startswith("5 pods of deployment shop/web crash (b, c, d, 2 more): container main")


def test_of_no_pods_nothing_is_said():
    assert explain([], WORKLOAD) is None
    assert listed([]) == ""


@pytest.mark.parametrize(
    ("message", "reason"), [("exceeded quota: small", "QuotaExceeded"), ("violates PodSecurity", "PodsNotCreated")]
)
def test_pods_that_cannot_be_created_are_told_in_the_words_of_the_api_server(message, reason):
    status = {"conditions": [{"type": "ReplicaFailure", "status": "True", "message": message}]}
    assert creation_failure(status, WORKLOAD, 2) is not None
    failure = creation_failure(status, WORKLOAD)
    assert failure is not None
    assert (failure.reason, failure.message) == (reason, f"pods of {WORKLOAD} can't be created: {message}")
    assert creation_failure({"conditions": [{"type": "ReplicaFailure", "status": "False"}]}, WORKLOAD) is None
