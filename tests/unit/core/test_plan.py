import math
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forestall.core.decision import Act, Hold
from forestall.core.forecast import Abstention
from forestall.core.plan import (
    EpisodeState,
    ReplicaDemand,
    RungSpec,
    ScaleBounds,
    TargetScale,
    Trigger,
    matching_rungs,
    plan,
    replica_demand,
    triggering_signal,
)
from forestall.core.risk import SLI, printable_labels
from forestall.core.sizing import ReplicaCapacity

TRIGGER = Trigger(probability=0.8, within=None, sustained=0.0)
NOW = EpisodeState(risk_since=0.0, now=100.0, spent=frozenset())


def scale(max_replicas=10, min_replicas=1, step=None, per_replica=20.0, headroom=0.0, indicator=None, confidence=0.95):
    capacity = ReplicaCapacity(per_replica, headroom, confidence)
    return RungSpec("Scale", frozenset(), ScaleBounds(max_replicas, min_replicas, step, capacity, indicator))


RESTART = RungSpec("Restart", frozenset())


def test_a_scale_out_is_sized_by_the_bound_of_the_forecast(make_signal):
    act = plan(TRIGGER, [scale()], [make_signal(upper=120)], TargetScale(3, 3), NOW)
    assert isinstance(act, Act)
    assert (act.action, act.replicas, act.rung) == ("Scale", 6, 0)
    assert "from 3 to 6 replicas" in act.message
    assert "90%" in act.message


def test_the_more_confidence_a_policy_wants_the_more_replicas_it_gets(make_signal):
    sizes = []
    for confidence in (0.5, 0.8, 0.95):
        act = plan(TRIGGER, [scale(confidence=confidence)], [make_signal(upper=160)], TargetScale(3, 3), NOW)
        assert isinstance(act, Act)
        assert act.replicas is not None
        sizes.append(act.replicas)
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize(
    ("rung", "target", "reason"),
    [
        (scale(max_replicas=3), TargetScale(3, 3), "AtMaximum"),
        (scale(), TargetScale(3, 3, max_replicas=3), "AtMaximum"),
        (scale(min_replicas=2), TargetScale(1, 1), "BelowMinimum"),
        (scale(), TargetScale(None, None), "NotScalable"),
        (scale(), TargetScale(6, 6), "SufficientReplicas"),
        (scale(indicator="other"), TargetScale(3, 3), "DesiredReplicasUnknown"),
        (scale(per_replica=None), TargetScale(3, 0), "DesiredReplicasUnknown"),
        (RungSpec("Restart", frozenset({"memory"})), TargetScale(3, 3), "NoRungForCause"),
    ],
)
def test_a_hold_has_its_reason_and_the_risk(make_signal, rung, target, reason):
    hold = plan(TRIGGER, [rung], [make_signal()], target, NOW)
    assert isinstance(hold, Hold)
    assert hold.reason == reason
    assert "90%" in hold.message, "the risk is told with every reason"


def test_a_missing_indicator_is_reported_with_the_existing_ones(make_signal):
    """Kind: 'name an indicator', although one was named."""
    hold = plan(TRIGGER, [scale(indicator="other")], [make_signal()], TargetScale(3, 3), NOW)
    assert (
        "the objective has no leading indicator other, which `capacity.indicator` names; there is load" in hold.message
    )


def test_a_risk_must_last_as_long_as_the_policy_says(make_signal):
    trigger = Trigger(0.8, None, sustained=60.0)
    young = EpisodeState(risk_since=70.0, now=100.0, spent=frozenset())
    hold = plan(trigger, [RESTART], [make_signal()], TargetScale(3, 3), young)
    assert isinstance(hold, Hold)
    assert hold.reason == "NotSustained"
    assert isinstance(plan(trigger, [RESTART], [make_signal()], TargetScale(3, 3), NOW), Act)


def test_the_next_rung_follows_one_that_did_not_help(make_signal):
    rungs = [scale(), RESTART]
    spent = EpisodeState(0.0, 100.0, frozenset({0}))
    act = plan(TRIGGER, rungs, [make_signal()], TargetScale(3, 3), spent)
    assert isinstance(act, Act)
    assert (act.rung, act.action) == (1, "Restart")
    over = plan(TRIGGER, rungs, [make_signal()], TargetScale(3, 3), EpisodeState(0.0, 100.0, frozenset({0, 1})))
    assert isinstance(over, Hold)
    assert over.reason == "LadderExhausted"


