import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.backtest.baselines import burn_alert, persistence, predict_linear

NAN = float("nan")
VALUES = st.lists(st.floats(-100, 100) | st.just(NAN), min_size=1, max_size=40).map(np.array)


@given(VALUES, st.integers(1, 6), st.integers(0, 39))
def test_persistence_does_not_use_the_future(values, steps, now):
    changed = values.copy()
    changed[now + 1 :] = 1e6
    for above in (True, False):
        before, after = (persistence(history, 50, steps, above=above) for history in (values, changed))
        np.testing.assert_array_equal(before[: now + 1], after[: now + 1])


@given(VALUES, st.integers(1, 6))
def test_a_lower_limit_mirrors_an_upper_limit(values, steps):
    np.testing.assert_array_equal(
        persistence(values, 50, steps, above=True), persistence(-values, -50, steps, above=False)
    )


def test_persistence_counts_the_rises_that_would_have_passed():
    values = np.array([0, 5, 0, 5, 0, 5, 0, 0, 8.0])
    probability = persistence(values, 10, 1, above=True)
    assert np.isnan(probability[0])  # nothing is known yet
    assert probability[7] == pytest.approx(0.5 / 8)  # of seven rises none would reach 10 from 0
    assert probability[8] == pytest.approx((4 + 0.5) / 9)  # four of eight would from 8


def test_predict_linear_is_a_regression_over_an_hour():
    rng = np.random.default_rng(2)
    values = np.cumsum(rng.normal(0, 1, 200))
    values[rng.random(200) < 0.2] = NAN
    limit, horizon, step = 3.0, 1800.0, 300.0
    firing = predict_linear(values, limit, horizon, step, above=True)
    time = np.arange(200) * step
    for now in range(20, 200):
        part = slice(now - 11, now + 1)
        finite = np.isfinite(values[part])
        if not finite[-1] or finite.sum() < 3:
            assert np.isnan(firing[now])
            continue
        line = np.polynomial.Polynomial.fit(time[part][finite], values[part][finite], 1)
        assert firing[now] == (line(time[now] + horizon) > limit)
    turned = predict_linear(-values, -limit, horizon, step, above=False)
    np.testing.assert_array_equal(turned, firing)


def test_predict_linear_abstains_without_data():
    assert np.isnan(predict_linear(np.full(5, NAN), 1, 600, 60, above=True)).all()
    assert np.isnan(predict_linear(np.array([1.0, 2.0]), 1, 600, 60, above=True)).all()


def test_the_burn_alert_needs_both_windows():
    short, long = np.array([0.2, 0.2, 0.0, NAN]), np.array([0.2, 0.0, 0.2, 0.2])
    np.testing.assert_array_equal(burn_alert(short, long, 0.1), [1, 0, 0, NAN])
