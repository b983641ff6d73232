import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from forestall.core.decision import Hold
from forestall.core.forecast import Abstention
from forestall.core.risk import ObjectiveState
from forestall.core.sizing import LoadSample
from forestall.engine.objective_status import Findings, Problem
from forestall.engine.outlook import outlook, unjudgeable
from forestall.engine.readings import Reading
from forestall.ports import QueryFailure

DECLARED = {
    "scale": {"maxReplicas": 20, "capacity": {"type": "Declared", "perReplica": 25, "headroom": 0, "confidence": 0.95}}
}
NODE = {"kind": "Node", "name": "n1", "uid": "n-1", "apiVersion": "v1", "namespace": ""}


def test_outlook_has_the_risk_of_the_cause(slo, make_policy, make_remediation, make_signal):
    view = outlook(make_remediation(), slo, make_policy(), [make_signal()], ready=3)
    assert (view.fresh, view.probability, view.breached, view.withdrawn) == (True, 0.9, False, None)
    assert view.replicas_forecast == 5  # 3 replicas at 150 where 90 is full


def test_stale_data_is_no_outlook(slo, make_policy, make_remediation, make_signal):
    for signals in ([], [make_signal(fresh=False)], [make_signal(), make_signal(fresh=False)]):
        view = outlook(make_remediation(), slo, make_policy(), signals, ready=3)
        assert not view.fresh
        assert math.isnan(view.probability)


def test_total_within_the_declared_capacity_is_no_risk(slo, make_policy, make_remediation, make_signal):
    remediation, high = make_remediation(action=DECLARED), make_signal(value=120.0)
    small = outlook(remediation, slo, make_policy(), [high], ready=3)
    assert (small.probability, small.breached, small.replicas_forecast) == (1.0, True, 6)
    large = outlook(remediation, slo, make_policy(), [high], ready=6)
    assert (large.probability, large.breached) == (0.0, False)


@pytest.mark.parametrize(("ready", "probability"), [(2, 1.0), (4, 1.0), (5, 0.0)])
def test_total_without_forecast_is_judged_by_what_the_ready_replicas_carry(
    slo, make_policy, make_remediation, make_signal, ready, probability
):
    """Kind: no forecast yet counts as a certain breach, where the objective says that its replicas carry the load."""
    young = make_signal(value=120.0, abstained=Abstention.SHORT_HISTORY).with_capacity(25.0 * ready)
    view = outlook(make_remediation(action=DECLARED), slo, make_policy(), [young], ready=ready)
    assert (view.probability, view.breached, view.replicas_observed) == (probability, probability == 1.0, 5)


def test_new_pod_far_from_the_limit_is_no_risk_without_forecast(slo, make_policy, make_remediation, make_signal):
    def after(value):
        young = make_signal(value, abstained=Abstention.SHORT_HISTORY)
        return outlook(make_remediation(action={"restart": {}}), slo, make_policy(), [young], ready=3).probability

    assert (after(20.0), after(80.0)) == (0.0, 1.0)


def test_only_the_series_of_a_node_count_for_it(slo, make_policy, make_remediation, make_signal):
    remediation = make_remediation(action={"cordon": {}}, **NODE)
    fine = make_signal(10.0, probability=0.1, labels=[("node", "n1")])
    full = make_signal(99.0, labels=[("node", "n2")])
    assert outlook(remediation, slo, make_policy(), [fine, full], ready=3).probability == 0.1


@pytest.mark.parametrize(
    "change", [{"suspend": True}, {"mode": "Observe"}, {"objectives": {"matchLabels": {"a": "b"}}}]
)
def test_remediation_that_its_policy_no_longer_asks_for_is_withdrawn(
    slo, make_policy, make_remediation, make_signal, change
):
    assert outlook(make_remediation(), slo, make_policy(**change), [make_signal()], ready=3).withdrawn


def test_remediation_without_policy_is_withdrawn_but_keeps_its_outlook(slo, make_remediation, make_signal):
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
def test_changed_policy_is_reported(slo, make_policy, make_remediation, make_signal, change, words):
    policy = make_policy(**change)
    assert outlook(make_remediation(), slo, policy, [make_signal()], ready=3).edited is None, "decided by it as it is"
    view = outlook(make_remediation(), slo, edited(policy), [make_signal()], ready=3)
    assert (view.withdrawn, view.edited and view.edited.message.partition("changed, and ")[2]) == (None, words)


def test_notifying_action_needs_no_approval_whatever_the_mode(slo, make_policy, make_remediation, make_signal):
    page = {"notify": {"channel": "pager"}}
    policy = edited(make_policy(mode="Approve", actions=[page]))
    assert outlook(make_remediation(action=page), slo, policy, [make_signal()], ready=3).edited is None


