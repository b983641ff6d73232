"""Windows against brute force: a clock that is walked minute by minute, with its gaps and its times that come twice."""

from datetime import datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from cronsim import CronSim
from hypothesis import example, given
from hypothesis import strategies as st

from forestall.core.windows import TimeWindow

MINUTE = timedelta(minutes=1)
DAY = 86400
YEAR = 1767225600  # 2026-01-01T00:00:00Z
SCHEDULES = (
    "30 1 * * *",
    "30 2 * * *",
    "0 0 * * *",
    "15,45 0-3 * * *",
    "0 22 * * MON-FRI",
    "10 2 25-31 MAR,10 SUN",
    "30 1 1 * 0",
    "*/20 * * * *",
    "40 */2 * * *",
    "5-59/25 1 * * *",
    "0 3 L * *",
)


@lru_cache(maxsize=16)
def local_minutes(name: str, start: int, end: int) -> tuple[datetime, ...]:
    """Return what the clock of a zone shows at each minute from `start` to `end` (s)."""
    zone = ZoneInfo(name)
    return tuple(datetime.fromtimestamp(at, zone).replace(tzinfo=None) for at in range(start, end, 60))


def openings(cron: str, zone: ZoneInfo, start: int, end: int) -> list[int]:
    """Return the openings from `start` to `end` (s) of a crontab that a patient person works off by a clock."""
    schedule = CronSim(cron, datetime(2000, 1, 1))  # noqa: DTZ001 -- only its fields are used
    minute, hour = cron.split()[:2]
    by_hour = not minute.startswith("*") and not hour.startswith("*")

    def comes(time: datetime) -> bool:
        return (
            time.minute in schedule.minutes
            and time.hour in schedule.hours
            and time.month in schedule.months
            and schedule.match_day(time.date())
        )

    result, opened = [], set()
    before, *minutes = local_minutes(zone.key, start - 60, end)
    for at, local in zip(range(start, end, 60), minutes, strict=True):
        skipped = []
        while by_hour and (before := before + MINUTE) < local:
            skipped.append(before)
        before = local
        if not skipped and local.minute not in schedule.minutes:
            continue
        due = [time for time in (*skipped, local) if comes(time) and not (by_hour and time in opened)]
        opened |= set(due)
        if due:
            result.append(at)
    return result


@lru_cache(maxsize=4096)
def changes(name: str, start: int, end: int) -> tuple[int, ...]:
    """Return the moments (s), to the hour, before which the clock of a zone was changed."""
    zone = ZoneInfo(name)
    offsets = [(at, datetime.fromtimestamp(at, zone).utcoffset()) for at in range(start, end, 3600)]
    return tuple(later[0] for earlier, later in pairwise(offsets) if earlier[1] != later[1])


def hold(cron: str, name: str, middle: int, duration: int) -> None:
    """Compare windows with the clock over two days around `middle`: every 20 minutes, and at each opening's edges."""
    first, last = middle - DAY, middle + DAY
    # Far enough back that the clock knows what it showed, and what opened, before.
    expected = openings(cron, ZoneInfo(name), first - duration - 2 * DAY, last)
    window = TimeWindow("w", cron, duration, name)
    moments = {*range(first, last, 1200), *(at + d for at in expected for d in (-1, 0, duration - 1, duration))}
    for now in sorted(at for at in moments if first <= at < last):
        came = [at for at in expected if at <= now < at + duration]
        assert window.closes(now) == (came[-1] + duration if came else None), (cron, name, now)
        coming = [at for at in expected if at > now]
        if coming:
            assert window.opens(now) == coming[0], (cron, name, now)
    began = next((at for at in expected if at >= first), None)
    if began is not None and (until := end_of_all(expected, began, duration)) < last:
        stretch = window.open_until(began)
        assert stretch is not None
        closes, ends = stretch  # of very many in a row it is not said how many there are
        assert closes == until if ends else began < closes < until, (cron, name, began)


def end_of_all(expected: list[int], began: int, duration: int) -> int:
    """Return when the windows are over that follow, one before the other has closed, the one that opened at `began`."""
    until = began + duration
    for at in expected:
        if began < at <= until:
            until = at + duration
    return until


@pytest.mark.parametrize("cron", SCHEDULES)
@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("America/New_York", "2026-11-01"),
        ("America/New_York", "2026-03-08"),
        ("Australia/Lord_Howe", "2026-04-05"),
        ("Australia/Lord_Howe", "2026-10-04"),
        ("Pacific/Apia", "2011-12-30"),
        ("Pacific/Kwajalein", "1993-08-21"),
        ("America/Nuuk", "2026-10-25"),
        ("Asia/Beirut", "2026-03-29"),
        ("Africa/Casablanca", "2026-02-15"),
        ("Antarctica/Troll", "2026-10-25"),
        ("Asia/Pyongyang", "2018-05-05"),
    ],
)
def test_no_window_has_a_hole_on_a_day_on_which_the_clock_is_changed(cron, zone, day):
    """The kind: looking back over a time that comes twice, or never."""
    middle = int(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp()) // 600 * 600
    hold(cron, zone, middle, 3600)


@given(
    st.sampled_from(SCHEDULES),
    st.sampled_from(sorted(available_timezones() - {"localtime"})),
    st.integers(0, 365),
    st.integers(0, 9),
    st.sampled_from([1800, 3600, 5400, DAY, 3 * DAY]),
)
@example("30 1 * * *", "America/New_York", 0, 1, 3600)
def test_every_zone_keeps_its_windows_all_year(cron, zone, day, change, duration):
    """Every other try is around a change of the clock, where the zone has one in 2026."""
    changed = changes(zone, YEAR, YEAR + 365 * DAY)
    middle = changed[change % len(changed)] if changed and change % 2 else YEAR + day * DAY
    hold(cron, zone, middle, duration)


def test_the_hole_in_the_night_on_which_new_york_sets_its_clocks_back():
    window = TimeWindow("w", "30 1 * * *", 3600, "America/New_York")
    began = datetime.fromisoformat("2026-11-01T05:30:00+00:00").timestamp()
    for minutes in range(60):
        assert window.closes(began + 60 * minutes) == began + 3600
    assert window.closes(began + 3600) is None
    assert window.opens(began) == began + 25 * 3600
