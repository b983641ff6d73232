import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.core.forecast import Abstention
from forestall.core.risk import SLI, ObjectiveState, assess, worst_signal


def test_the_likeliest_breach_is_the_cause(make_signal):
    calm, sure = make_signal("queue", 0.2), make_signal("load", 0.9)
    risk = assess([calm, sure], at_risk_from=0.8)
    assert (risk.state, risk.cause, risk.probability) == (ObjectiveState.AT_RISK, sure, 0.9)


def test_of_equals_the_soonest_is_the_cause(make_signal):
    later, sooner = make_signal("a", 0.9, ttb=500), make_signal("b", 0.9, ttb=100)
    assert worst_signal([later, sooner]) == sooner


def test_a_leading_indicator_past_its_limit_is_a_risk_and_the_sli_past_its_own_a_breach(make_signal):
    assert assess([make_signal("load", 0.1, value=101)], 0.8).state is ObjectiveState.AT_RISK
    assert assess([make_signal("load", 0.1, value=101)], 0.8).probability == 1.0
    assert assess([make_signal(SLI, 0.1, value=101)], 0.8).state is ObjectiveState.BREACHED


def test_limits_below_are_passed_downwards(make_signal):
    assert make_signal(value=40, limit=50, above=False).breached
    assert not make_signal(value=60, limit=50, above=False).breached


@pytest.mark.parametrize("value", [1.0, 99.0, 101.0, 1e9])
def test_stale_data_has_no_probability(make_signal, value):
    stale = make_signal(value=value, fresh=False)
    assert not stale.breached
    assert math.isnan(stale.probability())
    assert assess([stale], 0.8).state is ObjectiveState.UNKNOWN


def test_an_abstention_is_not_a_small_probability(make_signal):
    silent = make_signal(abstained=Abstention.SHORT_HISTORY)
    assert math.isnan(silent.probability())
    assert worst_signal([silent]) is None
    # what is past its limit now needs no forecast
    assert make_signal(value=101, abstained=Abstention.SHORT_HISTORY).probability() == 1.0


@given(st.floats(0, 1), st.floats(1, 600), st.floats(1, 600))
def test_a_shorter_look_ahead_is_never_likelier(make_signal, probability, first, second):
    signal = make_signal(probability=probability)
    near, far = sorted((first, second))
    assert signal.probability(near) <= signal.probability(far) + 1e-12


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.booleans())
def test_a_bound_is_never_milder_than_the_newest_value(make_signal, value, upper, above):
    bound = make_signal(value=value, upper=upper, above=above, limit=2e6 if above else -2e6).bound()
    assert bound >= value if above else bound <= value


@given(st.floats(0, 1), st.floats(1, 1e5), st.one_of(st.none(), st.floats(1, 600)))
def test_a_time_to_breach_is_shown_only_of_likely_breaches_within_the_horizon(make_signal, probability, ttb, within):
    """Kind: a figure that is shown where nothing stands behind it (1 %, "likely in 1h57m", horizon 10 m)."""
    signal = make_signal(probability=probability, ttb=ttb)
    median, _, high = signal.likely_time_to_breach(within)
    if math.isfinite(median):
        assert signal.probability(within) >= 0.5
        assert median <= (within or 600.0)
        assert high <= (within or 600.0) or high == math.inf
    elif ttb <= (within or 600.0):
        assert signal.probability(within) < 0.5


def test_the_time_to_breach_is_zero_in_breach(make_signal):
    assert make_signal(value=101).likely_time_to_breach() == (0.0, 0.0, 0.0)


def test_an_indicator_without_data_makes_the_objective_unknown(make_signal):
    """Kind: what is not known is told as if it were well. What the others say of a risk still holds."""
    well, ill = make_signal("load", 0.1), make_signal("load", 0.9)
    assert assess([well], 0.8).state is ObjectiveState.HEALTHY
    blind = assess([well], 0.8, blind=True)
    assert (blind.state, math.isnan(blind.probability), blind.cause) == (ObjectiveState.UNKNOWN, True, None)
    assert assess([ill], 0.8, blind=True).state is ObjectiveState.AT_RISK
    assert assess([make_signal(SLI, 0.1, value=101)], 0.8, blind=True).state is ObjectiveState.BREACHED
