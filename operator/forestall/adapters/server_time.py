"""What time a server says that it is."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from forestall.core.clock_skew import ClockOffset, server_offset


def clock_of(headers: Mapping[str, str], sent: float, received: float) -> ClockOffset | None:
    """Return the clock of who answered with these headers, against that of `sent` and `received` (s).

    None where they do not say, or a cache answered, whose answer is of another time.
    """
    if "Age" in headers or "Date" not in headers:
        return None
    try:
        date = parsedate_to_datetime(headers["Date"]).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return server_offset(date, sent, received)
