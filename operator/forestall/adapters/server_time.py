"""Reads the clock of a server from the headers of a response."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from forestall.core.clock_skew import ClockOffset, server_offset


def clock_of(headers: Mapping[str, str], sent: float, received: float) -> ClockOffset | None:
    """Return the offset of the server's clock, given the headers and the local times `sent` and `received` (s).

    None without a usable date, or where a cache answered, whose response is of another time.
    """
    if "Age" in headers or "Date" not in headers:
        return None
    try:
        date = parsedate_to_datetime(headers["Date"]).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return server_offset(date, sent, received)
