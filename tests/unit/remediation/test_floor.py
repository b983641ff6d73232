"""What becomes of a raised floor when what holds it is paused, hidden or replaced, or its pods do not start."""

from typing import Any

import pytest

from forestall.api.times import stamp
from forestall.core.decision import Hold
from forestall.errors import Denied, Forbidden

CALM = {"probability": 0.0, "replicas_forecast": 1, "replicas_observed": 1}
POINTER = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"}
QUOTA = 'pods "checkout-4" is forbidden: exceeded quota: small'


@pytest.fixture
def scaled(world):
    """The workload with a ScaledObject, but without the autoscaler that KEDA keeps for it."""
    world.keda = True
    spec = {"scaleTargetRef": {"name": "checkout"}, "minReplicaCount": 3}
    world.put("ScaledObject", "shop", "checkout", "s-1", spec=spec)
    return world


def autoscale(world, name="checkout", **spec):
    usual = {"scaleTargetRef": POINTER, "minReplicas": 3, "maxReplicas": 12}
    world.put("HorizontalPodAutoscaler", "shop", name, f"h-{name}", spec={**usual, **spec})


def floor_of(world, kind="ScaledObject"):
    spec = world.objects[kind, "shop", "checkout"]["spec"]
    return spec["minReplicaCount" if kind == "ScaledObject" else "minReplicas"]


def pause(world, value: str | None = "true") -> None:
    world.change("ScaledObject", "checkout", {"metadata": {"annotations": {"autoscaling.keda.sh/paused": value}}})


def end(remediation: Any) -> tuple[str, str]:
    return remediation.status.phase, remediation.status.reason


def told(remediation: Any, kind: str) -> str | None:
    return next((each.reason for each in remediation.status.conditions if each.type == kind), None)


async def test_a_floor_is_remembered_while_its_scaled_object_is_paused(run, scaled):
    """Kind: what was written is not remembered. It is looked at where it was raised, and given back there."""
    await run.open()
    first = await run.cycle()
    assert (end(first)[0], floor_of(scaled)) == ("Verifying", 5)
    assert first.status.steps[0].subject.uid == "s-1"
    pause(scaled)
    after = await run.cycles(4, 3600, **CALM)
    assert (*end(after), told(after, "Reverted")) == ("Verifying", "TargetPaused", "TargetPaused")
    assert (floor_of(scaled), run.replicas, len(scaled.writes)) == (5, 3, 1), "nothing is written while it is paused"
    pause(scaled, None)
    after = await run.cycles(40, 60, **CALM)
    assert (*end(after), floor_of(scaled), told(after, "Reverted")) == ("Succeeded", "Released", 3, None)


async def test_a_floor_that_can_not_be_read_is_waited_for(run, scaled, monkeypatch):
    await run.open()
    await run.cycle()
    get = scaled._get

    def hidden(ref):
        if ref.kind == "ScaledObject":
            raise Forbidden("scaledobjects")
        return get(ref)

    monkeypatch.setattr(scaled, "_get", hidden)
    scaled.change("ScaledObject", "checkout", {"spec": {"scaleTargetRef": {"name": "other"}}})
    after = await run.cycle(7200, **CALM)
    assert end(after) == ("Verifying", "FloorHidden")
    monkeypatch.undo()
    scaled.change("ScaledObject", "checkout", {"spec": {"scaleTargetRef": {"name": "checkout"}}})
    after = await run.cycles(40, 60, **CALM)
    assert (*end(after), floor_of(scaled)) == ("Succeeded", "Released", 3)


@pytest.mark.parametrize(("again", "reason"), [(True, "TargetReplaced"), (False, "TargetGone")])
async def test_a_floor_is_given_back_when_its_workload_is_replaced(run, world, again, reason):
    autoscale(world)
    await run.open()
    await run.cycle()
    assert floor_of(world, "HorizontalPodAutoscaler") == 5
    body = world.objects.pop(("Deployment", "shop", "checkout"))
    if again:
        world.put("Deployment", "shop", "checkout", "d-2", spec=body["spec"], status=body["status"])
    await run.cycle()
    after = await run.cycle()
    assert (*end(after), floor_of(world, "HorizontalPodAutoscaler")) == ("Aborted", reason, 3)
    assert "is back at 3" in after.status.message


async def test_a_floor_that_was_made_anew_is_left_alone_and_the_remediation_says_so(run, world):
    autoscale(world)
    await run.open()
    await run.cycle()
    world.put(
        "HorizontalPodAutoscaler",
        "shop",
        "checkout",
        "h-2",
        spec={"scaleTargetRef": POINTER, "minReplicas": 5, "maxReplicas": 9},
    )
    after = await run.cycle(**CALM)
    assert (*end(after), floor_of(world, "HorizontalPodAutoscaler")) == ("Aborted", "FloorReplaced", 5)


