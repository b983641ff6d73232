"""Durations as Prometheus writes them: ``90s``, ``5m``, ``1h30m``, ``30d``.

Source: the `duration` grammar of the Prometheus querying documentation (units in descending order, each once).
"""

import re
from functools import lru_cache

from forestall.errors import InvalidDuration

PATTERN = r"^(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?$"
_SECONDS = {"w": 604800.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
MAX_DURATION = 1000 * 365 * 86400.0
"""The longest duration (s): `datetime` ends at the year 10000."""
_GRAMMAR = re.compile(PATTERN)
_PART = re.compile(r"([0-9]+)(ms|[wdhms])")


@lru_cache(maxsize=1024)  # each cycle parses the same few
def parse_duration(text: str) -> float:
    """Return the duration `text` in seconds.

    Raises:
        InvalidDuration: `text` is empty, does not follow the grammar, or is longer than `LONGEST`.
    """
    if not text or not _GRAMMAR.fullmatch(text):
        raise InvalidDuration(f"{text[:40]!r} is not a duration: write it like 90s, 5m, 1h30m or 30d")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    if seconds > MAX_DURATION:
        raise InvalidDuration(f"{text[:40]!r} is too long: a duration is at most 1000 years")
    return seconds


@lru_cache(maxsize=1024)
def format_duration(seconds: float) -> str:
    """Return `seconds` (finite, not negative) in its two largest units, such as ``1h30m``."""
    remaining = round(seconds)
    if remaining < 1:
        milliseconds = round(seconds * 1000)
        return f"{milliseconds}ms" if milliseconds else "0s"
    parts = []
    for unit in ("d", "h", "m", "s"):
        count, remaining = divmod(remaining, int(_SECONDS[unit]))
        if count:
            parts.append(f"{count}{unit}")
        if len(parts) == 2 or (parts and not count):
            break
    return "".join(parts)


@lru_cache(maxsize=1024)
def exact_duration(seconds: int) -> str:
    """Return whole `seconds` (positive) exactly, in the largest unit that divides them: ``5m``, ``90s``."""
    unit = next(unit for unit, size in _SECONDS.items() if seconds % size == 0)
    return f"{seconds // int(_SECONDS[unit])}{unit}"
