"""Times as RFC 3339 writes them: the one place that reads them, whoever wrote them."""

import re
from datetime import UTC, datetime
from typing import Final

_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?([Zz]|[+-][0-9]{2}:?[0-9]{2})?)?"
)


def read_time(text: str) -> float | None:
    """Return the seconds since the epoch of a time, or of the beginning of a day; None where `text` is neither.

    Without a zone it is UTC, wherever it is read: never the time of the machine.
    """
    if not _TIME.fullmatch(text):
        return None
    try:
        time = datetime.fromisoformat(text.upper())
        return time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):  # the latter where a zone moves it out of the years 1 to 9999
        return None
