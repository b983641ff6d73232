"""Invalid input and changes at the wrong time, on a real API server: each has an outcome with a reason."""

import json
import math
from typing import Any

import pytest

from forestall.api import RemediationPolicy
from forestall.ports import Answer, QueryFailure, Sample

TERMS = {"maxReplicas": 8, "capacity": {"type": "Declared", "perReplica": 50, "headroom": 0}}
BRIEFLY = {"scale": {**TERMS, "stabilizationWindow": "1m", "holdAtMost": "10m"}}
"""A scale-out with short durations."""
BAD_DATA = {
    "refused": (lambda at: QueryFailure("QueryRefused", "1:4: parse error"), "QueryRefused"),
    "nothing": (lambda at: Answer((), at), "NoData"),
    "no series": (lambda at: Answer((), None), "NoData"),
    "too many series": (
        lambda at: Answer((Sample((("a", "1"),), 300.0), Sample((("a", "2"),), 300.0)), at),
        "TooManySeries",
    ),
    "not a number": (lambda at: Answer((Sample((), math.nan),), at), "NotFinite"),
    "infinite": (lambda at: Answer((Sample((), math.inf),), at), "NotFinite"),
    "old": (lambda at: Answer((Sample((), 300.0),), at - 3600), "StaleData"),
    "partial": (lambda at: Answer((Sample((), 300.0),), at, ("a store did not answer",)), "PartialAnswer"),
    "down": (lambda at: QueryFailure("SourceDown", "connection refused"), "SourceDown"),
    "slow": (lambda at: QueryFailure("SourceTimeout", "no answer within 10 s"), "SourceTimeout"),
    "unauthorized": (lambda at: QueryFailure("SourceUnauthorized", "401"), "SourceUnauthorized"),
    "not JSON": (lambda at: QueryFailure("SourceBadAnswer", "not JSON"), "SourceBadAnswer"),
}


@pytest.mark.parametrize("case", BAD_DATA)
async def test_bad_data_never_leads_to_an_action(world, case):
    world.script.says["load"], reason = BAD_DATA[case]
    world.policy()
    await world.cycle(3)
    assert world.reason("DataFresh") == reason
    assert (world.replicas, world.remediations) == (2, [])
    # and nothing else is disturbed: as soon as the data is good, it acts
    world.say("load", 300.0)
    await world.cycle(2)
    assert world.replicas == 6


async def test_missing_target_is_a_condition(world):
    world.control.kubectl("delete", "deployment", "checkout", "-n", world.namespace)
    world.policy()
    await world.cycle(2)
    assert world.reason("Ready") == "TargetMissing"
    assert world.decision == "TargetMissing"
    assert world.remediations == []


async def test_missing_source_is_a_condition(world):
    world.apply("ServiceLevelObjective", "checkout", {**world.spec(), "source": "nowhere"})
    world.policy()
    await world.cycle(2)
    assert world.reason("Ready") == "SourceMissing"
    assert world.remediations == []


async def test_source_that_does_not_allow_the_namespace_is_not_queried(world):
    world.apply("MetricSource", world.source, {"url": "http://x:9", "namespaces": {"matchLabels": {"team": "a"}}})
    world.policy()
    await world.cycle(2)
    assert world.reason("Ready") == "SourceNotAllowed"
    assert world.remediations == []


async def test_unparsable_query_is_a_condition(world):
    bad = [{"name": "load", "query": "sum(load", "limit": 100}]
    world.apply("ServiceLevelObjective", "checkout", {**world.spec(), "leadingIndicators": bad})
    world.policy()
    await world.cycle(2)
    assert world.reason("Ready") == "InvalidQuery"
    ready = world.condition("Ready")
    assert "spec.leadingIndicators[0].query" in ready.message


async def test_policy_that_selects_nothing_is_reported(world):
    world.policy(objectives={"matchLabels": {"team": "other"}})
    await world.cycle(2)
    policy = world.registry.get(RemediationPolicy, "early", world.namespace)
    assert world.condition("Ready", policy).reason == "NoObjectivesSelected"
    assert (world.replicas, world.remediations) == (2, [])


async def test_window_that_never_opens_is_a_condition(world):
    world.policy(blackoutWindows=[{"cron": "0 0 30 2 *", "duration": "1h"}])
    await world.cycle(2)
    body = world.control.get("remediationpolicy", "early", world.namespace)
    (ready,) = body["status"]["conditions"]
    assert (ready["status"], ready["reason"]) == ("False", "InvalidSpec")
    assert "never comes" in ready["message"]
    assert world.replicas == 2


async def test_maximum_below_the_present_size_is_reported(world):
    world.policy(actions=[{"scale": {**TERMS, "maxReplicas": 1}}])
    await world.cycle(3)
    assert (world.decision, world.replicas, world.remediations) == ("AtMaximum", 2, [])
    assert "1" in world.slo.status.decisions[0].message


