"""What the form of a query says of its values: whether they are a total of all replicas, and which labels they have."""

from typing import Final

from forestall.core.promql import syntax_tree as ast
from forestall.core.promql.syntax import SCALAR, metric_name, query_tree, selectors, value_type

_PER_REPLICA: Final = frozenset(
    {"pod", "instance", "node", "container", "pod_name", "replica", "host", "kubernetes_pod"}
)
"""Labels with about as many values as the workload has replicas."""
_ADDING: Final = frozenset({"sum", "count"})
_CHOOSING: Final = frozenset({"max", "min", "avg", "quantile", "topk", "bottomk", "limitk", "group"})
_PASSING: Final = frozenset(
    {"abs", "ceil", "floor", "round", "clamp", "clamp_max", "clamp_min", "scalar", "vector", "sort", "sort_desc"}
) | {"label_replace", "label_join"}
"""Functions whose result is a total if their argument is."""
_KEEPING_NAMES: Final = frozenset({"last_over_time", "first_over_time", "label_replace", "label_join", "info"}) | {
    "sort",
    "sort_desc",
    "sort_by_label",
    "sort_by_label_desc",
}
"""Functions whose series keep the name of the metric."""
_COMPARING: Final = frozenset({">", "<", ">=", "<=", "==", "!="})
_OVER_TIME: Final = ("_over_time", "predict_linear", "holt_winters", "double_exponential_smoothing")
_RATES: Final = frozenset({"rate", "irate", "increase"})


def is_total(query: str) -> bool:
    """Return whether the query is a total over all replicas, so that its value does not fall as replicas are added.

    A sum or a count is a total, also multiplied or divided by a number; a quotient of two queries, an average, or a
    maximum over replicas is a level. In doubt it is no total.

    Raises:
        InvalidQuery: it is not a query for numbers.
    """
    return _is_total(query_tree(query))


def result_labels(query: str) -> frozenset[str] | None:
    """Return the labels that the series of a query can have; None where its form does not say.

    Raises:
        InvalidQuery: it is not a query for numbers.
    """
    return _labels(query_tree(query))


def has_many_names(node: ast.Expr) -> bool:
    """Return whether the series of an expression may be of several metrics, which only the name distinguishes."""
    match node:
        case ast.VectorSelector():
            return metric_name(node) is None
        case ast.MatrixSelector():
            return has_many_names(node.vector_selector)
        case ast.ParenExpr() | ast.SubqueryExpr():
            return has_many_names(node.expr)
        case ast.AggregateExpr():
            by_name = node.modifier is not None and node.modifier.word == "by" and "__name__" in node.modifier.labels
            return (by_name or node.op in ("topk", "bottomk", "limitk", "limit_ratio")) and has_many_names(node.expr)
        case ast.Call() if node.func.name in _KEEPING_NAMES:
            return any(has_many_names(argument) for argument in node.args)
        case ast.BinaryExpr(op="or"):
            return has_many_names(node.lhs) or has_many_names(node.rhs)
        case ast.BinaryExpr() if node.op in ("and", "unless") or _is_filter(node):
            return has_many_names(node.rhs if value_type(node.lhs) == SCALAR else node.lhs)
    return False


def _is_filter(node: ast.BinaryExpr) -> bool:
    return node.op in _COMPARING and not (node.modifier is not None and node.modifier.return_bool)


def _is_total(node: ast.Expr) -> bool:
    match node:
        case ast.ParenExpr() | ast.UnaryExpr() | ast.SubqueryExpr():
            return _is_total(node.expr)
        case ast.AggregateExpr():
            return _adds_up(node)
        case ast.Call():
            return _called(node)
        case ast.BinaryExpr():
            return _combined(node)
    return False


def _adds_up(node: ast.AggregateExpr) -> bool:
    grouping = node.modifier
    if grouping is not None and grouping.word == "by" and _PER_REPLICA.intersection(grouping.labels):
        return False
    return node.op in _ADDING or (node.op in _CHOOSING and _is_total(node.expr))


def _called(node: ast.Call) -> bool:
    name = node.func.name
    inner = [argument for argument in node.args if value_type(argument) != SCALAR]
    if name in _RATES:
        return False  # of each series by itself
    if name in _PASSING or name.endswith(_OVER_TIME):
        return any(_is_total(argument) for argument in inner)
    return False


def _combined(node: ast.BinaryExpr) -> bool:
    match node.op:
        case "/":
            return value_type(node.rhs) == SCALAR and _is_total(node.lhs)
        case "*":
            return (_is_total(node.lhs) and _is_factor(node.rhs)) or (_is_factor(node.lhs) and _is_total(node.rhs))
        case "+" | "or":
            return _is_total(node.lhs) or _is_total(node.rhs)
        case "-" | "and" | "unless" | ">" | "<" | ">=" | "<=" | "==" | "!=":
            return _is_total(node.lhs)
    return False


def _is_factor(node: ast.Expr) -> bool:
    return value_type(node) == SCALAR and next(selectors(node), None) is None


def _labels(node: ast.Expr) -> frozenset[str] | None:
    match node:
        case ast.ParenExpr() | ast.UnaryExpr() | ast.SubqueryExpr():
            return _labels(node.expr)
        case ast.AggregateExpr() if node.op not in ("topk", "bottomk", "limitk", "limit_ratio", "count_values"):
            return _grouped(node)
        case ast.AggregateExpr():
            return _labels(node.expr) if node.op != "count_values" else None
        case ast.Call() if node.func.name not in ("label_replace", "label_join", "info", "absent", "absent_over_time"):
            inner = [_labels(argument) for argument in node.args if value_type(argument) != SCALAR]
            return inner[0] if len(inner) == 1 else frozenset() if node.func.name == "vector" else None
        case ast.BinaryExpr() if node.op != "or":
            return _matched(node)
    return frozenset() if value_type(node) == SCALAR else None


def _grouped(node: ast.AggregateExpr) -> frozenset[str] | None:
    if node.modifier is None:
        return frozenset()
    inner = _labels(node.expr)
    if node.modifier.word == "by":
        names = frozenset(node.modifier.labels)
        return names if inner is None else names & inner
    return None if inner is None else inner - frozenset(node.modifier.labels)


def _matched(node: ast.BinaryExpr) -> frozenset[str] | None:
    if value_type(node.lhs) == SCALAR:
        return _labels(node.rhs)
    if value_type(node.rhs) == SCALAR:
        return _labels(node.lhs)
    modifier = node.modifier
    if modifier is None or modifier.matching is None:
        return _labels(node.lhs)
    if modifier.group is None and modifier.matching.word == "on" and node.op not in ("and", "unless"):
        return frozenset(modifier.matching.labels)
    if modifier.group is not None:
        return None
    return _labels(node.lhs)
