import math
from dataclasses import replace
from typing import Any

import pytest

from forestall.api import Guardrail, ServiceLevelObjective
from forestall.api.meta import Condition, condition
from forestall.api.remediation import ObjectRef
from forestall.api.service_level_objective import Decision, Episode, Record
from forestall.api.times import stamp
from forestall.core.forecast import Abstention
from forestall.core.risk import SLI, ObjectiveState, Risk, carried_message
from forestall.engine.indicator_queries import IndicatorQuery
from forestall.engine.objective_status import (
    Findings,
    Problem,
    cause_of,
    fingerprint,
    headline,
    named,
    settle,
    status_of,
)
from forestall.engine.readings import ErrorRatios, Reading, blind
from forestall.ports import Query, QueryFailure

SLO = ServiceLevelObjective.read(
    {
        "metadata": {"name": "checkout", "namespace": "shop", "uid": "u", "generation": 3},
        "spec": {
            "target": {"name": "checkout"},
            "indicator": {"raw": {"errorRatio": "x"}},
            "objective": 99.0,
        },
    }
)


def found(**changes):
    return Findings(slo=SLO, risk=Risk(ObjectiveState.HEALTHY, 0.1, None), **changes)


@pytest.mark.parametrize(
    ("whole", "sli", "left"),
    [
        (0.0, "100.000%", "100%"),
        (0.005, "99.500%", "50%"),
        (0.02, "98.000%", "-100%"),
        (1e-9, ">99.999%", ">99%"),
        (0.00999, "99.001%", "<1%"),
        (0.01, "99.000%", "0%"),
        (0.010001, "99.000%", "<0%"),
        (math.nan, None, None),
    ],
)
def test_figures_are_never_rounded_to_zero_or_one_hundred_percent(whole, sli, left):
    status = status_of(found(ratios=ErrorRatios(math.nan, whole)), now=0.0)
    assert (status.sli, status.budget_remaining) == (sli, left)


@pytest.mark.parametrize(
    ("promised", "whole", "sli", "left"),
    [
        (99.9, 0.001, "99.900%", "0%"),
        (99.9, 1 - 0.999, "99.900%", "0%"),  # a hair more, as where good events are counted
        (99.99, 0.000106, "99.9894%", "-6%"),
        (99.999, 0.0000145, "99.99855%", "-45%"),
        (99.999, 1e-9, ">99.99999%", ">99%"),
        (99.99999, 0.00000009, "99.9999910%", "10%"),
    ],
)
def test_sli_has_as_many_digits_as_its_budget_needs(promised, whole, sli, left):
    """Kinds: the number shown is not the number named; touching is not passing."""
    slo = SLO.model_copy(update={"spec": SLO.spec.model_copy(update={"objective": promised})})
    status = status_of(replace(found(ratios=ErrorRatios(math.nan, whole)), slo=slo), now=0.0)
    assert (status.sli, status.budget_remaining) == (sli, left)


@pytest.mark.parametrize(
    ("state", "whole", "shown"),
    [
        (ObjectiveState.HEALTHY, 0.0256, "Exhausted"),
        (ObjectiveState.HEALTHY, 0.01, "Exhausted"),
        (ObjectiveState.HEALTHY, 0.0099, "Healthy"),
        (ObjectiveState.HEALTHY, math.nan, "Healthy"),
        (ObjectiveState.AT_RISK, 0.0256, "AtRisk"),
        (ObjectiveState.BREACHED, 0.0256, "Breached"),
        (ObjectiveState.UNKNOWN, 0.0256, "Unknown"),
    ],
)
def test_objective_without_remaining_budget_is_never_healthy(state, whole, shown):
    """Kind: the number shown is not the number named. The state beside a budget of -156 % must match it."""
    of = Findings(SLO, Risk(state, 0.1, None), ratios=ErrorRatios(0.001, whole))
    status = status_of(of, now=0.0)
    assert status.state == shown
    assert of.risk.state is state  # no episode begins by it, and nothing is decided
    risk = condition(status.conditions, "AtRisk")
    assert risk is not None
    assert (risk.reason == "ErrorBudgetExhausted") == (shown == "Exhausted")
    assert (risk.status == "True") == (state in (ObjectiveState.AT_RISK, ObjectiveState.BREACHED))


