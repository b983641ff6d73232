"""Take the literals out of PromQL before a parser sees it.

In what is left every string is the number of a string, so the parser compiles no regular expression of anybody's and
reads no escape: both are dear, or wrong, in the library. Comments are gone, and numbers are plain.
"""

import re
from dataclasses import dataclass
from typing import Final

from forestall.core.promql import literals
from forestall.errors import InvalidQuery

MOST_STEPS: Final = 400
"""Texts with more brackets and operators are refused unread: the parser's time grows with the square of the nesting,
and at a few thousand levels its stack ends, and the process with it."""

_DURATION: Final = r"(?:[0-9]+(?:ms|[smhdwy]))++(?![\w.])"
_NUMBER: Final = (
    r"(?:0[xX][0-9A-Fa-f_]++|(?:[0-9][0-9_]*+(?:\.[0-9_]*+)?|\.[0-9][0-9_]*+)(?:[eE][+-]?[0-9][0-9_]*+)?)(?![\w.])"
)
_TOKEN: Final = re.compile(
    rf"""
      (?P<string>{literals.STRING})
    | (?P<unclosed>['"`])
    | (?P<comment>\#[^\n]*+)
    | (?P<range>\[[^\[\]"'`\#]*+\])
    | (?P<word>[A-Za-z_:][A-Za-z0-9_:]*+)
    | (?P<duration>{_DURATION})
    | (?P<number>{_NUMBER})
    | (?P<junk>[0-9.][\w.]*+)
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_LITERAL: Final = re.compile(rf"(?P<duration>\b{_DURATION})|(?P<number>(?<![\w.]){_NUMBER})", re.ASCII)
_STEPS: Final = re.compile(r"[(\[+*/%^<>-]|==|!=|\b(?:and|or|unless|atan2)\b", re.IGNORECASE | re.ASCII)
_NO_OFFSET: Final = re.compile(r"(?<![\w:])offset\s*[+-]*\s*(?:nan|inf)\b", re.IGNORECASE | re.ASCII)
_UNLIKE: Final = re.compile(r'!([=~])(\s*)"([0-9]+)"', re.ASCII)
_OFFSET: Final = re.compile(r"(?<![\w:])offset\s*+[+-]*\s*+\Z", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Scanned:
    """A text without its literals."""

    text: str
    """Each string is the literal of its place in `strings`, such as `"0"`; no name without quotes begins with a
    digit, so nothing of the author's can be taken for one. Matchers `!=` and `!~` stand here as `=` and `=~` with a `!`
    after the number: with a number in the place of their string, the parser would refuse `{a!=""}`."""
    strings: tuple[str, ...]

    def string(self, number: str) -> str:
        """Return the string that stands for `number`, which the parser gives where the author wrote a string."""
        return self.strings[int(number.removesuffix("!"))]

    def is_unlike(self, number: str) -> bool:
        """Say whether the matcher with this string is `!=` or `!~`, whatever the parser gives."""
        return number.endswith("!")

    def name(self, text: str) -> str:
        """Return a name: itself, or the string that stands for its number where the author wrote it in quotes."""
        return self.string(text) if text[:1].isdigit() else text


def scan(text: str) -> Scanned:
    """Return `text` without its literals.

    Raises:
        InvalidQuery: a string or a number is not PromQL, or it has too many brackets and operators.
    """
    strings: list[str] = []
    pieces: list[str] = []
    place = 0
    for token in _TOKEN.finditer(text):
        pieces.append(text[place : token.start()])
        place = token.end()
        match token.lastgroup:
            case "string":
                pieces.append(f'"{len(strings)}"')
                strings.append(literals.unquote(token[0]))
            case "unclosed":
                raise InvalidQuery(f"not PromQL: a string that begins with {token[0]} does not end")
            case "comment":
                pieces.append(" ")
            case "range":
                pieces.append(_LITERAL.sub(lambda inner: _plain(inner, spans=True), token[0]))
            case "duration" | "number":
                pieces.append(_plain(token, spans=_OFFSET.search("".join(pieces[-4:])) is not None))
            case _:
                pieces.append(token[0])
    plain = "".join([*pieces, text[place:]])
    if len(_STEPS.findall(plain)) > MOST_STEPS:
        raise InvalidQuery(f"the query has more than {MOST_STEPS} brackets and operators: record parts of it by rules")
    if _NO_OFFSET.search(plain):
        raise InvalidQuery("not PromQL: `offset` takes a duration")
    return Scanned(_UNLIKE.sub(_like, plain), tuple(strings))


def _like(matcher: re.Match[str]) -> str:
    """Return the end of a matcher `!=` or `!~` as the parser reads it, see `Scanned.text`."""
    sign, space, number = matcher.groups()
    return f'{"=" if sign == "=" else "=~"}{space}"{number}!"'


def _plain(token: re.Match[str], *, spans: bool) -> str:
    """Return a number or a duration as the parser reads it; `spans` where it is how far to look or to move."""
    text = token[0]
    value = literals.span(text) if token.lastgroup == "duration" else literals.number(text)
    if value is None:
        raise InvalidQuery(f"not PromQL: {text[:40]} is no number")
    if spans and value > literals.LONGEST_SPAN:
        raise InvalidQuery(f"{text[:40]} is too long: ranges, steps and offsets are at most 100y")
    if token.lastgroup == "duration":
        return text if value else "0"  # the parser refuses the duration 0s, and takes the number
    return repr(value).removesuffix(".0")
