from typing import Any

import pytest
from pydantic import ValidationError

from forestall.core.decision import Hold
from forestall.core.guards import EndedRemediation, RecordedUsage, TokenBucket
from forestall.core.guards.budget import tokens_left
from forestall.core.plan import ScaleBounds, Trigger
from forestall.core.sizing import ReplicaCapacity
from forestall.engine import policy_limits

ALLOW = [{"namespaces": {"matchLabels": {"team": "shop"}}, "actions": ["Scale", "Cordon"]}]


def test_node_actions_always_need_an_allowance(make_guardrail):
    assert policy_limits.allowed([], "Scale", {})
    assert policy_limits.allowed([], "Restart", {})
    assert policy_limits.allowed([], "Evict", {})
    assert not policy_limits.allowed([], "Cordon", {})
    assert not policy_limits.allowed([], "Drain", {})
    assert policy_limits.allowed([make_guardrail(allow=ALLOW)], "Cordon", {"team": "shop"})


@pytest.mark.parametrize(
    ("action", "labels"), [("Cordon", {}), ("Restart", {"team": "shop"}), ("Scale", {}), ("Scale", None)]
)
def test_unlisted_action_is_not_allowed(make_guardrail, action, labels):
    assert not policy_limits.allowed([make_guardrail(allow=ALLOW)], action, labels)


def test_every_guardrail_must_allow(make_guardrail):
    strict = make_guardrail("strict", allow=[{"actions": ["Scale"]}])
    assert not policy_limits.allowed([make_guardrail(allow=ALLOW), strict], "Cordon", {"team": "shop"})


def test_strictest_node_limit_counts_and_no_node_is_cordoned_without_a_guardrail(make_guardrail):
    assert policy_limits.most_cordoned([], 100) == 0
    assert policy_limits.most_cordoned([make_guardrail(), make_guardrail("b")], 100) == 1
    three, two = make_guardrail(nodes={"maxCordoned": 3}), make_guardrail("b", nodes={"maxCordoned": 2})
    assert policy_limits.most_cordoned([three, two], 100) == 2
    assert policy_limits.most_cordoned([three, make_guardrail("b")], 100) == 3, (
        "who says nothing about nodes limits none"
    )


@pytest.mark.parametrize(("nodes", "most"), [(100, 4), (39, 3), (9, 0), (0, 0)])
def test_percentage_of_nodes_is_rounded_down_and_the_number_applies_too(make_guardrail, nodes, most):
    guardrail = make_guardrail(nodes={"maxCordoned": 4, "maxCordonedPercent": 10})
    assert policy_limits.most_cordoned([guardrail], nodes) == most


def test_percentage_alone_is_not_limited_by_a_default_number(make_guardrail):
    assert policy_limits.most_cordoned([make_guardrail(nodes={"maxCordonedPercent": 10})], 100) == 10
    assert policy_limits.most_cordoned([make_guardrail(nodes={})], 100) == 1


def test_budgets_are_counted_from_remediations(make_guardrail, make_remediation):
    guardrail = make_guardrail(budget={"actions": 2, "per": "1h"}, namespaceBudget={"actions": 1, "per": "1h"})
    cluster, elsewhere = policy_limits.buckets([guardrail], [make_remediation()], "other")
    assert (tokens_left(cluster, 100.0), tokens_left(elsewhere, 100.0)) == (1.0, 1.0)
    _, here = policy_limits.buckets([guardrail], [make_remediation()], "shop")
    assert tokens_left(here, 100.0) == 0.0


def test_rung_that_did_not_help_is_spent_while_it_is_reverted(slo, make_policy, make_remediation):
    def spent(*history):
        return policy_limits.spent(history, make_policy(), slo, 1)

    assert spent(make_remediation("Failed"), make_remediation("RolledBack", rung=1, action={"restart": {}})) == {0, 1}
    assert spent(make_remediation("RollingBack", verified="False")) == {0}
    assert spent(make_remediation("Verifying"), make_remediation("Succeeded", verified="True")) == set()
    assert spent(make_remediation("Aborted")) == set()
    assert spent(make_remediation("Failed", episode=2)) == set()


def test_spent_rung_is_recognized_in_an_edited_ladder(slo, make_policy, make_remediation):
    restart: dict[str, Any] = {"restart": {}}
    other: dict[str, Any] = {"evict": {}}
    tried = [make_remediation("Failed", rung=1, action=restart)]
    for actions, spent in (
        ([restart, other], {0}),  # it is elsewhere now
        ([other, {"restart": {"timing": "Now"}}], {1}),  # the same place and action have the same name
        ([other, other, {"restart": {"timing": "Now"}}], set()),
    ):
        assert policy_limits.spent(tried, make_policy(actions=actions), slo, 1) == spent