def test_an_abstention_leads_to_a_hold_with_its_reason(make_signal):
    hold = plan(TRIGGER, [RESTART], [make_signal(abstained=Abstention.SHORT_HISTORY)], TargetScale(3, 3), NOW)
    assert isinstance(hold, Hold)
    assert hold.reason == "NoForecast"
    assert "ShortHistory" in hold.message


@given(
    probability=st.floats(0, 1),
    value=st.floats(allow_nan=True, allow_infinity=True),
    upper=st.floats(allow_nan=True, allow_infinity=True),
    fresh=st.booleans(),
    replicas=st.integers(0, 50),
    maximum=st.integers(1, 50),
    per_replica=st.none() | st.floats(0.1, 1e3),
)
@example(probability=1.0, value=math.nan, upper=101.0, fresh=True, replicas=1, maximum=2, per_replica=None)
@example(probability=1.0, value=math.inf, upper=101.0, fresh=True, replicas=1, maximum=2, per_replica=20.0)
def test_no_plan_ever_scales_in_or_past_the_maximum(
    make_signal, *, probability, value, upper, fresh, replicas, maximum, per_replica
):
    signal = make_signal(probability=probability, value=value, upper=upper, fresh=fresh)
    verdict = plan(
        TRIGGER, [scale(max_replicas=maximum, per_replica=per_replica)], [signal], TargetScale(replicas, replicas), NOW
    )
    if isinstance(verdict, Act):
        assert verdict.replicas is not None
        assert replicas < verdict.replicas <= maximum
        assert fresh
        assert math.isfinite(value)


def test_labels_in_messages_are_limited_in_length(make_signal):
    """The kind: text of a metric in what people are told."""
    cause = make_signal(value=200.0, labels=[(f"l{n}", "x" * 5000) for n in range(100)])
    hold = plan(TRIGGER, (), [cause], TargetScale(3, 3), EpisodeState(0.0, 100.0, frozenset()))
    assert len(hold.message) < 10_000
    assert f"l0={'x' * 253}…, l1=" in hold.message


def test_labels_in_messages_have_no_control_characters():
    """Kind: hostile texts of objects and series, told to who is to approve something."""
    labels = (("pod", "web\x1b[2J\u202e"), ("zone", "a\nApproved by: admin"))
    labels_shown = printable_labels(labels)
    assert labels_shown == {
        "pod": "web\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}",
        "zone": "a Approved by: admin",
    }


UNSIZED = "does not determine how many replicas are needed"
AT_RISK = "load is 70 and passes 100 within 10m with a probability of 90%, likely in 5m"


@pytest.mark.parametrize(
    ("rung", "target", "message"),
    [
        (
            scale(max_replicas=3),
            TargetScale(3, 3),
            "but the target has 3 replicas already and the policy's maximum is 3",
        ),
        (
            scale(),
            TargetScale(3, 3, max_replicas=3),
            "but the target has 3 replicas already and its autoscaler's maximum is 3",
        ),
        (
            scale(max_replicas=3),
            TargetScale(3, 3, max_replicas=3),
            "but the target has 3 replicas already and the policy's maximum is 3",
        ),
        (
            scale(min_replicas=2),
            TargetScale(1, 1),
            "but the target has 1 replica and the policy leaves fewer than 2 alone",
        ),
        (scale(), TargetScale(None, None), "but the target has no replicas to scale"),
        (scale(), TargetScale(6, 6), "but 6 replicas carry the forecast of 120"),
        (scale(), TargetScale(6, None), "but 6 replicas carry the forecast of 120"),
        (scale(), TargetScale(6, 5), "but 6 replicas, of which 5 are ready carry the forecast of 120"),
        (scale(), TargetScale(6, 1), "but 6 replicas, of which 1 is ready carry the forecast of 120"),
        (scale(per_replica=120.0), TargetScale(1, 1), "but 1 replica carries the forecast of 120"),
        (
            scale(per_replica=None),
            TargetScale(3, 0),
            f"but load {UNSIZED}: name a leading indicator in `capacity.indicator`; there is load",
        ),
        (
            scale(per_replica=None, indicator="load"),
            TargetScale(3, 0),
            "but load, which `capacity.indicator` names, does not determine now how many replicas are needed",
        ),
    ],
)
def test_what_keeps_a_scale_out_back_is_said_in_full(make_signal, rung, target, message):
    hold = plan(TRIGGER, [rung], [make_signal()], target, NOW)
    assert isinstance(hold, Hold)
    assert hold.message == f"{AT_RISK}, {message}"