def test_unknown_budget_has_a_condition_with_a_reason():
    """Kind: the number shown is not the number named. A figure that stays empty has a condition with a reason."""
    timeout = QueryFailure("SourceTimeout", "the source did not answer in 20 s")
    status = status_of(found(ratios=ErrorRatios(0.001, math.nan, None, timeout, 3600.0)), now=0.0)
    known = condition(status.conditions, "BudgetKnown")
    assert known is not None
    assert (known.status, known.reason) == ("False", "SourceTimeout")
    assert "30d" in known.message
    assert timeout.message in known.message
    assert (status.sli, status.budget_remaining, status.burn_rate) == (None, None, "0.1")


def test_burn_rate_names_its_window():
    status = status_of(found(ratios=ErrorRatios(0.144, 0.001, long_window=3360.0)), now=0.0)
    assert (status.burn_rate, status.burn_rate_window) == ("14.4", "56m")
    silent = ErrorRatios(math.nan, 0.001, QueryFailure("NoData", "there were no events"), None, 3360.0)
    status = status_of(found(ratios=silent), now=0.0)
    known = condition(status.conditions, "BudgetKnown")
    assert known is not None
    assert (known.status, known.reason) == ("True", "BurnRateUnknown")
    assert "56m" in known.message
    assert (status.burn_rate, status.burn_rate_window) == (None, None)


def test_problem_to_fix_is_the_ready_condition():
    status = status_of(found(problem=Problem("TargetMissing", "Deployment checkout does not exist")), now=0.0)
    ready = condition(status.conditions, "Ready")
    assert ready is not None
    assert (ready.status, ready.reason, ready.observed_generation) == ("False", "TargetMissing", 3)


def test_condition_keeps_its_last_transition_time():
    first = settle([], [Condition(type="Ready", status="True", reason="A")], 1, now=100.0)
    same = settle(first, [Condition(type="Ready", status="True", reason="B")], 2, now=200.0)
    other = settle(same, [Condition(type="Ready", status="False", reason="C")], 2, now=300.0)
    assert first[0].last_transition_time == same[0].last_transition_time != other[0].last_transition_time


def test_changed_figures_do_not_change_the_fingerprint():
    one = status_of(found(ratios=ErrorRatios(0.1, 0.001)), now=0.0)
    two = status_of(found(ratios=ErrorRatios(0.2, 0.002)), now=60.0)
    assert one != two
    assert fingerprint(one) == fingerprint(two)


def reading(name, values=None, problem=None):
    query = Query((SLO.uid, name), f'{name}{{namespace="shop"}}')
    watched = IndicatorQuery(SLO.uid, name, query, 100.0, above=True, horizon=600.0, per="pod", long_trend=False)
    return Reading(watched, values or {}, 0.0, fresh=values is not None, problem=problem)


def test_status_lists_every_indicator_with_its_query_and_problem(make_signal):
    """Kind: only the worst indicator is shown, and nobody sees the queries."""
    a, b = (("pod", "a"),), (("pod", "b"),)
    signals = [
        make_signal(40.0, probability=0.2, labels=a),
        make_signal(70.0, probability=0.9, labels=b),
        replace(make_signal(math.nan, fresh=False), indicator="memory"),
        replace(make_signal(abstained=Abstention.SHORT_HISTORY), indicator="disk"),
    ]
    readings = [
        reading("load", {a: 40.0, b: 70.0}),
        reading("memory", problem=QueryFailure("NoData", "the query returns nothing")),
        reading("disk", {(): 70.0}),
    ]
    load, memory, disk = status_of(found(readings=readings, signals=signals), now=0.0).indicators or []
    assert (load.query, load.labels, load.value, load.series) == ('load{namespace="shop"}', {"pod": "b"}, "70", 2)
    assert (load.probability, load.time_to_breach, load.horizon) == ("90%", "5m", "10m")
    assert (load.fresh, load.reason) == (True, "")
    assert (memory.fresh, memory.value, memory.reason, memory.message) == (
        False,
        "",
        "NoData",
        "the query returns nothing",
    )
    assert (disk.fresh, disk.probability, disk.reason) == (True, "", "NoForecast")


