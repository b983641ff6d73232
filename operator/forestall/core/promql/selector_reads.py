"""How a query reads series: the newest sample, a range, at another time, in subqueries.

A sample is visible to an expression for a limited time: for the lookback in an instant selector, for the range in a
range selector, and functions such as `rate()` need two samples. Series that are scraped more rarely exist, but the
query misses them.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from forestall.core.promql import syntax_tree as ast
from forestall.core.promql.syntax import VECTOR, reach, render, render_selector

LOOKBACK: Final = 300.0
"""The default lookback of Prometheus (s)."""
_NEARLY: Final = 0.8
_AMPLE: Final = 1.1
_LONGEST: Final = timedelta(hours=3)
"""The longest range in evidence queries: a longer one shows no more, and costs more."""
_GAUGES: Final = frozenset(
    {"delta", "idelta", "deriv", "predict_linear", "holt_winters", "double_exponential_smoothing"}
)
_COUNTERS: Final = frozenset({"rate", "irate", "increase"})


@dataclass(frozen=True, slots=True)
class SelectorRead:
    """How a query reads the series of one selector."""

    selector: str
    """Without `offset` and `@`."""
    text: str = ""
    """An expression that has a result where the query has data of the selector; empty: the selector itself."""
    subquery_span: float = 0.0
    """The span (s) of enclosing subqueries that have a value without data of the selector; 0: none."""
    max_interval: float = LOOKBACK
    """The longest usual interval of samples (s) at which the read always has data."""

    reach: float = 0.0
    """How much of the past (s) `text` reads."""

    @property
    def is_plain(self) -> bool:
        """Whether it has data where the selector has."""
        return not self.text and not self.subquery_span


@dataclass(frozen=True, slots=True)
class ReadContext:
    """The position of an expression in a query."""

    function: str = "last_over_time"
    """The function on a range selector, or one that needs as many samples."""
    subqueries: tuple[ast.SubqueryExpr, ...] = ()
    """The enclosing subqueries, from the outermost."""
    subquery_span: float = 0.0
    """See `SelectorRead.subquery_span`."""
    inner_subqueries: tuple[ast.SubqueryExpr, ...] = ()
    """Those of `subqueries` within the part of the query that has a value without data."""

    def for_children(self, node: ast.Expr) -> "ReadContext":
        """Return the context of the children of `node`."""
        match node:
            case ast.Call():
                name = node.func.name
                finder = "rate" if name in _COUNTERS else "delta" if name in _GAUGES else "last_over_time"
                return replace(self, function=finder)
            case ast.SubqueryExpr():
                return replace(
                    self, subqueries=(*self.subqueries, node), inner_subqueries=(*self.inner_subqueries, node)
                )
        return self

    def as_optional(self) -> "ReadContext":
        """Return this place within an expression that has a value without data."""
        over = sum(subquery.range.total_seconds() for subquery in self.subqueries)
        return replace(self, subquery_span=max(self.subquery_span, over), inner_subqueries=())

    def read_of(self, node: ast.VectorSelector | ast.MatrixSelector) -> SelectorRead:
        """Return how a selector is read at this place."""
        series = node if isinstance(node, ast.VectorSelector) else node.vector_selector
        expr: ast.Expr = node
        max_interval = LOOKBACK * _NEARLY
        if isinstance(node, ast.MatrixSelector):
            expr = _call(self.function, replace(node, range=min(node.range, _LONGEST)))
            max_interval = _AMPLE * node.range.total_seconds() / (1 if self.function == "last_over_time" else 2)
        for subquery in reversed(self.subqueries):
            expr = _call("last_over_time", replace(subquery, expr=expr, range=min(subquery.range, _LONGEST)))
        is_itself = expr is node and series.offset is None and series.at is None
        if self.inner_subqueries:  # each evaluation reads a range
            max_interval += max(subquery.range.total_seconds() for subquery in self.inner_subqueries)
        return SelectorRead(
            render_selector(series),
            "" if is_itself else f"group({render(expr)})",
            min(self.subquery_span, _LONGEST.total_seconds()),
            max_interval,
            reach(expr),
        )


def _call(name: str, argument: ast.Expr) -> ast.Call:
    return ast.Call(ast.Function(name, VECTOR), (argument,))
