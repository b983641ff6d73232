import math
from types import SimpleNamespace

import pytest

from forestall.core.forecast import Abstention
from forestall.core.risk import ObjectiveState
from forestall.engine.objective_status import Findings, Problem
from forestall.engine.outlook import outlook, unjudgeable
from forestall.engine.readings import Reading
from forestall.ports import QueryFailure

DECLARED = {
    "scale": {"maxReplicas": 20, "capacity": {"type": "Declared", "perReplica": 25, "headroom": 0, "confidence": 0.95}}
}
NODE = {"kind": "Node", "name": "n1", "uid": "n-1", "apiVersion": "v1", "namespace": ""}


def test_the_risk_of_the_cause_is_told(slo, make_policy, make_remediation, make_signal):
    view = outlook(make_remediation(), slo, make_policy(), [make_signal()], ready=3)
    assert (view.fresh, view.probability, view.breached, view.withdrawn) == (True, 0.9, False, None)
    assert view.replicas_forecast == 5  # 3 replicas at 150 where 90 is full


def test_data_that_is_not_fresh_is_no_outlook(slo, make_policy, make_remediation, make_signal):
    for signals in ([], [make_signal(fresh=False)], [make_signal(), make_signal(fresh=False)]):
        view = outlook(make_remediation(), slo, make_policy(), signals, ready=3)
        assert not view.fresh
        assert math.isnan(view.probability)


def test_a_total_that_the_replicas_carry_is_no_risk_any_more(slo, make_policy, make_remediation, make_signal):
    remediation, high = make_remediation(action=DECLARED), make_signal(value=120.0)
    small = outlook(remediation, slo, make_policy(), [high], ready=3)
    assert (small.probability, small.breached, small.replicas_forecast) == (1.0, True, 6)
    large = outlook(remediation, slo, make_policy(), [high], ready=6)
    assert (large.probability, large.breached) == (0.0, False)


def test_a_fresh_pod_far_from_the_limit_is_no_risk_though_nothing_can_be_forecast(
    slo, make_policy, make_remediation, make_signal
):
    def after(value):
        young = make_signal(value, abstained=Abstention.SHORT_HISTORY)
        return outlook(make_remediation(action={"restart": {}}), slo, make_policy(), [young], ready=3).probability

    assert (after(20.0), after(80.0)) == (0.0, 1.0)


def test_only_a_nodes_own_series_speak_of_it(slo, make_policy, make_remediation, make_signal):
    remediation = make_remediation(action={"cordon": {}}, **NODE)
    fine = make_signal(10.0, probability=0.1, labels=[("node", "n1")])
    full = make_signal(99.0, labels=[("node", "n2")])
    assert outlook(remediation, slo, make_policy(), [fine, full], ready=3).probability == 0.1


@pytest.mark.parametrize(
    "change", [{"suspend": True}, {"mode": "Observe"}, {"objectives": {"matchLabels": {"a": "b"}}}]
)
def test_what_nobody_asks_for_any_more_is_withdrawn(slo, make_policy, make_remediation, make_signal, change):
    assert outlook(make_remediation(), slo, make_policy(**change), [make_signal()], ready=3).withdrawn


def test_without_its_policy_a_remediation_is_withdrawn_but_still_sees(slo, make_remediation, make_signal):
    view = outlook(make_remediation(), slo, None, [make_signal()], ready=3)
    assert view.withdrawn
    assert view.fresh
    assert view.replicas_observed is not None


TERMS = {"maxReplicas": 8, "capacity": {"headroom": 0.1, "confidence": 0.95}}


def edited(policy):
    return policy.model_copy(update={"metadata": policy.metadata.model_copy(update={"generation": 2})})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"actions": [{"restart": {}}]}, "has this action with these bounds no more"),
        ({"actions": [{"scale": {"maxReplicas": 4}}]}, "has this action with these bounds no more"),
        ({"mode": "Approve"}, "asks for approval now"),
        ({"actions": [{"scale": {**TERMS, "maxReplicas": 7}}]}, "has this action with these bounds no more"),
        ({"actions": [{"scale": {**TERMS, "maxReplicas": 9}}]}, None),
        ({"actions": [{"restart": {}}, {"scale": TERMS}]}, None),
        ({"cooldown": "1h"}, None),
    ],
)
def test_a_policy_that_says_something_else_now_is_told(slo, make_policy, make_remediation, make_signal, change, words):
    policy = make_policy(**change)
    assert outlook(make_remediation(), slo, policy, [make_signal()], ready=3).edited is None, "decided by it as it is"
    view = outlook(make_remediation(), slo, edited(policy), [make_signal()], ready=3)
    assert (view.withdrawn, view.edited and view.edited.message.partition("changed, and ")[2]) == (None, words)


def test_who_only_tells_needs_no_approval_either_way(slo, make_policy, make_remediation, make_signal):
    page = {"notify": {"channel": "pager"}}
    policy = edited(make_policy(mode="Approve", actions=[page]))
    assert outlook(make_remediation(action=page), slo, policy, [make_signal()], ready=3).edited is None


def test_an_objective_that_is_about_another_workload_now_is_told(slo, make_policy, make_remediation, make_signal):
    def edited(**target):
        return outlook(make_remediation(**target), slo, make_policy(), [make_signal()], ready=3).edited

    assert edited() is None
    assert edited(name="basket").message == "objective checkout is about deployment checkout now"
    assert edited(action={"cordon": {}}, kind="Node", name="n1", apiVersion="v1", namespace="") is None


@pytest.mark.parametrize(
    ("generation", "problem", "words"),
    [
        (2, "NoData", "was changed, and load has no value since"),
        (2, "QueryRefused", "was changed, and load has no value since"),
        (2, "SourceDown", None),
        (2, None, None),
        (1, "NoData", None),
    ],
)
def test_what_people_ask_no_more_can_not_be_judged_and_what_a_source_keeps_silent_about_can(
    slo, make_remediation, generation, problem, words
):
    """Kind: what was done outlives the question that it answers."""
    asked = make_remediation()
    intent = asked.spec.intent.model_copy(update={"objective_generation": 1})
    asked = asked.model_copy(update={"spec": asked.spec.model_copy(update={"intent": intent})})
    watched = SimpleNamespace(indicator="load")
    reading = Reading(watched, problem=problem and QueryFailure(problem, "why"))  # type: ignore[arg-type]
    indicator = SimpleNamespace(name="load")
    edited = slo.model_copy(
        update={
            "metadata": slo.metadata.model_copy(update={"generation": generation}),
            "spec": slo.spec.model_copy(update={"leading_indicators": [indicator]}),
        }
    )
    found = Findings(edited, SimpleNamespace(state=ObjectiveState.UNKNOWN), readings=(reading,))  # type: ignore[arg-type]
    hold = unjudgeable(asked, found)
    assert (hold is not None) is (words is not None)
    assert words is None or (hold is not None and words in hold.message)


def test_an_indicator_that_is_gone_can_not_be_judged_whatever_else_is_wrong(slo, make_remediation):
    risk = SimpleNamespace(state=ObjectiveState.UNKNOWN)
    found = Findings(slo, risk, problem=Problem("TargetMissing", "gone"))  # type: ignore[arg-type]
    gone, never = unjudgeable(make_remediation(), found), unjudgeable(make_remediation(), None)
    assert gone is not None
    assert "has no indicator load any more" in gone.message
    assert never is not None
