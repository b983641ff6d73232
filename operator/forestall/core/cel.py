"""The part of the Common Expression Language that the rules of forestall's own definitions are written in.

So a file is held against the same rules as by the API server, and told in the same words, without a second copy of
them. What a rule uses beyond this part is an error, which a test over all rules finds.

Source: the language definition of CEL, and Kubernetes' CEL libraries (`find` of the regex library, strings).
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from forestall.core.rfc3339 import read_time
from forestall.errors import InvalidInput

Scope = Mapping[str, Any]
Value = Callable[[Scope], Any]

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<raw>r'[^']*'|r\"[^\"]*\")|(?P<text>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")|(?P<number>\d+(?:\.\d+)?"
    r"(?:[eE][-+]?\d+)?)|(?P<word>[A-Za-z_]\w*)|(?P<sign>&&|\|\||[=!<>]=|[-+*/%!<>?:.,()\[\]]))"
)
_SIGNS: Final = (
    ("||",),
    ("&&",),
    ("==", "!=", "<", "<=", ">", ">=", "in"),
    ("+", "-"),
    ("*", "/", "%"),
)
"""Binary operators, those that bind the least first."""
_OPERATIONS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda left, right: left in right,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": operator.mod,
}
_LITERALS: Final = {"true": True, "false": False, "null": None}
_MACROS: Final = frozenset({"filter", "all", "exists", "map"})


def holds(rule: str, value: Any) -> bool:
    """Say whether `rule` holds for `value`, which it calls `self`.

    Raises:
        InvalidInput: the rule is not of the part of CEL that is known here.
        LookupError, TypeError, ValueError: it can't be evaluated for this value, which the API server refuses too.
    """
    return bool(_compiled(rule)({"self": value}))


@lru_cache(maxsize=512)
def _compiled(rule: str) -> Value:
    return _Parser(rule).whole()


class _Parser:
    """Turns a rule into a function of its variables."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(text.rstrip()):
            found = _TOKEN.match(text, at)
            if found is None or found.lastgroup is None:
                raise InvalidInput(f"not a rule that is understood, at {text[at : at + 20]!r}")
            self._tokens.append((found.lastgroup, found[found.lastgroup]))
            at = found.end()
        self._at = 0

    def whole(self) -> Value:
        value = self._expression()
        if self._at != len(self._tokens):
            raise InvalidInput(f"not a rule that is understood, at {self._tokens[self._at][1]!r}")
        return value

    def _expression(self) -> Value:
        condition = self._binary(0)
        if not self._take("?"):
            return condition
        first = self._expression()
        self._need(":")
        second = self._expression()
        return lambda scope: first(scope) if condition(scope) else second(scope)

    def _binary(self, level: int) -> Value:
        if level == len(_SIGNS):
            return self._unary()
        left = self._binary(level + 1)
        while (sign := self._peek()) in _SIGNS[level]:
            self._at += 1
            left = _joined(sign, left, self._binary(level + 1))
        return left

    def _unary(self) -> Value:
        if self._take("!"):
            inner = self._unary()
            return lambda scope: not inner(scope)
        if self._take("-"):
            inner = self._unary()
            return lambda scope: -inner(scope)
        return self._member(self._primary())

    def _member(self, value: Value) -> Value:
        while True:
            if self._take("["):
                value = _indexed(value, self._expression())
                self._need("]")
            elif self._take("."):
                name = self._word()
                value = self._call(name, value) if self._take("(") else _selected(value, name)
            else:
                return value

    def _primary(self) -> Value:
        kind, text = self._tokens[self._at] if self._at < len(self._tokens) else ("", "")
        self._at += 1
        match kind:
            case "raw":
                return lambda _: text[2:-1]
            case "text":
                plain = re.sub(r"\\(.)", r"\1", text[1:-1])
                return lambda _: plain
            case "number":
                number = int(text) if text.isdecimal() else float(text)
                return lambda _: number
            case "word":
                return self._named(text)
        if text == "(":
            value = self._expression()
            self._need(")")
            return value
        if text == "[":
            elements = self._arguments("]")
            return lambda scope: [each(scope) for each in elements]
        raise InvalidInput(f"not a rule that is understood, at {text!r}")

    def _named(self, name: str) -> Value:
        if name in _LITERALS:
            return lambda _: _LITERALS[name]
        if not self._take("("):
            return lambda scope: scope[name]
        if name == "has":
            return self._has()
        return _function(name, self._arguments(")"))

    def _has(self) -> Value:
        start = self._at
        self._expression()
        # The last selection is not evaluated, but looked for.
        end, self._at = self._at, start
        tokens, self._tokens = self._tokens, self._tokens[: end - 2]
        parent = self._expression()
        self._tokens, self._at = tokens, end
        field = tokens[end - 1][1]
        self._need(")")
        return lambda scope: field in parent(scope)

    def _call(self, name: str, value: Value) -> Value:
        if name in _MACROS:
            variable = self._word()
            self._need(",")
            body = self._expression()
            self._need(")")
            return _macro(name, value, variable, body)
        return _function(name, [value, *self._arguments(")")])

    def _arguments(self, end: str) -> list[Value]:
        found: list[Value] = []
        while not self._take(end):
            if found:
                self._need(",")
            found.append(self._expression())
        return found

    def _peek(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _take(self, sign: str) -> bool:
        taken = self._peek() == sign
        self._at += taken
        return taken

    def _need(self, sign: str) -> None:
        if not self._take(sign):
            raise InvalidInput(f"not a rule that is understood: {sign!r} is missing before {self._peek()!r}")

    def _word(self) -> str:
        word = self._peek()
        self._at += 1
        return word


def _joined(sign: str, left: Value, right: Value) -> Value:
    if sign == "||":
        return lambda scope: bool(left(scope)) or bool(right(scope))
    if sign == "&&":
        return lambda scope: bool(left(scope)) and bool(right(scope))
    operation = _OPERATIONS[sign]
    return lambda scope: operation(left(scope), right(scope))


def _indexed(value: Value, index: Value) -> Value:
    return lambda scope: value(scope)[index(scope)]


def _selected(value: Value, name: str) -> Value:
    return lambda scope: value(scope)[name]


def _macro(name: str, value: Value, variable: str, body: Value) -> Value:
    def each(scope: Scope) -> list[tuple[Any, Any]]:
        return [(element, body({**scope, variable: element})) for element in value(scope)]

    match name:
        case "filter":
            return lambda scope: [element for element, told in each(scope) if told]
        case "map":
            return lambda scope: [told for _, told in each(scope)]
        case "all":
            return lambda scope: all(told for _, told in each(scope))
    return lambda scope: any(told for _, told in each(scope))


def _function(name: str, arguments: Sequence[Value]) -> Value:
    function = _FUNCTIONS.get(name)
    if function is None:
        raise InvalidInput(f"not a rule that is understood: the function {name}")
    return lambda scope: function(*(each(scope) for each in arguments))


@lru_cache(maxsize=256)
def _pattern(text: str) -> re.Pattern[str]:
    """Return a pattern as RE2 means it: a dollar is the end, and not before a last line break."""
    return re.compile(re.sub(r"(?<!\\)\$", r"\\Z", text), re.ASCII)


def _timestamp(text: str) -> float:
    at = read_time(text, zoned=True)
    if at is None:
        raise ValueError(f"{text!r} is not a time with its zone")
    return at


def _find(text: str, pattern: str) -> str:
    found = _pattern(pattern).search(text)
    return found[0] if found else ""


_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "matches": lambda text, pattern: _pattern(pattern).search(text) is not None,
    "find": _find,
    "size": len,
    "int": int,
    "double": float,
    "string": str,
    "lowerAscii": str.lower,
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": lambda text, part: part in text,
    "timestamp": _timestamp,
}