def test_breach_and_forecast_breach_have_different_reasons(make_signal):
    """Kind: present and possible breaches are reported by the same word."""

    def why(signal):
        at_risk = Findings(slo=SLO, risk=Risk(ObjectiveState.AT_RISK, signal.probability(), signal))
        told = condition(status_of(at_risk, now=0.0).conditions, "AtRisk")
        return told and (told.reason, told.message)

    assert why(make_signal()) == ("BreachForecast", "load is forecast to pass its limit")
    assert why(make_signal(101.0)) == ("LimitPassed", "load has passed its limit")


def test_advice_is_in_the_ready_condition():
    """Kind: a mistake that is not reported because the objective works."""
    ready = condition(status_of(found(warnings=("a", "b")), now=0.0).conditions, "Ready")
    assert ready is not None
    assert (ready.status, ready.message) == ("True", "the objective is watched. Warning: a; b")


@pytest.mark.parametrize(
    ("changes", "reason", "said"),
    [
        ({"problem": Problem("InvalidQuery", "x")}, "NotQueried", "see the condition Ready"),
        (
            {"readings": (reading("load", problem=QueryFailure("NoData", "y")),)},
            "NoDataToForecast",
            "load can't be read",
        ),
        ({"readings": (reading("load", {(): 1.0}),)}, "NoForecast", "no series yet"),
    ],
)
def test_message_says_to_wait_only_for_what_comes_by_itself(changes, reason, said):
    """Kind: a condition names the consequence instead of the cause, with advice that never helps."""
    ready = condition(status_of(found(**changes), now=0.0).conditions, "PredictionReady")
    assert ready is not None
    assert (ready.status, ready.reason) == ("False", reason)
    assert said in ready.message


def look_at(indicator, reason=None, **more):
    problem = QueryFailure(reason, "the query's series do not exist in the source") if reason else None
    query = Query((SLO.uid, indicator), indicator)
    watched = IndicatorQuery(SLO.uid, indicator, query, 100.0, above=True, horizon=600.0, per=None, long_trend=False)
    return Reading(watched, problem=problem, **more)


@pytest.mark.parametrize(
    ("readings", "unseen"),
    [
        ([look_at("load", values={(): 1.0}, fresh=True)], []),
        ([look_at("load", "NoData")], ["load"]),
        ([look_at("load", "StaleData", sampled_at=1.0)], ["load"]),
        ([look_at("load", "NotFinite", values={(): 1.0}, fresh=True)], []),
        ([look_at(SLI, "NoData")], [SLI]),
        ([look_at(SLI, "NoData", sampled_at=1.0)], []),
        ([look_at(SLI, "SourceDown"), look_at("load", "SourceDown")], [SLI, "load"]),
    ],
    ids=["seen", "no series", "stale", "seen in part", "no SLI", "no events", "source down"],
)
def test_indicator_without_data_is_not_ready(readings, unseen):
    """Kind: an objective is reported ready although it can't be observed."""
    assert [each.watched.indicator for each in blind(readings)] == unseen
    status = status_of(found(readings=readings), now=0.0)
    ready = condition(status.conditions, "Ready")
    assert ready is not None
    assert ready.status == ("False" if unseen else "True")
    if unseen:
        assert f"nothing is known of {', '.join(unseen)}" in ready.message