def test_remediation_that_did_not_help_does_not_block_the_next_rung(make_remediation):
    assert policy_limits.is_in_the_way(make_remediation("Verifying"))
    assert policy_limits.is_in_the_way(make_remediation("AwaitingApproval"))
    assert not policy_limits.is_in_the_way(make_remediation("RollingBack", verified="False"))
    assert not policy_limits.is_in_the_way(make_remediation("Succeeded", verified="True"))


def test_remediation_being_reverted_blocks_the_same_action_on_the_same_target(make_remediation):
    """Kind: two Remediations of the same intent, each of which takes the other's writes for those of a user."""
    giving = make_remediation("RollingBack", verified="False")
    action, uid = giving.spec.intent.action.name, giving.spec.intent.target.uid
    assert policy_limits.is_in_the_way(giving, action, uid)
    assert not policy_limits.is_in_the_way(giving, action, "another")
    assert not policy_limits.is_in_the_way(giving, "Restart" if action != "Restart" else "Scale", uid)
    assert not policy_limits.is_in_the_way(make_remediation("RolledBack", verified="False"), action, uid)


NIGHT = {"cron": "0 22 * * *", "duration": "6h", "timeZone": "Europe/Berlin"}


def test_windows_of_guardrails_and_policy_are_combined(make_guardrail, make_policy):
    guardrail = make_guardrail(blackoutWindows=[NIGHT, {**NIGHT, "actions": ["Restart"]}], maintenanceWindows=[NIGHT])
    policy = make_policy(blackoutWindows=[NIGHT], maintenanceWindows=[{**NIGHT, "actions": ["Restart"]}])
    scale = policy_limits.policy_limits([guardrail], policy, "Scale")
    assert [each.owner for each in scale.blackout_windows] == [
        "a blackout window of policy early",
        "a blackout window of Guardrail all",
    ]
    assert [[each.owner for each in some] for some in scale.maintenance_windows] == [["Guardrail all"]]
    restart = policy_limits.policy_limits([guardrail], policy, "Restart")
    assert (len(restart.blackout_windows), len(restart.maintenance_windows)) == (3, 2)
    assert (restart.blackout_windows[0].duration, restart.blackout_windows[0].zone) == (6 * 3600, "Europe/Berlin")


def test_storm_breaker_applies_by_default(make_guardrail, make_policy):
    (usual,) = policy_limits.storms([make_guardrail()], (("shop", 1.0),), {"shop": 40})
    assert (usual.objectives, usual.share, usual.within, usual.objectives_by_namespace, usual.at_risk_since) == (
        20,
        0.5,
        600.0,
        {"shop": 40},
        (("shop", 1.0),),
    )
    (told,) = policy_limits.storms([make_guardrail(storm={"objectives": 3})], (), {"shop": 40})
    assert (told.objectives, told.owner) == (3, "storm of Guardrail all")
    assert policy_limits.policy_limits([], make_policy(), "Scale", (told,)).storm_checks == (told,)


@pytest.mark.parametrize(
    "window",
    [
        {**NIGHT, "cron": "0 0 30 2 *"},
        {**NIGHT, "timeZone": "Mars/Olympus"},
        {**NIGHT, "cron": "often"},
        {"cron": "0 0 * * *"},
    ],
)
def test_window_that_never_opens_is_invalid(make_guardrail, window):
    with pytest.raises(ValidationError, match=r"never comes|time zone|schedule|required|String should match"):
        make_guardrail(blackoutWindows=[window])


@pytest.mark.parametrize(
    ("query", "capacity", "doubted"),
    [
        ("sum(load)", {}, True),
        ("sum(load) / 2", {"indicator": "load"}, True),
        ("sum(load)", {"type": "Declared", "perReplica": 5}, False),
        ("sum(load)", {"indicator": "other"}, False),
        ("sum(load) / count(up)", {}, False),
        ("avg(load)", {}, False),
    ],
)
def test_proportional_sizing_by_a_sum_is_doubted(slo, make_policy, query, capacity, doubted):
    leading = [{"name": "load", "query": query, "limit": 100, "horizon": "10m"}]
    watched = type(slo).read({**slo.dump(), "spec": {**slo.spec.dump(), "leadingIndicators": leading}})
    (rung,) = make_policy(actions=[{"scale": {"maxReplicas": 8, "capacity": capacity}}]).spec.actions
    assert ("is a sum" in policy_limits.doubt(rung, watched, "load")) is doubted


@pytest.mark.parametrize(("status", "episode", "held"), [("False", 1, True), ("True", 1, False), ("False", 2, False)])
def test_indicator_that_looked_like_a_total_in_the_episode_is_remembered(
    make_policy, make_remediation, status, episode, held
):
    one = make_remediation()
    condition = {"type": "Proportional", "status": status, "reason": "IndicatorIsTotal", "message": "declare it"}
    told = type(one).read({**one.dump(), "status": {"phase": "Verifying", "conditions": [condition]}})
    total = policy_limits.measured_total([told], make_policy(), episode)
    assert (total is not None) is held
    assert total is None or (total.reason, "declare it" in total.message) == ("IndicatorIsTotal", True)


