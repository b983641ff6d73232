"""The next time of low traffic that is still early enough."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forestall.core.low_traffic import DAY, LOW_TRAFFIC_SHARE, TrafficHistory, next_low_traffic

STEP = 900.0
NOW = 20 * DAY + 12 * 3600


def past(load, days=7, until=NOW):
    """Return the traffic of some days, by a function of the hour of the day."""
    times = [until - n * STEP for n in range(int(days * DAY / STEP), -1, -1)]
    return TrafficHistory(times, [load(at % DAY / 3600) for at in times], STEP)


def night(hour):
    return 10.0 if 2 <= hour < 5 else 100.0


def test_the_hour_with_the_lowest_traffic_before_the_latest_is_chosen():
    low_traffic = next_low_traffic(past(night), NOW, NOW + 20 * 3600)
    assert low_traffic is not None
    assert (low_traffic.at, low_traffic.share) == (21 * DAY + 2 * 3600, 0.1)


def test_low_traffic_after_the_latest_time_does_not_count():
    assert next_low_traffic(past(night), NOW, NOW + 13 * 3600) is None
    assert next_low_traffic(past(night), NOW, NOW) is None
    assert next_low_traffic(past(night), NOW, NOW - 3600) is None


def test_a_little_less_traffic_is_not_worth_the_wait():
    assert next_low_traffic(past(lambda hour: 90.0 if hour < 12 else 100.0), NOW, NOW + 20 * 3600) is None


def test_during_low_traffic_there_is_no_wait():
    at = 21 * DAY + 3 * 3600
    assert next_low_traffic(past(night, until=at), at, at + 6 * 3600) is None


@pytest.mark.parametrize("traffic", [past(night, days=1), TrafficHistory((), (), STEP), past(lambda _: 0.0)])
def test_without_a_daily_pattern_there_is_no_time(traffic):
    assert next_low_traffic(traffic, NOW, NOW + 20 * 3600) is None


def test_one_strange_day_does_not_matter():
    usual = past(night)
    values = [0.0 if NOW - 2 * DAY < at < NOW - DAY else night(at % DAY / 3600) for at in usual.times]
    low_traffic = next_low_traffic(TrafficHistory(usual.times, values, STEP), NOW, NOW + 20 * 3600)
    assert low_traffic is not None
    assert low_traffic.at == 21 * DAY + 2 * 3600


def test_gaps_and_nan_are_no_traffic_of_zero():
    usual = past(night)
    values = [math.nan if 2 <= at % DAY / 3600 < 5 else 100.0 for at in usual.times]
    assert next_low_traffic(TrafficHistory(usual.times, values, STEP), NOW, NOW + 20 * 3600) is None
    daytime = [n for n, at in enumerate(usual.times) if not 2 <= at % DAY / 3600 < 5]
    gap = TrafficHistory([usual.times[n] for n in daytime], [usual.values[n] for n in daytime], STEP)
    assert next_low_traffic(gap, NOW, NOW + 20 * 3600) is None


@example([5e-324] * 24, 8, DAY)
@given(
    st.lists(st.floats(0, 1000), min_size=24, max_size=24),
    st.integers(0, 8),
    st.floats(-DAY, 2 * DAY),
)
def test_the_time_is_ahead_within_bounds_and_has_lower_traffic(hours, days, ahead):
    traffic = past(lambda hour: hours[int(hour)], days=days)
    low_traffic = next_low_traffic(traffic, NOW, NOW + ahead)
    if low_traffic is not None:
        assert NOW < low_traffic.at <= NOW + ahead
        assert low_traffic.share <= LOW_TRAFFIC_SHARE
        assert traffic.expected(low_traffic.at, NOW) <= LOW_TRAFFIC_SHARE * traffic.expected(NOW, NOW) + 1e-6
