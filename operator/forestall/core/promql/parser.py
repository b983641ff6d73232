"""Parse PromQL into the syntax tree: the only module that calls the parser library."""

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import promql_parser as library

from forestall.core.promql import syntax_tree as tree
from forestall.core.promql.literals import MAX_SPAN
from forestall.core.promql.regexes import check_regex, matches_empty
from forestall.core.promql.scanner import ScannedQuery, scan
from forestall.core.promql.unsupported import unsupported_construct
from forestall.errors import InvalidQuery

MAX_DEPTH: Final = 100
"""The deepest nesting of an expression."""

_LATEST: Final = 253402300800.0
_SHORTEST: Final = timedelta(milliseconds=1)
_MATCH_OPS: Final = (  # the library's enumerations are not hashable
    (library.MatchOp.Equal, tree.MatchOp.Equal, tree.MatchOp.NotEqual),
    (library.MatchOp.Re, tree.MatchOp.Re, tree.MatchOp.NotRe),
)
_TYPES: Final = (
    (library.ValueType.Scalar, tree.ValueType.Scalar),
    (library.ValueType.Vector, tree.ValueType.Vector),
    (library.ValueType.Matrix, tree.ValueType.Matrix),
    (library.ValueType.String, tree.ValueType.String),
)


def parse_text(text: str) -> tree.Expr:
    """Return the syntax tree of `text`.

    Raises:
        InvalidQuery: `text` is not PromQL, with the message of the parser, or not supported.
    """
    scanned = scan(text)
    try:
        return _Converter(scanned).expression(library.parse(scanned.text), MAX_DEPTH)
    except InvalidQuery:
        raise
    except BaseException as error:  # a panic of the library is no Exception, and would end the process
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            # The parser's own message for this error would show placeholders of strings.
            message = "a metric's name is set twice" if "set twice" in str(error) else error
            if construct := unsupported_construct(scanned.text):
                raise InvalidQuery(
                    f"not PromQL, or of a kind that is not supported here ({construct}): {message}"
                ) from error
            raise InvalidQuery(f"not PromQL: {message}") from error
        raise


