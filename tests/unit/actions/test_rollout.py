"""When a rollout is complete, and when it never will be."""

from typing import Any

import pytest

from forestall.actions.rollout import complete, stuck

DONE: dict[str, dict[str, Any]] = {
    "Deployment": {"replicas": 3, "updatedReplicas": 3, "availableReplicas": 3},
    "StatefulSet": {"availableReplicas": 3, "updatedReplicas": 3, "updateRevision": "b", "currentRevision": "b"},
    "DaemonSet": {"desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 3},
}


def body(kind, spec=None, **status):
    return {
        "kind": kind,
        "metadata": {"generation": 2},
        "spec": {"replicas": 3, **(spec or {})},
        "status": {"observedGeneration": 2, **DONE[kind], **status},
    }


@pytest.mark.parametrize("kind", sorted(DONE))
def test_a_rollout_is_complete_when_all_pods_are_new_and_available(kind):
    assert complete(body(kind))
    assert not complete(body(kind, observedGeneration=1))


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("Deployment", {"updatedReplicas": 2}),
        ("Deployment", {"replicas": 4}),
        ("Deployment", {"availableReplicas": 2}),
        ("StatefulSet", {"currentRevision": "a"}),
        ("StatefulSet", {"availableReplicas": 2}),
        ("DaemonSet", {"updatedNumberScheduled": 2}),
        ("DaemonSet", {"numberAvailable": 2}),
    ],
)
def test_a_rollout_with_an_old_or_unavailable_pod_is_not_complete(kind, status):
    assert not complete(body(kind, **status))


@pytest.mark.parametrize(("updated", "whole"), [(1, True), (0, False)])
def test_a_partitioned_stateful_set_is_complete_at_its_partition(updated, whole):
    partition = {"updateStrategy": {"rollingUpdate": {"partition": 2}}}
    assert complete(body("StatefulSet", partition, updatedReplicas=updated, currentRevision="a")) is whole


def test_a_workload_without_pods_is_complete():
    assert complete(body("Deployment", {"replicas": 0}, replicas=0, updatedReplicas=0, availableReplicas=0))


def test_only_the_newest_generation_can_be_stuck():
    condition = {"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "no progress"}
    found = stuck(body("Deployment", conditions=[condition]))
    assert found is not None
    assert "no progress" in found.message
    assert stuck(body("Deployment", conditions=[condition], observedGeneration=1)) is None
    assert stuck(body("Deployment", conditions=[{**condition, "reason": "NewReplicaSetAvailable"}])) is None