@pytest.mark.parametrize(
    ("rung", "target", "replicas"),
    [
        (scale(), TargetScale(5, 5), 6),
        (scale(min_replicas=3), TargetScale(3, 3), 6),
        (scale(step=2), TargetScale(3, 3), 5),
        (scale(max_replicas=4), TargetScale(3, 3), 4),
        (scale(), TargetScale(3, 3, max_replicas=4), 4),
        (scale(max_replicas=4), TargetScale(3, 3, max_replicas=5), 4),
        (scale(per_replica=None), TargetScale(3, 3), 4),
        (scale(per_replica=None), TargetScale(3, 5), 6),
    ],
)
def test_a_scale_out_stays_within_its_bounds(make_signal, rung, target, replicas):
    act = plan(TRIGGER, [rung], [make_signal()], target, NOW)
    assert isinstance(act, Act)
    assert act.replicas == replicas


def test_a_scale_out_says_by_what_it_is_sized(make_signal):
    act = plan(TRIGGER, [scale(step=1)], [make_signal()], TargetScale(3, 3), NOW)
    assert act.message == f"{AT_RISK}: scale from 3 to 4 replicas (the forecast asks for 6) for load of up to 120"
    assert act.reason == "BreachForecast"
    act = plan(TRIGGER, [scale()], [make_signal()], TargetScale(3, 3), NOW)
    assert act.message == f"{AT_RISK}: scale from 3 to 6 replicas for load of up to 120"


def test_a_limit_that_is_passed_is_no_forecast(make_signal):
    act = plan(TRIGGER, [RESTART], [make_signal(value=130.0, labels=[("pod", "a")])], TargetScale(3, 3), NOW)
    assert (act.reason, act.message) == ("LimitPassed", "load (pod=a) is 130, past its limit of 100")


@pytest.mark.parametrize(("chance", "acts"), [(0.8, True), (0.79, False)])
def test_a_policy_acts_from_its_probability_on(make_signal, chance, acts):
    verdict = plan(TRIGGER, [RESTART], [make_signal(probability=chance)], TargetScale(3, 3), NOW)
    assert isinstance(verdict, Act) is acts
    if not acts:
        assert verdict.message == "the breach probability is 79% (load); the policy acts from 80%"


@pytest.mark.parametrize(("since", "acts"), [(40.0, True), (40.5, False), (None, False)])
def test_a_risk_that_has_not_lasted_is_waited_for(make_signal, since, acts):
    trigger, episode = Trigger(0.8, None, sustained=60.0), EpisodeState(since, 100.0, frozenset())
    verdict = plan(trigger, [RESTART], [make_signal()], TargetScale(3, 3), episode)
    assert isinstance(verdict, Act) is acts
    if since is None:
        assert verdict.message == f"{AT_RISK}, but only for 0s; the policy waits for 1m"


def test_without_a_time_to_wait_for_the_first_cycle_acts(make_signal):
    assert isinstance(
        plan(TRIGGER, [RESTART], [make_signal()], TargetScale(3, 3), EpisodeState(None, 1.0, frozenset())), Act
    )


def test_of_several_series_that_size_the_most_demanding_counts(make_signal):
    signals = [make_signal(upper=110), make_signal(upper=150, labels=[("pod", "b")]), make_signal(upper=120)]
    bounds = scale().scale
    assert bounds is not None
    demand = replica_demand(bounds, "load", signals, 3, None)
    assert (demand.forecast, demand.observed, demand.signal) == (8, 4, signals[1])


@pytest.mark.parametrize("change", [{"fresh": False}, {"above": False}, {"indicator": "queue"}])
def test_a_series_that_does_not_size_is_left_out(make_signal, change):
    bounds = scale().scale
    assert bounds is not None
    demand = replica_demand(bounds, "load", [make_signal(), make_signal(upper=500, **change)], 3, None)
    assert demand.forecast == 6


def test_a_series_without_a_forecast_sizes_by_what_is_now(make_signal):
    bounds = scale().scale
    assert bounds is not None
    demand = replica_demand(bounds, "load", [make_signal(abstained=Abstention.SHORT_HISTORY)], 3, None)
    assert (demand.forecast, demand.observed) == (None, 4)
    assert replica_demand(bounds, "load", [], 3, None).signal is None
    several = [make_signal(value=value, abstained=Abstention.SHORT_HISTORY) for value in (70.0, 90.0, 50.0)]
    assert replica_demand(bounds, "load", several, 3, None).observed == 5


def test_without_fresh_data_nothing_is_sized(make_signal):
    bounds = scale().scale
    assert bounds is not None
    assert replica_demand(bounds, "load", [make_signal(fresh=False)], 3, None) == ReplicaDemand(None, None, None)


