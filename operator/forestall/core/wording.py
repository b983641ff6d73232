"""Text of messages: plurals, suggestions for misspelled names, and untrusted text made printable."""

import difflib
import re
from collections.abc import Iterable
from itertools import islice
from typing import Final

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def plural(count: int, singular: str, plural_form: str = "") -> str:
    """Return `3 policies` for 3, and `1 policy` for 1; without `plural_form` an s makes the plural."""
    return f"{count} {singular if count == 1 else plural_form or singular + 's'}"


def is_or_are(count: int) -> str:
    """Return `is` for 1, else `are`."""
    return "is" if count == 1 else "are"


def shortened_list(items: Iterable[str], limit: int) -> str:
    """Return `a, b` for these two, and `a, b, …` where there are more than the first `limit` (2) of them."""
    shown = [*islice(items, limit + 1)]
    return ", ".join([*shown[:limit], *(["…"] if len(shown) > limit else [])])


def closest(name: str, names: Iterable[str]) -> str | None:
    """Return the one of `names` that is most similar to `name`, ignoring case; None where none is similar."""
    lower = {candidate.lower(): candidate for candidate in names}
    matches = difflib.get_close_matches(name.lower(), lower, n=1)
    return lower[matches[0]] if matches else None


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return ` Did you mean …?` where one of `names` is similar to `name`, otherwise an empty string."""
    match = closest(name, names)
    return f" Did you mean {match}?" if match else ""


def printable(text: str) -> str:
    """Return untrusted `text` with a replacement character for each control character."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
