"""Windows: cron and time zone, across the days on which clocks are changed."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from forestall.core import windows
from forestall.core.windows import TimeWindow, check_window
from forestall.errors import InvalidInput

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str, zone: ZoneInfo = BERLIN, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()


def window(cron: str, hours: float, zone: str = "Europe/Berlin") -> TimeWindow:
    return TimeWindow("w", cron, hours * 3600, zone)


@pytest.mark.parametrize(
    ("now", "is_open"),
    [
        ("2026-06-01T21:59:59", False),
        ("2026-06-01T22:00:00", True),
        ("2026-06-02T03:59:59", True),
        ("2026-06-02T04:00:00", False),
        ("2026-06-06T23:00:00", False),  # a Saturday
    ],
)
def test_a_window_is_open_from_its_schedule_for_its_duration(now, is_open):
    assert (window("0 22 * * 1-5", 6).closes(at(now)) is not None) == is_open


def test_a_closed_window_has_no_end():
    assert window("0 22 * * 1-5", 6).open_until(at("2026-06-01T21:59:59")) is None


def test_a_window_has_its_next_close_and_open():
    night = window("0 22 * * 1-5", 6)
    assert night.closes(at("2026-06-01T23:00:00")) == at("2026-06-02T04:00:00")
    assert night.opens(at("2026-06-05T23:00:00")) == at("2026-06-08T22:00:00")


def test_the_same_schedule_is_another_time_elsewhere():
    now = at("2026-06-01T22:30:00")
    assert window("0 22 * * *", 1).closes(now) is not None
    assert window("0 22 * * *", 1, "UTC").closes(now) is None
    assert window("0 22 * * *", 1, "America/New_York").closes(now + 6 * 3600) is not None


def test_openings_that_overlap_are_one():
    assert window("*/15 * * * *", 0.5).closes(at("2026-06-01T22:29:00")) == at("2026-06-01T22:45:00")


@pytest.mark.parametrize(
    ("cron", "hours", "now", "until", "ends"),
    [
        ("*/15 * * * *", 0.2, "2026-06-01T22:05:00", "2026-06-01T22:12:00", True),
        ("0,15,30 22 * * *", 0.5, "2026-06-01T22:05:00", "2026-06-01T23:00:00", True),
        ("0 22 * * 1-5", 24, "2026-06-01T23:00:00", "2026-06-06T22:00:00", True),
        ("0 22 * * 6,7", 30, "2026-06-06T23:00:00", "2026-06-09T04:00:00", True),
        ("* 8-9 * * *", 1 / 60, "2026-06-01T09:30:00", "2026-06-01T10:00:00", True),
        ("0 * * * *", 2, "2026-06-01T22:05:00", None, False),
        ("0 0 * * *", 24, "2026-06-01T22:05:00", None, False),
    ],
)
def test_overlapping_windows_are_open_until_the_last_one_closes(cron, hours, now, until, ends):
    """Kind: the number shown is not the number named. `until 23:00` is not when another one closes at midnight."""
    stretch = window(cron, hours).open_until(at(now))
    assert stretch is not None
    assert stretch[1] == ends
    assert until is None or stretch[0] == at(until)


# 2026-03-29, 02:00 CET: clocks are set to 03:00. 2026-10-25, 03:00 CEST: back to 02:00.


def test_a_window_in_a_skipped_hour_opens_right_after_it():
    spring = window("30 2 * * *", 1)
    assert spring.closes(at("2026-03-29T01:59:59")) is None
    assert spring.closes(at("2026-03-29T03:00:00")) == at("2026-03-29T04:00:00")


def test_a_fixed_time_in_a_repeated_hour_opens_once():
    autumn = window("30 2 * * *", 0.5)
    assert autumn.closes(at("2026-10-25T02:45:00", fold=0)) is not None
    assert autumn.closes(at("2026-10-25T02:45:00", fold=1)) is None


def test_a_window_across_a_clock_change_lasts_for_elapsed_time():
    night = window("0 22 * * *", 6)
    assert night.closes(at("2026-03-28T23:00:00")) == at("2026-03-29T05:00:00")
    assert night.closes(at("2026-10-24T23:00:00")) == at("2026-10-25T03:00:00")


@given(
    st.floats(0, 4e9),
    st.sampled_from(["30 2 * * *", "0 22 * * 1-5", "*/7 * * * *", "0 0 1 1 *", "15 3 29 2 *"]),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    st.floats(60, 86400),
)
def test_a_window_is_open_at_its_opening_and_not_at_its_end(now, cron, zone, duration):
    window = TimeWindow("w", cron, duration, zone)
    opens = window.opens(now)
    assert opens is not None
    assert opens > int(now)
    assert window.closes(opens) == opens + duration
    closes = window.closes(now)
    assert closes is None or now < closes <= now + duration


@pytest.mark.parametrize(
    ("cron", "zone", "message"),
    [
        ("0 0 30 2 *", "UTC", "never comes"),
        ("0 0 31 4,6,9,11 *", "UTC", "never comes"),
        ("60 0 * * *", "UTC", "Bad minute"),
        ("0 0 * *", "UTC", "Wrong number of fields"),
        ("0 0 * * *", "Berlin", "'Berlin' is not a time zone"),
        ("0 0 * * *", "", "is not a time zone"),
        ("0 0 * * *", "../etc/passwd", "is not a time zone"),
        ("0 0 * * *", "localtime", "is not a time zone"),
        ("0 0 * * *", "right/Europe/Berlin", "is not a time zone"),
        ("0 0 * * *", "Europe", "'Europe' is not a time zone"),
    ],
)
def test_a_window_that_never_opens_is_rejected(cron, zone, message):
    with pytest.raises(InvalidInput, match=message):
        check_window(cron, zone)


def test_a_schedule_may_come_once_in_years():
    check_window("0 0 29 2 *", "UTC")
    utc = ZoneInfo("UTC")
    assert window("0 0 29 2 *", 1, "UTC").opens(at("2026-01-01T00:00:00", utc)) == at("2028-02-29T00:00:00", utc)


def test_a_window_is_computed_once_for_the_same_time(monkeypatch):
    """Kind: cost of what others write. 32 windows of each of 20 policies, asked of by each of their decisions."""
    worked = []

    def schedule(*args, **kwargs):
        worked.append(args)
        return CronSim(*args, **kwargs)

    monkeypatch.setattr(windows, "CronSim", schedule)
    window = TimeWindow("a policy's", "17 3 29 2 *", 3600.0, "Asia/Kathmandu")
    first = window.closes(1_790_000_123.0), window.opens(1_790_000_123.0)
    assert [(window.closes(1_790_000_123.0), window.opens(1_790_000_123.0)) for _ in range(400)] == [first] * 400
    assert len(worked) == 2
