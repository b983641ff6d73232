"""Reject patterns that are certainly no RE2 regular expressions.

Patterns are not compiled, which costs too much for untrusted text. The source judges the ones that pass.
"""

import re
from typing import Final

from forestall.errors import InvalidQuery

MAX_REPEATS: Final = 1000
"""The maximum repeat count of RE2."""

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
_UNSUPPORTED: Final = {
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
        InvalidQuery: it certainly is none.
    """
    depth, previous = 0, "open"
    for part in _PART.finditer(pattern):
        kind = str(part.lastgroup)
        if problem := _UNSUPPORTED.get(kind):
            raise _illegal(pattern, problem)
        if kind in ("star", "repeat"):
            _check_repeat(pattern, part[0], previous)
        depth += (kind == "open") - (kind == "close")
        if depth < 0:
            raise _illegal(pattern, "a ) is not opened")
        previous = "open" if kind in ("open", "flags") or part[0] == "|" else kind
    if depth:
        raise _illegal(pattern, "a ( is not closed")


def matches_empty(pattern: str) -> bool | None:
    """Return whether `pattern` matches the empty string, as of an absent label; None where it is not simple to tell."""
    if pattern in _EMPTY:
        return True
    return False if _LITERAL.match(pattern) else None


def _check_repeat(pattern: str, repeat: str, previous: str) -> None:
    if previous == "open":
        raise _illegal(pattern, f"nothing stands before {repeat}")
    if any(len(count) > 4 or int(count) > MAX_REPEATS for count in re.findall("[0-9]+", repeat)):
        raise _illegal(pattern, f"{repeat} repeats more than {MAX_REPEATS} times")


def _illegal(pattern: str, problem: str) -> InvalidQuery:
    return InvalidQuery(f"illegal regex for {pattern[:100]}: {problem}")
