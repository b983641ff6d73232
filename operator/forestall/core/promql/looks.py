"""How the parts of a query look at series: at the newest sample, over a range, from another time, again and again.

An expression sees a sample for a while: by itself for the lookback, over a range for as long as that is, and functions
such as `rate()` need two. What is scraped more rarely than that is there, and not seen.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from forestall.core.promql import tree as ast
from forestall.core.promql.syntax import VECTOR, reach, render, render_selector

LOOKBACK: Final = 300.0
"""How far back (s) Prometheus looks for the newest sample where nothing is said."""
_NEARLY: Final = 0.8
_AMPLE: Final = 1.1
_LONGEST: Final = timedelta(hours=3)
"""Whoever sees something over a shorter range sees it over a longer one, which costs more."""
_GAUGES: Final = frozenset(
    {"delta", "idelta", "deriv", "predict_linear", "holt_winters", "double_exponential_smoothing"}
)
_COUNTERS: Final = frozenset({"rate", "irate", "increase"})


@dataclass(frozen=True, slots=True)
class Look:
    """One way in which a query looks at the series of a selector."""

    selector: str
    """Without `offset` and `@`."""
    text: str = ""
    """An expression that finds something where the query does; empty: where the selector does."""
    over: float = 0.0
    """Over how many seconds the query has a value at each moment at which it finds nothing; 0: it looks once."""
    apart: float = LOOKBACK
    """How many seconds samples may mostly be apart to be found at each moment."""

    reach: float = 0.0
    """How much of the past (s) `text` looks at."""

    @property
    def is_plain(self) -> bool:
        """Whether it finds what the selector finds."""
        return not self.text and not self.over


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a query an expression stands."""

    function: str = "last_over_time"
    """What is called on a range in this place, or what finds as much."""
    around: tuple[ast.SubqueryExpr, ...] = ()
    """The subqueries that it is in, from the outermost."""
    over: float = 0.0
    """See `Look.over`."""
    inside: tuple[ast.SubqueryExpr, ...] = ()
    """Of `around`, those that are within the part that has a value all the same."""

    def into(self, node: ast.Expr) -> "Place":
        """Return the place of what `node` is made of."""
        match node:
            case ast.Call():
                name = node.func.name
                finder = "rate" if name in _COUNTERS else "delta" if name in _GAUGES else "last_over_time"
                return replace(self, function=finder)
            case ast.SubqueryExpr():
                return replace(self, around=(*self.around, node), inside=(*self.inside, node))
        return self

    def resting(self) -> "Place":
        """Return this place, in an expression that has a value where it finds nothing."""
        over = sum(each.range.total_seconds() for each in self.around)
        return replace(self, over=max(self.over, over), inside=())

    def look(self, node: ast.VectorSelector | ast.MatrixSelector) -> Look:
        """Return how a selector is looked at in this place."""
        series = node if isinstance(node, ast.VectorSelector) else node.vector_selector
        expr: ast.Expr = node
        apart = LOOKBACK * _NEARLY
        if isinstance(node, ast.MatrixSelector):
            expr = _call(self.function, replace(node, range=min(node.range, _LONGEST)))
            apart = _AMPLE * node.range.total_seconds() / (1 if self.function == "last_over_time" else 2)
        for each in reversed(self.around):
            expr = _call("last_over_time", replace(each, expr=expr, range=min(each.range, _LONGEST)))
        is_itself = expr is node and series.offset is None and series.at is None
        if self.inside:  # it is looked for over a range at each moment
            apart += max(each.range.total_seconds() for each in self.inside)
        return Look(
            render_selector(series),
            "" if is_itself else f"group({render(expr)})",
            min(self.over, _LONGEST.total_seconds()),
            apart,
            reach(expr),
        )


def _call(name: str, argument: ast.Expr) -> ast.Call:
    return ast.Call(ast.Function(name, VECTOR), (argument,))
