"""Which series show the effect of an action. The kind: the identity of a cause is lost after the decision."""

from dataclasses import replace
from typing import Any

import pytest

from forestall.api import Remediation
from forestall.api.remediation import Evidence
from forestall.api.times import stamp
from forestall.core.forecast import Abstention
from forestall.core.plan import Trigger
from forestall.engine import policy_limits
from forestall.engine.cause import (
    TriggerHistory,
    causes,
    concerns,
    describe_cause,
    is_signal_lost,
    pods_of,
    replace_same_pods,
    signals_meeting,
    signals_of,
    worst_fresh,
)
from forestall.engine.outlook import outlook

EVICT: dict[str, Any] = {"evict": {}}
POD_A: dict[str, Any] = {"kind": "Pod", "name": "a", "uid": "p-a", "apiVersion": "v1"}
NODE_1: dict[str, Any] = {"kind": "Node", "name": "n1", "uid": "n-1", "apiVersion": "v1", "namespace": ""}
DONE = {"at": "1970-01-01T00:03:00Z", "change": "x", "done": True}
TRIGGER = Trigger(0.8, None, 300.0)


@pytest.fixture
def pod(make_signal):
    def make(name, probability=0.9, value=90.0, **more):
        return make_signal(value, probability=probability, labels=[("pod", name)], **more)

    return make


@pytest.fixture
def decided(make_remediation):
    """Return a remediation that was decided while these pods had series, before or after its first step."""

    def make(*pods, done=True, phase="Verifying", verified=None, **target):
        one = make_remediation(phase, verified=verified, **(target or {"action": EVICT, **POD_A}))
        body = one.dump()
        body["spec"]["intent"]["evidence"]["pods"] = list(pods)
        body["status"]["steps"] = [DONE] if done else []
        return type(one).read(body)

    return make


def test_second_leaking_pod_does_not_count_for_the_eviction_of_the_first(slo, make_policy, decided, pod):
    view = outlook(decided("a", "b"), slo, make_policy(), [pod("b"), pod("new", 0.1, 10.0)], ready=2)
    assert (view.fresh, view.probability, view.breached) == (True, 0.1, False)


def test_leaking_replacement_of_an_evicted_pod_means_that_the_eviction_did_not_help(slo, make_policy, decided, pod):
    view = outlook(decided("a", "b"), slo, make_policy(), [pod("b", 0.1, 10.0), pod("new", 0.95)], ready=2)
    assert view.probability == 0.95


@pytest.mark.parametrize("known", [("a", "b"), ()])
def test_new_pod_without_series_counts_as_healthy_only_after_time_to_be_scraped(slo, make_policy, decided, pod, known):
    def view(completed, **more):
        after = decided(*known)
        after = after.model_copy(update={"status": after.status.model_copy(update={"completed": stamp(completed)})})
        return outlook(after, slo, make_policy(), [pod("b", **more)], ready=2)

    assert not view(1000.0 - 60.0).fresh, "the newest sample is of 1000 s"
    gone = view(1000.0 - 61.0)
    assert (gone.fresh, gone.probability, gone.breached, gone.sampled_at) == (True, 0.0, False, 1000.0)
    assert not view(1000.0 - 61.0, fresh=False).fresh


def test_stateful_set_pod_is_recreated_with_the_same_name(slo, make_policy, decided, pod):
    view = outlook(decided("a", "b"), slo, make_policy(), [pod("a", 0.2, 10.0), pod("b")], ready=2)
    assert view.probability == 0.2


def test_last_samples_of_a_deleted_pod_do_not_count_beside_those_of_its_replacement(slo, make_policy, decided, pod):
    view = outlook(decided("a", "b"), slo, make_policy(), [pod("a", 0.99), pod("new", 0.1, 10.0)], ready=2)
    assert view.probability == 0.1


@pytest.mark.parametrize("known", [("a", "b"), ()])
def test_only_the_pod_to_evict_counts_before_its_eviction(slo, make_policy, decided, pod, known):
    before = decided(*known, done=False, phase="Authorized")
    calm = outlook(before, slo, make_policy(), [pod("a", 0.1, 10.0), pod("b"), pod("c")], ready=2)
    assert calm.probability == 0.1
    assert not outlook(before, slo, make_policy(), [pod("b")], ready=2).fresh


def test_only_new_pods_count_after_a_restart_once_there_are_any(slo, make_policy, decided, pod):
    restarted = decided("a", "b", action={"restart": {}})
    assert [s.label("pod") for s in signals_of(restarted, [pod("a"), pod("new", 0.1)])] == ["new"]
    assert [s.label("pod") for s in signals_of(restarted, [pod("a"), pod("b")])] == ["a", "b"]
    scaled = decided("a", "b", rung=0)
    assert len(signals_of(scaled, [pod("a"), pod("new")])) == 2, "what replaces no pod is about all"