NO_FORECAST = {"abstained": Abstention.SHORT_HISTORY}


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ({"value": 90.0, **NO_FORECAST}, {"value": 10.0, "upper": 10.0}),
        ({"value": -1.0, "upper": 40.0}, {"value": 10.0, "upper": 40.0}),
        ({"value": -1.0, **NO_FORECAST}, {"value": 10.0, **NO_FORECAST}),
    ],
    ids=["the forecast counts first", "then what is observed", "and that alone without a forecast"],
)
def test_of_two_series_the_one_with_more_replicas_sizes(make_signal, less, more):
    bounds = scale().scale
    assert bounds is not None
    one, other = make_signal(**less), make_signal(**more)
    for signals in ([one, other], [other, one]):
        assert replica_demand(bounds, "load", signals, 3, None).signal is other


def test_of_two_series_that_need_the_same_the_first_sizes(make_signal):
    bounds = scale().scale
    assert bounds is not None
    first, second = (make_signal(value=-1.0, upper=40.0, labels=[("pod", name)]) for name in "ab")
    assert replica_demand(bounds, "load", [first, second], 3, None).signal is first


def test_the_worst_signal_that_meets_the_trigger_is_the_cause(make_signal):
    likely, likelier = make_signal(probability=0.85), make_signal(probability=0.95, labels=[("pod", "b")])
    assert triggering_signal([likely, likelier], TRIGGER) is likelier
    assert triggering_signal([make_signal(probability=0.5)], TRIGGER) is None
    assert triggering_signal([], TRIGGER) is None


def test_a_rung_answers_the_indicators_that_it_names(make_signal):
    rungs = [RungSpec("Restart", frozenset({"memory"})), RungSpec("Cordon", frozenset({"load", "disk"})), RESTART]
    assert matching_rungs(rungs, make_signal()) == [1, 2]
    assert matching_rungs(rungs, make_signal("memory")) == [0, 2]


def test_what_says_nothing_yet_is_named_up_to_four(make_signal):
    signals = [make_signal(name, abstained=Abstention.SHORT_HISTORY) for name in "edcba"]
    hold = plan(TRIGGER, [RESTART], signals, TargetScale(3, 3), NOW)
    assert hold.message == (
        "nothing can be said yet (a: ShortHistory; b: ShortHistory; c: ShortHistory; d: ShortHistory)"
    )
    assert plan(TRIGGER, [RESTART], [], TargetScale(3, 3), NOW).message == "nothing can be said yet"


def test_what_the_replicas_carry_is_no_risk(make_signal):
    carried = replace(make_signal(abstained=Abstention.SHORT_HISTORY), is_carried=True)
    assert plan(TRIGGER, [RESTART], [carried], TargetScale(3, 3), NOW).reason == "CapacitySufficient"


@pytest.mark.parametrize(
    ("names", "available"),
    [((), "it has none"), (("load",), "there is load"), (("queue", "load"), "there are load, queue")],
)
def test_who_names_no_indicator_that_sizes_is_told_which_there_are(make_signal, names, available):
    sli = make_signal(SLI, above=False, limit=0.0, value=1.0)
    hold = plan(TRIGGER, [scale(indicator="other")], [sli, *map(make_signal, names)], TargetScale(3, 3), NOW, sli)
    assert hold.message.endswith(f"which `capacity.indicator` names; {available}")


def test_a_breach_that_is_not_likely_has_no_time(make_signal):
    hold = plan(
        Trigger(0.3, 300.0, 0.0),
        [],
        [make_signal(probability=0.4)],
        TargetScale(3, 3),
        NOW,
        make_signal(probability=0.4),
    )
    assert "within 5m with a probability" in hold.message
    assert "likely in" not in hold.message


@pytest.mark.parametrize(
    ("ready", "forecast", "observed"), [(3, 4, 3), (10, 12, 7), (0, None, None), (None, None, None)]
)
def test_a_level_per_replica_is_sized_by_the_ready_replicas(make_signal, ready, forecast, observed):
    bounds = scale(per_replica=None).scale
    assert bounds is not None
    signal = make_signal()
    demand = replica_demand(bounds, "load", [signal], ready, None)
    assert (demand.forecast, demand.observed, demand.signal) == (forecast, observed, signal)


def test_beside_what_is_carried_another_risk_is_told(make_signal):
    carried = replace(make_signal("queue", abstained=Abstention.SHORT_HISTORY), is_carried=True)
    hold = plan(TRIGGER, [RESTART], [carried, make_signal(probability=0.5)], TargetScale(3, 3), NOW)
    assert hold.reason == "BelowThreshold"
