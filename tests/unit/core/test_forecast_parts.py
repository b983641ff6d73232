"""The parts that forecasts are made of, each by what it promises."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.core.forecast.block_means import BlockMeans
from forestall.core.forecast.calibration import Recalibration
from forestall.core.forecast.combination import Hedge
from forestall.core.forecast.conformal import ConformalLevels
from forestall.core.forecast.experts.long_trend import LongTrend
from forestall.core.forecast.experts.profile import Profile
from forestall.core.forecast.experts.trend import LinearTrend
from forestall.core.forecast.frame import Frame
from forestall.core.forecast.rates import EventRates
from forestall.core.forecast.residuals import Residuals
from forestall.core.series import SeriesMatrix

ALL = np.ones(1, dtype=bool)
ONE, FIRST = slice(0, 1), np.zeros((1, 1), dtype=np.intp)
"""The only horizon, as it is told where several are: as a part of all, and by the number of whose errors it takes."""


def frames(values, *, long_trend=False):
    """Frames of one series, point by point, as a bank prepares them."""
    matrix = SeriesMatrix(1.0, len(values) + 1)
    last = np.zeros(1, dtype=np.float32)
    for index, value in enumerate(values):
        matrix.push(1000.0 + index, {"a": value})
        frame = Frame(matrix, slice(0, 1), 1000 + index, np.ones(1, dtype=np.float32))
        last = np.where(frame.fresh, frame.values, last)
        frame.last, frame.calm, frame.long_trend, frame.has_points = last, last, np.array([long_trend]), ALL
        yield frame


def observed(expert):
    """A function that has the expert observe a frame, and returns the frame."""
    return lambda frame: expert.observe(frame) or frame


def weights_after(scores, awake=None):
    hedge = Hedge(len(scores[0]), 1, 1, 50)
    for score in scores:
        hedge.learn(0, np.array(score, dtype=np.float32)[:, None], ALL, 1.0)
    awake_weights = np.ones(len(scores[0])) if awake is None else np.array(awake)
    return hedge.weights(ONE, awake_weights.astype(np.float32)[:, None, None])[:, 0, 0]


def test_experts_are_equal_until_there_is_evidence():
    np.testing.assert_allclose(weights_after([[0, 0, 0]]), 1 / 3)


def test_an_expert_with_wrong_forecasts_loses_its_weight():
    weights = weights_after([[0.0, 0.5, 1.0]] * 10)
    assert weights[0] > 0.99
    assert weights[1] > weights[2]


def test_an_expert_that_sleeps_has_no_weight_however_good_it_was():
    weights = weights_after([[0.0, 1.0, 1.0]] * 500, awake=[0, 1, 0.5])
    np.testing.assert_allclose(weights, [0, 2 / 3, 1 / 3], rtol=1e-5)


def test_an_expert_that_gets_worse_loses_its_weight_and_can_regain_it():
    assert weights_after([[0.0, 0.3]] * 200 + [[0.5, 0.1]] * 100)[1] > 0.9


def test_unreliable_is_a_loss_beyond_the_cost_of_weighting():
    hedge = Hedge(3, 1, 1, 50)
    for _ in range(20):
        hedge.learn(0, np.array([[0.3], [0.1], [0.1]], dtype=np.float32), ALL, 1.0)
    assert hedge.excess(0, 0, 1).all()
    assert not hedge.excess(0, 2, 1).any()


def quantile_of(residuals, share):
    return residuals.quantile(FIRST, 0, np.array([[[share]]], dtype=np.float32))[0, 0, 0]


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_errors_come_back_as_often_as_they_came(scale):
    random = np.random.default_rng(0)
    residuals = Residuals(1, 1, 1, memory=1000)
    errors = random.laplace(0, scale, 1000).astype(np.float32)
    for error in errors:
        residuals.learn(0, np.array([[error]]), ALL)
    for value in (-2, -0.3, 0, 0.3, 2):
        probability = residuals.exceedance(FIRST, np.array([[[value * scale]]], dtype=np.float32))[0, 0, 0]
        assert probability == pytest.approx((errors > value * scale).mean(), abs=0.04)
    for share in (0.05, 0.5, 0.95):
        wanted = np.quantile(errors, share)
        assert quantile_of(residuals, share) == pytest.approx(wanted, abs=0.35 * scale)


def test_errors_that_grow_a_thousandfold_are_soon_followed():
    random = np.random.default_rng(0)
    residuals = Residuals(1, 1, 1, memory=100)
    for scale in [1.0] * 300 + [1000.0] * 300:
        residuals.learn(0, random.normal(0, scale, (1, 1)).astype(np.float32), ALL)
    assert quantile_of(residuals, 0.95) == pytest.approx(1645, rel=0.4)


def test_rates_are_counted_by_circumstances_and_shrink_to_the_base():
    rates = EventRates([1, 2], [10, 10], 1, 1)
    for number in range(60):
        rates.learn(0, np.array([[0], [number % 2]]), np.array([number % 2 > 0]), ALL, 0.5)
    (base, rate), (_, counted) = rates.rates(ONE, np.array([[[0]], [[1]]]))
    assert rate.item() > 0.9
    assert base.item() == pytest.approx(0.5, abs=0.05)
    assert counted.item() == pytest.approx(8, abs=1)
    new = EventRates([1, 2], [10, 10], 1, 1)
    for _ in range(30):
        new.learn(0, np.array([[0], [1]]), ALL, ALL, 1.0)
    (base, rate), (_, counted) = new.rates(ONE, np.array([[[0]], [[0]]]))
    assert rate.item() == base.item() > 0.9
    assert counted.item() == 0


@pytest.mark.parametrize(("forecast", "outcome"), [(0.9, 0.6), (0.4, 0.8), (0.5, 0.5)])
def test_recalibration_moves_a_probability_to_its_observed_frequency(forecast, outcome):
    random = np.random.default_rng(0)
    calibration = Recalibration(1, 1, memory=200)
    chance, base = np.array([forecast], dtype=np.float32), np.array([0.2], dtype=np.float32)
    for _ in range(1000):
        calibration.learn(0, chance, base, np.array([random.random() < outcome]), ALL, 1.0)
    assert calibration.apply(ONE, chance, base, ALL.astype(np.float32)).item() == pytest.approx(outcome, abs=0.1)
    assert calibration.apply(ONE, chance, base, 0 * chance).item() == pytest.approx(forecast)


def bounds_of(levels, errors):
    """Lower bound, median and upper bound, where past errors are ``errors``."""
    quantiles = np.quantile(errors, levels.shares(ONE)[:, 0, 0]).astype(np.float32)
    return levels.bounds(ONE, quantiles[:, None, None])[:, 0, 0]


def test_bounds_move_until_they_reach_their_coverage():
    random = np.random.default_rng(0)
    levels = ConformalLevels(1, 1, tail=0.05)
    missed = []
    for index in range(4000):
        value = random.normal(0, 1 if index < 2000 else 1.5)
        low, _, high = bounds_of(levels, _NORMAL)  # learned when the spread was 1, and never again
        miss = np.array([[value < low], [value > high]])
        missed.append(miss.any())
        levels.learn(0, miss, ALL, 0.25)
    assert np.mean(missed[:2000]) == pytest.approx(0.1, abs=0.01)
    assert np.mean(missed[2000:]) == pytest.approx(0.1, abs=0.02)


def test_recent_misses_widen_the_bounds_until_they_are_discounted():
    levels = ConformalLevels(1, 1, tail=0.05)
    widths = []
    for index in range(400):
        low, _, high = bounds_of(levels, _NORMAL)
        widths.append(high - low)
        levels.learn(0, np.array([[False], [200 <= index < 208]]), ALL, 0.25)
    lowest, highest = np.quantile(_NORMAL, (0.005, 0.995))
    assert widths[208] > 1.5 * (highest - lowest)
    assert widths[208 + 8 * 8] <= highest - lowest
    assert (np.diff(widths[200:208]) >= 0).all()


def test_a_miss_counts_the_same_at_once_and_at_the_end_of_its_horizon():
    early, late = (ConformalLevels(1, 1, tail=0.05) for _ in range(2))
    for _ in range(4):
        early.count_passed(0, np.array([1]), 0.25)
    for _ in range(4):
        early.learn(0, np.array([[False], [False]]), ALL, 0.25)
        late.learn(0, np.array([[False], [True]]), ALL, 0.25)
    np.testing.assert_allclose(early.levels, late.levels, atol=1e-6)
    np.testing.assert_allclose(bounds_of(early, _NORMAL), bounds_of(late, _NORMAL), atol=0.2)


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 5)), max_size=60))
def test_the_median_is_between_the_bounds_whatever_was_missed(history):
    levels = ConformalLevels(1, 1, tail=0.05)
    for below, above, passed in history:
        levels.count_passed(0, np.array([passed]), 0.25)
        levels.learn(0, np.array([[below], [above]]), ALL, 0.25)
        low, median, high = bounds_of(levels, _NORMAL)
        assert low <= median <= high
        assert np.isfinite([low, median, high]).all()


_NORMAL = np.random.default_rng(1).normal(0, 1, 2000)


@pytest.mark.parametrize("steps", [10, 64, 100, 1000])
def test_the_means_of_blocks_are_those_of_the_window(steps):
    values = np.random.default_rng(0).normal(0, 1, 1500)
    values[700:720] = np.nan
    window = BlockMeans(steps, 1)
    for frame in frames(values):
        window.observe(frame)
    time, means = window.read(1000 + len(values) - 1)
    assert len(means) <= 64
    assert time[-1] <= 0
    assert (np.diff(time) > 0).all()
    assert means[-5:, 0].mean() == pytest.approx(values[round(len(values) + time[-5] - 2) :].mean(), abs=0.6)


def test_a_linear_series_is_extrapolated_linearly():
    trend = LinearTrend(4, 1, [20])
    *_, newest = map(observed(trend), frames(np.arange(200.0)))
    assert trend.maximum(newest, 0)[0] == pytest.approx(219, abs=0.1)


def long_trend_of(values):
    trend = LongTrend(1, [20])
    *_, newest = map(observed(trend), frames(values, long_trend=True))
    return trend.awake(newest, 0)[0], trend.maximum(newest, 0)[0], trend.stepped(newest)[0]


def test_a_long_trend_begins_after_the_last_restart():
    random = np.random.default_rng(0)
    memory = np.tile(np.arange(100.0), 3)[:260] + random.normal(0, 1, 260)  # restarts at 100 and 200
    clear, forecast, _ = long_trend_of(memory)
    assert clear
    assert forecast == pytest.approx(79, abs=5)


def test_a_step_between_regular_spikes_is_no_long_trend():
    random = np.random.default_rng(0)
    spikes = random.normal(0, 0.1, 300) + 30.0 * (np.arange(300) % 12 < 3)
    for since in range(5, 40, 5):
        clear, forecast, _ = long_trend_of(spikes + 40.0 * (np.arange(300) >= 300 - since))
        assert not clear or forecast < 90


def test_a_leak_that_began_not_long_ago_has_its_own_slope():
    random = np.random.default_rng(0)
    leak = random.normal(0, 1, 300) + np.clip(np.arange(300) - 260, 0, None)
    clear, forecast, _ = long_trend_of(leak)
    assert clear
    assert forecast == pytest.approx(39 + 20, rel=0.15)


def test_noise_and_a_step_are_no_long_trend():
    random = np.random.default_rng(0)
    noise = random.normal(0, 1, 300)
    assert not long_trend_of(noise)[0]
    clear, _, stepped = long_trend_of(noise + 50.0 * (np.arange(300) >= 290))
    assert not clear
    assert stepped


WAVE = 10 * np.sin(np.arange(300) * 2 * np.pi / 50)


def profile_of(values):
    """Whether it speaks, and the largest of the next 5 and 12 steps that it expects."""
    profile = Profile(50.0, 1, [5, 12])
    *_, newest = map(observed(profile), frames(values))
    return [(profile.awake(newest, index)[0], profile.maximum(newest, index)[0]) for index in range(2)]


@pytest.mark.parametrize("end", [230, 241, 252, 263])
def test_a_periodic_series_is_forecast_by_its_period(end):
    for (awake, forecast), steps in zip(profile_of(WAVE[:end]), (5, 12), strict=True):
        assert awake
        assert forecast == pytest.approx(WAVE[end : end + steps].max(), abs=0.1)


def test_one_unusual_period_of_three_does_not_matter_and_what_is_unusual_now_fades():
    outage = WAVE.copy()
    outage[200:230] = 0.0
    assert profile_of(outage[:260])[1][1] == pytest.approx(WAVE[260:272].max(), abs=0.1)
    above = WAVE.copy()
    above[225:] += 5.0
    (_, soon), (_, later) = profile_of(above[:226])  # the wave is at its lowest in 12 steps
    assert WAVE[226:231].max() + 4 < soon < WAVE[226:231].max() + 5
    assert later == soon
    (_, soon), (_, later) = profile_of(above[:250])  # and at its highest in 12
    assert WAVE[250:262].max() + 1.5 < later < WAVE[250:262].max() + 3


def test_a_profile_without_a_full_period_or_enough_errors_sleeps():
    assert [awake for awake, _ in profile_of(WAVE[:60])] == [False, False]
    assert [awake for awake, _ in profile_of(WAVE[:80])] == [True, False]
    gap = WAVE.copy()
    gap[100:240] = np.nan
    awake, forecast = profile_of(gap[:250])[1]
    assert not awake
    assert forecast == pytest.approx(WAVE[249])