def test_only_the_series_of_a_node_count_for_an_action_on_it(decided, make_signal):
    own, other = (make_signal(labels=[("node", name)]) for name in ("n1", "n2"))
    assert signals_of(decided(action={"drain": {}}, **NODE_1), [other, own, make_signal()]) == [own]


def test_failed_action_is_spent_for_its_object_and_for_the_replacement(slo, make_policy, decided, pod, make_signal):
    policy = make_policy(actions=[EVICT])
    vain = decided("a", "b", phase="Failed", verified="False")

    def spent(cause):
        return policy_limits.spent([one for one in (vain,) if concerns(one, cause, "d-1")], policy, slo, 1)

    assert (spent(pod("a")), spent(pod("b")), spent(pod("new"))) == ({0}, set(), {0})
    node = decided(action={"cordon": {}}, **NODE_1)
    assert [concerns(node, make_signal(labels=[("node", name)]), "d-1") for name in ("n1", "n2")] == [True, False]
    restart = decided(action={"restart": {}})
    assert [concerns(restart, pod("a"), uid) for uid in ("d-1", "made-anew")] == [True, False]


def test_removed_indicator_withdraws_the_remediations_it_caused(slo, make_policy, make_remediation, make_signal):
    def withdrawn(signals, slo=slo):
        return outlook(make_remediation(), slo, make_policy(), signals, ready=3).withdrawn

    assert withdrawn([]).message == "objective checkout has no indicator load any more"
    assert withdrawn([make_signal()]) is None
    body = slo.dump()
    body["spec"]["leadingIndicators"] = [{"name": "load", "query": "x", "limit": 1, "horizon": "5m"}]
    assert withdrawn([], type(slo).read(body)) is None, "without data nothing is withdrawn"


def test_pods_are_recorded_for_actions_that_replace_pods(pod, make_signal):
    signals = [pod("b", 0.1), pod("a", 0.85), pod("c", 0.9), make_signal(labels=[("pod", "x" * 254)]), make_signal()]
    assert pods_of("Evict", signals[1], signals) == ["a", "c", "b"]
    assert pods_of("Scale", signals[1], signals) == []
    many = [pod(f"p{n}") for n in range(300)]
    assert len(pods_of("Restart", many[0], many)) == 256


def test_causes_are_ordered_by_risk_with_one_for_each_object(pod, make_signal):
    twice = make_signal(probability=0.85, labels=[("container", "x"), ("pod", "b")])
    signals = [pod("b", 0.95), pod("c", 0.5), twice, pod("a", 0.99), make_signal(probability=0.9)]
    assert [(s.label("pod"), s.probability()) for s in causes(signals, TRIGGER)] == [
        ("a", 0.99),
        ("b", 0.95),
        (None, 0.9),
    ]


def test_time_at_risk_is_measured_for_each_pod_separately(pod):
    lasting = TriggerHistory()
    lasting.note("slo", "policy", signals_meeting([pod("a")], TRIGGER), 100.0)
    lasting.note("slo", "policy", signals_meeting([pod("a", 0.5), pod("b")], TRIGGER), 200.0)
    assert lasting.since("slo", "policy", pod("b"), alone=True) == 200.0
    assert lasting.since("slo", "policy", pod("b"), alone=False) == 100.0
    assert lasting.since("slo", "policy", pod("a"), alone=True) is None
    lasting.retain(["other"])
    assert lasting.since("slo", "policy", pod("b"), alone=True) is None


def test_only_one_remediation_replaces_the_pods_of_a_workload_at_a_time(decided):
    evicted = decided("a")
    assert replace_same_pods(evicted, "Restart", ["o-1", "o-2"])
    assert replace_same_pods(decided(action={"restart": {}}), "Evict", ["o-1"])
    assert not replace_same_pods(evicted, "Restart", ["o-2"]), "another workload"
    assert not replace_same_pods(evicted, "Scale", ["o-1"])
    assert not replace_same_pods(decided(action={"restart": {}}), "Rollback", ["o-1"]), "they share their target"


def test_no_more_than_ten_causes_are_looked_at(pod):
    assert len(causes([pod(f"p{number:02}") for number in range(11)], TRIGGER)) == 10


def test_of_equal_probabilities_the_sooner_breach_comes_first_and_then_the_name(make_signal, pod):
    late = make_signal(labels=[("pod", "a")])
    assert late.forecast is not None
    soon = replace(pod("z"), forecast=replace(late.forecast, time_to_breach=60.0))
    assert [s.label("pod") for s in causes([late, pod("b"), soon], TRIGGER)] == ["z", "a", "b"]
    other = replace(pod("z"), indicator="cpu")
    assert [s.indicator for s in causes([late, other], TRIGGER)] == ["cpu", "load"]


