"""What came at the same time of past hours, days and weeks is foreseen, and forgotten when it no longer comes."""

import numpy as np
import pytest

from forestall.core.forecast import BreachForecaster, Limit
from forestall.core.forecast.event_log import past_events
from forestall.core.series import SeriesMatrix

STEP, HOUR, DAY = 300.0, 3600.0, 86400.0
HORIZON = 900.0
MONDAY = 1_700_438_400.0
"""Midnight, in seconds since the epoch."""
JOB = 20 * HOUR
LIMIT = Limit(120.0)


class Service:
    """A service with a calm load, and the events that raise it by 90 for ten minutes."""

    def __init__(self, starts, *, days, sign=1.0, gaps=(), seed=1):
        """``starts`` and ``gaps`` (s) since the first Monday; the load ends after ``days``."""
        random = np.random.default_rng(seed)
        self.times = MONDAY + np.arange(0, days * DAY, STEP)
        self.load = 50 + 10 * np.sin(2 * np.pi * self.times / DAY) + 2 * random.normal(size=self.times.size)
        for start in starts:
            self.load[(self.times >= MONDAY + start) & (self.times < MONDAY + start + 600)] += 90
        for start, end in gaps:
            self.load[(self.times >= MONDAY + start) & (self.times < MONDAY + end)] = np.nan
        self.sign = sign
        self.limit = Limit(sign * LIMIT.value, above=sign > 0)

    def forecaster(self, until, *, remember=True, limit=None):
        """Return a forecaster that has seen the last three hours in steps, and all before it as it is remembered."""
        matrix = SeriesMatrix(STEP, round(3 * HOUR / STEP))
        known = self.times <= MONDAY + until
        times, values = self.times[known], self.sign * self.load[known]
        recent = times > times[-1] - 3 * HOUR
        matrix.backfill("load", times[recent], values[recent])
        forecaster = BreachForecaster(matrix, [HORIZON, HOUR])
        forecaster.set_limits({"load": self.limit})
        if remember:
            forecaster.remember("load", times, values, limit or self.limit)
        forecaster.update(times[-1])
        return forecaster

    def risk(self, until, **changes):
        """P(breach within 15 minutes) as of ``until`` (s since the first Monday)."""
        return self.forecast(until, **changes).probability[0]

    def forecast(self, until, **changes):
        return self.forecaster(until, **changes).forecast(MONDAY + until).at("load")


def daily(*days, at=JOB):
    return [day * DAY + at for day in days]


BEFORE = JOB - 600
"""Ten minutes before the job."""


@pytest.mark.parametrize(("times", "least"), [(2, 0.5), (3, 0.75), (4, 0.8), (6, 0.8)])
def test_what_came_every_day_is_foreseen_from_the_fourth_day_on(times, least):
    service = Service(daily(*range(times)), days=times + 1)
    assert service.risk(times * DAY + BEFORE) >= least
    assert service.risk(times * DAY + 14 * HOUR) < 0.05


def test_nothing_is_foreseen_where_only_the_last_hours_are_known():
    service = Service(daily(0, 1, 2, 3), days=5)
    assert service.risk(4 * DAY + BEFORE, remember=False) < 0.3


def test_it_is_sized_by_how_high_it_was():
    service = Service(daily(0, 1, 2, 3), days=5)
    forecast = service.forecast(4 * DAY + BEFORE)
    assert 130 < forecast.median[0] < 160
    assert forecast.upper[0] > 130
    assert service.forecast(4 * DAY + 14 * HOUR).upper[0] < 100


def test_an_event_that_may_come_some_minutes_earlier_or_later_is_foreseen():
    late_and_early = [day * DAY + JOB + minutes * 60 for day, minutes in enumerate((-3, 2, 3, -1, 0, -2))]
    assert Service(late_and_early, days=7).risk(6 * DAY + BEFORE) > 0.8


@pytest.mark.parametrize(("missed", "bounds"), [(0, (0.85, 1)), (1, (0.3, 0.8)), (2, (0, 0.3)), (3, (0, 0.1))])
def test_it_is_forgotten_after_two_or_three_days_without(missed, bounds):
    risk = Service(daily(*range(8)), days=9 + missed).risk((8 + missed) * DAY + BEFORE)
    assert bounds[0] <= risk <= bounds[1]


def test_what_is_missed_now_and_then_is_still_foreseen():
    assert Service(daily(0, 1, 2, 4, 5, 6, 8, 9, 10), days=12).risk(11 * DAY + BEFORE) > 0.7


def test_a_day_without_data_is_no_day_without_the_event():
    """A Prometheus that was down says nothing about what came."""
    down = [(day * DAY + 18 * HOUR, day * DAY + 22 * HOUR) for day in (6, 7)]
    known = Service(daily(*range(6)), days=9, gaps=down).risk(8 * DAY + BEFORE)
    assert known > 0.8
    assert Service(daily(*range(6)), days=9).risk(8 * DAY + BEFORE) < 0.5


