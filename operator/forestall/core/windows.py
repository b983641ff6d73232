"""Windows of time: a cron schedule says when one opens, a duration how long it stays open.

The schedule is that of the crontab, in a time zone. On the day that clocks are set forward, what would open in the hour
that is left out opens right after it; on the day that they are set back, what is told by an hour opens once. A window
stays open for its duration as a watch measures it.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from forestall.errors import InvalidInput


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
        """Return when (s) the window closes that is open at `now`; None where it is not open."""
        # One more second, for the search begins before the moment that it is given.
        began = _seek(self.cron, self.zone, now + 1, back=True)
        return began + self.duration if began is not None and began <= now < began + self.duration else None

    def opens(self, now: float) -> float | None:
        """Return when (s) the window opens next; None where it never does."""
        return _seek(self.cron, self.zone, now, back=False)


def check_window(cron: str, zone: str) -> None:
    """Check that a window with this schedule opens now and then.

    Raises:
        InvalidInput: it is no schedule, there is no such time zone, or it never opens.
    """
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInput(f"{zone!r} is not a time zone: write it like Europe/Berlin or UTC") from error
    try:
        CronSim(cron, datetime(2000, 1, 1, tzinfo=ZoneInfo(zone)))
    except CronSimError as error:
        raise InvalidInput(f"{cron!r} is not a schedule, or one that never comes: {error}") from error
    if _seek(cron, zone, 0.0, back=False) is None:
        raise InvalidInput(f"{cron!r} never comes")


@lru_cache(maxsize=4096)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _seek(cron: str, zone: str, at: float, *, back: bool) -> float | None:
    """Return the last (`back`) or the next time at which `cron` comes, before or after `at`."""
    try:
        # To the second: a schedule knows no less.
        return next(CronSim(cron, datetime.fromtimestamp(int(at), _zone(zone)), reverse=back)).timestamp()
    except StopIteration:
        return None