def test_changed_target_of_the_objective_is_reported(slo, make_policy, make_remediation, make_signal):
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
def test_removed_query_is_unjudgeable_and_a_silent_source_is_not(slo, make_remediation, generation, problem, words):
    """Kind: an action outlives the indicator that it was decided by."""
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


def test_removed_indicator_is_unjudgeable_whatever_else_is_wrong(slo, make_remediation):
    risk = SimpleNamespace(state=ObjectiveState.UNKNOWN)
    found = Findings(slo, risk, problem=Problem("TargetMissing", "gone"))  # type: ignore[arg-type]
    gone, never = unjudgeable(make_remediation(), found), unjudgeable(make_remediation(), None)
    assert gone is not None
    assert "has no indicator load any more" in gone.message
    assert never is not None


def changed(remediation, **status):
    body = remediation.dump()
    return type(remediation).read({**body, "status": {**body["status"], **status}})


def test_an_outlook_tells_the_newest_sample_and_what_sizes_the_workload(
    slo, make_policy, make_remediation, make_signal
):
    older = replace(make_signal(60.0, probability=0.2), sampled_at=900.0)
    view = outlook(make_remediation(), slo, make_policy(), [older, make_signal()], ready=3)
    assert (view.sampled_at, view.probability, view.breached) == (1000.0, 0.9, False)
    assert view.load == LoadSample(3, 90.0)
    assert (view.replicas_forecast, view.replicas_observed) == (5, 3)
    assert view.edited is None
    silent = outlook(make_remediation(), slo, make_policy(), [], ready=3)
    assert (silent.sampled_at, silent.load) == (-math.inf, None)


@pytest.mark.parametrize("ready", [0, None])
def test_where_nothing_serves_nothing_sizes_the_workload(slo, make_policy, make_remediation, make_signal, ready):
    assert outlook(make_remediation(), slo, make_policy(), [make_signal()], ready).load is None


def test_a_total_sizes_nothing_in_proportion(slo, make_policy, make_remediation, make_signal):
    view = outlook(make_remediation(action=DECLARED), slo, make_policy(), [make_signal()], ready=3)
    assert view.load is None
    restart = outlook(make_remediation(action={"restart": {}}), slo, make_policy(), [make_signal()], ready=3)
    assert (restart.load, restart.replicas_forecast, restart.replicas_observed) == (None, None, None)


def test_a_policy_sizes_by_the_forecast_that_it_acts_on(slo, make_policy, make_remediation, make_signal):
    signal = make_signal()
    assert signal.forecast is not None
    forecast = replace(
        signal.forecast,
        horizons=(300.0, 600.0),
        probability=(0.5, 0.9),
        lower=(50.0, 50.0),
        median=(80.0, 80.0),
        upper=(100.0, 150.0),
    )
    view = outlook(
        make_remediation(), slo, make_policy(when={"within": "5m"}), [replace(signal, forecast=forecast)], ready=3
    )
    assert view.replicas_forecast == 4
    assert view.probability == 0.9
    far = outlook(make_remediation(), slo, None, [replace(signal, forecast=forecast)], ready=3)
    assert far.replicas_forecast == 5


@pytest.mark.parametrize(("ready", "covered"), [(5, False), (6, True), (None, False)])
def test_a_total_is_covered_by_as_many_replicas_as_are_forecast(
    slo, make_policy, make_remediation, make_signal, ready, covered
):
    view = outlook(make_remediation(action=DECLARED), slo, make_policy(), [make_signal(110.0)], ready)
    assert view.replicas_forecast == 6
    assert (view.probability, view.breached) == ((0.0, False) if covered else (1.0, True))


def test_a_total_of_another_indicator_covers_no_risk(slo, make_policy, make_remediation, make_signal):
    scale: dict[str, Any] = DECLARED["scale"]
    action = {"scale": {**scale, "capacity": {**scale["capacity"], "indicator": "cpu"}}}
    signals = [make_signal(110.0), replace(make_signal(50.0, upper=50.0), indicator="cpu")]
    view = outlook(make_remediation(action=action), slo, make_policy(), signals, ready=6)
    assert (view.probability, view.breached) == (1.0, True)


@pytest.mark.parametrize(
    ("value", "limit", "probability"),
    [
        (50.0, {"limit": 100.0}, 0.0),
        (51.0, {"limit": 100.0}, 1.0),
        (10.0, {"limit": 100.0, "above": False}, 1.0),
        (-5.0, {"limit": -1.0}, 1.0),
        (-1.0, {"limit": 0.0}, 1.0),
    ],
)
def test_signal_without_forecast_is_no_risk_only_below_half_of_its_limit(
    slo, make_policy, make_remediation, make_signal, value, limit, probability
):
    young = replace(make_signal(value, abstained=Abstention.SHORT_HISTORY), forecast=None, **limit)
    view = outlook(make_remediation(action={"restart": {}}), slo, make_policy(), [young], ready=3)
    assert view.probability == probability


