"""The day of traffic, and the arrivals of its rate."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shop.generator import Plan
from shop.traffic import DAY, BadTraffic, Traffic, generated_day, recorded_day


def test_the_same_seed_gives_the_same_day():
    assert generated_day(3) == generated_day(3)
    assert generated_day(3) != generated_day(4)


@given(st.integers(0, 10_000))
def test_a_generated_day_has_a_quiet_night_and_a_busy_evening(seed):
    day = generated_day(seed)
    assert day.length == DAY
    assert max(day(hour * 3600) for hour in (2, 3, 4, 5)) < 0.3
    assert 0.7 < max(day.rates) < 1.4
    assert day(20 * 3600) > 2 * day(8 * 3600)


@given(st.floats(1, 1000), st.integers(0, 100))
def test_the_peak_can_be_chosen(peak, seed):
    assert max(generated_day(seed).peaking_at(peak).rates) == pytest.approx(peak)


def test_rates_are_interpolated_linearly():
    traffic = Traffic(10.0, (0.0, 100.0, 50.0))
    assert [traffic(at) for at in (-5, 0, 5, 10, 15, 20, 99)] == [0, 0, 50, 100, 75, 50, 50]


def test_a_day_is_read_from_a_file(tmp_path):
    file = tmp_path / "day.csv"
    file.write_text("cpu,requests\n10,1.5\n20,3\n")
    assert recorded_day(file, "requests", 60) == Traffic(60, (1.5, 3.0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column"),
        ("a,b\n1,2\n3,4\n", "it has a, b"),
        ("rate\n1\n", "two points"),
        ("rate\n1\nmany\n", "not all numbers"),
        ("rate\n1\nnan\n", "finite"),
        ("rate\n1\n-2\n", "0 or more"),
        ("rate\n0\n0\n", "not only zeros"),
        ("x,rate\n1,2\n3\n", "not all numbers"),
    ],
)
def test_an_invalid_traffic_file_is_refused_with_the_reason(tmp_path, text, message):
    file = tmp_path / "day.csv"
    file.write_text(text)
    with pytest.raises(BadTraffic, match=message):
        recorded_day(file, "rate", 300)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(BadTraffic, match="cannot be read"):
        recorded_day(tmp_path / "none.csv", "rate", 300)


def test_arrivals_follow_the_rate():
    plan = Plan(Traffic(3600.0, (10.0, 10.0, 90.0, 90.0)), 0, 3 * 3600, 300, seed=5)
    arrivals = list(plan.arrivals())
    assert all(before < after for before, after in pairwise(arrivals))
    first, last = (sum(low <= at < low + 100 for at in arrivals) for low in (0, 200))
    assert first == pytest.approx(1000, rel=0.15)  # 100 s of 10 a second, give or take four standard deviations
    assert last == pytest.approx(9000, rel=0.05)


def test_the_lead_in_has_the_rate_of_the_start():
    plan = Plan(Traffic(3600.0, (20.0, 100.0)), 0, 3600, 100, lead_in=50)
    assert plan.rate(0) == plan.rate(50) == 20
    assert plan.rate(150) == 100
    assert max(plan.arrivals()) > 149
