"""Times, numbers and others' texts, for people."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from forestall.api import times
from forestall.core.duration import format_duration, parse_duration
from forestall.errors import InvalidDuration


def ago(text: str | None, now: float) -> str:
    """Return how long ago a time was, such as `4m`; empty where there is none."""
    when = times.seconds(text)
    return "" if when is None else format_duration(max(0.0, round(now - when)))


def before(text: str | None, now: float) -> str:
    """Return how long ago a time was, to be put after a verb, such as ` 4m ago`; empty where there is none."""
    since = ago(text, now)
    return f" {since} ago" if since else ""


def until(text: str | None, now: float) -> str:
    """Return how far off a time is, such as `4m`; empty where it is past, or there is none."""
    when = times.seconds(text)
    return "" if when is None or when <= now else format_duration(round(when - now))


def clock(text: str) -> str:
    """Return the time of day of an RFC 3339 time, in UTC, such as `04:12:07`."""
    when = times.seconds(text)
    return text if when is None else datetime.fromtimestamp(when, UTC).strftime("%H:%M:%S")


def number(text: str | None) -> float:
    """Return the number that a status field shows, `93 %` as 0.93; NaN where there is none."""
    cleaned = (text or "").strip().lstrip("<>~≈ ")
    scale = 1.0
    if cleaned.endswith("%"):
        cleaned, scale = cleaned[:-1].strip(), 0.01
    try:
        return float(cleaned) * scale
    except ValueError:
        return math.nan


def seconds(text: str | None) -> float:
    """Return the seconds of a duration in a status field; infinite where there is none."""
    try:
        return parse_duration((text or "").strip().lstrip("<>~≈ "))
    except InvalidDuration:
        return math.inf