async def test_kind_without_scale_is_reported(world):
    world.control.kubectl("create", "configmap", "checkout", "-n", world.namespace)
    target = {"apiVersion": "v1", "kind": "ConfigMap", "name": "checkout"}
    world.apply("ServiceLevelObjective", "checkout", {**world.spec(), "target": target})
    world.policy()
    await world.cycle(2)
    assert (world.decision, world.remediations) == ("NotScalable", [])
    world.control.kubectl("create", "cronjob", "runbook", "--image=x", "--schedule=@daily", "-n", world.namespace)
    world.control.kubectl("patch", "cronjob", "runbook", "-n", world.namespace, "-p", '{"spec":{"suspend":true}}')
    world.policy(actions=[world.scale, {"job": {"cronJob": "runbook"}}])
    await world.cycle(2)
    assert [one.spec.intent.action.name for one in world.remediations] == ["Job"], "the next rung is asked"


async def test_target_recreated_during_an_action_is_left_alone(world):
    world.policy()
    await world.cycle(2)
    assert world.replicas == 6
    world.control.kubectl("delete", "deployment", "checkout", "-n", world.namespace)
    world.control.kubectl("create", "deployment", "checkout", "--image=x", "--replicas=1", "-n", world.namespace)
    await world.cycle()
    (first, *_) = world.ended
    assert (first.status.phase, first.status.reason) == ("Aborted", "TargetReplaced")


WITHDRAWN: dict[str, Any] = {
    "deleted": None,
    "suspended": {"suspend": True},
    "only observes": {"mode": "Observe"},
    "selects others": {"objectives": {"matchLabels": {"team": "other"}}},
}


@pytest.mark.parametrize("change", WITHDRAWN)
async def test_scale_out_is_reverted_when_its_policy_is_deleted(world, change):
    world.policy(actions=[BRIEFLY])
    await world.cycle(2)
    if (edit := WITHDRAWN[change]) is None:
        world.control.kubectl("delete", "remediationpolicy", "early", "-n", world.namespace)
    else:
        world.policy(actions=[BRIEFLY], **edit)
    await world.is_only_reverted()


async def test_scale_out_is_reverted_when_the_objective_gets_another_target(world):
    world.policy(actions=[BRIEFLY])
    await world.cycle(2)
    world.control.kubectl("create", "deployment", "basket", "--image=x", "--replicas=2", "-n", world.namespace)
    world.apply("ServiceLevelObjective", "checkout", {**world.spec(), "target": {"name": "basket"}})
    world.say("load", 390.0)
    await world.cycle(3)
    assert world.replicas == 6, "it is raised no more by what is known of another"
    world.say("load", 10.0)
    await world.until_ended()
    assert world.replicas == 2


@pytest.mark.parametrize(("most", "replicas"), [(10, 8), (7, 6)])
async def test_lowered_maximum_applies_during_an_action(world, most, replicas):
    world.policy(actions=[BRIEFLY])
    await world.cycle(2)
    world.policy(actions=[{"scale": {**BRIEFLY["scale"], "maxReplicas": most}}])
    world.say("load", 390.0)
    await world.cycle(3)
    assert world.replicas == replicas
    world.say("load", 10.0)
    await world.until_ended()
    assert world.replicas == 2


async def test_action_not_begun_is_withdrawn_when_the_policy_changes(world):
    world.policy(mode="Approve")
    await world.cycle()
    (remediation,) = world.remediations
    assert remediation.status.phase == "AwaitingApproval"
    world.policy(mode="Approve", actions=[{"restart": {}}])
    approval = {"spec": {"approval": {"decision": "Approved", "by": "jo"}}}
    merge = ("--type=merge", "-p", json.dumps(approval))
    world.control.kubectl("patch", "remediation", remediation.name, "-n", world.namespace, *merge)
    await world.cycle()
    (first,) = world.ended
    assert (first.uid, first.status.phase, first.status.reason) == (remediation.uid, "Aborted", "Withdrawn")
    assert "policy early was changed" in first.status.message
    assert world.replicas == 2


@pytest.mark.parametrize("jump", [-3600.0, 2 * 86400.0], ids=["back", "ahead"])
async def test_clock_jump_repeats_no_action_and_the_remediation_still_ends(world, jump):
    world.policy(actions=[BRIEFLY])
    await world.cycle(2)
    (remediation,) = world.remediations
    world.now += jump
    await world.cycle(4)
    assert len(world.remediations) == 1, "what gives back is in the way of another of its kind"
    assert world.episode == (1 if jump < 0 else 2), "for two days, by the clock, nothing was at risk"
    assert 2 <= world.replicas <= 6
    assert [step.to for step in world.remediations[0].status.steps if step.to > step.from_] == [6]
    world.say("load", 10.0)
    world.now += max(0.0, -jump)
    await world.until_ended()
    assert world.replicas == 2
    assert world.remediations[0].uid == remediation.uid
