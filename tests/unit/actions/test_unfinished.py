"""Which pods a rollout waits for, and when it waits no longer."""

from typing import Any, cast

import pytest

from forestall.actions.base import UnfinishedRollout
from forestall.actions.unfinished import NO_PROGRESS, find_unfinished, is_stuck, unfinished
from forestall.api.remediation import ObjectRef
from forestall.core.decision import Hold
from forestall.errors import Forbidden
from forestall.ports import Reader

AT = 1_800_000_000.0  # 2027-01-15T08:00:00Z
CREATED = "2027-01-15T08:00:00Z"


def target(kind: str = "Deployment") -> ObjectRef:
    return ObjectRef(api_version="apps/v1", kind=kind, namespace="shop", name="web", uid="d-1")


def body(kind: str = "Deployment", **status: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "metadata": {"generation": 1},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}},
        "status": {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 1, **status},
    }


def pod(name: str, *, ready: bool = False, reason: str = "", **metadata: Any) -> dict[str, Any]:
    waiting = [{"name": "main", "state": {"waiting": {"reason": reason}}}] if reason else []
    conditions = [{"type": "Ready", "status": "True"}] if ready else []
    return {
        "metadata": {"name": name, "creationTimestamp": CREATED, **metadata},
        "status": {"conditions": conditions, "containerStatuses": waiting},
    }


ENDING = pod("old", ready=True, deletionTimestamp="2027-01-15T08:00:30Z", deletionGracePeriodSeconds=30)
FAILURE = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: small"}


@pytest.mark.parametrize(
    ("seen", "pods", "reason", "message", "is_reported"),
    [
        (body(conditions=[FAILURE]), [pod("a", ready=True)], "QuotaExceeded", "exceeded quota: small", True),
        (body(), [pod("a", reason="CrashLoopBackOff"), ENDING], "CrashLooping", "crashes (a)", True),
        (body(), [pod("a", ready=True), pod("b")], "PodsNotReady", "(b)", False),
        (body("StatefulSet"), [pod("a", ready=True), ENDING], "PodsTerminating",
         ("1 pod of statefulset shop/web has been asked to end, and has not ended yet (old): its grace period of 30 s "
         "lasts until 2027-01-15 08:00:30 UTC"), False),
        (body("StatefulSet"), [pod("a", ready=True)], "PodsNotCreated", "in Events only", False),
    ],
)  # fmt: skip
def test_a_rollout_says_which_pods_it_waits_for(seen, pods, reason, message, is_reported):
    """Kind: a rollout that is not complete, without a word about why."""
    rollout = unfinished(target(seen["kind"]), seen, pods)
    assert rollout is not None
    assert (rollout.why.reason, rollout.is_reported) == (reason, is_reported)
    assert message in rollout.why.message


def test_pods_that_serve_or_have_finished_are_not_waited_for():
    finished = pod("b")
    finished["status"]["phase"] = "Succeeded"
    assert unfinished(target(), body(), [pod("a", ready=True), finished]) is None


def test_the_time_counts_from_the_oldest_pod_that_does_not_serve():
    rollout = unfinished(target(), body(), [pod("a", reason="ErrImagePull"), pod("b", ready=True)])
    assert rollout is not None
    assert rollout.since == AT
    waits = unfinished(target("StatefulSet"), body("StatefulSet"), [pod("a", ready=True), ENDING])
    assert waits is not None
    assert waits.since == AT


@pytest.mark.parametrize(
    ("kind", "is_reported", "later", "stuck"),
    [
        ("StatefulSet", True, NO_PROGRESS - 1, False),
        ("StatefulSet", True, NO_PROGRESS, True),
        ("DaemonSet", True, NO_PROGRESS, True),
        ("StatefulSet", False, NO_PROGRESS, False),
        ("Deployment", True, NO_PROGRESS, False),
    ],
)
def test_what_has_no_deadline_of_its_own_is_stuck_after_that_of_a_deployment(kind, is_reported, later, stuck):
    rollout = UnfinishedRollout(Hold("CrashLooping", "it crashes"), AT, is_reported)
    assert is_stuck(target(kind), rollout, AT + later) is stuck
    assert not is_stuck(target(kind), UnfinishedRollout(Hold("CrashLooping", "it crashes")), AT + later)


class Pods:
    """Lists these pods, or may not."""

    def __init__(self, *pods: Any, error: Exception | None = None) -> None:
        self.pods, self.error, self.calls = pods, error, 0

    async def find(self, *_: Any, **__: Any) -> Any:
        self.calls += 1
        if self.error:
            raise self.error
        return self.pods


async def test_the_cluster_is_asked_only_while_the_rollout_is_not_complete():
    cluster = Pods(pod("a", reason="ErrImagePull"))
    rollout = await find_unfinished(cast(Reader, cluster), target(), body())
    assert rollout is not None
    assert rollout.why.reason == "ImagePullFailed"
    complete = body(updatedReplicas=2, availableReplicas=2)
    assert await find_unfinished(cast(Reader, cluster), target(), complete) is None
    assert cluster.calls == 1


@pytest.mark.parametrize("cluster", [Pods(error=Forbidden("no")), Pods({"metadata": None}), Pods("?")])
async def test_where_pods_cannot_be_listed_or_understood_nothing_is_said(cluster):
    assert await find_unfinished(cast(Reader, cluster), target(), body()) is None
