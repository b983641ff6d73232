"""Words of messages that depend on what they are about: how many there are, and the name that was likely meant."""

import difflib
import re
from collections.abc import Iterable
from typing import Final

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def plural(count: int, one: str, many: str = "") -> str:
    """Return `3 policies` for 3, and `1 policy` for 1; without `many` an s makes the plural."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def are(count: int) -> str:
    """Return `is` for 1, else `are`."""
    return "is" if count == 1 else "are"


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return which of the `known` words is like this one, whatever the case of its letters; None where none is."""
    lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), lower, n=1)
    return lower[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ` Did you mean …?` for a word that is like one of those that are known, else nothing."""
    close = closest(word, known)
    return f" Did you mean {close}?" if close else ""


def printable(text: str) -> str:
    """Return `text` without what a terminal would obey: objects are written by others."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
