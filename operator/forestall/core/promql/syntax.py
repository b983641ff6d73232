"""Parse PromQL, and render it from its syntax tree.

`parser.parse_text` parses; this module renders, from the tree alone.
"""

import math
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from forestall.core.promql import syntax_tree as ast
from forestall.core.promql.literals import quote
from forestall.core.promql.parser import parse_text
from forestall.core.promql.text_cache import cached_by_text
from forestall.errors import InvalidQuery

MAX_LENGTH = 16384
"""The longest query (characters)."""

SCALAR: Final = ast.ValueType.Scalar
VECTOR: Final = ast.ValueType.Vector
MATRIX: Final = ast.ValueType.Matrix
STRING: Final = ast.ValueType.String

_LEGACY_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
_LEGACY_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
_UNITS = ((604_800_000, "w"), (86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms"))


def parse(text: str) -> ast.Expr:
    """Return the syntax tree of `text`.

    Raises:
        InvalidQuery: `text` is not PromQL, with the message of the parser, or not supported.
    """
    if len(text) > MAX_LENGTH:
        raise InvalidQuery(f"the query has {len(text)} characters: {MAX_LENGTH} are the most")
    outcome = _parsed(text)
    if isinstance(outcome, str):
        raise InvalidQuery(outcome)
    return outcome


@cached_by_text(characters=1 << 22)  # each cycle parses the same texts, invalid ones included
def _parsed(text: str) -> ast.Expr | str:
    """Return the syntax tree of `text`, or the message of the error."""
    try:
        text.encode()
        return parse_text(text)
    except UnicodeEncodeError as error:
        return f"not PromQL: {error}"
    except InvalidQuery as error:
        return str(error)


def check_query(text: str) -> None:
    """Check that `text` is a query for numbers: an expression over series, of type instant vector or scalar.

    Raises:
        InvalidQuery: it is not, with the message of the parser or what to do.
    """
    query_tree(text)


def query_tree(text: str) -> ast.Expr:
    """Return the syntax tree of `text`, a query for numbers.

    Raises:
        InvalidQuery: as `check_query`.
    """
    tree = parse(text)
    result_type = value_type(tree)
    if result_type == MATRIX:
        raise InvalidQuery(
            "the query gives ranges, not numbers: put a function such as rate() or avg_over_time() around the range"
        )
    if result_type == STRING:
        raise InvalidQuery("the query gives a text, not numbers")
    if next(selectors(tree), None) is None:
        raise InvalidQuery("the query reads no series: name a metric")
    return tree


def check_selector(text: str) -> None:
    """Check that `text` is a plain series selector: a metric's name, matchers, or both.

    Raises:
        InvalidQuery: it is not, with the message of the parser or what to do.
    """
    selector(text)


def selector(text: str) -> ast.VectorSelector:
    """Return `text`, a plain series selector, as a node of the syntax tree.

    Raises:
        InvalidQuery: as `check_selector`.
    """
    tree = parse(text)
    match tree:
        case ast.VectorSelector():
            if tree.offset is not None or tree.at is not None:
                raise InvalidQuery("give the series selector alone, without `offset` and `@`")
            return tree
        case ast.MatrixSelector() | ast.SubqueryExpr():
            raise InvalidQuery("give the series selector alone, without a range such as [5m]")
        case _:
            raise InvalidQuery(
                'give a series selector such as http_requests_total{app="shop"}, without functions and operators'
            )


def write_label(name: str) -> str:
    """Return a label's name, in quotes where it needs them."""
    return name if _LEGACY_NAME.match(name) else quote(name)


def metric_name(node: ast.VectorSelector) -> str | None:
    """Return the metric name of a selector, from before or within the braces; None where it has not exactly one."""
    named = [matcher.value for matcher in node.matchers.matchers if matcher.name == "__name__"]
    plain = [
        matcher for matcher in node.matchers.matchers if matcher.name == "__name__" and matcher.op is ast.MatchOp.Equal
    ]
    return named[0] if len(named) == len(plain) == 1 else node.name


def format_number(value: float) -> str:
    """Return `value` as a PromQL number."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Inf" if value > 0 else "-Inf"
    return repr(value).removesuffix(".0")


def render(node: ast.Expr, enforced: str = "") -> str:
    """Return the text of a syntax tree, with the matcher `enforced` added to every series selector."""
    return _Writer(enforced).write(node)


def render_selector(node: ast.VectorSelector, *, name: str | None = None, matchers: str = "", window: str = "") -> str:
    """Return a plain selector; `name` replaces the metric's name, `matchers` are added, `window` makes it a range."""
    return _Writer(matchers).series(node, name) + (f"[{window}]" if window else "")


def selectors(node: ast.Expr) -> Iterator[ast.VectorSelector]:
    """Yield every series selector of a syntax tree."""
    if isinstance(node, ast.VectorSelector):
        yield node
    for child in children(node):
        yield from selectors(child)


def children(node: ast.Expr) -> tuple[ast.Expr, ...]:
    """Return the child expressions of a node of the syntax tree.

    Raises:
        InvalidQuery: the node is of an unsupported kind.
    """
    match node:
        case ast.BinaryExpr():
            return (node.lhs, node.rhs)
        case ast.AggregateExpr():
            return (node.expr,) if node.param is None else (node.param, node.expr)
        case ast.Call():
            return node.args
        case ast.ParenExpr() | ast.UnaryExpr() | ast.SubqueryExpr():
            return (node.expr,)
        case ast.MatrixSelector():
            return (node.vector_selector,)
        case ast.VectorSelector() | ast.NumberLiteral() | ast.StringLiteral():
            return ()
    raise _unknown(node)


def value_type(node: ast.Expr) -> ast.ValueType:
    """Return the value type of an expression: `VECTOR`, `SCALAR`, `MATRIX` (ranges) or `STRING`."""
    match node:
        case ast.NumberLiteral():
            return SCALAR
        case ast.StringLiteral():
            return STRING
        case ast.MatrixSelector() | ast.SubqueryExpr():
            return MATRIX
        case ast.ParenExpr() | ast.UnaryExpr():
            return value_type(node.expr)
        case ast.Call():
            return node.func.return_type
        case ast.BinaryExpr():
            return SCALAR if value_type(node.lhs) == value_type(node.rhs) == SCALAR else VECTOR
        case _:
            return VECTOR


def reach(node: ast.Expr) -> float:
    """Return how much of the past (s) an expression reads: the longest sum of nested ranges."""
    inner = max((reach(child) for child in children(node)), default=0.0)
    if isinstance(node, ast.MatrixSelector | ast.SubqueryExpr):
        return inner + node.range.total_seconds()
    return inner


class _Writer:
    """Renders a syntax tree; all series selectors are written by `series`."""

    def __init__(self, enforced: str) -> None:
        self._enforced = enforced

    def write(self, node: ast.Expr) -> str:
        match node:
            case ast.VectorSelector():
                return self.series(node) + _moved(node)
            case ast.MatrixSelector():
                inner = node.vector_selector
                return f"{self.series(inner)}[{_duration(node.range)}]{_moved(inner)}"
            case ast.NumberLiteral():
                return format_number(node.val)
            case ast.StringLiteral():
                return quote(node.val)
            case ast.BinaryExpr():
                return f"{self.write(node.lhs)} {node.op}{_matching(node.modifier)} {self.write(node.rhs)}"
            case _:
                return self._wrapped(node, [self.write(child) for child in children(node)])

    def series(self, node: ast.VectorSelector, name: str | None = None) -> str:
        """Return the name and the matchers; a name that needs quotes becomes a matcher."""
        matchers = [_matcher(matcher) for matcher in node.matchers.matchers]
        if name is not None:  # it replaces the name of the selector
            matchers = [_matcher(matcher) for matcher in node.matchers.matchers if matcher.name != "__name__"]
            if not _LEGACY_METRIC.match(name):
                name, matchers = "", [f"__name__={quote(name)}", *matchers]
        if self._enforced and self._enforced not in matchers:
            matchers.append(self._enforced)
        return f"{name or node.name or ''}{{{','.join(matchers)}}}"

    def _wrapped(self, node: ast.Expr, parts: list[str]) -> str:
        inner = ", ".join(parts)
        match node:
            case ast.ParenExpr():
                return f"({inner})"
            case ast.UnaryExpr():
                return f"-{inner}"  # a plus is dropped by the parser
            case ast.SubqueryExpr():
                step = "" if node.step is None else _duration(node.step)
                return f"{inner}[{_duration(node.range)}:{step}]{_moved(node)}"
            case ast.Call():
                return f"{node.func.name}({inner})"
            case ast.AggregateExpr():
                return f"{node.op}{_grouping(node.modifier)}({inner})"
        raise _unknown(node)


def _unknown(node: ast.Expr) -> InvalidQuery:
    return InvalidQuery(f"{type(node).__name__} is a kind of expression that is not supported")


def _grouping(labels: ast.Labels | None) -> str:
    return "" if labels is None else f" {labels.word} ({_labels(labels.labels)})"


def _matcher(matcher: ast.Matcher) -> str:
    return f"{write_label(matcher.name)}{matcher.op.value}{quote(matcher.value)}"


def _moved(node: ast.VectorSelector | ast.SubqueryExpr) -> str:
    at = "" if node.at is None else f" {node.at}"
    if node.offset is None:
        return at
    sign = "-" if node.offset < timedelta(0) else ""
    return f"{at} offset {sign}{_duration(abs(node.offset))}"


def _matching(modifier: ast.BinModifier | None) -> str:
    if modifier is None:
        return ""
    clauses = [" bool"] if modifier.return_bool else []
    clauses += [_grouping(labels) for labels in (modifier.matching, modifier.group)]
    clauses += [f" {keyword} ({format_number(value)})" for keyword, value in modifier.fill]
    return "".join(clauses)


def _labels(names: tuple[str, ...]) -> str:
    return ", ".join(write_label(name) for name in names)


def _duration(span: timedelta) -> str:
    milliseconds = span // timedelta(milliseconds=1)
    size, unit = next((size, unit) for size, unit in _UNITS if milliseconds % size == 0)
    return f"{milliseconds // size}{unit}"
