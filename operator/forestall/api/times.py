"""Times as the objects write them (RFC 3339, UTC) and as decisions count them (seconds since the epoch)."""

from datetime import UTC, datetime

from forestall.core.rfc3339 import read_time, write_time


def stamp(at: float) -> str:
    """Return `at` (s) as RFC 3339 with microseconds."""
    return write_time(at)


def seconds(text: str | None) -> float | None:
    """Return the seconds since the epoch of an RFC 3339 time; None where nothing is written, or nothing readable."""
    return read_time(text) if text and isinstance(text, str) else None


def readable(text: str | None) -> str:
    """Return an RFC 3339 time as people read it, to the second and in UTC; what is none as it stands."""
    at = seconds(text)
    return (text or "") if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def clock(at: float) -> str:
    """Return `at` (s) as people read it, to the minute and in UTC, such as `2026-01-31 03:15 UTC`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
