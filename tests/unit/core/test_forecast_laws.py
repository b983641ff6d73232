"""Laws that hold for every forecast, whatever the series."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.support.examples import examples

from forestall.core.forecast import Abstention, BreachForecaster, ForecastSettings, ForecastTable, Limit
from forestall.core.series import SeriesMatrix

START, STEP = 1_700_000_000.0, 30.0
HORIZONS = (5 * STEP, 12 * STEP, 30 * STEP)
SETTINGS = ForecastSettings(periods=(40 * STEP, 604800.0))
"""The shorter period is one that the series are longer than, so that its profile has its say."""


def run(
    series: Mapping[Any, np.ndarray], limits: Mapping[Any, Limit], settings: ForecastSettings = SETTINGS
) -> ForecastTable:
    """Feed the series point by point, as the engine does, and forecast at the end."""
    matrix = SeriesMatrix(STEP, 200)
    forecaster = BreachForecaster(matrix, HORIZONS, settings)
    forecaster.set_limits(limits)
    now = START
    for index in range(max(len(values) for values in series.values())):
        now = START + STEP * index
        matrix.push(now, {key: values[index] for key, values in series.items() if index < len(values)})
        forecaster.update(now)
    return forecaster.forecast(now)


def wave(seed: int, length: int = 120) -> np.ndarray:
    """A wandering series with a wave and spikes, of size 1 or so."""
    random = np.random.default_rng(seed)
    steps = np.cumsum(random.normal(0, 0.1, length)) + np.sin(np.arange(length) / 9)
    return steps + (random.random(length) < 0.03) * random.exponential(2, length)


@cache
def waves_forecast() -> ForecastTable:
    return run({number: wave(number) for number in range(10)}, dict.fromkeys(range(10), Limit(2.5)))


def assert_finite(table: ForecastTable) -> None:
    for values in (table.probability, table.lower, table.median, table.upper):
        assert np.isfinite(values).all()
    assert not np.isnan(table.time_to_breach).any()
    assert ((table.probability >= 0) & (table.probability <= 1)).all()
    assert (np.diff(table.probability, axis=1) >= 0).all()
    assert (table.lower <= table.median).all()
    assert (table.median <= table.upper).all()
    assert (table.time_to_breach[:, 1] <= table.time_to_breach[:, 0]).all()
    assert (table.time_to_breach[:, 0] <= table.time_to_breach[:, 2]).all()


numbers = st.one_of(
    st.floats(-1e3, 1e3, width=32),
    st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 1e12, -1e12, 1e-12, 1e38, 3.0, 3.0, 3.0]),
)


any_series = st.tuples(st.lists(numbers, min_size=1, max_size=60), st.floats(-1e3, 1e3), st.booleans(), st.booleans())


@settings(
    max_examples=examples(12), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(st.lists(any_series, min_size=1, max_size=6))
@example([([0.0], 0.0, False, False), ([0.0, 0.0, 1e12, *[0.0] * 5, -1e12, np.nan], 0.0, False, True)])
def test_forecasts_are_finite_whatever_the_values(cases):
    series = {number: np.array(case[0]) for number, case in enumerate(cases)}
    table = run(series, {number: Limit(*case[1:]) for number, case in enumerate(cases)})
    assert_finite(table)


jumps = st.lists(st.tuples(st.integers(3, 35), st.floats(-3600, 3600)), min_size=1, max_size=2)


@settings(max_examples=examples(3), deadline=None)
@given(jumps, st.integers(5, 40), st.booleans())
def test_clocks_that_jump_and_counters_that_reset_leave_forecasts_finite(turns, period, long_trend):
    counter = np.tile(np.arange(float(period)) * 1e6, 80 // period + 1)[:80]
    matrix = SeriesMatrix(STEP, 200)
    forecaster = BreachForecaster(matrix, HORIZONS, SETTINGS)
    forecaster.set_limits({"a": Limit(period * 0.9e6, long_trend=long_trend)})
    now = START
    jump = {sum(steps for steps, _ in turns[: index + 1]): seconds for index, (steps, seconds) in enumerate(turns)}
    for index, value in enumerate(counter.tolist()):
        now += STEP + jump.get(index, 0)
        matrix.push(now, {"a": value})
        forecaster.update(now)
        if index % 10 == 9 or index in jump:
            assert_finite(forecaster.forecast(now))


@settings(max_examples=examples(4), deadline=None)
@given(st.integers(0, 999), st.floats(-20, 20))
def test_scaling_and_shifting_a_series_scales_and_shifts_its_forecast(seed, offset):
    factors = (1.0, 1e-12, 1e-3, 7.0, 1e12)
    series: dict[tuple[int, float], np.ndarray] = {}
    limits: dict[tuple[int, float], Limit] = {}
    for number in range(8):
        values = wave(seed + number)
        for factor in factors:
            moved = offset if factor != 1 else 0
            series[number, factor] = (values + moved) * factor
            limits[number, factor] = Limit((3.0 + moved) * factor)
    table = run(series, limits)
    for number, factor in series:
        plain, moved = table.at((number, 1.0)), table.at((number, factor))
        # Classes of distances have edges, which rounding may cross.
        np.testing.assert_allclose(moved.probability, plain.probability, atol=2e-2)
        for name in ("lower", "median", "upper"):
            wanted = (np.array(getattr(plain, name)) + (offset if factor != 1 else 0)) * factor
            np.testing.assert_allclose(getattr(moved, name), wanted, atol=2e-2 * factor)


@settings(max_examples=examples(3), deadline=None)
@given(st.integers(0, 999))
def test_a_limit_below_mirrors_a_limit_above(seed):
    series: dict[tuple[int, str], np.ndarray] = {}
    limits: dict[tuple[int, str], Limit] = {}
    for number in range(10):
        values = wave(seed + number)
        series |= {(number, "above"): values, (number, "below"): -values}
        limits |= {(number, "above"): Limit(2.5), (number, "below"): Limit(-2.5, above=False)}
    table = run(series, limits)
    for number in range(10):
        above, below = table.at((number, "above")), table.at((number, "below"))
        assert below.probability == above.probability
        assert below.time_to_breach == above.time_to_breach
        np.testing.assert_array_equal(below.lower, -np.array(above.upper))
        assert below.upper_at(100.0) == -above.upper_at(100.0)


@settings(max_examples=examples(3), deadline=None)
@given(st.integers(0, 999))
def test_the_probability_does_not_rise_with_the_limit(seed):
    matrix = SeriesMatrix(STEP, 200)
    forecaster = BreachForecaster(matrix, HORIZONS, SETTINGS)
    series = {number: wave(seed + number) for number in range(20)}
    forecaster.set_limits(dict.fromkeys(series, Limit(2.0)))
    for number, values in series.items():
        matrix.backfill(number, START + STEP * np.arange(len(values)), values)
    now = START + STEP * 119
    forecaster.update(now)
    chances = []
    for limit in np.linspace(-4, 8, 25):
        forecaster.set_limits(dict.fromkeys(series, Limit(limit)))
        chances.append(forecaster.forecast(now).probability)
    assert (np.diff(chances, axis=0) <= 1e-6).all()


def test_the_order_of_the_series_does_not_matter_and_a_batch_of_one_equals_its_row_in_many():
    series = {f"s{seed}": wave(seed) for seed in range(70)}
    limits = {key: Limit(2.0, above=seed % 3 > 0) for seed, key in enumerate(series)}
    batch = run(series, limits)
    turned = run(dict(reversed(series.items())), limits)
    for key in series:
        np.testing.assert_allclose(turned.at(key).probability, batch.at(key).probability, atol=1e-5)
        np.testing.assert_allclose(turned.at(key).upper, batch.at(key).upper, atol=1e-4)
    for key in ("s0", "s31", "s69"):
        alone = run({key: series[key]}, {key: limits[key]}).at(key)
        np.testing.assert_allclose(alone.probability, batch.at(key).probability, atol=1e-5)
        np.testing.assert_allclose(alone.upper, batch.at(key).upper, atol=1e-4)


def test_what_is_learned_from_a_backfill_equals_what_is_learned_point_by_point():
    values = {f"s{seed}": wave(seed) for seed in range(5)}
    limits = {key: Limit(2.0) for key in values}
    live = run(values, limits)
    matrix = SeriesMatrix(STEP, 200)
    forecaster = BreachForecaster(matrix, HORIZONS, SETTINGS)
    forecaster.set_limits(limits)
    times = START + STEP * np.arange(120)
    for key, points in values.items():
        matrix.backfill(key, times, points)
    forecaster.update(times[-1])
    rebuilt = forecaster.forecast(times[-1])
    np.testing.assert_allclose(rebuilt.probability, live.probability, atol=1e-5)
    np.testing.assert_allclose(rebuilt.upper, live.upper, atol=1e-5)


def test_a_series_that_joins_later_is_learned_from_its_past_without_touching_others():
    first, second = wave(1), wave(2)
    limits = {"a": Limit(2.0), "b": Limit(2.0)}
    batch = run({"a": first, "b": second}, limits)
    matrix = SeriesMatrix(STEP, 200)
    forecaster = BreachForecaster(matrix, HORIZONS, SETTINGS)
    forecaster.set_limits(limits)
    times = START + STEP * np.arange(120)
    for index, now in enumerate(times[:100]):
        matrix.push(now, {"a": first[index]})
        forecaster.update(now)
    matrix.backfill("b", times[:100], second[:100])
    for index, now in enumerate(times[100:], start=100):
        matrix.push(now, {"a": first[index], "b": second[index]})
        forecaster.update(now)
    table = forecaster.forecast(times[-1])
    for key in limits:
        np.testing.assert_allclose(table.at(key).probability, batch.at(key).probability, atol=1e-5)


@pytest.mark.parametrize("joining", [(2, 50, 65, 117, 40, 300), (2040, 30, 2100), (64, 1, 63, 1)])
def test_series_that_join_in_any_number_are_forecast(joining):
    matrix = SeriesMatrix(STEP, 40)
    forecaster = BreachForecaster(matrix, [STEP, 4 * STEP])
    count, now = 0, START
    for index in range(16 * len(joining)):
        if index % 16 == 0:
            count += joining[index // 16]
            forecaster.set_limits(dict.fromkeys(range(count), Limit(2.0)))
        now = START + STEP * index
        matrix.push(now, dict.fromkeys(range(count), 1.0))
        forecaster.update(now)
    table = forecaster.forecast(now)
    assert not table.abstained[:count].any()
    assert (table.probability[:count] < 0.1).all()


@pytest.mark.parametrize(
    ("values", "limit", "reason"),
    [
        (np.arange(60.0), None, Abstention.NO_LIMIT),
        (np.full(60, np.nan), Limit(1), Abstention.NO_DATA),
        (np.concatenate((np.arange(60.0), np.full(8, np.nan))), Limit(99), Abstention.STALE),
        (np.array([1.0, 2.0]), Limit(9), Abstention.SHORT_HISTORY),
        (np.concatenate((np.full(60, np.nan), np.arange(5.0))), Limit(9), Abstention.SHORT_HISTORY),
    ],
)
def test_abstains_with_a_reason(values, limit, reason):
    table = run({"a": values}, {} if limit is None else {"a": limit})
    assert_finite(table)
    forecast = table.at("a")
    assert forecast.abstained is reason
    assert set(forecast.probability) == {0}
    assert forecast.time_to_breach == np.inf


def test_a_constant_series_stays_where_it_is():
    forecast = run({"a": np.full(150, 7.0)}, {"a": Limit(9.0)}).at("a")
    assert forecast.abstained is None
    assert max(forecast.probability) < 0.05
    np.testing.assert_allclose(forecast.upper, 7.0, atol=1e-5)


def test_a_limit_that_is_passed_already_is_certain_and_now():
    forecast = run({"a": wave(3) + np.linspace(0, 50, 120)}, {"a": Limit(10.0)}).at("a")
    assert set(forecast.probability) == {1}
    assert forecast.time_to_breach == 0
    assert forecast.probability_within(0) == 1


def test_a_steady_rise_is_forecast_with_its_time():
    random = np.random.default_rng(0)
    values = np.arange(120.0) + random.normal(0, 1, 120)
    # What rises only is no case for a profile.
    near = run({"a": values}, {"a": Limit(119 + 12)}, ForecastSettings()).at("a")
    far = run({"a": values}, {"a": Limit(119 + 100)}, ForecastSettings()).at("a")
    assert near.probability[2] > 0.9
    assert near.time_to_breach == pytest.approx(12 * STEP, rel=0.4)
    assert max(far.probability) < 0.1
    assert far.time_to_breach == np.inf


def test_a_fresh_step_of_a_slow_series_is_no_trend_and_a_slow_rise_is_one():
    random = np.random.default_rng(0)
    noise = random.normal(0, 1, 180)
    step = noise + 40.0 * (np.arange(180) >= 176)
    rise = noise + np.clip(np.arange(180) - 60, 0, None) * 0.5
    limits = dict.fromkeys(("step", "rise"), Limit(70.0, long_trend=True))
    table = run({"step": step, "rise": rise}, limits)
    assert table.at("step").abstained is Abstention.CHANGE_POINT
    assert max(table.at("step").probability) == 0
    forecast = table.at("rise")
    assert forecast.abstained is None
    assert forecast.probability[2] > 0.5
    assert forecast.probability[0] < 0.2
    assert forecast.time_to_breach == pytest.approx((70 - 59.5) / 0.5 * STEP, rel=0.5)


def test_a_spike_of_a_slow_series_is_no_reason_to_act():
    random = np.random.default_rng(0)
    spike = random.normal(0, 1, 180) + 55.0 * (np.arange(180) == 179)
    series = {"level": spike, "rising": spike + np.linspace(0, 50, 180)}
    table = run(series, {"level": Limit(60.0, long_trend=True), "rising": Limit(110.0, long_trend=True)})
    assert table.at("level").abstained is None
    assert max(table.at("level").probability) < 0.1
    assert table.at("rising").abstained is None  # a spike is no step either


def test_the_time_to_a_limit_far_between_two_horizons_is_where_the_path_meets_it():
    random = np.random.default_rng(0)
    values = np.arange(180.0) + random.normal(0, 0.5, 180)
    limits = {steps: Limit(179.0 + steps, long_trend=True) for steps in (6, 10, 15, 22, 28)}
    table = run(dict.fromkeys(limits, values), limits)
    for steps in limits:
        forecast = table.at(steps)
        assert forecast.time_to_breach == pytest.approx(steps * STEP, rel=0.25, abs=STEP)
        assert forecast.earliest_breach <= forecast.time_to_breach <= forecast.latest_breach


def test_breaches_without_a_precursor_are_forecast_at_their_rate():
    values = np.random.default_rng(0).normal(0, 0.1, 188)
    often, never = values.copy(), values
    often[10::20] = 5.0
    table = run({"often": often, "never": never}, dict.fromkeys(("often", "never"), Limit(2.0)))
    assert table.at("often").probability[2] > 0.6
    assert table.at("never").probability[2] < 0.1


def test_windows_that_an_action_changed_are_not_scored():
    values = np.concatenate((np.linspace(0, 10, 100), np.zeros(60)))
    matrix = SeriesMatrix(STEP, 200)
    forecaster = BreachForecaster(matrix, HORIZONS, SETTINGS)
    forecaster.set_limits({"a": Limit(20)})
    times = START + STEP * np.arange(len(values))
    for now, value in zip(times, values, strict=True):
        if now == times[100]:
            forecaster.mark_censored("a", now, times[-1])
        matrix.push(now, {"a": value})
        forecaster.update(now)
    assert forecaster.censored_windows > 0
    untouched = run({"a": values}, {"a": Limit(20)}).at("a")
    forecast = forecaster.forecast(times[-1]).at("a")
    # The fall by 10 is not taken for an error that forecasts make by themselves.
    assert forecast.lower[0] > untouched.lower[0]


def widths_around_a_spike(*, censored: bool) -> list[float]:
    """How far apart the bounds of the longest horizon are, before and in the first half of it after a spike."""
    values = np.random.default_rng(0).normal(0, 1, 190)
    values[175] = 30.0
    matrix = SeriesMatrix(STEP, 200)
    forecaster = BreachForecaster(matrix, HORIZONS, SETTINGS)
    forecaster.set_limits({"a": Limit(100.0)})
    widths = []
    for index, value in enumerate(values):
        now = START + STEP * index
        if censored and index == 175:
            forecaster.mark_censored("a", now, now + 100 * STEP)
        matrix.push(now, {"a": value})
        forecaster.update(now)
        if index >= 170:
            forecast = forecaster.forecast(now).at("a")
            widths.append(forecast.upper[2] - forecast.lower[2])
    return widths


def test_a_bound_that_is_passed_widens_the_next_ones_before_its_horizon_ends():
    widths = widths_around_a_spike(censored=False)
    assert min(widths[6:20]) > 1.3 * max(widths[:5])
    changed = widths_around_a_spike(censored=True)
    assert max(changed[6:20]) < 1.2 * max(changed[:5])


@given(st.integers(0, 9), st.floats(0, 2000), st.floats(0, 2000))
def test_one_forecast_is_monotone_in_time_and_share(number, first, second):
    forecast = waves_forecast().at(number)
    early, late = sorted((first, second))
    assert forecast.probability_within(early) <= forecast.probability_within(late)
    assert forecast.quantile(late, 0.1) <= forecast.quantile(late, 0.5) <= forecast.quantile(late, 0.95)
    assert forecast.quantile(HORIZONS[1], 0.95) == pytest.approx(forecast.upper[1])
    assert [point[0] for point in forecast.cone()] == [0.0, *HORIZONS]


def test_invalid_horizons_and_limits_are_rejected():
    matrix = SeriesMatrix(STEP, 20)
    with pytest.raises(ValueError, match="needs more than 20 columns"):
        BreachForecaster(matrix, [20 * STEP])
    with pytest.raises(ValueError, match="at least one horizon"):
        BreachForecaster(matrix, [])
    with pytest.raises(ValueError, match="finite"):
        Limit(np.nan)
