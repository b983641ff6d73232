"""Confidence intervals. Kind: a difference of a few minutes is reported as certain."""

import numpy as np
import pytest

from forestall.sim.bootstrap import confidence_interval, resample


def saved_minutes(*runs, minutes=720):
    """Minutes that are saved in some runs, each with first minute and length."""
    values = np.zeros((minutes, 1))
    for first, length in runs:
        values[first : first + length] = 1
    return values


def test_a_difference_from_a_single_run_may_be_zero():
    assert confidence_interval(resample(saved_minutes((100, 2)))[:, 0]).low == 0
    assert confidence_interval(resample(saved_minutes((100, 2)))[:, 0]).high >= 2


def test_a_difference_that_recurs_is_significant():
    interval = confidence_interval(resample(saved_minutes(*((n, 5) for n in range(20, 720, 90))))[:, 0])
    assert 0 < interval.low < 40 < interval.high < 80


def test_a_constant_difference_has_an_exact_interval():
    interval = confidence_interval(resample(np.full((720, 1), 0.5))[:, 0])
    assert interval.low == pytest.approx(360) == interval.high


@pytest.mark.parametrize("minutes", [1, 2, 59, 60, 61, 150, 2880])
def test_resampling_keeps_the_length_and_is_reproducible(minutes):
    values = np.random.default_rng(3).normal(size=(minutes, 2))
    resampled = resample(np.column_stack((np.ones(minutes), values, values[:, 0])))
    assert resampled[:, 0] == pytest.approx(minutes)
    assert np.array_equal(resampled[:, 1], resampled[:, 3])  # the same minutes for all
    assert np.array_equal(resampled[:, 1], resample(values)[:, 0])
    assert resampled[:, 1].mean() == pytest.approx(values[:, 0].sum(), abs=3 * minutes**0.5)