def test_signal_at_exactly_the_probability_of_the_trigger_meets_it(pod):
    assert len(signals_meeting([pod("a", 0.8), pod("b", 0.79)], TRIGGER)) == 1


def test_only_pods_of_the_indicator_are_remembered_those_of_unknown_risk_last(pod, make_signal):
    unknown = pod("a", abstained=Abstention.SHORT_HISTORY)
    other = replace(pod("c"), indicator="cpu")
    signals = [unknown, pod("b", 0.0), other, pod("d", 0.5), pod("x" * 253, 0.4)]
    assert pods_of("Evict", signals[3], signals) == ["d", "x" * 253, "b", "a"]


def test_no_pod_counts_as_new_where_the_recorded_pods_are_incomplete(decided, pod):
    full = decided(*(f"p{number}" for number in range(256)), action={"restart": {}})
    assert len(signals_of(full, [pod("p1"), pod("new")])) == 2
    nearly = decided(*(f"p{number}" for number in range(255)), action={"restart": {}})
    assert [s.label("pod") for s in signals_of(nearly, [pod("p1"), pod("new")])] == ["new"]


def test_series_of_other_indicators_and_without_a_pod_are_no_newcomers(decided, pod, make_signal):
    other = replace(pod("new"), indicator="cpu")
    evicted = decided("a", "b")
    assert signals_of(evicted, [other, make_signal(), pod("b")]) == []
    before = decided("a", "b", done=False)
    assert [s.label("pod") for s in signals_of(before, [pod("a"), pod("new")])] == ["a"]


@pytest.mark.parametrize(
    ("target", "completed", "within", "series", "lost"),
    [
        pytest.param({"action": EVICT, **POD_A}, 939.0, "10m", ["b"], True, id="an evicted pod without series"),
        pytest.param({"action": {"restart": {}}}, 939.0, "10m", ["b"], False, id="a restart"),
        pytest.param({"action": EVICT, **POD_A}, None, "10m", ["b"], False, id="not evicted yet"),
        pytest.param({"action": EVICT, **POD_A}, 939.0, "10m", ["b", "new"], False, id="a pod that came since"),
        pytest.param({"action": EVICT, **POD_A}, 939.0, "10m", [], False, id="no series at all"),
        pytest.param({"action": EVICT, **POD_A}, 960.0, "30s", ["b"], True, id="no longer than it is verified"),
        pytest.param({"action": EVICT, **POD_A}, 970.0, "30s", ["b"], False, id="too soon to be verified"),
    ],
)
def test_the_risk_of_an_evicted_pod_goes_with_it(decided, pod, target, completed, within, series, lost):
    body = decided("a", "b", **target).dump()
    body["status"]["completed"] = None if completed is None else stamp(completed)
    body["spec"]["intent"]["verifyWithin"] = within
    assert is_signal_lost(Remediation.read(body), [pod(name) for name in series]) is lost


def test_a_series_that_is_not_fresh_leaves_it_open_whether_a_risk_went(decided, pod):
    body = decided("a", "b").dump()
    body["status"]["completed"] = stamp(900.0)
    after = Remediation.read(body)
    assert is_signal_lost(after, [pod("b")])
    assert not is_signal_lost(after, [pod("b"), pod("c", fresh=False)])


def test_what_is_tried_for_the_objective_is_spent_for_every_cause(decided, pod):
    assert concerns(decided(action={"notify": {"channel": "pager"}}), pod("b"), "made-anew")


def test_worst_signal_is_chosen_among_those_with_fresh_data(pod, make_signal):
    assert worst_fresh([pod("a", 0.9, fresh=False), pod("b", 0.2), pod("c", 0.5)]) == pod("c", 0.5)
    young = pod("a", abstained=Abstention.SHORT_HISTORY)
    assert worst_fresh([young]) is young
    assert worst_fresh([pod("a", fresh=False)]) is None


def test_a_cause_is_named_with_its_labels():
    assert describe_cause(Evidence(indicator="load")) == "load"
    assert describe_cause(Evidence(indicator="load", labels={"pod": "a", "node": "n"})) == "load (node=n, pod=a)"


def test_since_when_a_trigger_is_met_is_known_by_objective_and_policy(pod):
    lasting = TriggerHistory()
    lasting.note("slo", "policy", [pod("a")], 100.0)
    lasting.note("slo", "other", [pod("a")], 150.0)
    lasting.note("slo", "policy", [pod("a")], 200.0)
    assert lasting.since("slo", "policy", pod("a"), alone=True) == 100.0
    assert lasting.since("slo", "other", pod("a"), alone=False) == 150.0
    lasting.retain(["slo"])
    assert lasting.since("slo", "policy", pod("a"), alone=True) == 100.0
    lasting.note("slo", "policy", [], 300.0)
    lasting.note("slo", "policy", [pod("a")], 400.0)
    assert lasting.since("slo", "policy", pod("a"), alone=False) == 400.0
