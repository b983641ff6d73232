"""Time windows: a cron schedule says when a window opens, a duration how long it stays open.

The schedule is a crontab in the local time of a time zone. Local time skips times (at the begin of daylight saving
time, or where a zone leaves out a day) and repeats times (at its end):

- A schedule with a fixed minute and hour opens once for each scheduled time: at the first of two repeated times, and
  right after the gap where the time is skipped.
- A schedule with `*` for minute or hour follows local time: it opens at both repeated times, and at no skipped one.

The duration is elapsed time.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from forestall.errors import InvalidInput

_CHAIN: Final = 32
"""The most windows without a gap in between that are followed."""
_SECOND: Final = timedelta(seconds=1)
_NOT_IANA: Final = ("localtime", "posix", "right", "Factory")
"""Names in the zone files of a machine that are no IANA zones: local time, and zones with leap seconds."""


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """A recurring time window."""

    owner: str
    """Who defined it, for messages."""
    cron: str
    """Five fields: minute, hour, day of the month, month, day of the week."""
    duration: float
    """Seconds."""
    zone: str
    """A time zone of the IANA database, such as `Europe/Berlin`."""

    def closes(self, now: float) -> float | None:
        """Return when (s) the window that is open at `now` closes; None where it is not open."""
        began = _last(self.cron, self.zone, now)
        return began + self.duration if began is not None and began <= now < began + self.duration else None

    def open_until(self, now: float) -> tuple[float, bool] | None:
        """Return until when (s) windows without a gap in between are open from `now` on, and whether that is the end.
        None where none is open. After `_CHAIN` windows the end is left open (False).
        """
        until = self.closes(now)
        if until is None:
            return None
        for _ in range(_CHAIN):
            next_close = self.closes(until)
            if next_close is None:
                return until, True
            until = next_close
        return until, False

    def opens(self, now: float) -> float | None:
        """Return when (s) the window opens next; None where it never does."""
        return _next(self.cron, self.zone, now)


def check_window(cron: str, zone: str) -> None:
    """Check the schedule and the time zone of a window.

    Raises:
        InvalidInput: the schedule is invalid or never comes, or there is no such time zone.
    """
    no_zone = f"{zone!r} is not a time zone: write it like Europe/Berlin or UTC"
    if zone.startswith(_NOT_IANA):
        raise InvalidInput(no_zone)
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError, EOFError) as error:
        raise InvalidInput(no_zone) from error
    try:
        CronSim(cron, datetime(2000, 1, 1))  # noqa: DTZ001 -- a schedule is in local time, whatever the zone
    except CronSimError as error:
        raise InvalidInput(f"{cron!r} is not a schedule, or one that never comes: {error}") from error
    if _next(cron, zone, 0.0) is None:
        raise InvalidInput(f"{cron!r} never comes")


@lru_cache(maxsize=4096)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


# All decisions of a cycle have the same `now`.
@lru_cache(maxsize=4096)
def _last(cron: str, zone: str, now: float) -> float | None:
    """Return the newest opening (s) at or before `now`."""
    local = datetime.fromtimestamp(int(now), _zone(zone))
    # Local time does not tell which of two repeated times is later: check all of them.
    start = local.replace(tzinfo=None) + _repeated_by(local) + _SECOND
    best: float | None = None
    try:
        for time in CronSim(cron, start, reverse=True):
            moments = _moments(cron, time, _zone(zone))
            past = [at for at in moments if at <= now]
            best = max((at for at in (best, *past) if at is not None), default=None)
            if past and past[-1] == moments[-1]:
                return best
    except (StopIteration, OverflowError):
        pass
    return best


@lru_cache(maxsize=4096)
def _next(cron: str, zone: str, now: float) -> float | None:
    """Return the first opening (s) after `now`."""
    local = datetime.fromtimestamp(int(now), _zone(zone))
    start = local.replace(tzinfo=None) - _repeated_by(local)
    best: float | None = None
    try:
        for time in CronSim(cron, start):
            moments = _moments(cron, time, _zone(zone))
            upcoming = [at for at in moments if at > now]
            best = min((at for at in (best, *upcoming) if at is not None), default=None)
            if upcoming and upcoming[0] == moments[0]:
                return best
    except (StopIteration, OverflowError):
        pass
    return best


def _repeated_by(local: datetime) -> timedelta:
    """Return by how much local time is set back where this time is repeated; otherwise 0."""
    first, second = (local.replace(fold=fold).utcoffset() or timedelta() for fold in (0, 1))
    return max(first - second, timedelta())


def _moments(cron: str, time: datetime, zone: ZoneInfo) -> tuple[float, ...]:
    """Return when (s) a scheduled local time of `zone` opens the window: once, twice or never."""
    first, second = (time.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
    if first == second:
        return (first,)
    if first < second:
        return (first,) if _has_fixed_hour(cron) else (first, second)
    return (float(_after_gap(int(second), int(first), zone)),) if _has_fixed_hour(cron) else ()


def _has_fixed_hour(cron: str) -> bool:
    minute, hour = cron.split()[:2]
    return not minute.startswith("*") and not hour.startswith("*")


def _after_gap(before: int, after: int, zone: ZoneInfo) -> int:
    """Return the time (s) of the transition, after `before` and at or before `after`."""
    old = _offset(before, zone)
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(middle, zone) == old:
            before = middle
        else:
            after = middle
    return after


def _offset(at: int, zone: ZoneInfo) -> timedelta | None:
    return datetime.fromtimestamp(at, UTC).astimezone(zone).utcoffset()
