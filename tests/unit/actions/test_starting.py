"""Why pods that were asked for do not serve, and how many of them can be given back without taking any that does."""

from typing import Any, cast

import pytest

from forestall.actions.floor import Floor
from forestall.actions.starting import find_stalled_replicas
from forestall.actions.starting import pods_of as of_workload
from forestall.api.remediation import ObjectRef
from forestall.ports import Cluster

START = 1_800_000_000.0  # 2027-01-15T08:00:00Z
BEFORE, AFTER = "2027-01-15T07:00:00Z", "2027-01-15T08:01:00Z"
GOING = {"metadata": {"deletionTimestamp": AFTER}}
QUOTA = 'pods "web-1" is forbidden: exceeded quota: small, requested: pods=1, used: pods=3, limited: pods=3'


def target(kind: str = "Deployment") -> ObjectRef:
    return ObjectRef(api_version="apps/v1", kind=kind, namespace="shop", name="web", uid="d-1")


def floor(level: int = 6, size: int = 6, autoscaler: Any = None, **status: Any) -> Floor:
    counted = {"replicas": size, "updatedReplicas": size, "readyReplicas": 3, **status}
    return Floor(level, size, target(), "1", False, workload={"status": counted}, autoscaler=autoscaler)


def pod(number: int, *, created: str = AFTER, **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": f"web-{number}", "creationTimestamp": created}, "status": status}


def ready(number: int) -> dict[str, Any]:
    return pod(number, created=BEFORE, conditions=[{"type": "Ready", "status": "True"}])


def unscheduled(number: int) -> dict[str, Any]:
    words = "0/3 nodes are available: 3 Insufficient cpu."
    return pod(number, conditions=[{"type": "PodScheduled", "status": "False", "message": words}])


def waiting(number: int, reason: str, **more: Any) -> dict[str, Any]:
    return pod(number, containerStatuses=[{"name": "main", "state": {"waiting": {"reason": reason}}}], **more)


SERVING = [ready(number) for number in range(3)]


def lacking(message: str) -> Floor:
    """Return a floor of six of which the API server lets only three pods be created."""
    failure = {"type": "ReplicaFailure", "status": "True", "message": message}
    seen = floor(conditions=[failure])
    status = {**(seen.workload or {})["status"], "replicas": 3, "updatedReplicas": 3}
    return Floor(6, 6, target(), "1", False, workload={"status": status})


def made(replicas: int) -> Floor:
    """Return a floor of six of which the controller has made fewer pods, and says nothing, as a StatefulSet's does."""
    return floor(replicas=replicas, updatedReplicas=replicas, readyReplicas=replicas)


def rejected(number: int) -> dict[str, Any]:
    """Return a pod as a kubelet rejects it."""
    words = "Pod was rejected: Node didn't have enough resource: cpu"
    return pod(number, phase="Failed", reason="OutOfcpu", message=words)


HPA = {
    "metadata": {"name": "web"},
    "status": {"conditions": [{"type": "AbleToScale", "status": "False", "reason": "FailedGetScale", "message": "no"}]},
}


@pytest.mark.parametrize(
    ("seen", "namespace", "pods", "reason", "words", "idle"),
    [
        (lacking(QUOTA), {}, SERVING, "QuotaExceeded", "exceeded quota: small", 3),
        (lacking(QUOTA), {}, None, "QuotaExceeded", "exceeded quota: small", 3),
        (lacking("violates PodSecurity"), {}, SERVING, "PodsNotCreated", "violates PodSecurity", 3),
        (lacking(QUOTA), GOING, SERVING, "NamespaceTerminating", "shop is being deleted", 3),
        (floor(), {}, [*SERVING, *map(unscheduled, (3, 4, 5))], "Unschedulable", "Insufficient cpu", 3),
        (floor(), {}, [*SERVING, waiting(3, "ErrImagePull")], "ImagePullFailed", "ErrImagePull", 1),
        (floor(), {}, [*SERVING, waiting(3, "CrashLoopBackOff")], "CrashLooping", "CrashLoopBackOff", 1),
        (floor(), {}, [*SERVING, waiting(3, "CreateContainerConfigError")], "ContainerFailed", "main", 1),
        (floor(), {}, [*SERVING, pod(3), pod(4)], "PodsNotReady", "2 pods", 2),
        (floor(size=3, autoscaler=HPA), {}, SERVING, "AutoscalerNotFollowing", "FailedGetScale: no", 3),
        (floor(size=3), {}, SERVING, "AutoscalerNotFollowing", "no HorizontalPodAutoscaler", 3),
        (floor(), {}, [*SERVING, waiting(3, "RegistryUnavailable")], "ImagePullFailed", "RegistryUnavailable", 1),
        (made(4), {}, [*SERVING, ready(4)], "PodsNotCreated", "does not say why", 2),
        (made(3), {}, [*SERVING, *map(rejected, range(3, 9))], "PodsFailed", "OutOfcpu: Pod was rejected", 3),
    ],
)
def test_the_reason_is_named_in_the_words_of_who_gives_it(seen, namespace, pods, reason, words, idle):
    """Kind: what can't serve is kept, and nobody says why."""
    stalled = find_stalled_replicas(seen, target(), namespace, pods, START)
    assert stalled is not None
    assert (stalled.why.reason, stalled.idle) == (reason, idle)
    assert words in stalled.why.message


def was_ready(number: int, *, unready: str) -> dict[str, Any]:
    """Return a pod that began at 08:01 and is not ready since `unready`."""
    condition = {"type": "Ready", "status": "False", "lastTransitionTime": unready}
    return waiting(number, "CrashLoopBackOff", startTime=AFTER, conditions=[condition])


def crashing(number: int, *, ran: int) -> dict[str, Any]:
    """Return a pod without a readiness probe whose container ended after `ran` s, as it has before: it was ready."""
    last = {
        "terminated": {
            "startedAt": "2027-01-15T08:20:00Z",
            "finishedAt": f"2027-01-15T08:{20 + ran // 60}:{ran % 60:02}Z",
        }
    }
    body = was_ready(number, unready="2027-01-15T08:20:01Z")
    body["status"]["containerStatuses"][0] |= {"restartCount": 5, "lastState": last}
    return body


@pytest.mark.parametrize(
    ("kind", "pods", "idle"),
    [
        ("Deployment", [waiting(3, "CrashLoopBackOff", created=BEFORE)], None),
        ("Deployment", [was_ready(3, unready="2027-01-15T08:09:00Z")], None),
        ("Deployment", [was_ready(3, unready="2027-01-15T08:01:02Z")], 1),
        ("Deployment", [crashing(3, ran=2)], 1),
        ("Deployment", [crashing(3, ran=600)], None),
        ("StatefulSet", [unscheduled(3)], 1),
        ("StatefulSet", [unscheduled(1), ready(4)], 0),
        ("StatefulSet", [unscheduled(1), ready(4), unscheduled(5)], 1),
        ("CloneSet", [unscheduled(3)], 0),
    ],
    ids=[
        "from before",
        "served once",
        "never served",
        "ready for a moment",
        "served for long",
        "last",
        "not the last",
        "behind the last",
        "unknown kind",
    ],
)
def test_only_what_never_served_and_goes_first_is_given_back(kind, pods, idle):
    stalled = find_stalled_replicas(floor(), target(kind), {}, [*SERVING, *pods], START)
    assert (stalled and stalled.idle) == idle


def test_in_the_middle_of_a_rollout_nothing_is_given_back_but_the_reason_is_named():
    stalled = find_stalled_replicas(floor(updatedReplicas=2), target(), {}, [*SERVING, unscheduled(3)], START)
    assert stalled is not None
    assert (stalled.why.reason, stalled.idle) == ("Unschedulable", 0)


def test_what_is_not_counted_yet_is_not_missing():
    assert find_stalled_replicas(floor(), target(), {}, SERVING, START) is None


def test_what_was_given_back_and_has_not_gone_yet_is_not_given_back_twice():
    served = [ready(number) for number in range(5)]
    stalled = find_stalled_replicas(
        floor(level=5, size=5, readyReplicas=4), target(), {}, [*served, unscheduled(5)], START
    )
    assert stalled is not None
    assert stalled.idle == 0


class Pods:
    """Lists these pods, whatever they are asked by."""

    def __init__(self, *pods: dict[str, Any]) -> None:
        self.pods = pods

    async def find(self, *_: Any, **__: Any) -> Any:
        return self.pods


async def test_pods_of_others_that_have_some_of_the_labels_are_not_its_own():
    def labelled(pod: dict[str, Any], track: str) -> dict[str, Any]:
        return {**pod, "metadata": {**pod["metadata"], "labels": {"app": "web", "track": track}}}

    selector = {
        "matchLabels": {"app": "web"},
        "matchExpressions": [{"key": "track", "operator": "NotIn", "values": ["canary"]}],
    }
    stable, canary = labelled(ready(1), "stable"), labelled(unscheduled(2), "canary")
    body = {"spec": {"selector": selector}}
    assert await of_workload(cast(Cluster, Pods(stable, canary)), target(), body) == [stable]


def test_what_serves_is_never_given_back_where_a_controller_counts_in_its_own_way():
    """A custom resource may leave out how many pods it has made; that is not none."""
    seen = Floor(6, 6, target("CloneSet"), "1", False, workload={"status": {"readyReplicas": 5}})
    assert find_stalled_replicas(seen, target("CloneSet"), {}, None, START) is None