def test_time_of_the_last_evaluation_is_coarse():
    """A status is not written in each cycle only to update this time."""
    first = status_of(found(), now=1000.0, lease="forestall-system/forestall")
    assert (first.last_evaluated, first.evaluated_by) == ("1970-01-01T00:16:40.000000Z", "forestall-system/forestall")
    assert status_of(found(), 1599.0, first, "forestall-system/forestall") == first
    assert status_of(found(), 1600.0, first).last_evaluated == "1970-01-01T00:26:40.000000Z"
    assert status_of(found(), 10.0, first).last_evaluated == "1970-01-01T00:00:10.000000Z", "a clock was set back"


def told(kind, findings):
    """Return status, reason and message of a condition."""
    one = condition(status_of(findings, now=0.0).conditions, kind)
    assert one is not None
    return one.status, one.reason, one.message


LATE = QueryFailure("SourceTimeout", "late")
SILENT = reading("memory", problem=QueryFailure("NoData", "nothing"))


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        ((), ("Unknown", "NotQueried", "no query was sent")),
        ((reading("load", {(): 1.0}),), ("True", "Fresh", "every query returns fresh data")),
        (
            (reading("load", {(): 1.0}), SILENT, reading("disk", problem=LATE)),
            ("False", "NoData", "memory: nothing; disk: late"),
        ),
    ],
)
def test_data_is_fresh_where_every_query_answers(readings, expected):
    assert told("DataFresh", found(readings=readings)) == expected


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [
        (
            ErrorRatios(0.1, math.nan, None, LATE, 3600.0),
            ("False", "SourceTimeout", "the SLI over 30d, and with it the error budget, is not known: late"),
        ),
        (ErrorRatios(0.1, math.nan), ("Unknown", "NotQueried", "no query was sent")),
        (
            ErrorRatios(math.nan, 0.1, LATE, None, 3600.0),
            ("True", "BurnRateUnknown", "computed over 30d; the burn rate over 1h is not known: late"),
        ),
        (ErrorRatios(0.1, 0.1, None, None, 3600.0), ("True", "Computed", "computed over 30d")),
    ],
)
def test_a_budget_is_known_where_its_windows_are(ratios, expected):
    assert told("BudgetKnown", found(ratios=ratios)) == expected


def test_a_forecast_is_ready_where_every_indicator_has_one(make_signal):
    load, disk = make_signal(), replace(make_signal(abstained=Abstention.SHORT_HISTORY), indicator="disk")
    readings = (reading("load", {(): 1.0}), reading("disk", {(): 1.0}))
    assert told("PredictionReady", found(readings=readings, signals=(load, load))) == (
        "True",
        "Forecasting",
        "every indicator is forecast",
    )
    status, reason, message = told("PredictionReady", found(readings=readings, signals=(load, disk)))
    assert (status, reason, message) == ("False", "NoForecast", f"disk: {disk.no_forecast_reason}")
    # One series of several with a forecast is enough.
    ready = replace(disk, forecast=load.forecast)
    assert told("PredictionReady", found(readings=readings, signals=(load, disk, ready)))[0] == "True"
    assert told("PredictionReady", found(readings=readings)) == ("False", "NoForecast", "no series yet")
    assert told("PredictionReady", found(readings=(*readings, SILENT), signals=(load,))) == (
        "False",
        "NoDataToForecast",
        "there is nothing to forecast from: memory can't be read, see the condition DataFresh",
    )
    unasked = found(problem=Problem("InvalidQuery", "x"))
    assert told("PredictionReady", unasked)[2] == (
        "there is nothing to forecast from: no query was sent, see the condition Ready"
    )
    asked = found(problem=Problem("TargetMissing", "x"), readings=readings, signals=(load, ready))
    assert told("PredictionReady", asked)[0] == "True"


def at_risk(state, probability=0.9, cause=None, **more):
    return Findings(slo=SLO, risk=Risk(state, probability, cause), **more)


