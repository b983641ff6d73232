"""The subset of the Common Expression Language that the validation rules of forestall's CRDs use.

`forestall validate` checks files by the same rules as the API server, with the same messages, and no second copy of
the rules. A rule that uses more than this subset is an error; a test evaluates every rule.

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
    """Return whether `rule` holds for `value`, which the rule calls `self`.

    Raises:
        InvalidInput: the rule uses more than the supported subset of CEL.
        LookupError, TypeError, ValueError: the rule can't be evaluated for this value; the API server rejects it too.
    """
    return bool(_compiled(rule)({"self": value}))


@lru_cache(maxsize=512)
def _compiled(rule: str) -> Value:
    return _Compiler(rule).compile()


class _Compiler:
    """Compiles a rule into a function of its variables."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        start = 0
        while start < len(text.rstrip()):
            token = _TOKEN.match(text, start)
            if token is None or token.lastgroup is None:
                raise InvalidInput(f"unsupported CEL at {text[start : start + 20]!r}")
            self._tokens.append((token.lastgroup, token[token.lastgroup]))
            start = token.end()
        self._index = 0

    def compile(self) -> Value:
        value = self._expression()
        if self._index != len(self._tokens):
            raise InvalidInput(f"unsupported CEL at {self._tokens[self._index][1]!r}")
        return value

    def _expression(self) -> Value:
        condition = self._binary(0)
        if not self._accept("?"):
            return condition
        first = self._expression()
        self._expect(":")
        second = self._expression()
        return lambda scope: first(scope) if condition(scope) else second(scope)

    def _binary(self, level: int) -> Value:
        if level == len(_SIGNS):
            return self._unary()
        left = self._binary(level + 1)
        while (sign := self._next_token()) in _SIGNS[level]:
            self._index += 1
            left = _joined(sign, left, self._binary(level + 1))
        return left

    def _unary(self) -> Value:
        if self._accept("!"):
            inner = self._unary()
            return lambda scope: not inner(scope)
        if self._accept("-"):
            inner = self._unary()
            return lambda scope: -inner(scope)
        return self._member(self._primary())

    def _member(self, value: Value) -> Value:
        while True:
            if self._accept("["):
                value = _indexed(value, self._expression())
                self._expect("]")
            elif self._accept("."):
                name = self._identifier()
                value = self._call(name, value) if self._accept("(") else _selected(value, name)
            else:
                return value

    def _primary(self) -> Value:
        kind, text = self._tokens[self._index] if self._index < len(self._tokens) else ("", "")
        self._index += 1
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
            self._expect(")")
            return value
        if text == "[":
            elements = self._arguments("]")
            return lambda scope: [element(scope) for element in elements]
        raise InvalidInput(f"unsupported CEL at {text!r}")

    def _named(self, name: str) -> Value:
        if name in _LITERALS:
            return lambda _: _LITERALS[name]
        if not self._accept("("):
            return lambda scope: scope[name]
        if name == "has":
            return self._has()
        return _function(name, self._arguments(")"))

    def _has(self) -> Value:
        start = self._index
        self._expression()
        # `has()` does not evaluate the last selection; it tests for its presence.
        end, self._index = self._index, start
        tokens, self._tokens = self._tokens, self._tokens[: end - 2]
        parent = self._expression()
        self._tokens, self._index = tokens, end
        field = tokens[end - 1][1]
        self._expect(")")
        return lambda scope: field in parent(scope)

    def _call(self, name: str, value: Value) -> Value:
        if name in _MACROS:
            variable = self._identifier()
            self._expect(",")
            body = self._expression()
            self._expect(")")
            return _macro(name, value, variable, body)
        return _function(name, [value, *self._arguments(")")])

    def _arguments(self, end: str) -> list[Value]:
        arguments: list[Value] = []
        while not self._accept(end):
            if arguments:
                self._expect(",")
            arguments.append(self._expression())
        return arguments

    def _next_token(self) -> str:
        return self._tokens[self._index][1] if self._index < len(self._tokens) else ""

    def _accept(self, token: str) -> bool:
        is_next = self._next_token() == token
        self._index += is_next
        return is_next

    def _expect(self, token: str) -> None:
        if not self._accept(token):
            raise InvalidInput(f"unsupported CEL: {token!r} is missing before {self._next_token()!r}")

    def _identifier(self) -> str:
        identifier = self._next_token()
        self._index += 1
        return identifier


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
    def elements(scope: Scope) -> list[tuple[Any, Any]]:
        return [(element, body({**scope, variable: element})) for element in value(scope)]

    match name:
        case "filter":
            return lambda scope: [element for element, selected in elements(scope) if selected]
        case "map":
            return lambda scope: [mapped for _, mapped in elements(scope)]
        case "all":
            return lambda scope: all(result for _, result in elements(scope))
    return lambda scope: any(result for _, result in elements(scope))


def _function(name: str, arguments: Sequence[Value]) -> Value:
    function = _FUNCTIONS.get(name)
    if function is None:
        raise InvalidInput(f"unsupported CEL: the function {name}")
    return lambda scope: function(*(argument(scope) for argument in arguments))


@lru_cache(maxsize=256)
def _pattern(text: str) -> re.Pattern[str]:
    """Return a pattern with RE2's meaning: a dollar matches at the end only, not before a final line break."""
    return re.compile(re.sub(r"(?<!\\)\$", r"\\Z", text), re.ASCII)


def _timestamp(text: str) -> float:
    time = read_time(text, zoned=True)
    if time is None:
        raise ValueError(f"{text!r} is not a time with its zone")
    return time


def _find(text: str, pattern: str) -> str:
    match = _pattern(pattern).search(text)
    return match[0] if match else ""


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