def test_a_policy_says_when_it_acts_and_with_which_ladder(make_policy):
    capacity = {"type": "Declared", "perReplica": 50, "headroom": 0.3, "confidence": 0.5, "indicator": "load"}
    scale = {"maxReplicas": 9, "minReplicas": 2, "maxStep": 3, "capacity": capacity}
    policy = make_policy(
        when={"probability": 0.7, "within": "4m", "for": "30s"},
        actions=[{"scale": scale, "indicators": ["load", "cpu"]}, {"restart": {}}],
    )
    assert policy_limits.trigger_of(policy) == Trigger(0.7, 240.0, 30.0)
    assert policy_limits.trigger_of(make_policy(when={"probability": 0.7})).within is None
    first, second = policy_limits.rungs_of(policy)
    assert (first.action, first.indicators) == ("Scale", frozenset({"load", "cpu"}))
    assert first.scale == ScaleBounds(
        max_replicas=9, min_replicas=2, max_step=3, capacity=ReplicaCapacity(50, 0.3, 0.5), indicator="load"
    )
    assert (second.action, second.indicators, second.scale) == ("Restart", frozenset(), None)


def test_a_budget_names_its_owner_its_size_and_what_was_spent(make_guardrail, make_remediation):
    guardrails = [
        make_guardrail("a", budget={"actions": 2, "per": "1h"}),
        make_guardrail("b", namespaceBudget={"actions": 1, "per": "6h"}),
        make_guardrail("c"),
    ]
    telling = make_remediation(action={"notify": {"channel": "pager"}})
    debts = {("a", ""): RecordedUsage(1.0, 5.0), ("b", "shop"): RecordedUsage(0.5, 6.0), ("b", ""): RecordedUsage(9, 9)}
    everywhere, here = policy_limits.buckets(guardrails, [make_remediation(), telling], "shop", debts)
    assert everywhere == TokenBucket("the cluster's budget (Guardrail a)", 2, 3600.0, (100.0,), debts["a", ""])
    assert here == TokenBucket("the namespace's budget (Guardrail b)", 1, 21_600.0, (100.0,), debts["b", "shop"])
    assert policy_limits.buckets(guardrails, [], "other")[1].recorded_usage is None


def test_a_window_of_other_actions_limits_nothing(make_guardrail, make_policy):
    guardrail = make_guardrail(
        blackoutWindows=[{**NIGHT, "actions": ["Restart"]}], maintenanceWindows=[{**NIGHT, "actions": ["Restart"]}]
    )
    scale = policy_limits.policy_limits([guardrail], make_policy(), "Scale")
    assert (scale.blackout_windows, scale.maintenance_windows, scale.storm_checks) == ((), (), ())
    restart = policy_limits.policy_limits([guardrail], make_policy(), "Restart")
    assert [window.owner for window in restart.blackout_windows] == ["a blackout window of Guardrail all"]
    assert [[window.cron for window in windows] for windows in restart.maintenance_windows] == [["0 22 * * *"]]


def test_storm_limits_of_guardrails_replace_the_default(make_guardrail):
    (usual,) = policy_limits.storms([], (), {})
    assert usual.owner == "storm of a Guardrail sets another limit"
    checks = policy_limits.storms(
        [make_guardrail("a", storm={"objectives": 3, "share": 0.2, "within": "1m"}), make_guardrail("b", storm={})],
        (("shop", 1.0),),
        {"shop": 4},
    )
    assert [(check.owner, check.objectives, check.share, check.within) for check in checks] == [
        ("storm of Guardrail a", 3, 0.2, 60.0),
        ("storm of Guardrail b", 20, 0.5, 600.0),
    ]


def changed(remediation, *, spec=None, **status):
    """Return a Remediation with another status, and with other fields of its spec."""
    body = remediation.dump()
    return type(remediation).read({
        **body,
        "spec": {**body["spec"], **(spec or {})},
        "status": {**body["status"], **status},
    })  # fmt: skip


ENDED, SINCE = "1970-01-01T00:20:00Z", "1970-01-01T00:10:00Z"


def test_guard_input_lists_ended_remediations(make_policy, make_remediation):
    over = changed(make_remediation("Failed", rung=1, episode=3, action={"restart": {}}), ended=ENDED, since=SINCE)
    assert policy_limits.ended([over, make_remediation("Verifying")], make_policy()) == (
        EndedRemediation(
            name=over.name,
            phase="Failed",
            ended_at=1200.0,
            policy_uid="p-1",
            objective_uid="o-1",
            episode=3,
            reviewed=False,
            rung=1,
            action="Restart",
        ),
    )


