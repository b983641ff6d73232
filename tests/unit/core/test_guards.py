import math
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.actions import ACTIONS
from forestall.core.guards import (
    GUARDS,
    SKIPPED_ON_RECHECK,
    Constraints,
    DisruptionBudget,
    EndedRemediation,
    GuardInput,
    NodeAvailability,
    RecordedUsage,
    StormCheck,
    TokenBucket,
    WorkloadPods,
    check,
)
from forestall.core.guards.budget import remaining_usage, tokens_left
from forestall.core.guards.disruption import disruption
from forestall.core.guards.lockout import lockout
from forestall.core.guards.storm import most_within
from forestall.core.windows import TimeWindow

TRAITS = {name: action.traits for name, action in ACTIONS.items()}
ALWAYS = TimeWindow("a blackout window of Guardrail g", "* * * * *", 3600.0, "UTC")
AT_NEW_YEAR = TimeWindow("Guardrail g", "0 0 1 1 *", 3600.0, "Europe/Berlin")
STORM = StormCheck("storm of Guardrail g", 3, 0.5, 60.0, {"shop": 6}, (("shop", 10.0), ("shop", 40.0), ("shop", 70.0)))


def constraints(**fields):
    return {"constraints": Constraints(**fields)}


NODES = NodeAvailability(target="n1", unavailable=(), max_unavailable=1, equivalent_nodes=3)
TWO_CONTROL_PLANES = NodeAvailability(
    "n1",
    unavailable=("n2",),
    max_unavailable=2,
    equivalent_nodes=3,
    control_plane=True,
    control_planes_unavailable=("n2",),
)


def ended(phase="RolledBack", at=50.0, episode=1, reviewed=False):
    return EndedRemediation("shop-scale-1", phase, at, "policy", "slo", episode, reviewed)


@pytest.fixture
def fine(make_signal):
    return GuardInput(
        now=100.0,
        action=TRAITS["Scale"],
        namespace="shop",
        policy_uid="policy",
        objective_uid="slo",
        episode=2,
        cause=make_signal(),
        suspended=False,
        paused=None,
        allowed=True,
        victim_of=None,
        active_remediation=None,
        cooldown=60.0,
        history=(),
        last_ended_at=None,
        buckets=(),
        nodes=None,
    )


def test_no_guard_holds_a_valid_action(fine):
    assert check(fine) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"paused": "migration"}, "Paused"),
        ({"suspended": True}, "Suspended"),
        ({"allowed": False}, "NotAllowed"),
        ({"active_remediation": "shop-scale-0"}, "RemediationActive"),
        ({"victim_of": "database"}, "DependencyAtRisk"),
        ({"last_ended_at": 50.0}, "Cooldown"),
        ({"history": (ended(),)}, "Locked"),
        ({"buckets": (TokenBucket("the cluster's budget", 1, 60.0, (99.0,)),)}, "BudgetExhausted"),
        ({"action": TRAITS["Cordon"], "nodes": None}, "NodesUnknown"),
        ({"action": TRAITS["Cordon"], "nodes": replace(NODES, unavailable=("n2",))}, "TooManyNodesCordoned"),
        ({"action": TRAITS["Cordon"], "nodes": replace(NODES, max_unavailable=0)}, "TooManyNodesCordoned"),
        ({"action": TRAITS["Cordon"], "nodes": replace(NODES, equivalent_nodes=0)}, "LastNode"),
        ({"action": TRAITS["Drain"], "nodes": None}, "NodesUnknown"),
        ({"action": TRAITS["Drain"], "nodes": TWO_CONTROL_PLANES}, "ControlPlane"),
        ({"action": TRAITS["Drain"], "nodes": replace(NODES, unschedulable_pod="shop/web-1")}, "InsufficientCapacity"),
        (constraints(blackout_windows=(AT_NEW_YEAR, ALWAYS)), "BlackoutWindow"),
        (constraints(maintenance_windows=((AT_NEW_YEAR,),)), "OutsideMaintenanceWindow"),
        (constraints(maintenance_windows=((ALWAYS,), (AT_NEW_YEAR,))), "OutsideMaintenanceWindow"),
        (constraints(storm_checks=(STORM,)), "Storm"),
        (constraints(protected="namespace shop"), "Protected"),
        ({"action": TRAITS["Restart"]}, "DisruptionUnknown"),
        (
            {"action": TRAITS["Restart"], **constraints(pods=WorkloadPods(3, 3, 1, (DisruptionBudget("b", 0),)))},
            "DisruptionNotAllowed",
        ),
        ({"action": TRAITS["Restart"], **constraints(pods=WorkloadPods(3, 1, 1))}, "TooFewReady"),
        (
            {"action": TRAITS["Restart"], **constraints(pods=WorkloadPods(9, 1, 1, is_bounded=True, is_rolling=True))},
            "TooFewReady",
        ),
        (
            {"action": TRAITS["Restart"], **constraints(pods=WorkloadPods(3, 2, 1, (DisruptionBudget("b", 0),)))},
            "DisruptionNotAllowed",
        ),
        (
            {
                "action": TRAITS["Restart"],
                **constraints(pods=WorkloadPods(3, 3, 1, (DisruptionBudget("b", 0),), is_bounded=True)),
            },
            "DisruptionNotAllowed",
        ),
    ],
)
def test_each_guard_holds_and_says_why(fine, change, reason):
    hold = check(replace(fine, **change))
    assert hold is not None
    assert hold.reason == reason
    assert hold.message


