from typing import Any

import pytest
from pydantic import ValidationError

from forestall.core.guards.budget import tokens_left
from forestall.engine import policy_limits

ALLOW = [{"namespaces": {"matchLabels": {"team": "shop"}}, "actions": ["Scale", "Cordon"]}]


def test_nodes_are_never_free(make_guardrail):
    assert policy_limits.allowed([], "Scale", {})
    assert policy_limits.allowed([], "Restart", {})
    assert policy_limits.allowed([], "Evict", {})
    assert not policy_limits.allowed([], "Cordon", {})
    assert not policy_limits.allowed([], "Drain", {})
    assert policy_limits.allowed([make_guardrail(allow=ALLOW)], "Cordon", {"team": "shop"})


@pytest.mark.parametrize(
    ("action", "labels"), [("Cordon", {}), ("Restart", {"team": "shop"}), ("Scale", {}), ("Scale", None)]
)
def test_what_is_not_listed_is_not_allowed(make_guardrail, action, labels):
    assert not policy_limits.allowed([make_guardrail(allow=ALLOW)], action, labels)


def test_every_guardrail_must_allow(make_guardrail):
    strict = make_guardrail("strict", allow=[{"actions": ["Scale"]}])
    assert not policy_limits.allowed([make_guardrail(allow=ALLOW), strict], "Cordon", {"team": "shop"})


def test_the_strictest_word_about_nodes_counts_and_without_any_none_is_cordoned(make_guardrail):
    assert policy_limits.most_cordoned([], 100) == 0
    assert policy_limits.most_cordoned([make_guardrail(), make_guardrail("b")], 100) == 1
    three, two = make_guardrail(nodes={"maxCordoned": 3}), make_guardrail("b", nodes={"maxCordoned": 2})
    assert policy_limits.most_cordoned([three, two], 100) == 2
    assert policy_limits.most_cordoned([three, make_guardrail("b")], 100) == 3, (
        "who says nothing about nodes limits none"
    )


@pytest.mark.parametrize(("nodes", "most"), [(100, 4), (39, 3), (9, 0), (0, 0)])
def test_a_share_of_the_nodes_is_rounded_down_and_the_number_holds_too(make_guardrail, nodes, most):
    guardrail = make_guardrail(nodes={"maxCordoned": 4, "maxCordonedPercent": 10})
    assert policy_limits.most_cordoned([guardrail], nodes) == most


def test_a_share_alone_is_not_held_back_by_the_number_that_nobody_gave(make_guardrail):
    assert policy_limits.most_cordoned([make_guardrail(nodes={"maxCordonedPercent": 10})], 100) == 10
    assert policy_limits.most_cordoned([make_guardrail(nodes={})], 100) == 1


def test_budgets_are_counted_from_remediations(make_guardrail, make_remediation):
    guardrail = make_guardrail(budget={"actions": 2, "per": "1h"}, namespaceBudget={"actions": 1, "per": "1h"})
    cluster, elsewhere = policy_limits.buckets([guardrail], [make_remediation()], "other")
    assert (tokens_left(cluster, 100.0), tokens_left(elsewhere, 100.0)) == (1.0, 1.0)
    _, here = policy_limits.buckets([guardrail], [make_remediation()], "shop")
    assert tokens_left(here, 100.0) == 0.0


def test_a_rung_is_spent_when_it_did_not_help_also_while_it_still_gives_back(slo, make_policy, make_remediation):
    def spent(*history):
        return policy_limits.spent(history, make_policy(), slo, 1)

    assert spent(make_remediation("Failed"), make_remediation("RolledBack", rung=1, action={"restart": {}})) == {0, 1}
    assert spent(make_remediation("RollingBack", verified="False")) == {0}
    assert spent(make_remediation("Verifying"), make_remediation("Succeeded", verified="True")) == set()
    assert spent(make_remediation("Aborted")) == set()
    assert spent(make_remediation("Failed", episode=2)) == set()


def test_what_was_tried_in_vain_is_known_also_in_a_ladder_that_was_changed(slo, make_policy, make_remediation):
    restart: dict[str, Any] = {"restart": {}}
    other: dict[str, Any] = {"evict": {}}
    tried = [make_remediation("Failed", rung=1, action=restart)]
    for actions, spent in (
        ([restart, other], {0}),  # it is elsewhere now
        ([other, {"restart": {"timing": "Now"}}], {1}),  # the same place and action have the same name
        ([other, other, {"restart": {"timing": "Now"}}], set()),
    ):
        assert policy_limits.spent(tried, make_policy(actions=actions), slo, 1) == spent


def test_what_did_not_help_leaves_room_for_the_next_rung(make_remediation):
    assert policy_limits.is_in_the_way(make_remediation("Verifying"))
    assert policy_limits.is_in_the_way(make_remediation("AwaitingApproval"))
    assert not policy_limits.is_in_the_way(make_remediation("RollingBack", verified="False"))
    assert not policy_limits.is_in_the_way(make_remediation("Succeeded", verified="True"))


def test_what_still_gives_back_leaves_no_room_for_the_same_action_on_the_same_target(make_remediation):
    """Kind: two of one intent, of which each takes the other's writes for somebody else's."""
    giving = make_remediation("RollingBack", verified="False")
    action, uid = giving.spec.intent.action.name, giving.spec.intent.target.uid
    assert policy_limits.is_in_the_way(giving, action, uid)
    assert not policy_limits.is_in_the_way(giving, action, "another")
    assert not policy_limits.is_in_the_way(giving, "Restart" if action != "Restart" else "Scale", uid)
    assert not policy_limits.is_in_the_way(make_remediation("RolledBack", verified="False"), action, uid)


NIGHT = {"cron": "0 22 * * *", "duration": "6h", "timeZone": "Europe/Berlin"}


def test_windows_of_guardrails_and_of_the_policy_add_up(make_guardrail, make_policy):
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


def test_a_storm_is_broken_also_where_nobody_said_so(make_guardrail, make_policy):
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
def test_a_window_that_never_opens_is_invalid(make_guardrail, window):
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
def test_a_sum_that_is_sized_in_proportion_is_doubted(slo, make_policy, query, capacity, doubted):
    leading = [{"name": "load", "query": query, "limit": 100, "horizon": "10m"}]
    watched = type(slo).read({**slo.dump(), "spec": {**slo.spec.dump(), "leadingIndicators": leading}})
    (rung,) = make_policy(actions=[{"scale": {"maxReplicas": 8, "capacity": capacity}}]).spec.actions
    assert ("is a sum" in policy_limits.doubt(rung, watched, "load")) is doubted


@pytest.mark.parametrize(("status", "episode", "held"), [("False", 1, True), ("True", 1, False), ("False", 2, False)])
def test_what_looked_like_a_total_in_this_episode_is_known(make_policy, make_remediation, status, episode, held):
    one = make_remediation()
    condition = {"type": "Proportional", "status": status, "reason": "IndicatorIsTotal", "message": "declare it"}
    told = type(one).read({**one.dump(), "status": {"phase": "Verifying", "conditions": [condition]}})
    total = policy_limits.measured_total([told], make_policy(), episode)
    assert (total is not None) is held
    assert total is None or (total.reason, "declare it" in total.message) == ("IndicatorIsTotal", True)