def test_deleted_remediation_is_withdrawn(slo, make_policy, make_remediation, make_signal):
    body = make_remediation().dump()
    body["spec"]["restored"] = {"uid": "r", "phase": "Verifying"}
    view = outlook(type(make_remediation()).read(body), slo, make_policy(suspend=True), [make_signal()], ready=3)
    assert view.withdrawn == Hold(
        "Deleted", "somebody deleted this Remediation while it was under way: it does nothing more"
    )


GONE = "its objective or its policy does not exist any more"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"suspend": True}, "policy early was suspended"),
        ({"mode": "Observe"}, "policy early only observes now"),
        ({"objectives": {"matchLabels": {"a": "b"}}}, "policy early does not select objective checkout any more"),
    ],
)
def test_withdrawn_remediation_says_why(slo, make_policy, make_remediation, make_signal, change, message):
    view = outlook(make_remediation(), slo, make_policy(**change), [make_signal()], ready=3)
    assert view.withdrawn == Hold("Withdrawn", message)
    for gone in ((None, make_policy()), (slo, None), (None, None)):
        view = outlook(make_remediation(), gone[0], gone[1], [make_signal()], ready=3)
        assert (view.withdrawn, view.edited) == (Hold("Withdrawn", GONE), None)


def test_remediation_for_the_sli_is_not_withdrawn_for_a_missing_indicator(slo, make_policy, make_remediation):
    body = make_remediation().dump()
    body["spec"]["intent"]["evidence"]["indicator"] = "sli"
    by_sli = type(make_remediation()).read(body)
    assert outlook(by_sli, slo, make_policy(), [], ready=3).withdrawn is None
    assert outlook(make_remediation(), None, make_policy(), [], ready=3).withdrawn == Hold("Withdrawn", GONE)


@pytest.mark.parametrize(
    ("action", "rung", "allowed"),
    [
        (TERMS, {"scale": TERMS}, True),
        (TERMS, {"scale": {**TERMS, "maxReplicas": 9}}, True),
        (TERMS, {"scale": {**TERMS, "maxReplicas": 9, "maxStep": 1}}, False),
        (TERMS, {"scale": {**TERMS, "maxReplicas": 7}}, False),
        (TERMS, {"scale": {**TERMS, "maxReplicas": 9}, "indicators": ["load"]}, False),
    ],
)
def test_a_policy_that_lets_an_action_go_further_has_it_still(
    slo, make_policy, make_remediation, make_signal, action, rung, allowed
):
    policy = edited(make_policy(actions=[rung]))
    view = outlook(make_remediation(action={"scale": action}), slo, policy, [make_signal()], ready=3)
    assert (view.edited is None) is allowed


@pytest.mark.parametrize(
    ("mode", "decided", "is_edited"),
    [("Approve", "Auto", True), ("Approve", "Approve", False), ("Auto", "Auto", False)],
)
def test_remediation_is_withdrawn_where_its_policy_now_asks_for_approval(
    slo, make_policy, make_remediation, make_signal, mode, decided, is_edited
):
    body = make_remediation().dump()
    body["spec"]["intent"]["mode"] = decided
    policy = edited(make_policy(mode=mode))
    view = outlook(type(make_remediation()).read(body), slo, policy, [make_signal()], ready=3)
    assert (view.edited is not None) is is_edited


def test_notification_is_not_withdrawn_where_the_target_of_its_objective_changed(
    slo, make_policy, make_remediation, make_signal
):
    telling = make_remediation(action={"notify": {"channel": "pager"}}, name="basket")
    assert outlook(telling, slo, make_policy(), [make_signal()], ready=3).edited is None
    other = make_remediation(kind="StatefulSet")
    assert outlook(other, slo, make_policy(), [make_signal()], ready=3).edited is not None


def test_a_remediation_of_before_generations_were_written_can_be_judged(slo, make_remediation):
    indicator = SimpleNamespace(name="load")
    present = slo.model_copy(update={"spec": slo.spec.model_copy(update={"leading_indicators": [indicator]})})
    risk = SimpleNamespace(state=ObjectiveState.UNKNOWN)
    found = Findings(present, risk, problem=Problem("InvalidQuery", "x"))  # type: ignore[arg-type]
    body = make_remediation().dump()
    for generation, judged in ((0, True), (1, True), (7, False)):
        body["spec"]["intent"]["objectiveGeneration"] = generation
        assert (unjudgeable(type(make_remediation()).read(body), found) is None) is judged