@pytest.mark.parametrize(
    "nodes",
    [
        NODES,
        replace(NODES, max_unavailable=2, unavailable=("n2",)),
        replace(NODES, equivalent_nodes=1),
        replace(TWO_CONTROL_PLANES, control_planes_unavailable=()),
        replace(TWO_CONTROL_PLANES, control_plane=False),
        replace(NODES, control_planes_unavailable=("n2",)),
    ],
)
def test_a_node_that_other_nodes_can_replace_passes(fine, nodes):
    assert check(replace(fine, action=TRAITS["Drain"], nodes=nodes)) is None


def test_every_guard_is_checked(fine, make_signal):
    broken = replace(
        fine,
        cause=make_signal(fresh=False),
        action=TRAITS["Cordon"],
        paused="",
        allowed=False,
        active_remediation="other",
        victim_of="database",
        history=(ended(),),
        last_ended_at=99.0,
        buckets=(TokenBucket("nobody", 0, 60.0, ()),),
        clock_skew="the clock of the API server is 1m ahead of this process's",
        **constraints(
            blackout_windows=(ALWAYS,), maintenance_windows=((AT_NEW_YEAR,),), storm_checks=(STORM,), protected="it"
        ),
    )
    holding = {guard for guard in GUARDS if guard(broken) is not None}
    full = replace(broken, nodes=replace(NODES, unschedulable_pod="shop/web-1"))
    holding |= {guard for guard in GUARDS if guard(full) is not None}
    assert holding | {disruption} == set(GUARDS)
    assert disruption(replace(broken, action=TRAITS["Restart"])) is not None


@pytest.mark.parametrize(
    "fields",
    [
        {"blackout_windows": (AT_NEW_YEAR,)},
        {"maintenance_windows": ((AT_NEW_YEAR, ALWAYS),)},
        {"storm_checks": (replace(STORM, objectives=4),)},
        {"storm_checks": (replace(STORM, share=0.6),)},
        {"storm_checks": (replace(STORM, within=59.0),)},
        {"pods": WorkloadPods(3, 2, 1, (DisruptionBudget("b", 1),))},
    ],
)
def test_constraints_that_do_not_apply_pass(fine, fields):
    assert (
        check(replace(fine, action=TRAITS["Restart"], **constraints(**{"pods": WorkloadPods(3, 3, 0), **fields})))
        is None
    )


