import math
from dataclasses import replace

import pytest

from forestall.api import ServiceLevelObjective
from forestall.api.meta import Condition, condition
from forestall.core.forecast import Abstention
from forestall.core.risk import SLI, ObjectiveState, Risk
from forestall.engine.indicator_queries import IndicatorQuery
from forestall.engine.objective_status import Findings, Problem, fingerprint, settle, status_of
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
def test_figures_are_rounded_but_never_to_all_or_nothing(whole, sli, left):
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
def test_an_sli_is_told_as_exactly_as_its_budget_is_small(promised, whole, sli, left):
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
def test_an_objective_whose_budget_is_gone_is_never_called_healthy(state, whole, shown):
    """Kind: the number shown is not the number named. What is shown beside a budget of -156 % must fit it."""
    of = Findings(SLO, Risk(state, 0.1, None), ratios=ErrorRatios(0.001, whole))
    status = status_of(of, now=0.0)
    assert status.state == shown
    assert of.risk.state is state  # no episode begins by it, and nothing is decided
    risk = condition(status.conditions, "AtRisk")
    assert risk is not None
    assert (risk.reason == "ErrorBudgetExhausted") == (shown == "Exhausted")
    assert (risk.status == "True") == (state in (ObjectiveState.AT_RISK, ObjectiveState.BREACHED))


def test_a_budget_that_cannot_be_computed_says_why():
    """Kind: the number shown is not the number named. A figure that is blank for good has a condition with a reason."""
    timeout = QueryFailure("SourceTimeout", "the source did not answer in 20 s")
    status = status_of(found(ratios=ErrorRatios(0.001, math.nan, None, timeout, 3600.0)), now=0.0)
    known = condition(status.conditions, "BudgetKnown")
    assert known is not None
    assert (known.status, known.reason) == ("False", "SourceTimeout")
    assert "30d" in known.message
    assert timeout.message in known.message
    assert (status.sli, status.budget_remaining, status.burn_rate) == (None, None, "0.1")


def test_a_burn_rate_says_what_stretch_of_time_it_is_of():
    status = status_of(found(ratios=ErrorRatios(0.144, 0.001, long_window=3360.0)), now=0.0)
    assert (status.burn_rate, status.burn_rate_window) == ("14.4", "56m")
    silent = ErrorRatios(math.nan, 0.001, QueryFailure("NoData", "there were no events"), None, 3360.0)
    status = status_of(found(ratios=silent), now=0.0)
    known = condition(status.conditions, "BudgetKnown")
    assert known is not None
    assert (known.status, known.reason) == ("True", "BurnRateUnknown")
    assert "56m" in known.message
    assert (status.burn_rate, status.burn_rate_window) == (None, None)


def test_what_must_be_mended_is_the_ready_condition():
    status = status_of(found(problem=Problem("TargetMissing", "Deployment checkout does not exist")), now=0.0)
    ready = condition(status.conditions, "Ready")
    assert ready is not None
    assert (ready.status, ready.reason, ready.observed_generation) == ("False", "TargetMissing", 3)


def test_a_condition_keeps_the_time_of_its_last_change():
    first = settle([], [Condition(type="Ready", status="True", reason="A")], 1, now=100.0)
    same = settle(first, [Condition(type="Ready", status="True", reason="B")], 2, now=200.0)
    other = settle(same, [Condition(type="Ready", status="False", reason="C")], 2, now=300.0)
    assert first[0].last_transition_time == same[0].last_transition_time != other[0].last_transition_time


def test_moving_figures_are_no_news():
    one = status_of(found(ratios=ErrorRatios(0.1, 0.001)), now=0.0)
    two = status_of(found(ratios=ErrorRatios(0.2, 0.002)), now=60.0)
    assert one != two
    assert fingerprint(one) == fingerprint(two)


def reading(name, values=None, problem=None):
    query = Query((SLO.uid, name), f'{name}{{namespace="shop"}}')
    watched = IndicatorQuery(SLO.uid, name, query, 100.0, above=True, horizon=600.0, per="pod", long_trend=False)
    return Reading(watched, values or {}, 0.0, fresh=values is not None, problem=problem)


def test_every_indicator_is_told_with_its_query_and_why_it_says_nothing(make_signal):
    """Kind: only what is worst is known, and nobody sees what was asked."""
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


def test_what_has_passed_its_limit_has_a_reason_of_its_own(make_signal):
    """Kind: what is and what may be are told by the same word."""

    def why(signal):
        at_risk = Findings(slo=SLO, risk=Risk(ObjectiveState.AT_RISK, signal.probability(), signal))
        told = condition(status_of(at_risk, now=0.0).conditions, "AtRisk")
        return told and (told.reason, told.message)

    assert why(make_signal()) == ("BreachForecast", "load is forecast to pass its limit")
    assert why(make_signal(101.0)) == ("LimitPassed", "load has passed its limit")


def test_what_is_likely_not_meant_is_told_in_the_ready_condition():
    """Kind: a mistake that is silent because the objective works."""
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
def test_nobody_is_told_to_wait_for_what_does_not_come_by_itself(changes, reason, said):
    """Kind: a condition that names the consequence, with advice that never helps."""
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
def test_an_indicator_of_which_nothing_is_known_is_not_ready(readings, unseen):
    """Kind: a green light over something that nobody can see."""
    assert [each.watched.indicator for each in blind(readings)] == unseen
    status = status_of(found(readings=readings), now=0.0)
    ready = condition(status.conditions, "Ready")
    assert ready is not None
    assert ready.status == ("False" if unseen else "True")
    if unseen:
        assert f"nothing is known of {', '.join(unseen)}" in ready.message


def test_when_somebody_looked_is_told_coarsely():
    """A status is not written again each cycle only to say so."""
    first = status_of(found(), now=1000.0, lease="forestall-system/forestall")
    assert (first.last_evaluated, first.evaluated_by) == ("1970-01-01T00:16:40.000000Z", "forestall-system/forestall")
    assert status_of(found(), 1599.0, first, "forestall-system/forestall") == first
    assert status_of(found(), 1600.0, first).last_evaluated == "1970-01-01T00:26:40.000000Z"
    assert status_of(found(), 10.0, first).last_evaluated == "1970-01-01T00:00:10.000000Z", "a clock was set back"
