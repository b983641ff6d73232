"""Leave stale series out of a query: those whose own newest sample is old, as that of a pod that is gone.

A source marks the end of a series where a scrape no longer finds it, but not where the samples carry timestamps of
their own, as the kubelet's do: then the last value is found for the whole lookback, beside those that live.
"""

from dataclasses import replace
from typing import Final

from forestall.core.promql import syntax_tree as ast
from forestall.core.promql.syntax import SCALAR, VECTOR, metric_name

_PER_SAMPLE: Final = frozenset(
    {
        *("abs", "ceil", "clamp", "clamp_max", "clamp_min", "exp", "floor", "ln", "log10", "log2", "round", "sgn"),
        *("sqrt", "label_replace", "label_join", "sort", "sort_desc"),
    }
)
"""Functions whose result for a series depends on that series alone, and on no other time."""


def without_stale(node: ast.Expr, seconds: float) -> ast.Expr:
    """Return the expression, which ignores series without a sample in the last `seconds`.

    Parts that read ranges or other times stay as they are, and so do those that have a value where a series is absent
    (`or`, `unless`, `absent()`, `fill`): which of them a missing series changes, it alone shall tell.
    """
    match node:
        case ast.VectorSelector(offset=None, at=None) if metric_name(node) is not None:
            return _fresh(node, seconds)
        case ast.ParenExpr() | ast.UnaryExpr() | ast.AggregateExpr():
            return replace(node, expr=without_stale(node.expr, seconds))
        case ast.BinaryExpr() if node.op not in ("or", "unless") and not (node.modifier and node.modifier.fill):
            return replace(node, lhs=without_stale(node.lhs, seconds), rhs=without_stale(node.rhs, seconds))
        case ast.Call() if node.func.name in _PER_SAMPLE:
            return replace(node, args=tuple(without_stale(argument, seconds) for argument in node.args))
    return node


def _fresh(node: ast.VectorSelector, seconds: float) -> ast.Expr:
    """Return the series of a selector whose newest sample is no older than `seconds`."""
    sampled_at = ast.Call(ast.Function("timestamp", VECTOR), (node,))
    oldest = ast.BinaryExpr("-", ast.Call(ast.Function("time", SCALAR), ()), ast.NumberLiteral(seconds))
    return ast.ParenExpr(ast.BinaryExpr("and", node, ast.ParenExpr(ast.BinaryExpr(">=", sampled_at, oldest))))