def test_each_state_has_its_condition_and_its_headline(make_signal):
    carried = replace(make_signal(150.0), is_carried=True)
    cases = [
        (at_risk(ObjectiveState.UNKNOWN), ("Unknown", "NoForecast", "nothing can be said yet")),
        (
            at_risk(ObjectiveState.UNKNOWN, readings=(SILENT,)),
            (
                "Unknown",
                "NoDataToForecast",
                "nothing can be said: memory can't be read, see the condition DataFresh",
            ),
        ),
        (at_risk(ObjectiveState.HEALTHY, 0.1), ("False", "Healthy", "no breach is forecast")),
        (
            at_risk(ObjectiveState.HEALTHY, math.nan, signals=(carried,)),
            ("False", "CapacitySufficient", carried_message((carried,))),
        ),
        (
            at_risk(ObjectiveState.HEALTHY, 0.1, ratios=ErrorRatios(0.0, 0.5)),
            ("False", "ErrorBudgetExhausted", "no breach is forecast, but the error budget of 30d is gone"),
        ),
        (at_risk(ObjectiveState.BREACHED), ("True", "Breached", "the error budget burns fast now")),
    ]
    for findings, expected in cases:
        assert told("AtRisk", findings) == expected
    assert [headline(findings) for findings, _ in cases] == [
        "the data is missing or too old: nothing can be said, and nothing is done",
        "the data is missing or too old: nothing can be said, and nothing is done",
        "no breach is forecast any more",
        carried_message((carried,)),
        "the error budget of 30d is gone; no breach is forecast",
        "the error budget burns fast now",
    ]


def test_a_risk_is_told_in_one_line(make_signal):
    labels = (("pod", "a"), ("zone", "eu"))
    soon = make_signal(labels=labels)
    assert headline(at_risk(ObjectiveState.AT_RISK, 0.9, soon)) == (
        "load (pod=a, zone=eu) is forecast to pass 100 in 5m, with 90%"
    )
    unlikely = make_signal(probability=0.4)
    assert headline(at_risk(ObjectiveState.AT_RISK, 0.4, unlikely)) == "load is forecast to pass 100, with 40%"
    assert headline(at_risk(ObjectiveState.AT_RISK, 1.0, make_signal(101.0, labels=labels))) == (
        "load (pod=a, zone=eu) is 101, past its limit of 100"
    )
    assert headline(at_risk(ObjectiveState.AT_RISK)) == "a breach is forecast"
    assert told("AtRisk", at_risk(ObjectiveState.AT_RISK))[2] == " is forecast to pass its limit"


def test_a_status_names_its_cause_and_when_it_comes(make_signal):
    status = status_of(at_risk(ObjectiveState.AT_RISK, 0.9, make_signal()), now=0.0)
    assert (status.breach_probability, status.time_to_breach) == ("90%", "5m")
    assert status.cause is not None
    assert (status.cause.indicator, status.cause.value, status.cause.limit) == ("load", "90", "100")
    assert (status.cause.time_to_breach_bounds, status.cause.forecast) == ("1m40s to 8m20s", "150")
    calm = status_of(found(), now=0.0)
    assert (calm.cause, calm.time_to_breach, calm.indicators, calm.decisions) == (None, None, None, [])
    signal = make_signal()
    assert signal.forecast is not None
    open_end = replace(signal, forecast=replace(signal.forecast, latest_breach=math.inf))
    never = replace(signal, forecast=replace(signal.forecast, time_to_breach=math.inf, earliest_breach=math.inf))
    assert cause_of(open_end).time_to_breach_bounds == "1m40s to later"
    assert (cause_of(never).time_to_breach, cause_of(never).time_to_breach_bounds) == ("", "")
    assert cause_of(make_signal(math.nan, upper=math.nan)).model_dump(include={"value", "forecast"}) == {
        "value": "",
        "forecast": "",
    }


