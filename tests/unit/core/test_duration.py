import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.core.duration import exact_duration, format_duration, parse_duration
from forestall.errors import InvalidDuration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("5m", 300), ("1h30m", 5400), ("30d", 2592000), ("1w", 604800), ("250ms", 0.25), ("1d12h", 129600)],
)
def test_durations_are_those_of_prometheus(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "1.5h", "30m1h", "5min", "-5m", "5m5m"])
def test_an_invalid_duration_says_how_to_write_one(text):
    with pytest.raises(InvalidDuration, match="write it like"):
        parse_duration(text)


@given(st.integers(1, 10**7))
def test_a_formatted_duration_parses_back_to_within_its_two_units(seconds):
    parsed = parse_duration(format_duration(seconds))
    assert 0 <= seconds - parsed < seconds / 24  # less than an hour of a day and more


@given(st.integers(1, 10**8))
def test_an_exact_duration_parses_back_exactly(seconds):
    assert parse_duration(exact_duration(seconds)) == seconds


def test_an_exact_duration_is_written_in_its_largest_unit():
    assert [exact_duration(n) for n in (300, 3600, 90, 2592000)] == ["5m", "1h", "90s", "30d"]
