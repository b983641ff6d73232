"""Parse PromQL, and write it from its syntax tree.

The parser's own printer is not used: it leaves strings unescaped, so that a label value could end its matcher, and
prints the subquery `x[5m:]` as the range `x[5m]`.
"""

import math
import re
from collections.abc import Iterator
from datetime import timedelta

import promql_parser as ast

from forestall.errors import InvalidQuery

LONGEST = 16384
"""Texts with more characters are refused."""
MOST_STEPS = 400
"""Texts with more brackets and operators are refused unread: the parser's time grows with the square of the nesting,
and at a few thousand levels its stack ends, and the process with it."""
DEEPEST = 100
"""Expressions nested deeper than this are refused."""

SCALAR: ast.ValueType = ast.ValueType.Scalar
VECTOR: ast.ValueType = ast.ValueType.Vector
MATRIX: ast.ValueType = ast.ValueType.Matrix
STRING: ast.ValueType = ast.ValueType.String

_STRINGS_AND_COMMENTS = re.compile(r"""'(?:\\.|[^'\\])*+'?|"(?:\\.|[^"\\])*+"?|`[^`]*+`?|\#[^\n]*+""", re.DOTALL)
_STEPS = re.compile(r"[(\[+*/%^<>-]|==|!=|\b(?:and|or|unless|atan2)\b", re.IGNORECASE)
_LEGACY_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
_SPECIAL = re.compile(r"[\x00-\x1f\x7f\"\\]")
_ESCAPES = {"\\": r"\\", '"': r"\"", "\n": r"\n", "\t": r"\t", "\r": r"\r"}
_UNITS = ((604_800_000, "w"), (86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms"))
_MATCH_OPERATORS = (  # the parser's enumerations are not hashable
    (ast.MatchOp.Equal, "="),
    (ast.MatchOp.NotEqual, "!="),
    (ast.MatchOp.Re, "=~"),
    (ast.MatchOp.NotRe, "!~"),
)


def parse(text: str) -> ast.Expr:
    """Return the syntax tree of `text`.

    Raises:
        InvalidQuery: `text` is not PromQL, with the parser's words; or it can't be asked of a source.
    """
    if len(text) > LONGEST:
        raise InvalidQuery(f"the query has {len(text)} characters: {LONGEST} are the most")
    if len(_STEPS.findall(_STRINGS_AND_COMMENTS.sub(" ", text))) > MOST_STEPS:
        raise InvalidQuery(f"the query has more than {MOST_STEPS} brackets and operators: record parts of it by rules")
    try:
        tree: ast.Expr = ast.parse(text)
    except ValueError as error:  # also UnicodeEncodeError, for text that is no Unicode
        raise InvalidQuery(f"not PromQL: {error}") from error
    _check(tree)
    return tree


def check_query(text: str) -> None:
    """Check that `text` is a query for numbers: an expression over series, of type instant vector or scalar.

    Raises:
        InvalidQuery: it is not, with the parser's words or what to do.
    """
    query_tree(text)


def query_tree(text: str) -> ast.Expr:
    """Return the syntax tree of the query for numbers that `text` is.

    Raises:
        InvalidQuery: as `check_query`.
    """
    tree = parse(text)
    given = value_type(tree)
    if given == MATRIX:
        raise InvalidQuery(
            "the query gives ranges, not numbers: put a function such as rate() or avg_over_time() around the range"
        )
    if given == STRING:
        raise InvalidQuery("the query gives a text, not numbers")
    if next(selectors(tree), None) is None:
        raise InvalidQuery("the query reads no series: name a metric")
    return tree


def check_selector(text: str) -> None:
    """Check that `text` is a plain series selector: a metric's name, matchers, or both.

    Raises:
        InvalidQuery: it is not, with the parser's words or what to do.
    """
    selector(text)


def selector(text: str) -> ast.VectorSelector:
    """Return the plain series selector that `text` is.

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


def quote(text: str) -> str:
    """Return `text` as a PromQL string literal."""
    return '"' + _SPECIAL.sub(_escape, text) + '"'


def number(value: float) -> str:
    """Return `value` as a PromQL number."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Inf" if value > 0 else "-Inf"
    return repr(value).removesuffix(".0")


def render(node: ast.Expr, enforced: str = "") -> str:
    """Return the text of a syntax tree; `enforced` is a matcher that every series selector gets."""
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
    """Return the expressions that a node of the syntax tree is made of.

    Raises:
        InvalidQuery: the node is of a kind that is not known here.
    """
    match node:
        case ast.BinaryExpr():
            return (node.lhs, node.rhs)
        case ast.AggregateExpr():
            return (node.expr,) if node.param is None else (node.param, node.expr)
        case ast.Call():
            return tuple(node.args)
        case ast.ParenExpr() | ast.UnaryExpr() | ast.SubqueryExpr():
            return (node.expr,)
        case ast.MatrixSelector():
            return (node.vector_selector,)
        case ast.VectorSelector() | ast.NumberLiteral() | ast.StringLiteral():
            return ()
    raise _unknown(node)


def value_type(node: ast.Expr) -> ast.ValueType:
    """Return what an expression gives: `VECTOR`, `SCALAR`, `MATRIX` (ranges) or `STRING`."""
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
    """Return how much of the past (s) an expression looks at, through the longest of its ranges."""
    inner = max((reach(child) for child in children(node)), default=0.0)
    if isinstance(node, ast.MatrixSelector | ast.SubqueryExpr) and node.range is not None:
        return inner + node.range.total_seconds()
    return inner


def _check(tree: ast.Expr) -> None:
    """Refuse what the parser takes and a source does not, or what can't be written again."""
    level: list[ast.Expr] = [tree]
    for _ in range(DEEPEST):
        for node in level:
            if isinstance(node, ast.VectorSelector) and node.matchers.or_matchers:
                raise InvalidQuery("`or` between matchers is not PromQL: use a regular expression or two selectors")
            if isinstance(node, ast.VectorSelector | ast.SubqueryExpr) and str(node.at) == "@ 0.000":
                raise InvalidQuery("`@` takes a time after 1970")  # earlier ones are lost in the parser
        level = [child for node in level for child in children(node)]
        if not level:
            return
    raise InvalidQuery(
        f"the query is nested more than {DEEPEST} levels deep: simplify it, or record parts of it by rules"
    )


class _Writer:
    """Writes a syntax tree; the one place through which every series selector passes."""

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
                return number(node.val)
            case ast.StringLiteral():
                return quote(node.val)
            case ast.BinaryExpr():
                return f"{self.write(node.lhs)} {node.op}{_matching(node.modifier)} {self.write(node.rhs)}"
            case _:
                return self._wrapped(node, [self.write(child) for child in children(node)])

    def series(self, node: ast.VectorSelector, name: str | None = None) -> str:
        """Write the name and the matchers; a name that takes quotes becomes a matcher."""
        matchers = [_matcher(each) for each in node.matchers.matchers]
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
                return f"{inner}{_steps(node)}{_moved(node)}"
            case ast.Call():
                return f"{node.func.name}({inner})"
            case ast.AggregateExpr():
                return f"{node.op}{_grouping(node.modifier)}({inner})"
        raise _unknown(node)


def _unknown(node: ast.Expr) -> InvalidQuery:
    return InvalidQuery(f"{type(node).__name__} is a kind of expression that is not supported")


def _steps(node: ast.SubqueryExpr) -> str:
    if node.range is None:
        raise InvalidQuery("a subquery takes a range, as in [1h:1m]")
    return f"[{_duration(node.range)}:{'' if node.step is None else _duration(node.step)}]"


def _grouping(modifier: ast.AggModifier | None) -> str:
    if modifier is None:
        return ""
    return f" {'by' if modifier.type == ast.AggModifierType.By else 'without'} ({_labels(modifier.labels)})"


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    return _ESCAPES.get(character) or f"\\x{ord(character):02x}"


def _matcher(matcher: ast.Matcher) -> str:
    operator = next(text for op, text in _MATCH_OPERATORS if op == matcher.op)
    return f"{_label(matcher.name)}{operator}{quote(matcher.value)}"


def _moved(node: ast.VectorSelector | ast.SubqueryExpr) -> str:
    at = "" if node.at is None else f" {node.at}"
    if node.offset is None:
        return at
    sign = "-" if node.offset < timedelta(0) else ""
    return f"{at} offset {sign}{_duration(abs(node.offset))}"


def _matching(modifier: ast.BinModifier | None) -> str:
    if modifier is None:
        return ""
    words = [" bool"] if modifier.return_bool else []
    if (matching := modifier.matching) is not None:
        word = "on" if matching.type == ast.LabelModifierType.Include else "ignoring"
        words.append(f" {word} ({_labels(matching.labels)})")
    if modifier.card in (ast.VectorMatchCardinality.ManyToOne, ast.VectorMatchCardinality.OneToMany):
        word = "group_left" if modifier.card == ast.VectorMatchCardinality.ManyToOne else "group_right"
        words.append(f" {word} ({_labels(modifier.group_labels or [])})")
    for side, value in (("left", modifier.fill_values.lhs), ("right", modifier.fill_values.rhs)):
        if value is not None:
            words.append(f" fill_{side} ({number(value)})")
    return "".join(words)


def _labels(names: list[str]) -> str:
    return ", ".join(_label(name) for name in names)


def _label(name: str) -> str:
    return name if _LEGACY_NAME.match(name) else quote(name)


def _duration(span: timedelta) -> str:
    milliseconds = span // timedelta(milliseconds=1)
    size, unit = next((size, unit) for size, unit in _UNITS if milliseconds % size == 0)
    return f"{milliseconds // size}{unit}"
