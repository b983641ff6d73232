"""Any query for numbers as an instant vector, which has a value whenever the query has an answer."""

from forestall.core.promql import tree as ast
from forestall.core.promql.freshness import asks_for_absence
from forestall.core.promql.syntax import SCALAR, render, value_type


def vector_of(tree: ast.Expr) -> str:
    """Return the text of an instant vector: a scalar becomes a series, and `absent()` 0 where all is there."""
    text = render(tree)
    if value_type(tree) == SCALAR:
        return f"vector({text})"
    return f"sum({text}) or vector(0)" if asks_for_absence(tree) else text
