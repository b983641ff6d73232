"""The life of an eviction of one pod."""

import pytest

from forestall.api.times import stamp
from forestall.core.decision import Hold
from forestall.errors import Denied, Unavailable

POD = {"apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "checkout-1", "uid": "c-1"}
EVICT = {"target": POD, "action": {"evict": {}}, "from": None, "to": None}
TERMINATING = {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}


def is_there(world):
    return ("Pod", "shop", "checkout-1") in world.objects


async def test_a_pod_is_evicted_once_and_what_replaces_it_is_left_alone(run, world):
    await run.open(**EVICT)
    assert (await run.cycle()).status.phase == "Verifying"
    world.put("Pod", "shop", "checkout-1", "c-2", spec={"nodeName": "n1"}, status={})
    after = await run.cycle(probability=0.1)
    assert (after.status.phase, after.status.reason) == ("Succeeded", "Verified")
    assert (is_there(world), world.writes) == (True, [("Pod", "checkout-1")])


async def test_a_budget_is_waited_for_and_named(run, world):
    world.unavailable = {"checkout-1"}
    await run.open(**EVICT)
    after = await run.cycle()
    assert (after.status.phase, after.status.reason) == ("Executing", "Throttled")
    assert "evict pod shop/checkout-1: Cannot evict pod" in after.status.message
    world.unavailable = set()
    assert (await run.cycle()).status.phase == "Verifying"
    assert not is_there(world)


async def test_the_words_of_an_answer_that_failed_are_kept(run, world):
    """Kind: whose 'no' it is. What the API server says is told to people, at once and at the end."""
    world.errors["evict"] = Unavailable("POST …: etcdserver: request timed out", answered=True)
    await run.open(**EVICT)
    after = await run.cycle()
    assert (after.status.phase, after.status.reason) == ("Executing", "NotConfirmed")
    assert "etcdserver: request timed out" in after.status.message
    await run.cycles(3, 600)
    after = await run.cycle(60)
    assert (after.status.phase, after.status.reason) == ("Aborted", "DeadlineExceeded")
    assert "etcdserver: request timed out" in after.status.message


async def test_a_policy_that_refuses_it_is_no_missing_right(run, world):
    world.errors["evict"] = Denied("ValidatingAdmissionPolicy 'freeze' denied request: not on a Friday")
    await run.open(**EVICT)
    after = await run.cycle()
    assert (after.status.phase, after.status.reason) == ("Aborted", "Refused")
    assert "not on a Friday" in after.status.message
    assert "rolebinding" not in after.status.message


async def test_a_budget_that_never_allows_it_ends_at_the_deadline(run, world):
    world.unavailable = {"checkout-1"}
    await run.open(**EVICT)
    await run.cycles(3, 600)
    after = await run.cycle(60)
    assert (after.status.phase, after.status.reason) == ("Aborted", "DeadlineExceeded")
    assert "The disruption budget needs it" in after.status.message
    assert is_there(world)


async def test_a_guard_is_asked_before_each_try(run, world):
    world.unavailable = {"checkout-1"}
    await run.open(**EVICT)
    await run.cycle()
    world.unavailable, run.hold = set(), Hold("Paused", "a Guardrail pauses every action")
    assert (await run.cycle()).status.reason == "Paused"
    assert is_there(world)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda world: world.objects.pop(("Pod", "shop", "checkout-1")), "TargetGone"),
        (lambda world: world.change("Pod", "checkout-1", TERMINATING), "TargetGone"),
        (lambda world: world.put("Pod", "shop", "checkout-1", "c-2", spec={}, status={}), "TargetReplaced"),
        (
            lambda world: world.change(
                "Pod", "checkout-1", {"metadata": {"annotations": {"forestall.dev/protected": "true"}}}
            ),
            "PodProtected",
        ),
    ],
)
async def test_a_pod_that_changed_before_it_was_evicted_is_left_alone(run, world, change, reason):
    await run.open(**EVICT)
    change(world)
    after = await run.cycle()
    assert (after.status.phase, after.status.reason, world.writes) == ("Aborted", reason, [])


async def test_a_pod_that_takes_its_time_to_go_is_waited_for(run, world):
    world.unavailable = {"checkout-1"}
    await run.open(**EVICT)
    await run.cycle()
    world.change("Pod", "checkout-1", TERMINATING)
    after = await run.cycle()
    assert (after.status.phase, after.status.reason) == ("Executing", "InProgress")
    del world.objects["Pod", "shop", "checkout-1"]
    assert (await run.cycle()).status.phase == "Verifying"


async def test_a_pod_that_ignores_being_asked_to_end_is_named_with_its_grace_period(run, world):
    world.unavailable = {"checkout-1"}
    await run.open(**EVICT)
    await run.cycle()
    asked = {"deletionTimestamp": stamp(run.now + 3600), "deletionGracePeriodSeconds": 3600}
    world.change("Pod", "checkout-1", {"metadata": asked})
    assert (await run.cycle()).status.reason == "InProgress"
    after = await run.cycle(20)
    assert (after.status.phase, after.status.reason) == ("Executing", "PodsTerminating")
    after = await run.cycle(1800)
    assert (after.status.phase, after.status.reason) == ("Failed", "DeadlineExceeded")
    assert "not ended yet (checkout-1): its grace period of 3600 s lasts until 1970-01-12" in after.status.message


async def test_an_eviction_that_does_not_help_fails(run):
    await run.open(**EVICT)
    await run.cycle()
    after = await run.cycle(400)
    assert (after.status.phase, after.status.reason) == ("Failed", "NotHelped")
    assert "pod shop/checkout-1 was evicted" in after.status.message