@pytest.mark.parametrize("action", ["Restart", "Rollback"])
@pytest.mark.parametrize(
    "pods",
    [
        WorkloadPods(4, 3, 1, (DisruptionBudget("b", 0),), is_bounded=True),
        WorkloadPods(4, 1, 1, (DisruptionBudget("b", 0),), is_bounded=True),
        WorkloadPods(2, 0, 0, (DisruptionBudget("b", 0),)),
        WorkloadPods(2, 0, 0, (DisruptionBudget("b", 0),), is_bounded=True, is_rolling=True),
    ],
    ids=["used up by what is missing", "more is missing than may be", "nothing is left", "not even of a rollout"],
)
def test_a_budget_that_unready_pods_have_used_up_does_not_hold_the_remedy(fine, action, pods):
    """Kind: a guard that the trouble itself holds shut, where it has nothing left to protect."""
    assert check(replace(fine, action=TRAITS[action], **constraints(pods=pods))) is None


def test_a_rollback_ignores_disruption_budgets(fine):
    for pods in (None, WorkloadPods(3, 1, 1), WorkloadPods(4, 3, 1, (DisruptionBudget("b", 0),))):
        assert check(replace(fine, action=TRAITS["Rollback"], **constraints(pods=pods))) is None


def test_a_scale_out_ignores_disruption_budgets(fine):
    assert check(replace(fine, **constraints(pods=WorkloadPods(3, 0, 0, (DisruptionBudget("b", 0),))))) is None


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 1000)), max_size=20),
    st.floats(0, 1000),
    st.none() | st.integers(1, 5),
)
def test_a_storm_counts_the_most_risks_within_its_time(since, within, cap):
    def weight(first):
        counts = Counter(namespace for namespace, at in since if first <= at <= first + within)
        return sum(count if cap is None else min(count, cap) for count in counts.values())

    assert most_within(since, within, cap) == max((weight(at) for _, at in since), default=0)


def at_risk(**namespaces):
    return tuple((namespace, 50.0 + number / 10) for namespace, count in namespaces.items() for number in range(count))


@pytest.mark.parametrize(
    ("since", "watched", "namespace", "reason"),
    [
        (at_risk(greedy=22), {"greedy": 22, "shop": 3}, "shop", None),
        (at_risk(greedy=22), {"greedy": 22, "shop": 3}, "greedy", "Storm"),
        (at_risk(greedy=22), {"greedy": 100, "shop": 3}, "greedy", None),
        (at_risk(a=8, b=8, shop=4), {"a": 10, "b": 10, "shop": 10}, "shop", "Storm"),
        (at_risk(a=15, b=15), {"a": 15, "b": 15, "shop": 3}, "shop", "Storm"),
        (at_risk(a=22, b=22), {"a": 22, "b": 22, "c": 10, "d": 20, "shop": 3}, "shop", None),
    ],
    ids=["another's", "its own", "a part", "the cluster's", "two at once", "two of many"],
)
def test_a_storm_of_one_namespace_holds_no_other(fine, since, watched, namespace, reason):
    """Kind: no share per namespace. One tenant's 22 always-at-risk objectives held everybody's actions."""
    breaker = StormCheck("nobody", 20, 0.5, 60.0, watched, since)
    hold = check(replace(fine, namespace=namespace, **constraints(storm_checks=(breaker,))))
    assert (hold and hold.reason) == reason


def test_a_storm_is_counted_once_for_all_decisions_of_a_cycle(fine):
    """Kind: work of a decision that is the same for all decisions of a cycle."""
    since = at_risk(a=8, b=8, shop=4)
    passes = 0

    class Watched(tuple[tuple[str, float], ...]):
        __slots__ = ()

        def __iter__(self):
            nonlocal passes
            passes += 1
            return super().__iter__()

    breaker = StormCheck("nobody", 20, 0.5, 60.0, {"a": 10, "b": 10, "shop": 10}, Watched(since))
    for namespace in ("shop", "a", "b") * 5:
        assert check(replace(fine, namespace=namespace, **constraints(storm_checks=(breaker,)))) is not None
    assert passes == 1
    check(replace(fine, now=fine.now + 30, **constraints(storm_checks=(breaker,))))
    assert passes == 2


