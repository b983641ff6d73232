"""Replace the literals of PromQL before it is parsed.

Each string literal becomes a placeholder with its number, so the parser library compiles no regular expression and
reads no escape sequence: both are expensive, or wrong, there. Comments are removed, and numbers are normalized.
"""

import re
from dataclasses import dataclass
from typing import Final

from forestall.core.promql import literals
from forestall.errors import InvalidQuery

MAX_OPERATORS: Final = 400
"""The most brackets and operators of a query: the parser's time grows with the square of the nesting, and at a few
thousand levels its stack overflows, which ends the process."""

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
_NEGATED_MATCHER: Final = re.compile(r'!([=~])(\s*)"([0-9]+)"', re.ASCII)
_OFFSET: Final = re.compile(r"(?<![\w:])offset\s*+[+-]*\s*+\Z", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class ScannedQuery:
    """A query without its literals."""

    text: str
    """Each string literal is a placeholder with its index in `strings`, such as `"0"`; no unquoted name begins with a
    digit, so no other token can be mistaken for one. Matchers `!=` and `!~` are `=` and `=~` here, with a `!` after the
    number: with a placeholder for its string, the parser would refuse `{a!=""}`."""
    strings: tuple[str, ...]

    def string(self, number: str) -> str:
        """Return the string literal of the placeholder `number`."""
        return self.strings[int(number.removesuffix("!"))]

    def is_negated(self, number: str) -> bool:
        """Return whether the matcher with the placeholder `number` is `!=` or `!~`."""
        return number.endswith("!")

    def name(self, text: str) -> str:
        """Return a name, which is `text` itself, or a placeholder where the author wrote it in quotes."""
        return self.string(text) if text[:1].isdigit() else text


def scan(text: str) -> ScannedQuery:
    """Return `text` without its literals.

    Raises:
        InvalidQuery: a string or a number is not PromQL, or it has too many brackets and operators.
    """
    strings: list[str] = []
    parts: list[str] = []
    position = 0
    for token in _TOKEN.finditer(text):
        parts.append(text[position : token.start()])
        position = token.end()
        match token.lastgroup:
            case "string":
                parts.append(f'"{len(strings)}"')
                strings.append(literals.unquote(token[0]))
            case "unclosed":
                raise InvalidQuery(f"not PromQL: a string that begins with {token[0]} does not end")
            case "comment":
                parts.append(" ")
            case "range":
                parts.append(_LITERAL.sub(lambda inner: _plain(inner, is_span=True), token[0]))
            case "duration" | "number":
                parts.append(_plain(token, is_span=_OFFSET.search("".join(parts[-4:])) is not None))
            case _:
                parts.append(token[0])
    plain = "".join([*parts, text[position:]])
    if len(_STEPS.findall(plain)) > MAX_OPERATORS:
        raise InvalidQuery(
            f"the query has more than {MAX_OPERATORS} brackets and operators: record parts of it by rules"
        )
    if _NO_OFFSET.search(plain):
        raise InvalidQuery("not PromQL: `offset` takes a duration")
    return ScannedQuery(_NEGATED_MATCHER.sub(_positive_matcher, plain), tuple(strings))


def _positive_matcher(matcher: re.Match[str]) -> str:
    """Return the end of a matcher `!=` or `!~` for the parser, see `ScannedQuery.text`."""
    sign, space, number = matcher.groups()
    return f'{"=" if sign == "=" else "=~"}{space}"{number}!"'


def _plain(token: re.Match[str], *, is_span: bool) -> str:
    """Return a number or a duration for the parser; `is_span`: it is a range, step or offset."""
    text = token[0]
    value = literals.parse_span(text) if token.lastgroup == "duration" else literals.parse_number(text)
    if value is None:
        raise InvalidQuery(f"not PromQL: {text[:40]} is no number")
    if is_span and value > literals.MAX_SPAN:
        raise InvalidQuery(f"{text[:40]} is too long: ranges, steps and offsets are at most 100y")
    if token.lastgroup == "duration":
        return text if value else "0"  # the parser refuses the duration 0s, and takes the number
    return repr(value).removesuffix(".0")