async def test_an_autoscaler_that_comes_later_keeps_its_floor(run, world):
    await run.open()
    await run.cycle()
    autoscale(world, minReplicas=5)
    after = await run.cycles(40, 60, **CALM)
    assert (*end(after), floor_of(world, "HorizontalPodAutoscaler")) == ("Aborted", "Superseded", 5)


async def test_scaling_out_that_is_disabled_later_is_respected_and_the_floor_given_back(run, world):
    autoscale(world)
    await run.open()
    await run.cycle()
    world.change(
        "HorizontalPodAutoscaler", "checkout", {"spec": {"behavior": {"scaleUp": {"selectPolicy": "Disabled"}}}}
    )
    after = await run.cycle(replicas_forecast=9)
    assert (*end(after), floor_of(world, "HorizontalPodAutoscaler")) == ("Verifying", "TargetPaused", 5)
    after = await run.cycles(40, 60, **CALM)
    assert (*end(after), floor_of(world, "HorizontalPodAutoscaler")) == ("Succeeded", "Released", 3)


async def test_a_policy_that_refuses_to_give_back_is_asked_again_past_the_deadline(run, world):
    """Kind: whose 'no' it is. What was added is not forgotten because somebody says no for an hour."""
    await run.open()
    await run.cycle()
    world.errors["write_scale"] = Denied("ValidatingAdmissionPolicy 'freeze' denied request: not now")
    after = await run.cycles(40, 60, **CALM)
    assert (*end(after), run.replicas, told(after, "Reverted")) == ("Verifying", "Refused", 5, "Refused")
    world.errors.clear()
    after = await run.cycles(3, 60, **CALM)
    assert (*end(after), run.replicas) == ("Succeeded", "Released", 3)


