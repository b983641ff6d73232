import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.core.precision import passes
from forestall.core.slo import (
    budget_remaining,
    burn_rate,
    burn_windows,
    error_budget,
    fast_burn_limit,
    percent_decimals,
)

OBJECTIVES = st.floats(0.1, 99.999)


def test_the_fast_burn_of_a_month_is_measured_over_an_hour_and_five_minutes():
    windows = burn_windows(30 * 86400, shortest=60)
    assert (windows.long, windows.short) == (3600, 300)


def test_a_rate_is_never_taken_over_less_than_a_few_scrapes():
    assert burn_windows(3600, shortest=20).short == 20


@given(OBJECTIVES)
def test_burning_the_budget_at_rate_one_leaves_nothing(objective):
    budget = error_budget(objective)
    assert burn_rate(budget, objective) == pytest.approx(1)
    assert budget_remaining(budget, objective) == pytest.approx(0, abs=1e-9)
    assert budget_remaining(0, objective) == 1


@given(OBJECTIVES)
def test_a_fast_burn_can_happen_to_every_objective(objective):
    assert 0 < fast_burn_limit(objective) < 1


@given(st.integers(101, 9999).map(lambda hundredths: hundredths / 100), st.sampled_from([10_000, 70_000, 1_000_000]))
def test_a_budget_that_is_just_used_up_is_not_overdrawn(objective, total):
    """Kind: touching is not passing. 1 - 99.9 / 100 is less than 0.001."""
    bad = round(total * (100 - objective) / 100)
    ratio = bad / total
    assert error_budget(objective) == ratio
    assert budget_remaining(ratio, objective) == 0.0
    assert not passes(ratio, error_budget(objective), above=True)
    assert passes((bad + 1) / total, error_budget(objective), above=True)


@given(
    st.integers(101, 99999).map(lambda thousandths: thousandths / 1000).filter(lambda objective: objective > 1),
    st.sampled_from([1e3, 1e5, 1e6, 1e9, 2.0**53 + 2]),
)
def test_a_budget_is_used_up_whether_good_or_bad_events_are_counted(objective, total):
    """Kind: touching is not passing. What is computed as `1 - good / total` is a hair off, on either side."""
    ratio = float(100 - Decimal(str(objective))) / 100
    good = total * (1 - ratio)
    for touching in (ratio, 1 - good / total, 1 - (1 - ratio), ratio * (1 + 1e-9), ratio * (1 - 1e-9)):
        assert budget_remaining(touching, objective) == 0.0
    assert budget_remaining(ratio * 1.00001, objective) < 0
    assert budget_remaining(ratio * 0.99999, objective) > 0


def test_the_remaining_budget_of_nan_is_nan():
    assert math.isnan(budget_remaining(math.nan, 99.9))


@pytest.mark.parametrize(
    ("objective", "digits"), [(50.0, 3), (99.0, 3), (99.5, 3), (99.9, 3), (99.95, 4), (99.99, 4), (99.999, 5)]
)
def test_an_sli_has_the_decimals_of_a_hundredth_of_the_budget(objective, digits):
    """Kind: the number shown is not the number named."""
    assert percent_decimals(objective) == digits


@given(st.integers(1001, 9_999_999).map(lambda number: number / 100_000))
def test_decimals_resolve_a_hundredth_of_the_budget_of_any_objective(objective):
    assert 10.0 ** -percent_decimals(objective) <= error_budget(objective) * (1 + 1e-9)