class _Converter:
    """Converts the nodes of the library, and puts the string literals back."""

    def __init__(self, scanned: ScannedQuery) -> None:
        self._scanned = scanned

    def expression(self, node: library.Expr, depth: int) -> tree.Expr:
        """Return `node` converted, at most `depth` levels deep."""
        if depth == 0:
            raise InvalidQuery(
                f"the query is nested more than {MAX_DEPTH} levels deep: simplify it, or record parts of it by rules"
            )
        match node:
            case library.VectorSelector():
                return self._selector(node)
            case library.MatrixSelector():
                return tree.MatrixSelector(self._selector(node.vector_selector), _window(node.range))
            case library.NumberLiteral():
                return tree.NumberLiteral(node.val)
            case library.StringLiteral():
                return tree.StringLiteral(self._scanned.string(node.val))
            case _:
                return self._composed(node, lambda inner: self.expression(inner, depth - 1))

    def _composed(self, node: library.Expr, read: Callable[[library.Expr], tree.Expr]) -> tree.Expr:
        match node:
            case library.ParenExpr():
                return tree.ParenExpr(read(node.expr))
            case library.UnaryExpr():
                return tree.UnaryExpr(read(node.expr))
            case library.BinaryExpr():
                return tree.BinaryExpr(str(node.op), read(node.lhs), read(node.rhs), self._matching(node.modifier))
            case library.Call():
                return tree.Call(_function(node.func), tuple(read(argument) for argument in node.args))
            case library.AggregateExpr():
                param = None if node.param is None else read(node.param)
                return tree.AggregateExpr(str(node.op), read(node.expr), param, self._grouping(node.modifier))
            case library.SubqueryExpr():
                step = None if node.step is None else _window(node.step)
                return tree.SubqueryExpr(read(node.expr), _window(node.range), step, _offset(node.offset), _at(node.at))
        raise InvalidQuery(f"{type(node).__name__} is a kind of expression that is not supported")

    def _selector(self, node: library.VectorSelector) -> tree.VectorSelector:
        if node.matchers.or_matchers:
            raise InvalidQuery("`or` between matchers is not PromQL: use a regular expression or two selectors")
        matchers = tuple(self._matcher(matcher) for matcher in node.matchers.matchers)
        if node.name is not None and any(matcher.name == "__name__" for matcher in matchers):
            raise InvalidQuery("not PromQL: a metric's name is set twice")
        if node.name is None and all(_matches_absent(matcher) for matcher in matchers):
            raise InvalidQuery("not PromQL: a vector selector must contain at least one non-empty matcher")
        return tree.VectorSelector(node.name, tree.Matchers(matchers), _offset(node.offset), _at(node.at))

    def _matcher(self, matcher: library.Matcher) -> tree.Matcher:
        positive, negative = next((like, unlike) for theirs, like, unlike in _MATCH_OPS if theirs == matcher.op)
        op = negative if self._scanned.is_negated(matcher.value) else positive
        value = self._scanned.string(matcher.value)
        if op in (tree.MatchOp.Re, tree.MatchOp.NotRe):
            check_regex(value)
        return tree.Matcher(op, self._scanned.name(matcher.name), value)

    def _labels(self, word: str, names: list[str] | None) -> tree.Labels:
        return tree.Labels(word, tuple(self._scanned.name(name) for name in names or ()))

    def _grouping(self, modifier: library.AggModifier | None) -> tree.Labels | None:
        if modifier is None:
            return None
        return self._labels("by" if modifier.type == library.AggModifierType.By else "without", modifier.labels)

    def _matching(self, modifier: library.BinModifier | None) -> tree.BinModifier | None:
        if modifier is None:
            return None
        matching, group = None, None
        if (label_matching := modifier.matching) is not None:
            word = "on" if label_matching.type == library.LabelModifierType.Include else "ignoring"
            matching = self._labels(word, label_matching.labels)
        if modifier.card in (library.VectorMatchCardinality.ManyToOne, library.VectorMatchCardinality.OneToMany):
            left = modifier.card == library.VectorMatchCardinality.ManyToOne
            group = self._labels("group_left" if left else "group_right", modifier.group_labels)
        fills = (("fill_left", modifier.fill_values.lhs), ("fill_right", modifier.fill_values.rhs))
        return tree.BinModifier(
            modifier.return_bool, matching, group, tuple((word, value) for word, value in fills if value is not None)
        )


def _function(function: library.Function) -> tree.Function:
    return tree.Function(function.name, next(ours for theirs, ours in _TYPES if theirs == function.return_type))


def _matches_absent(matcher: tree.Matcher) -> bool:
    """Return whether the matcher certainly matches series without the label; in doubt False, and the source decides."""
    match matcher.op:
        case tree.MatchOp.Equal:
            return matcher.value == ""
        case tree.MatchOp.NotEqual:
            return matcher.value != ""
        case tree.MatchOp.Re:
            return matches_empty(matcher.value) is True
        case tree.MatchOp.NotRe:
            return matches_empty(matcher.value) is False


def _window(span: timedelta | None) -> timedelta:
    if span is None:
        raise InvalidQuery("a subquery takes a range, as in [1h:1m]")
    if span < _SHORTEST:
        raise InvalidQuery("not PromQL: a range or step is at least 1ms")
    return _checked_span(span)


def _offset(span: timedelta | None) -> timedelta | None:
    return _checked_span(span) if span else None


def _checked_span(span: timedelta) -> timedelta:
    if abs(span.total_seconds()) > MAX_SPAN:
        raise InvalidQuery("ranges, steps and offsets are at most 100y")
    return span


def _at(modifier: library.AtModifier | None) -> str | None:
    if modifier is None:
        return None
    text = str(modifier)
    if not text.endswith(")"):
        at = float(text.removeprefix("@ "))
        if not (math.isfinite(at) and 0 < at < _LATEST):  # the library loses those before 1970
            raise InvalidQuery("`@` takes a time after 1970 and before the year 10000")
    return text
