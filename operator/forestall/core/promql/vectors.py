"""Convert any query for numbers into an instant vector, which has a value whenever the query has one."""

from forestall.core.promql import syntax_tree as ast
from forestall.core.promql.freshness import is_absence_test
from forestall.core.promql.syntax import SCALAR, render, value_type


def to_instant_vector(tree: ast.Expr) -> str:
    """Return the text of an instant vector: a scalar becomes a series, and `absent()` is 0 where the series exist."""
    text = render(tree)
    if value_type(tree) == SCALAR:
        return f"vector({text})"
    return f"sum({text}) or vector(0)" if is_absence_test(tree) else text
