import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forestall.core.decision import Act, Hold
from forestall.core.forecast import Abstention
from forestall.core.plan import EpisodeState, RungSpec, ScaleBounds, TargetScale, Trigger, plan
from forestall.core.risk import printable_labels
from forestall.core.sizing import ReplicaCapacity

TRIGGER = Trigger(probability=0.8, within=None, sustained=0.0)
NOW = EpisodeState(risk_since=0.0, now=100.0, spent=frozenset())


def scale(most=10, least=1, step=None, per_replica=20.0, headroom=0.0, indicator=None, confidence=0.95):
    capacity = ReplicaCapacity(per_replica, headroom, confidence)
    return RungSpec("Scale", frozenset(), ScaleBounds(most, least, step, capacity, indicator))


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
        (scale(most=3), TargetScale(3, 3), "AtMaximum"),
        (scale(), TargetScale(3, 3, max_replicas=3), "AtMaximum"),
        (scale(least=2), TargetScale(1, 1), "BelowMinimum"),
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
    most=st.integers(1, 50),
    per_replica=st.none() | st.floats(0.1, 1e3),
)
@example(probability=1.0, value=math.nan, upper=101.0, fresh=True, replicas=1, most=2, per_replica=None)
@example(probability=1.0, value=math.inf, upper=101.0, fresh=True, replicas=1, most=2, per_replica=20.0)
def test_no_plan_ever_scales_in_or_past_the_maximum(
    make_signal, *, probability, value, upper, fresh, replicas, most, per_replica
):
    signal = make_signal(probability=probability, value=value, upper=upper, fresh=fresh)
    verdict = plan(TRIGGER, [scale(most=most, per_replica=per_replica)], [signal], TargetScale(replicas, replicas), NOW)
    if isinstance(verdict, Act):
        assert verdict.replicas is not None
        assert replicas < verdict.replicas <= most
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