def test_a_day_on_which_an_action_kept_the_limit_is_no_day_without_the_event():
    service = Service(daily(*range(6)), days=8)
    assert service.risk(7 * DAY + BEFORE) < 0.8
    forecaster = service.forecaster(6 * DAY + 12 * HOUR)
    matrix = forecaster._matrix
    forecaster.mark_censored("load", MONDAY + 6 * DAY + 19.5 * HOUR, MONDAY + 6 * DAY + 20.5 * HOUR)
    for time, value in zip(service.times, service.load, strict=True):
        if 6 * DAY + 12 * HOUR < time - MONDAY <= 7 * DAY + BEFORE:
            matrix.push(time, {"load": value})
            forecaster.update(time)
    assert forecaster.forecast(MONDAY + 7 * DAY + BEFORE).at("load").probability[0] > 0.8


@pytest.mark.parametrize("seed", range(3))
def test_events_at_any_time_of_the_day_are_not_said_to_recur(seed):
    random = np.random.default_rng(seed)
    service = Service(random.uniform(0, 10 * DAY, 30), days=11, seed=seed)
    risks = [service.risk(10 * DAY + hours * HOUR) for hours in range(0, 24, 3)]
    assert np.mean(risks) < 0.15


def test_working_days_are_told_from_weekends():
    service = Service(daily(*(day for day in range(19) if day % 7 < 5)), days=22)
    assert service.risk(21 * DAY + BEFORE) > 0.6  # Monday
    assert service.risk(18 * DAY + BEFORE) > 0.75  # Friday


def test_what_comes_once_a_week_is_foreseen_after_four_weeks():
    service = Service(daily(2, 9, 16, 23), days=31)
    assert service.risk(30 * DAY + BEFORE) > 0.6
    assert service.risk(29 * DAY + BEFORE) < 0.3


def test_what_comes_at_the_same_minute_of_every_hour_is_foreseen():
    service = Service([hour * HOUR + 1500 for hour in range(30)], days=2)
    assert service.risk(30 * HOUR + 1500 - 600) > 0.7
    assert service.risk(30 * HOUR + 300) < 0.3


@pytest.mark.parametrize("hours", [-1, 1])
def test_clocks_that_change_by_an_hour_cost_one_day(hours):
    starts = [*daily(*range(7)), *daily(7, 8, at=JOB + hours * HOUR)]
    service = Service(starts, days=10)
    assert service.risk(8 * DAY + BEFORE + hours * HOUR) > 0.6
    assert service.risk(9 * DAY + BEFORE + hours * HOUR) > 0.7
    assert service.risk(9 * DAY + BEFORE) < 0.4


def test_two_events_half_an_hour_apart_are_both_foreseen():
    service = Service([*daily(*range(7)), *daily(*range(6), at=JOB + 1800)], days=7)
    assert service.risk(6 * DAY + BEFORE) > 0.8
    assert service.risk(6 * DAY + JOB + 1200) > 0.6


def test_limits_below_recur_too():
    service = Service(daily(*range(4)), days=6, sign=-1.0)
    forecast = service.forecast(4 * DAY + BEFORE)
    assert forecast.probability[0] > 0.8
    assert forecast.lower[0] < -130


def test_breaches_of_another_limit_are_not_remembered():
    service = Service(daily(*range(5)), days=6)
    assert service.risk(5 * DAY + BEFORE, limit=Limit(121.0)) < 0.3


def test_breaches_are_found_in_a_past_of_coarse_points():
    columns = np.array([0, 10, 20, 30, 40, 50, 90, 100, 110])
    values = np.array([1, 1, 6, 7, 1, 6, 1, 1, 9], dtype=np.float32)
    past = past_events(columns, values, np.float32(5), 30, 30.0)
    assert past is not None
    assert (past.starts.tolist(), past.peaks.tolist(), past.since) == ([15, 105], [7, 9], 0)
    assert past.gaps.tolist() == [[50], [90]]
    assert past_events(columns[:0], values[:0], np.float32(5), 30, 30.0) is None


def test_breaches_that_come_slowly_are_no_events():
    """Their path foresees them: a wave that passes the limit at its top every day."""
    columns = np.arange(0, 3 * 288)
    wave = 100 + 25 * np.sin(2 * np.pi * columns / 288).astype(np.float32)
    past = past_events(columns, wave, np.float32(120), 3, STEP)
    assert past is not None
    assert past.starts.size == 0


def test_what_is_kept_between_columns_is_what_is_found_anew():
    """The phases of events are looked at only when one comes near or is over."""
    service = Service([*daily(*range(9)), *daily(*range(4, 9), at=JOB + 1800), *daily(2, 5, at=9 * HOUR)], days=10)
    forecaster = service.forecaster(8 * DAY)
    recurring = forecaster._banks[0].recurring
    matrix = forecaster._matrix
    for time, value in zip(service.times, service.load, strict=True):
        if 8 * DAY < time - MONDAY <= 9 * DAY:
            matrix.push(time, {"load": value})
            forecaster.update(time)
            forecaster.forecast(time)
            kept = recurring._chance.copy()
            recurring._until[:] = 0
            forecaster._banks[0].outlook(forecaster._frame(0, matrix.head))
            np.testing.assert_allclose(kept, recurring._chance, atol=0.02)