def test_an_objective_at_risk_for_days_does_not_count_for_a_storm(fine):
    breaker = StormCheck("nobody", 20, 0.5, 60.0, {"shop": 22}, at_risk(shop=22))
    hold = check(replace(fine, now=86400.0, **constraints(storm_checks=(breaker,))))
    assert hold is not None
    assert hold.reason == "Storm"
    assert check(replace(fine, now=2 * 86400.0, **constraints(storm_checks=(breaker,)))) is None


def test_messages_of_windows_have_the_time_zone_of_the_window(fine):
    hold = check(replace(fine, now=1_796_000_000.0, **constraints(maintenance_windows=((AT_NEW_YEAR,),))))
    assert hold is not None
    assert hold.message == (
        "Guardrail g allows Scale in its maintenance windows only; the next one opens at 2027-01-01 00:00 CET"
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_non_finite_data_holds(fine, make_signal, value):
    hold = check(replace(fine, cause=make_signal(value=value)))
    assert hold is not None
    assert hold.reason == "DataNotFresh"


def test_the_next_rung_need_not_wait_for_the_cooldown(fine):
    failed = ended(episode=2, at=95.0)
    assert check(replace(fine, history=(failed,), last_ended_at=95.0)) is None
    succeeded = replace(failed, phase="Succeeded")
    hold = check(replace(fine, history=(succeeded,), last_ended_at=95.0))
    assert hold is not None
    assert hold.reason == "Cooldown"


@pytest.mark.parametrize("action", ["Restart", "Evict"])
def test_an_action_that_did_not_help_is_not_repeated_at_once_by_any_policy(fine, action):
    """Kind: nothing fell, and the same is done once more. The next rung may do something else."""
    unsuccessful = replace(ended("Failed", episode=2, at=95.0), action=action, rung=0, policy_uid="other")
    context = replace(
        fine,
        history=(unsuccessful,),
        last_ended_at=95.0,
        rung=1,
        action=TRAITS[action],
        constraints=Constraints(pods=WorkloadPods(3, 3, 1)),
    )
    hold = check(replace(context, cooldown=0.0))
    assert hold is not None
    assert (hold.reason, "4m55s" in hold.message) == ("Cooldown", True)
    assert check(replace(context, now=500.0)) is None
    assert check(replace(context, action=TRAITS["Scale"])) is None
    refused = replace(unsuccessful, refused=True, phase="Aborted")
    assert check(replace(context, history=(refused,))) is None, "it was not tried"


def test_a_clock_that_was_set_back_makes_no_endless_cooldown(fine):
    hold = check(replace(fine, now=100.0, last_ended_at=1e9))
    assert hold is not None
    assert "1m are left" in hold.message


@pytest.mark.parametrize("change", [{"refused": True}, {"reviewed": True}, {"phase": "Succeeded"}])
def test_a_person_or_a_new_policy_unlocks(fine, change):
    assert check(replace(fine, history=(replace(ended(at=0.0), **change),))) is None


@given(
    size=st.integers(0, 20),
    per=st.floats(1, 3600),
    spent=st.lists(st.floats(0, 10_000), max_size=40),
    now=st.floats(10_000, 20_000),
)
def test_a_bucket_never_holds_more_than_its_size(size, per, spent, now):
    assert tokens_left(TokenBucket("b", size, per, tuple(spent)), now) <= size


@given(st.integers(1, 20), st.floats(1, 3600))
def test_a_full_bucket_lets_just_its_size_through_at_once(size, per):
    spent: list[float] = []
    while tokens_left(TokenBucket("b", size, per, tuple(spent)), 0.0) >= 1:
        spent.append(0.0)
    assert len(spent) == size
    assert tokens_left(TokenBucket("b", size, per, tuple(spent)), per) == pytest.approx(size)


def test_the_next_rung_need_not_cool_down_but_the_same_rung_for_another_object_must(fine):
    failed = replace(ended("Failed", at=50.0, episode=2), rung=0)
    context = replace(fine, history=(failed,), last_ended_at=50.0)
    assert check(replace(context, rung=1)) is None
    hold = check(replace(context, rung=0))
    assert hold is not None
    assert hold.reason == "Cooldown"


FOREIGN = NodeAvailability(
    "n1",
    unavailable=("n2", "n3"),
    max_unavailable=2,
    equivalent_nodes=3,
    control_plane=True,
    control_planes_unavailable=("n2",),
)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (FOREIGN, "2 other nodes are out of service, or will be, and the Guardrails allow 2 in all"),
        (
            replace(FOREIGN, max_unavailable=5),
            "n1 is a control plane node, and another one is out of service",
        ),
        (
            replace(NODES, unschedulable_pod="other/secret-1"),
            "no other node has the capacity for a pod of another namespace, one of",
        ),
        (
            replace(NODES, unschedulable_pod="shop/web-1"),
            "no other node has the capacity for pod shop/web-1 of node n1",
        ),
    ],
)
def test_messages_have_no_names_of_other_nodes_or_of_pods_of_other_namespaces(fine, nodes, message):
    """The kind: what is told must be the author's to know."""
    hold = check(replace(fine, action=TRAITS["Drain"], nodes=nodes))
    assert hold is not None
    assert message in hold.message
    assert not {"n2", "n3", "secret"} & set(hold.message.replace("/", " ").replace("-", " ").split())


