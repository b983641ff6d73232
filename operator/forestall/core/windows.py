"""Windows of time: a cron schedule says when one opens, a duration how long it stays open.

The schedule is that of the crontab, read on the clock of a time zone. That clock skips times (when it is set forward,
or when a zone leaves out a day) and shows times twice (when it is set back):

- What is told by minute and hour opens once for each time of the schedule: at the first of two such times, and right
  after the gap where the time is skipped.
- What has `*` in place of minute or hour follows the clock: it opens at both such times, and at none that is skipped.

A window stays open for its duration as a watch measures it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from forestall.errors import InvalidInput

_CHAIN: Final = 32
"""How many windows are looked at that follow each other without a gap."""
_SECOND: Final = timedelta(seconds=1)
_NOT_OF_THE_WORLD: Final = ("localtime", "posix", "right", "Factory")
"""Names that a machine's own files have beside those of places: its own time, and time that counts leap seconds."""


@dataclass(frozen=True, slots=True)
class Window:
    """When something is open."""

    whose: str
    """In words, who said so."""
    cron: str
    """Five fields: minute, hour, day of the month, month, day of the week."""
    duration: float
    """Seconds."""
    zone: str
    """A time zone of the IANA database, such as `Europe/Berlin`."""

    def closes(self, now: float) -> float | None:
        """Return when (s) the window closes that was opened last and is open at `now`; None where none is open."""
        began = _last(self.cron, self.zone, now)
        return began + self.duration if began is not None and began <= now < began + self.duration else None

    def open_until(self, now: float) -> tuple[float, bool] | None:
        """Return until when (s) one window after the other is open from `now` on, and whether none follows at once;
        None where none is open. After `_CHAIN` of them it is left open how many follow.
        """
        until = self.closes(now)
        if until is None:
            return None
        for _ in range(_CHAIN):
            again = self.closes(until)
            if again is None:
                return until, True
            until = again
        return until, False

    def opens(self, now: float) -> float | None:
        """Return when (s) the window opens next; None where it never does."""
        return _next(self.cron, self.zone, now)


def check_window(cron: str, zone: str) -> None:
    """Check that a window with this schedule opens now and then.

    Raises:
        InvalidInput: it is no schedule, there is no such time zone, or it never opens.
    """
    no_zone = f"{zone!r} is not a time zone: write it like Europe/Berlin or UTC"
    if zone.startswith(_NOT_OF_THE_WORLD):
        raise InvalidInput(no_zone)
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError, EOFError) as error:
        raise InvalidInput(no_zone) from error
    try:
        CronSim(cron, datetime(2000, 1, 1))  # noqa: DTZ001 -- a schedule is read on the clock, whatever its zone
    except CronSimError as error:
        raise InvalidInput(f"{cron!r} is not a schedule, or one that never comes: {error}") from error
    if _next(cron, zone, 0.0) is None:
        raise InvalidInput(f"{cron!r} never comes")


@lru_cache(maxsize=4096)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


# Every decision of a cycle asks of the same time.
@lru_cache(maxsize=4096)
def _last(cron: str, zone: str, now: float) -> float | None:
    """Return the newest opening (s) at or before `now`."""
    shown = datetime.fromtimestamp(int(now), _zone(zone))
    # Among the times that come twice, the clock does not tell which is later: all of them are looked at.
    start = shown.replace(tzinfo=None) + _shown_again(shown) + _SECOND
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
    shown = datetime.fromtimestamp(int(now), _zone(zone))
    start = shown.replace(tzinfo=None) - _shown_again(shown)
    best: float | None = None
    try:
        for time in CronSim(cron, start):
            moments = _moments(cron, time, _zone(zone))
            coming = [at for at in moments if at > now]
            best = min((at for at in (best, *coming) if at is not None), default=None)
            if coming and coming[0] == moments[0]:
                return best
    except (StopIteration, OverflowError):
        pass
    return best


def _shown_again(shown: datetime) -> timedelta:
    """Return by how much the clock is set back where it shows this time twice; otherwise nothing."""
    first, second = (shown.replace(fold=fold).utcoffset() or timedelta() for fold in (0, 1))
    return max(first - second, timedelta())


def _moments(cron: str, time: datetime, zone: ZoneInfo) -> tuple[float, ...]:
    """Return when (s) a time of the schedule opens: by the clock of `zone` it may come once, twice or never."""
    first, second = (time.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
    if first == second:
        return (first,)
    if first < second:
        return (first,) if _is_told_by_hour(cron) else (first, second)
    return (float(_after_gap(int(second), int(first), zone)),) if _is_told_by_hour(cron) else ()


def _is_told_by_hour(cron: str) -> bool:
    minute, hour = cron.split()[:2]
    return not minute.startswith("*") and not hour.startswith("*")


def _after_gap(before: int, after: int, zone: ZoneInfo) -> int:
    """Return the moment (s) at which the clock is set forward, after `before` and at or before `after`."""
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
