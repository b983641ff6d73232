"""Restrict a query to the series of one tenant, by a label."""

import re
from typing import Final

from forestall.core.promql import syntax_tree as ast
from forestall.core.promql.literals import quote
from forestall.core.promql.syntax import children, parse, render, selectors, write_label
from forestall.errors import InvalidQuery

_WRITTEN: Final = re.compile(r'"(?:[^"\\\x00-\x1f\x7f]|\\["\\ntr]|\\x[0-9a-f]{2})*+"')


def enforce_label(expr: str, label: str, value: str) -> str:
    """Return `expr` with the matcher `label="value"` on every series selector.

    Matchers of the author on the same label are kept: a selector for another value matches nothing.

    Raises:
        InvalidQuery: `expr` is not PromQL, or reads series that take no matcher.
        ValueError: `value` is empty, which would match series without the label.
    """
    if not value:
        raise ValueError(f"no value to enforce for the label {label}")
    tree = parse(expr)
    _refuse_hidden_reads(tree)
    matcher = f"{write_label(label)}={quote(value)}"
    text = render(tree, matcher)
    _verify(text, label, value)
    return text


def _refuse_hidden_reads(node: ast.Expr) -> None:
    if isinstance(node, ast.Call) and node.func.name == "info":
        raise InvalidQuery(
            "info() reads series that are not named in the query, which this source does not allow: "
            "join with `* on (...) group_left (...)` instead"
        )
    for child in children(node):
        _refuse_hidden_reads(child)


def _verify(text: str, label: str, value: str) -> None:
    """Parse the result, and check that every selector has the matcher.

    String literals must be of the simple kind that all PromQL parsers read alike, so that no parser sees the end of a
    string elsewhere.
    """
    if re.search("[\"'`#]", _WRITTEN.sub("", text)):
        raise InvalidQuery(f"the label {label} cannot be enforced on this query")
    for series_selector in selectors(parse(text)):
        matchers = series_selector.matchers.matchers
        if not any(m.op == ast.MatchOp.Equal and m.name == label and m.value == value for m in matchers):
            raise InvalidQuery(f"the label {label} cannot be enforced on this query")
