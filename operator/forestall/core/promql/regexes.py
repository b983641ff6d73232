"""What is certainly no regular expression of RE2, which sources use.

Nothing is compiled here: that costs too much for a text of anybody's. What passes is judged by the source.
"""

import re
from typing import Final

from forestall.errors import InvalidQuery

MOST_REPEATS: Final = 1000
"""RE2 repeats no more often."""

_PART: Final = re.compile(
    r"""
      (?P<quoted>\\Q.*?(?:\\E|\Z))
    | (?P<reference>\\(?:[1-7](?![0-7])|[89]))
    | (?P<escape>\\.)
    | (?P<trailing>\\)
    | (?P<set>\[\^?+\]?+(?:\[:[^\]:]*:\]|\\.|[^\]\\])*+\])
    | (?P<unclosed>\[)
    | (?P<around>\(\?(?:<?[=!]|[>#(]))
    | (?P<flags>\(\?[A-Za-z-]*\))
    | (?P<open>\((?:\?[A-Za-z-]*:|\?P?<\w+>)?)
    | (?P<close>\))
    | (?P<repeat>\{[0-9]+(?:,[0-9]*)?\})
    | (?P<star>[*+?])
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_NEVER: Final = {
    "reference": "it refers back to a group, which RE2 does not do",
    "trailing": "it ends with a backslash",
    "unclosed": "a [ is not closed",
    "around": "it looks around, which RE2 does not do",
}
_EMPTY: Final = frozenset({"", ".*", "^.*$", "^.*", ".*$", "^$", "()", "(.*)", "(?:.*)", ".*?"})
_LITERAL: Final = re.compile(r"[^\\.+*?()|\[\]{}^$]+\Z")


def check_regex(pattern: str) -> None:
    """Check that `pattern` may be a regular expression.

    Raises:
        InvalidQuery: it is none.
    """
    depth, before = 0, "open"
    for part in _PART.finditer(pattern):
        kind = str(part.lastgroup)
        if words := _NEVER.get(kind):
            raise _illegal(pattern, words)
        if kind in ("star", "repeat"):
            _check_repeat(pattern, part[0], before)
        depth += (kind == "open") - (kind == "close")
        if depth < 0:
            raise _illegal(pattern, "a ) is not opened")
        before = "open" if kind in ("open", "flags") or part[0] == "|" else kind
    if depth:
        raise _illegal(pattern, "a ( is not closed")


def matches_nothing(pattern: str) -> bool | None:
    """Say whether `pattern` matches the empty text, as for a label that is not there; None where it is not plain."""
    if pattern in _EMPTY:
        return True
    return False if _LITERAL.match(pattern) else None


def _check_repeat(pattern: str, repeat: str, before: str) -> None:
    if before == "open":
        raise _illegal(pattern, f"nothing stands before {repeat}")
    if any(len(count) > 4 or int(count) > MOST_REPEATS for count in re.findall("[0-9]+", repeat)):
        raise _illegal(pattern, f"{repeat} repeats more than {MOST_REPEATS} times")


def _illegal(pattern: str, words: str) -> InvalidQuery:
    return InvalidQuery(f"illegal regex for {pattern[:100]}: {words}")