@pytest.mark.parametrize("action", ["Scale", "Notify", "Drain"])
def test_clock_skew_holds_changes_and_notifications(fine, action):
    hold = check(
        replace(fine, action=TRAITS[action], clock_skew="the clock of the API server is 1m ahead of this process's")
    )
    assert hold is not None
    assert (hold.reason, hold.message[:9]) == ("ClockSkew", "the clock")


def test_a_remediation_that_a_person_has_undone_locks_its_policy_at_once(fine):
    """Elsewhere the rest of the ladder is open in the same episode; who undoes something did not want the next rung."""
    undone = replace(ended(phase="RolledBack", episode=fine.episode), undone=True)
    hold = lockout(replace(fine, history=(undone,)))
    assert hold is not None
    assert "was undone by a person" in hold.message
    assert lockout(replace(fine, history=(replace(undone, undone=False),))) is None
    assert lockout(replace(fine, history=(replace(undone, reviewed=True),))) is None


@pytest.mark.parametrize(
    ("change", "decided", "rechecked"),
    [
        ({"active_remediation": "shop-scale-1"}, "RemediationActive", None),
        ({"last_ended_at": 95.0}, "Cooldown", None),
        ({"buckets": (TokenBucket("the cluster's budget", 0, 60.0, ()),)}, "BudgetExhausted", None),
        ({"paused": "everything is paused"}, "Paused", "Paused"),
        ({"victim_of": "database"}, "DependencyAtRisk", "DependencyAtRisk"),
        ({"active_remediation": "shop-scale-1", "allowed": False}, "NotAllowed", "NotAllowed"),
    ],
)
def test_an_existing_remediation_is_not_held_by_itself(fine, change, decided, rechecked):
    """It was found alone, rested and counted when it was decided; everything else is asked of it again."""
    changed = replace(fine, **change)
    holds = check(changed), check(changed, SKIPPED_ON_RECHECK)
    assert [hold and hold.reason for hold in holds] == [decided, rechecked]


@pytest.mark.parametrize(
    ("spent", "now", "left"),
    [
        ((), 0.0, 2.0),
        ((100.0,), 100.0, 1.0),
        ((100.0,), 200.0, 1.5),
        ((100.0,), 500.0, 2.0),
        ((100.0, 150.0), 150.0, 0.25),
        ((150.0, 100.0), 250.0, 0.75),
        ((100.0, 900.0), 900.0, 1.0),
        ((500.0,), 100.0, 1.0),
    ],
)
def test_a_bucket_is_refilled_evenly_and_no_further_than_it_is_large(spent, now, left):
    """Two actions per 400 s. A clock that was set back makes what was spent later as if it were spent now."""
    assert tokens_left(TokenBucket("b", 2, 400.0, spent), now) == pytest.approx(left)