def test_an_indicator_without_series_is_told_with_its_limit():
    (memory,) = status_of(found(readings=(SILENT,)), now=0.0).indicators or []
    assert (memory.indicator, memory.limit, memory.value, memory.series) == ("memory", "100", "", 0)


LONG = "x" * 2000


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("Ready", {"readings": (reading("load", problem=QueryFailure("NoData", LONG)),)}),
        ("Ready", {"warnings": (LONG,)}),
        ("DataFresh", {"readings": (reading("load", problem=QueryFailure("NoData", LONG)),)}),
        ("BudgetKnown", {"ratios": ErrorRatios(0.1, math.nan, None, QueryFailure("X", LONG))}),
        ("BudgetKnown", {"ratios": ErrorRatios(0.1, 0.1, QueryFailure("X", LONG), None, 60.0)}),
        ("PredictionReady", {"readings": (reading(LONG, problem=LATE),)}),
    ],
)
def test_a_message_is_as_long_as_a_condition_can_take(kind, changes):
    assert len(told(kind, found(**changes))[2]) == 1024


def test_many_forecasts_that_are_missing_are_cut_short(make_signal):
    signals = [
        replace(make_signal(abstained=Abstention.SHORT_HISTORY), indicator=f"i{number}") for number in range(200)
    ]
    assert len(told("PredictionReady", found(signals=signals))[2]) == 1024


def test_a_condition_is_kept_as_it_is_until_something_in_it_changes():
    (first,) = settle([], [Condition(type="Ready", status="True", reason="A", message="m")], 1, now=100.0)
    assert settle([first], [Condition(type="Ready", status="True", reason="A", message="m")], 1, now=200.0)[0] is first
    for changed, generation in (
        (Condition(type="Ready", status="True", reason="A", message="n"), 1),
        (Condition(type="Ready", status="True", reason="B", message="m"), 1),
        (Condition(type="Ready", status="True", reason="A", message="m"), 2),
    ):
        (after,) = settle([first], [changed], generation, now=200.0)
        assert (after.message, after.reason, after.observed_generation) == (changed.message, changed.reason, generation)
        assert after.last_transition_time == first.last_transition_time
    undated = Condition(type="Ready", status="True", reason="A", message="m", observed_generation=1)
    assert settle([undated], [undated], 1, now=200.0)[0].last_transition_time == stamp(200.0)


def test_changes_of_state_change_the_fingerprint_and_figures_do_not(make_signal):
    plain = status_of(found(), now=0.0)
    decision = Decision(policy="p", verdict="Hold", reason="R", message="m")
    record = Record(name="r", uid="u", phase="Verifying", body="{}")
    calm = plain.model_copy(update={"cause": cause_of(make_signal())})
    assert fingerprint(calm) == fingerprint(plain), "which cause a calm objective has is no news"
    updates: list[dict[str, Any]] = [
        {"observed_generation": 4},
        {"state": "Breached"},
        {"state": "AtRisk", "cause": cause_of(make_signal())},
        {"conditions": []},
        {"decisions": [decision]},
        {"episode": Episode(number=1, since="x")},
        {"episode": Episode(number=0, since="x")},
        {"episode": Episode(number=0, decided=["r"])},
        {"episode": None},
        {"records": [record]},
    ]
    for update in updates:
        assert fingerprint(plain.model_copy(update=update)) != fingerprint(plain), update
    risky = [
        plain.model_copy(update={"state": state, "cause": cause_of(replace(make_signal(), indicator=name))})
        for state in ("AtRisk", "Breached")
        for name in ("load", "cpu")
    ]
    assert len({fingerprint(status) for status in risky}) == 4


def test_objects_are_named_with_their_namespace():
    assert named(SLO) == "ServiceLevelObjective shop/checkout"
    guardrail = Guardrail.read({"metadata": {"name": "all", "uid": "g"}, "spec": {}})
    assert (named(guardrail), named(ObjectRef.to(SLO))) == (
        "Guardrail all",
        "ServiceLevelObjective shop/checkout",
    )
