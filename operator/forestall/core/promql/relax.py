"""The series selectors of a query, each without one of its matchers: for finding out which of them finds nothing."""

from dataclasses import dataclass

from forestall.core.promql import tree as ast
from forestall.core.promql.syntax import metric_name, query_tree, render_selector, selectors, write_label


@dataclass(frozen=True, slots=True)
class Narrowed:
    """A selector that is asked for, as far as its single matchers matter."""

    name: str
    """The metric's name; empty where it is not one."""
    text: str
    """The selector, without time."""
    matchers: tuple[tuple[str, str], ...]
    """Label and value of each matcher but the name's."""
    relaxed: tuple[str, ...]
    """By the place of the matcher: the selector without it; empty where nothing would be left."""
    alone: str
    """The metric without matchers; empty where it has no name."""


def narrowed(query: str) -> tuple[Narrowed, ...]:
    """Return the different selectors of a query.

    Raises:
        InvalidQuery: it is not a query for numbers.
    """
    return tuple(dict.fromkeys(_narrowed(each) for each in selectors(query_tree(query))))


def _narrowed(node: ast.VectorSelector) -> Narrowed:
    name = metric_name(node) or ""
    own = tuple(each for each in node.matchers.matchers if each.name != "__name__")
    named = tuple(each for each in node.matchers.matchers if each.name == "__name__")

    def text(matchers: tuple[ast.Matcher, ...]) -> str:
        if not matchers and not named and node.name is None:
            return ""
        return render_selector(ast.VectorSelector(node.name, ast.Matchers((*named, *matchers))))

    return Narrowed(
        name=name,
        text=text(own),
        matchers=tuple((each.name, each.value) for each in own),
        relaxed=tuple(text((*own[:place], *own[place + 1 :])) for place in range(len(own))),
        alone=text(()) if name else "",
    )


def values_of(label: str, selector: str, most: int) -> str:
    """Return the query for the most frequent values of a label among the series of a selector."""
    return f"topk({most}, count by ({write_label(label)}) ({selector}))"