@pytest.mark.parametrize(
    ("recorded", "spent", "now", "left"),
    [
        (RecordedUsage(1.5, 100.0), (), 100.0, 0.5),
        (RecordedUsage(1.5, 100.0), (), 200.0, 1.0),
        (RecordedUsage(1.5, 100.0), (), 50.0, 0.5),
        (RecordedUsage(1.5, 100.0), (), 900.0, 2.0),
        (RecordedUsage(0.5, 100.0), (100.0,), 100.0, 1.0),
        (RecordedUsage(1.5, 100.0), (100.0,), 100.0, 0.5),
    ],
)
def test_recorded_usage_counts_where_remediations_were_deleted(recorded, spent, now, left):
    assert tokens_left(TokenBucket("b", 2, 400.0, spent, recorded), now) == pytest.approx(left)
    assert remaining_usage(recorded, TokenBucket("b", 2, 400.0, ()), 100.0) == recorded.used


def test_a_budget_of_no_time_is_refilled_at_once_and_one_of_nothing_never():
    assert tokens_left(TokenBucket("b", 2, 0.0, (99.0,)), 100.0) == 2.0
    assert tokens_left(TokenBucket("b", 0, 60.0, ()), 100.0) == 0.0


def test_one_action_and_no_part_of_one_is_enough(fine):
    assert check(replace(fine, buckets=(TokenBucket("nobody", 1, 100.0, (0.0,)),))) is None
    hold = check(replace(fine, buckets=(TokenBucket("nobody", 1, 101.0, (0.0,)),)))
    assert hold is not None
    assert hold.message == "nobody allows 1 action per 1m41s, and all of them are used"


@pytest.mark.parametrize(
    "change",
    [
        {"ended_at": 40.0},
        {"episode": 1, "reviewed": True},
        {"objective_uid": "other"},
        {"phase": "Succeeded"},
        {"phase": "Aborted"},
    ],
)
def test_only_what_failed_last_in_this_episode_lets_the_next_rung_go_on_at_once(fine, change):
    failed = replace(ended("Failed", at=95.0, episode=2), rung=0)
    context = replace(fine, history=(failed,), last_ended_at=95.0, rung=1)
    assert check(context) is None
    hold = check(replace(context, history=(replace(failed, **change),)))
    assert hold is not None
    assert hold.reason == "Cooldown"


def test_what_did_not_help_and_something_else_may_follow_at_once(fine):
    """Only the same is not repeated; what was refused was not tried, and the next rung goes on."""
    failed = replace(ended("Failed", at=95.0, episode=2), rung=0, action="Evict")
    context = replace(
        fine,
        action=TRAITS["Restart"],
        history=(failed,),
        last_ended_at=95.0,
        rung=1,
        constraints=Constraints(pods=WorkloadPods(3, 3, 1)),
    )
    assert check(context) is None
    assert check(replace(context, action=TRAITS["Scale"], history=(replace(failed, action="Scale"),))) is None
    refused = replace(failed, action="Restart", phase="Aborted", refused=True)
    assert check(replace(context, history=(refused,))) is None
    hold = check(replace(context, history=(replace(failed, action="Restart"),)))
    assert hold is not None
    assert hold.reason == "Cooldown"


@pytest.mark.parametrize(("after", "holds"), [(59.0, True), (60.0, False)])
def test_a_cooldown_is_over_when_its_time_is(fine, after, holds):
    hold = check(replace(fine, now=1000.0 + after, last_ended_at=1000.0))
    assert (hold is not None) is holds