@pytest.mark.parametrize(
    ("status", "ended_at"), [({"ended": ENDED, "since": SINCE}, 1200.0), ({"since": SINCE}, 600.0), ({}, 100.0)]
)
def test_remediation_without_an_end_time_ended_when_its_phase_began_or_it_was_created(
    make_policy, make_remediation, status, ended_at
):
    (over,) = policy_limits.ended([changed(make_remediation("Failed"), **status)], make_policy())
    assert over.ended_at == ended_at


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"spec": {"feedback": {"verdict": "Helpful", "by": "jo"}}}, "reviewed"),
        ({"reason": "Forbidden"}, "refused"),
        ({"reason": "Contained"}, "contained"),
        ({"spec": {"undo": {"by": "jo", "comment": "no"}}}, "undone"),
    ],
)
def test_ended_remediation_is_marked_reviewed_refused_contained_or_undone(make_policy, make_remediation, change, field):
    policy = make_policy()
    plain = make_remediation("Failed")
    intent = {**plain.dump()["spec"]["intent"], "policyGeneration": 1, "policyHash": policy.spec.content_hash}
    plain = changed(plain, spec={"intent": intent})
    fields = ("reviewed", "refused", "contained", "undone")

    def told(remediation):
        (over,) = policy_limits.ended([remediation], policy)
        return {name for name in fields if getattr(over, name)}

    assert told(plain) == set()
    assert told(changed(plain, **change)) == {field}


def test_notified_and_refused_rungs_are_spent_for_their_episode(slo, make_policy, make_remediation):
    telling = {"notify": {"channel": "pager"}}
    policy = make_policy(actions=[telling, {"restart": {}}])

    def spent(*history, uid="o-1"):
        objective = slo.model_copy(update={"metadata": slo.metadata.model_copy(update={"uid": uid})})
        return policy_limits.spent(history, policy, objective, 1)

    assert spent(make_remediation("Succeeded", action=telling)) == {0}
    assert spent(make_remediation("Executing", action=telling)) == set()
    refused = changed(make_remediation("Aborted", rung=1, action={"restart": {}}), reason="Refused")
    assert spent(refused) == {1}
    assert spent(make_remediation("Aborted", rung=1, action={"restart": {}})) == set()
    assert spent(refused, uid="o-2") == set()
    body = refused.dump()
    body["spec"]["intent"]["policy"]["uid"] = "p-2"
    assert spent(type(refused).read(body)) == set()


def test_only_the_policys_own_scale_out_looked_like_a_total(make_policy, make_remediation):
    condition = {"type": "Proportional", "status": "False", "reason": "IndicatorIsTotal", "message": "declare it"}
    one = changed(make_remediation(), conditions=[condition])
    assert policy_limits.measured_total([make_remediation(), one], make_policy(), 1) == Hold(
        "IndicatorIsTotal", f"{one.name}: declare it"
    )
    body = one.dump()
    body["spec"]["intent"]["policy"]["uid"] = "p-2"
    assert policy_limits.measured_total([type(one).read(body)], make_policy(), 1) is None


def test_only_a_scale_out_for_a_sum_is_doubted(slo, make_policy):
    leading = [{"name": "load", "query": "sum(load)", "limit": 100, "horizon": "10m"}]
    watched = type(slo).read({**slo.dump(), "spec": {**slo.spec.dump(), "leadingIndicators": leading}})
    scale, restart = make_policy(actions=[{"scale": {"maxReplicas": 8}}, {"restart": {}}]).spec.actions
    assert policy_limits.doubt(scale, watched, "load").startswith("; load is a sum, which does not fall")
    assert policy_limits.doubt(restart, watched, "load") == ""
    assert policy_limits.doubt(scale, watched, "sli") == ""


def test_remediation_being_undone_blocks_every_action(make_remediation):
    undone = changed(make_remediation("RollingBack", verified="False"), spec={"undo": {"by": "jo", "comment": "no"}})
    assert policy_limits.is_in_the_way(undone)
    assert not policy_limits.is_in_the_way(make_remediation("Executing", action={"notify": {"channel": "pager"}}))


@pytest.mark.parametrize(
    ("action", "kind", "phase", "takes", "empties"),
    [
        ({"cordon": {}}, "Node", "Pending", True, False),
        ({"drain": {}}, "Node", "Verifying", True, True),
        ({"drain": {}}, "Node", "Succeeded", False, True),
        ({"restart": {}}, "Deployment", "Verifying", False, False),
    ],
)
def test_a_node_is_taken_as_long_as_its_remediation_is_under_way(make_remediation, action, kind, phase, takes, empties):
    remediation = make_remediation(phase, action=action, kind=kind)
    assert policy_limits.takes_a_node(remediation) is takes
    assert policy_limits.empties_a_node(remediation) is empties
