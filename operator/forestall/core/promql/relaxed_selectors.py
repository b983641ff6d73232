"""The series selectors of a query, each without one of its matchers, to find out which matcher matches nothing."""

from dataclasses import dataclass

from forestall.core.promql import syntax_tree as ast
from forestall.core.promql.syntax import metric_name, query_tree, render_selector, selectors, write_label


@dataclass(frozen=True, slots=True)
class RelaxableSelector:
    """A selector of a query, and its variants with fewer matchers."""

    name: str
    """The name of the metric; empty where it has none."""
    text: str
    """The selector, without `offset` and `@`."""
    matchers: tuple[tuple[str, str], ...]
    """Label and value of each matcher, except that of the name."""
    relaxed: tuple[str, ...]
    """For each matcher the selector without it; empty where nothing would be left."""
    name_only: str
    """The selector with the name only; empty where it has none."""


def relaxable_selectors(query: str) -> tuple[RelaxableSelector, ...]:
    """Return the distinct selectors of a query.

    Raises:
        InvalidQuery: it is not a query for numbers.
    """
    return tuple(dict.fromkeys(_relaxable_selector(node) for node in selectors(query_tree(query))))


def _relaxable_selector(node: ast.VectorSelector) -> RelaxableSelector:
    name = metric_name(node) or ""
    label_matchers = tuple(matcher for matcher in node.matchers.matchers if matcher.name != "__name__")
    name_matchers = tuple(matcher for matcher in node.matchers.matchers if matcher.name == "__name__")

    def text(matchers: tuple[ast.Matcher, ...]) -> str:
        if not matchers and not name_matchers and node.name is None:
            return ""
        return render_selector(ast.VectorSelector(node.name, ast.Matchers((*name_matchers, *matchers))))

    return RelaxableSelector(
        name=name,
        text=text(label_matchers),
        matchers=tuple((matcher.name, matcher.value) for matcher in label_matchers),
        relaxed=tuple(
            text((*label_matchers[:index], *label_matchers[index + 1 :])) for index in range(len(label_matchers))
        ),
        name_only=text(()) if name else "",
    )


def values_of(label: str, selector: str, limit: int) -> str:
    """Return the query for the most frequent values of a label among the series of a selector."""
    return f"topk({limit}, count by ({write_label(label)}) ({selector}))"
