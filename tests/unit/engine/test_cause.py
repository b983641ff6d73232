"""The kind: the identity of a cause that gets lost after the decision. Whose series speak of what was done?"""

from typing import Any

import pytest

from forestall.api.times import stamp
from forestall.core.plan import Trigger
from forestall.engine import policy_limits
from forestall.engine.cause import (
    TriggerHistory,
    causes,
    concerns,
    pods_of,
    replace_same_pods,
    signals_meeting,
    signals_of,
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
    """Return a remediation that was decided when these pods had series, before or after its first step."""

    def make(*pods, done=True, phase="Verifying", verified=None, **target):
        one = make_remediation(phase, verified=verified, **(target or {"action": EVICT, **POD_A}))
        body = one.dump()
        body["spec"]["intent"]["evidence"]["pods"] = list(pods)
        body["status"]["steps"] = [DONE] if done else []
        return type(one).read(body)

    return make


def test_of_two_leaking_pods_the_other_one_is_no_word_about_an_eviction(slo, make_policy, decided, pod):
    view = outlook(decided("a", "b"), slo, make_policy(), [pod("b"), pod("new", 0.1, 10.0)], ready=2)
    assert (view.fresh, view.probability, view.breached) == (True, 0.1, False)


def test_what_came_in_place_of_an_evicted_pod_and_leaks_too_says_that_it_did_not_help(slo, make_policy, decided, pod):
    view = outlook(decided("a", "b"), slo, make_policy(), [pod("b", 0.1, 10.0), pod("new", 0.95)], ready=2)
    assert view.probability == 0.95


@pytest.mark.parametrize("known", [("a", "b"), ()])
def test_a_pod_that_came_since_has_time_to_be_scraped_before_its_silence_says_that_the_risk_is_gone(
    slo, make_policy, decided, pod, known
):
    def view(completed, **more):
        after = decided(*known)
        after = after.model_copy(update={"status": after.status.model_copy(update={"completed": stamp(completed)})})
        return outlook(after, slo, make_policy(), [pod("b", **more)], ready=2)

    assert not view(1000.0 - 60.0).fresh, "the newest sample is of 1000 s"
    gone = view(1000.0 - 61.0)
    assert (gone.fresh, gone.probability, gone.breached, gone.sampled_at) == (True, 0.0, False, 1000.0)
    assert not view(1000.0 - 61.0, fresh=False).fresh


def test_a_pod_of_a_stateful_set_has_its_name_again(slo, make_policy, decided, pod):
    view = outlook(decided("a", "b"), slo, make_policy(), [pod("a", 0.2, 10.0), pod("b")], ready=2)
    assert view.probability == 0.2


def test_the_last_words_of_a_pod_that_is_gone_do_not_count_beside_those_of_the_new_one(slo, make_policy, decided, pod):
    view = outlook(decided("a", "b"), slo, make_policy(), [pod("a", 0.99), pod("new", 0.1, 10.0)], ready=2)
    assert view.probability == 0.1


@pytest.mark.parametrize("known", [("a", "b"), ()])
def test_before_an_eviction_only_its_own_pod_is_asked_about(slo, make_policy, decided, pod, known):
    before = decided(*known, done=False, phase="Authorized")
    calm = outlook(before, slo, make_policy(), [pod("a", 0.1, 10.0), pod("b"), pod("c")], ready=2)
    assert calm.probability == 0.1
    assert not outlook(before, slo, make_policy(), [pod("b")], ready=2).fresh


def test_after_a_restart_only_new_pods_count_once_there_are_any(slo, make_policy, decided, pod):
    restarted = decided("a", "b", action={"restart": {}})
    assert [s.label("pod") for s in signals_of(restarted, [pod("a"), pod("new", 0.1)])] == ["new"]
    assert [s.label("pod") for s in signals_of(restarted, [pod("a"), pod("b")])] == ["a", "b"]
    scaled = decided("a", "b", rung=0)
    assert len(signals_of(scaled, [pod("a"), pod("new")])) == 2, "what replaces no pod is about all"


def test_a_node_is_spoken_of_by_its_own_series_alone(decided, make_signal):
    own, other = (make_signal(labels=[("node", name)]) for name in ("n1", "n2"))
    assert signals_of(decided(action={"drain": {}}, **NODE_1), [other, own, make_signal()]) == [own]


def test_what_was_tried_for_one_pod_or_node_or_workload_is_spent_for_it_and_for_what_came_in_its_place(
    slo, make_policy, decided, pod, make_signal
):
    policy = make_policy(actions=[EVICT])
    vain = decided("a", "b", phase="Failed", verified="False")

    def spent(cause):
        return policy_limits.spent([one for one in (vain,) if concerns(one, cause, "d-1")], policy, slo, 1)

    assert (spent(pod("a")), spent(pod("b")), spent(pod("new"))) == ({0}, set(), {0})
    node = decided(action={"cordon": {}}, **NODE_1)
    assert [concerns(node, make_signal(labels=[("node", name)]), "d-1") for name in ("n1", "n2")] == [True, False]
    restart = decided(action={"restart": {}})
    assert [concerns(restart, pod("a"), uid) for uid in ("d-1", "made-anew")] == [True, False]


def test_an_indicator_that_the_objective_has_no_more_withdraws_what_was_decided_by_it(
    slo, make_policy, make_remediation, make_signal
):
    def withdrawn(signals, slo=slo):
        return outlook(make_remediation(), slo, make_policy(), signals, ready=3).withdrawn

    assert withdrawn([]).message == "objective checkout has no indicator load any more"
    assert withdrawn([make_signal()]) is None
    body = slo.dump()
    body["spec"]["leadingIndicators"] = [{"name": "load", "query": "x", "limit": 1, "horizon": "5m"}]
    assert withdrawn([], type(slo).read(body)) is None, "without data nothing is withdrawn"


def test_the_pods_are_remembered_where_pods_are_replaced(pod, make_signal):
    signals = [pod("b", 0.1), pod("a", 0.85), pod("c", 0.9), make_signal(labels=[("pod", "x" * 254)]), make_signal()]
    assert pods_of("Evict", signals[1], signals) == ["a", "c", "b"]
    assert pods_of("Scale", signals[1], signals) == []
    many = [pod(f"p{n}") for n in range(300)]
    assert len(pods_of("Restart", many[0], many)) == 256


def test_causes_are_the_worst_first_one_for_each_object(pod, make_signal):
    twice = make_signal(probability=0.85, labels=[("container", "x"), ("pod", "b")])
    signals = [pod("b", 0.95), pod("c", 0.5), twice, pod("a", 0.99), make_signal(probability=0.9)]
    assert [(s.label("pod"), s.probability()) for s in causes(signals, TRIGGER)] == [
        ("a", 0.99),
        ("b", 0.95),
        (None, 0.9),
    ]


def test_each_pod_is_at_risk_for_as_long_as_itself(pod):
    lasting = TriggerHistory()
    lasting.note("slo", "policy", signals_meeting([pod("a")], TRIGGER), 100.0)
    lasting.note("slo", "policy", signals_meeting([pod("a", 0.5), pod("b")], TRIGGER), 200.0)
    assert lasting.since("slo", "policy", pod("b"), alone=True) == 200.0
    assert lasting.since("slo", "policy", pod("b"), alone=False) == 100.0
    assert lasting.since("slo", "policy", pod("a"), alone=True) is None
    lasting.retain(["other"])
    assert lasting.since("slo", "policy", pod("b"), alone=True) is None


def test_the_pods_of_a_workload_are_replaced_by_one_at_a_time(decided):
    evicted = decided("a")
    assert replace_same_pods(evicted, "Restart", ["o-1", "o-2"])
    assert replace_same_pods(decided(action={"restart": {}}), "Evict", ["o-1"])
    assert not replace_same_pods(evicted, "Restart", ["o-2"]), "another workload"
    assert not replace_same_pods(evicted, "Scale", ["o-1"])
    assert not replace_same_pods(decided(action={"restart": {}}), "Rollback", ["o-1"]), "they share their target"