def test_a_blackout_says_until_when_at_the_least(fine):
    """A window that is always open again has no end."""
    hold = check(replace(fine, **constraints(blackout_windows=(ALWAYS,))))
    assert hold is not None
    assert hold.message.endswith(" or later")
    once = TimeWindow("Guardrail g", "0 0 1 1 *", 3600.0, "UTC")
    hold = check(replace(fine, **constraints(blackout_windows=(once,))))
    assert hold is not None
    assert hold.message == "Guardrail g forbids Scale until 1970-01-01 01:00 UTC"


@pytest.mark.parametrize(("age", "counts"), [(86400.0, True), (86401.0, False)])
def test_after_a_day_a_risk_is_no_part_of_a_storm(fine, age, counts):
    breaker = StormCheck("nobody", 2, 0.5, 60.0, {"shop": 2}, (("shop", 0.0), ("shop", 0.0)))
    assert (check(replace(fine, now=age, **constraints(storm_checks=(breaker,)))) is not None) is counts


def test_where_no_objective_is_at_risk_there_is_no_storm(fine):
    """A breaker of one objective holds where one is at risk, and not where none is."""
    breaker = StormCheck("nobody", 1, 0.0, 60.0, {"bank": 9}, (("bank", 90.0),))
    assert check(replace(fine, **constraints(storm_checks=(replace(breaker, at_risk_since=()),)))) is None
    hold = check(replace(fine, **constraints(storm_checks=(breaker,))))
    assert hold is not None
    assert hold.message.startswith("1 of 9 objectives came at risk within 1m")


@pytest.mark.parametrize(("objectives", "holds"), [(2, True), (3, False), (4, False)])
def test_of_one_namespace_half_a_storm_counts_across_the_cluster(fine, objectives, holds):
    """Two namespaces: one with two objectives at risk, and one with one."""
    at_risk_since = (("a", 50.0), ("a", 50.0), ("b", 50.0))
    breaker = StormCheck("nobody", objectives, 0.0, 60.0, {"a": 2, "b": 1}, at_risk_since)
    hold = check(replace(fine, namespace="shop", **constraints(storm_checks=(breaker,))))
    assert (hold is not None) is holds


@pytest.mark.parametrize("change", [{"policy_uid": "other"}, {"objective_uid": "other"}])
def test_what_another_policy_did_or_did_elsewhere_locks_nothing(fine, change):
    assert lockout(replace(fine, history=(ended(),))) is not None
    assert lockout(replace(fine, history=(replace(ended(), **change),))) is None


def test_what_was_not_meant_to_lower_the_risk_locks_nothing_when_it_stays(fine):
    assert lockout(replace(fine, history=(replace(ended(), contained=True),))) is None


def test_a_budget_that_cannot_be_read_holds(fine):
    pods = WorkloadPods(3, 3, 1, (DisruptionBudget("b", None),))
    hold = check(replace(fine, action=TRAITS["Restart"], **constraints(pods=pods)))
    assert hold is not None
    assert hold.reason == "DisruptionUnknown"
    assert "PodDisruptionBudget b" in hold.message


@pytest.mark.parametrize(
    ("reason", "end"),
    [
        ("", " allows no disruption at present"),
        ("it selects no pods", " allows no disruption at present: it selects no pods"),
    ],
)
def test_a_budget_that_allows_no_disruption_is_told_with_what_its_controller_says(fine, reason, end):
    pods = WorkloadPods(3, 3, 1, (DisruptionBudget("b", 0, reason),))
    hold = check(replace(fine, action=TRAITS["Restart"], **constraints(pods=pods)))
    assert hold is not None
    assert hold.message.endswith(end)


def test_of_several_windows_the_next_to_open_is_named(fine):
    in_february = TimeWindow("Guardrail g", "0 0 1 2 *", 3600.0, "UTC")
    hold = check(replace(fine, **constraints(maintenance_windows=((AT_NEW_YEAR, in_february),))))
    assert hold is not None
    assert hold.message.endswith(" opens at 1970-02-01 00:00 UTC")