async def stall(run, world, **status: Any) -> None:
    """Begin a scale-out to five of which only three come."""
    await run.open(verifyWithin="5m")
    await run.cycle()
    usual = {"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3}
    world.change("Deployment", "checkout", {"status": {**usual, **status}})


FAILURE = [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": QUOTA}]


async def test_what_can_not_start_is_named_and_given_back_though_the_breach_lasts(run, world):
    """Kind: what can't serve is kept for as long as the breach lasts, and nobody says why."""
    await stall(run, world, conditions=FAILURE)
    after = await run.cycle(breached=True, replicas_forecast=9)
    assert (*end(after), run.replicas) == ("Verifying", "QuotaExceeded", 5), "no more is asked for either"
    assert QUOTA in after.status.message
    assert told(after, "PodsReady") == "QuotaExceeded"
    after = await run.cycles(4, 100, breached=True)
    assert (*end(after), run.replicas) == ("RolledBack", "QuotaExceeded", 3)
    assert QUOTA in after.status.message
    assert "serve nobody" in after.status.steps[-1].because


async def test_what_serves_is_kept_when_some_can_not_start_and_no_more_is_asked_for(run, world):
    await run.open(verifyWithin="5m", to=8)
    await run.cycle()
    short = {"observedGeneration": 1, "replicas": 6, "updatedReplicas": 6, "readyReplicas": 6, "conditions": FAILURE}
    world.change("Deployment", "checkout", {"status": short})
    after = await run.cycles(5, 100, breached=True, replicas_forecast=9)
    assert (*end(after), run.replicas) == ("Holding", "NotHelped", 6), "no more is given back while the breach lasts"
    after = await run.cycles(3, 100, probability=0.1, replicas_forecast=9)
    assert (run.replicas, told(after, "PodsReady")) == (6, "ScaleOutReduced")
    condition = next(each for each in after.status.conditions if each.type == "PodsReady")
    assert QUOTA in condition.message, "why they did not start is still said"


async def test_pods_that_stop_starting_are_given_back_and_no_success_is_claimed(run, world):
    """Kind: what is said of the end. The risk fell once, and the breach lasts."""
    await run.open(verifyWithin="5m")
    await run.cycle()
    await run.cycle(probability=0.1)
    failing = {"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "conditions": FAILURE}
    world.change("Deployment", "checkout", {"status": failing})
    after = await run.cycles(5, 100, breached=True)
    assert (*end(after), run.replicas) == ("RolledBack", "QuotaExceeded", 3)


async def test_a_floor_that_is_at_its_most_says_so(run, world):
    """Kind: nobody names what is in the way, here the autoscaler's maximum."""
    autoscale(world, maxReplicas=5)
    await run.open(verifyWithin="1m", to=9)
    after = await run.cycles(12, 10, breached=True, replicas_forecast=9)
    assert end(after) == ("Holding", "NotHelped")
    assert "horizontalpodautoscaler shop/checkout is at 5, the most it may have" in after.status.message


async def test_pods_that_are_only_starting_hold_no_raise(run, world):
    template = {"matchLabels": {"app": "checkout"}}
    world.change("Deployment", "checkout", {"spec": {"selector": template}, "status": {"readyReplicas": 3}})
    await run.open()
    await run.cycle()
    new: dict[str, Any] = {"name": "new", "namespace": "shop", "uid": "new", "creationTimestamp": stamp(run.now)}
    new["labels"] = {"app": "checkout"}
    world.put("Pod", "shop", "new", "new", metadata=new, spec={"nodeName": "n1"}, status={})
    world.change("Deployment", "checkout", {"status": {"replicas": 5, "updatedReplicas": 5}})
    after = await run.cycle(replicas_forecast=9)
    assert (after.status.reason, run.replicas, told(after, "PodsReady")) == ("Raising", 9, "PodsNotReady")
    after = await run.cycles(17, 100, breached=True, replicas_forecast=9, replicas_observed=9)
    assert run.replicas == 9, "some take their time"
    after = await run.cycle(100, breached=True, replicas_forecast=9, replicas_observed=9)
    assert (run.replicas, told(after, "PodsReady")) == (8, "PodsNotReady"), "the one that never was ready"


async def test_that_pods_of_lower_priority_give_way_is_told_for_good(run, world):
    """Kind: an action that takes something from others, without a word about it."""
    template = {"matchLabels": {"app": "checkout"}}
    world.change("Deployment", "checkout", {"spec": {"selector": template}, "status": {"readyReplicas": 3}})
    await run.open()
    await run.cycle()
    new = {"name": "new", "namespace": "shop", "labels": {"app": "checkout"}, "creationTimestamp": stamp(run.now)}
    pending = {"conditions": [{"type": "PodScheduled", "status": "False"}], "nominatedNodeName": "n1"}
    world.put("Pod", "shop", "new", "new", metadata=new, spec={}, status=pending)
    world.change("Deployment", "checkout", {"status": {"replicas": 5, "updatedReplicas": 5}})
    after = await run.cycle()
    assert (told(after, "PodsReady"), told(after, "PodsPreempted")) == ("Preempting", "Preempting")
    world.change("Deployment", "checkout", {"status": {"readyReplicas": 5}})
    after = await run.cycle()
    assert (told(after, "PodsReady"), told(after, "PodsPreempted")) == ("Completed", "Preempting")
    (condition,) = [condition for condition in after.status.conditions if condition.type == "PodsPreempted"]
    assert "1 pod of deployment shop/checkout waits (new): the scheduler removes pods of lower" in condition.message


async def test_what_starts_late_is_kept(run, world):
    await stall(run, world, conditions=FAILURE)
    await run.cycle(100, breached=True)
    whole = {"replicas": 5, "updatedReplicas": 5, "readyReplicas": 5, "conditions": []}
    world.change("Deployment", "checkout", {"status": whole})
    after = await run.cycles(5, 100, breached=True)
    assert (after.status.reason, run.replicas, told(after, "PodsReady")) == ("NotHelped", 5, "Completed")
    ready = next(condition for condition in after.status.conditions if condition.type == "PodsReady")
    assert ready.message.startswith("the pods that were asked for are ready, ")


@pytest.mark.parametrize(("unjudgeable", "replicas"), [(Hold("Withdrawn", "the query was edited"), 3), (None, 5)])
async def test_what_nobody_can_judge_is_given_back_after_an_hour(run, world, unjudgeable, replicas):
    """Kind: what was done outlives the question that it answers. Silence of the source alone gives nothing back."""
    await run.open()
    await run.cycle()
    blind = {"fresh": False, "probability": float("nan"), "replicas_forecast": None, "replicas_observed": None}
    after = await run.cycles(59, 60, **blind, unjudgeable=unjudgeable)
    assert (after.status.blind_since, run.replicas) == (stamp(run.now - 58 * 60), 5)
    after = await run.cycles(12, 60, **blind, unjudgeable=unjudgeable)
    assert run.replicas == replicas
    if unjudgeable:
        assert after.ended
        assert "nobody can judge it any more" in after.status.steps[-1].because


async def test_a_field_that_was_set_is_set_back_when_nobody_can_judge_it(run, world):
    target = {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "shop", "name": "flags", "uid": "m-1"}
    named = {"apiVersion": "v1", "kind": "ConfigMap", "resource": "configmaps", "name": "flags"}
    action = {"patch": {"target": named, "field": "/data/flag", "value": "off"}}
    await run.open(target=target, action=action, **{"from": None, "to": None})
    await run.cycle()
    blind = {"fresh": False, "probability": float("nan"), "unjudgeable": Hold("Withdrawn", "the query was edited")}
    await run.cycles(60, 60, **blind)
    assert world.objects["ConfigMap", "shop", "flags"]["data"] == {"flag": "off"}
    after = await run.cycles(4, 60, **blind)
    assert world.objects["ConfigMap", "shop", "flags"]["data"] == {"flag": "on"}
    assert end(after) == ("RolledBack", "NotVerified")
