"""Times as the API writes them (RFC 3339, UTC) and as the engine counts them (seconds since the epoch)."""

from datetime import UTC, datetime


def stamp(at: float) -> str:
    """Return `at` (s) as RFC 3339 with microseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def seconds(text: str) -> float:
    """Return the seconds since the epoch of an RFC 3339 time; minus infinity for an empty text."""
    return datetime.fromisoformat(text).timestamp() if text else float("-inf")
