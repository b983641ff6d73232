"""Kind: touching is not passing. A value and its limit are compared in one precision, wherever they meet."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.examples import examples

from forestall.backtest.baselines import burn_alert, persistence, predict_linear
from forestall.core import score
from forestall.core.forecast import BreachForecaster, Limit
from forestall.core.precision import (
    MAX_VALUE,
    RELATIVE_PRECISION,
    format_percent,
    format_percent_pair,
    format_value_and_limit,
    is_past,
    narrow,
    narrow_limits,
    passes,
)
from forestall.core.risk import Signal
from forestall.core.series import SeriesMatrix

START, STEP = 1_700_000_000.0, 30.0
HORIZON = 4 * STEP
EVERY_SIXTH = (0.09, 0.1, 0.17, 0.33, 0.6, 0.66, 1.1, 99.9)
"""Limits that float32 rounds up, so that a value at such a limit looks past it when only the value is rounded."""

limits = st.one_of(
    st.sampled_from([*EVERY_SIXTH, 0.3, 0.7, 0.95, 100.0, 0.0, 5e-324, 1e-40, 16_777_217.0, 1e35, 1e37, 1e39]),
    st.decimals("0.0001", 100_000, places=4).map(float),
    st.floats(-1e30, 1e30),
).flatmap(lambda limit: st.sampled_from([limit, -limit]))


@st.composite
def cases(draw: st.DrawFn) -> tuple[float, float, bool]:
    """A limit, a value on either side of it, at it, or a hair off it, and the direction."""
    limit = draw(limits)
    value = draw(
        st.one_of(
            st.just(limit),
            st.sampled_from([limit * 3 / 3, limit * 0.1 * 10, (limit + 1) - 1]),
            st.integers(-3, 3).map(lambda hairs: float(np.float64(limit) + hairs * np.spacing(limit))),
            st.sampled_from([-4, -2, -1, -0.5, 0.5, 1, 2, 4]).map(lambda part: limit * (1 + part * RELATIVE_PRECISION)),
            st.floats(-2, 2).map(lambda factor: limit * factor),
            st.floats(allow_nan=True),
        )
    )
    return value, limit, draw(st.booleans())


def signal(value: float, limit: float, *, above: bool) -> Signal:
    return Signal("load", (), value, limit, above, HORIZON, START, fresh=True, forecast=None)


@given(cases())
def test_all_rules_agree_on_what_is_past_its_limit_and_a_value_at_its_limit_is_not(case):
    value, limit, above = case
    past = passes(value, limit, above=above)
    assert past == bool(is_past(np.array([value]), limit, above=above)[0])
    assert past == signal(value, limit, above=above).breached
    is_known = abs(value) <= MAX_VALUE
    assert score.past_limit(np.array([value]), limit, above=above)[0] == (past if is_known else score.UNKNOWN)
    # The matrix rounds its values, and asks the same of them again.
    narrowed = float(narrow(value))
    assert past == passes(narrowed, limit, above=above)
    if not is_known:
        assert not past
        return
    beyond = value > limit if above else value < limit
    assert beyond or not past
    differs = abs(value - limit) > RELATIVE_PRECISION * max(abs(value), abs(limit)) + 1e-44  # float32 ends there
    assert past or not (beyond and differs)


@given(st.lists(cases(), min_size=1, max_size=20), st.sampled_from([1e-9, 1.0, 1e9]))
def test_a_limit_passed_on_one_side_is_not_passed_on_the_other_and_mirrors(pairs, scale):
    for value, limit, above in pairs:
        wide, bound = value * scale, limit * scale
        assert not (passes(wide, bound, above=True) and passes(wide, bound, above=False))
        assert passes(wide, bound, above=above) == passes(-wide, -bound, above=not above)


@given(limits)
def test_a_limit_beyond_all_values_stays_a_finite_number_that_none_of_them_reaches(limit):
    assert np.isfinite(narrow_limits(limit))
    assert passes(MAX_VALUE, limit, above=True) == (limit < MAX_VALUE)
    assert not passes(math.nan, limit, above=True)
    assert not passes(math.inf, limit, above=True)


@given(cases().filter(lambda case: abs(case[0]) < 1e30 and abs(case[1]) < 1e30))
def test_a_value_is_displayed_as_its_limit_only_where_it_is_at_its_limit(case):
    value, limit, _ = case
    if passes(value, limit, above=True) or passes(value, limit, above=False):
        text, bound = format_value_and_limit(value, limit)
        assert text != bound


@pytest.mark.parametrize(
    ("value", "limit", "texts"),
    [
        (99.9002, 99.9, ("99.9002", "99.9")),
        (0.6, 0.6, ("0.6", "0.6")),
        (0.3, 0.1 * 3, ("0.3", "0.3")),
        (7.0, 5.0, ("7", "5")),
        (16_777_217.000_000_004, 16_777_217.0, ("16777217.000000004", "16777217")),
    ],
)
def test_no_displayed_value_equals_the_limit_that_it_is_past(value, limit, texts):
    """Kind: the number shown is not the number named."""
    assert format_value_and_limit(value, limit) == texts


@given(st.floats(-3, 3), st.one_of(st.floats(0, 1), st.sampled_from([0.5, 0.9, 0.95, 0.999])))
def test_different_shares_are_displayed_differently_and_only_1_is_100_percent(share, other):
    """Kind: the number shown is not the number named."""
    mine, theirs = format_percent_pair(share, other)
    assert (mine == theirs) == (share == other) or abs(share - other) < 1e-9
    assert (mine.rstrip("0%").rstrip(".") == "100") <= (share == 1.0 or share > 1)
    assert (format_percent(share) == "0%") <= (share == 0.0)
    assert format_percent(share).startswith(("-", "<")) or share >= 0.0 or share < -0.5


@pytest.mark.parametrize(
    ("share", "other", "texts"),
    [
        (0.42, 0.9, ("42%", "90%")),
        (0.896, 0.9, ("89.6%", "90.0%")),
        (0.9, 0.9, ("90%", "90%")),
        (0.0004, 0.001, ("<0.1%", "0.1%")),
        (0.9994, 0.999, ("99.94%", "99.90%")),
    ],
)
def test_a_probability_below_its_threshold_is_not_displayed_as_the_threshold(share, other, texts):
    assert format_percent_pair(share, other) == texts


def learned_together(cases: Sequence[tuple[np.ndarray, float, bool]]) -> list[tuple[float, bool]]:
    """Return the rate of breaches that was learned from each history with its limit (whether above), and whether the
    newest value is said to be one. The histories are of the same length.
    """
    matrix = SeriesMatrix(STEP, cases[0][0].size)
    forecaster = BreachForecaster(matrix, [HORIZON])
    forecaster.set_limits({key: Limit(limit, above) for key, (_, limit, above) in enumerate(cases)})
    times = START + STEP * np.arange(cases[0][0].size)
    for key, (values, _, _) in enumerate(cases):
        matrix.backfill(key, times, values)
    forecaster.update(float(times[-1]))
    table, rates = forecaster.forecast(float(times[-1])), forecaster.opinions()["climatology-24"][0]
    result = []
    for key in range(len(cases)):
        forecast = table.at(key)
        assert forecast.abstained is None
        certain = forecast.probability[-1] == 1.0
        assert certain == (forecast.probability_within(0.0) == 1.0)
        result.append((float(rates[matrix.rows[key]]), certain))
    return result


def learned(values: np.ndarray, limit: float, *, above: bool) -> tuple[float, bool]:
    """Return what was learned from a single history."""
    (result,) = learned_together([(values, limit, above)])
    return result


known_cases = cases().filter(lambda case: 1e-20 < abs(case[1]) < 1e20 and abs(case[0]) < 1e21)


@settings(
    max_examples=examples(8), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
@given(st.lists(known_cases, min_size=5, max_size=5))
def test_forecast_risk_backtest_and_baselines_agree_on_what_is_past(drawn):
    """Several cases are learned together, which hardly takes longer than one."""
    histories = []
    for value, limit, above in drawn:
        safe = limit - abs(limit) * 0.5 * (1 if above else -1)
        histories.append((np.tile([safe, safe, safe, value], 20), limit, above))
    for case, (values, _, _), (rate, certain) in zip(drawn, histories, learned_together(histories), strict=True):
        agree(case, values, rate, certain=certain)


def agree(case: tuple[float, float, bool], values: np.ndarray, rate: float, *, certain: bool) -> None:
    """Check that all that judge whether the value of a case is past its limit say the same."""
    value, limit, above = case
    past = passes(value, limit, above=above)
    assert certain == past == signal(value, limit, above=above).breached
    assert rate > 0.9 if past else rate < 0.1  # every horizon has had the value once
    flags = score.past_limit(values, limit, above=above)
    assert (flags[3::4] == past).all()
    assert not flags[0::4].any()
    reached = score.past_limit(score.extremes_ahead(values, 4, above=above), limit, above=above)
    assert (reached[:-4] == past).all()
    probabilities = persistence(values, limit, 4, above=above)
    assert np.isnan(probabilities[-1]) == past
    if abs(value - limit) < abs(limit) * 0.25:  # far off, a rise as high as that from the value passes the limit
        assert (
            probabilities[-2] > 0.6 if past else probabilities[-2] < 0.1
        )  # a quarter of all rises begins at the value
    flat = np.full(9, value)
    assert predict_linear(flat, limit, HORIZON, STEP, above=above)[-1] == past
    if above:
        assert burn_alert(flat, flat, limit)[-1] == past


@pytest.mark.parametrize("above", [True, False])
@pytest.mark.parametrize("limit", [*EVERY_SIXTH, 0.3, 0.7, 0.95, 5.0, 16_777_217.0])
def test_a_series_that_is_always_at_its_limit_never_passes_it(limit, above):
    rate, certain = learned(np.full(60, limit), limit, above=above)
    assert not certain
    assert rate < 0.1


def test_rounded_values_at_their_limit_are_no_breach():
    random = np.random.default_rng(0)
    levels = np.round(np.minimum(random.normal(0.55, 0.05, 400), 0.6), 2)  # often 0.6, never more
    rate, certain = learned(levels, 0.6, above=True)
    assert (levels == 0.6).sum() > 40
    assert not certain
    assert rate < 0.1
