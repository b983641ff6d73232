"""Read and write RFC 3339 times. No other module does."""

import re
from datetime import UTC, datetime
from typing import Final, Literal

_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?([Zz]|[+-][0-9]{2}:?[0-9]{2})?)?"
)


def read_time(text: str, *, zoned: bool = False) -> float | None:
    """Return the seconds since the epoch of an RFC 3339 time, or of the beginning of a date; None for any other text.

    A time without a zone is UTC, never local time; with `zoned` it is None, since objects must name the zone.
    """
    if not _TIME.fullmatch(text):
        return None
    try:
        time = datetime.fromisoformat(text.upper())
        if zoned and time.tzinfo is None:
            return None
        return time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):  # OverflowError: the zone moves the time out of the years 1 to 9999
        return None


def write_time(at: float, timespec: Literal["seconds", "microseconds"] = "microseconds") -> str:
    """Return `at` (s since the epoch) in UTC, such as `2026-01-31T12:00:00Z`, truncated to `timespec`."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
