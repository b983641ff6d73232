"""Whose fault it is: an objective that depends on one at risk is a victim, and is not remediated for it.

Who writes objectives writes the graph: it may be large, dense and all circles. So the answer for all of them takes one
walk over it.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=str)


@dataclass(frozen=True, slots=True)
class _Below(Generic[Name]):
    """Who is at risk in a circle, or among what it depends on."""

    root: Name | None = None
    """The first by name that itself suffers from no other."""
    first: Name | None = None
    """The first by name."""


def culprits(edges: Mapping[Name, Collection[Name]], at_risk: Collection[Name]) -> dict[Name, Name]:
    """Return the objectives at risk that others suffer from, by victim; who answers for itself is left out.

    `edges` are what each one depends on. Objectives that depend on each other in a circle suffer from none of the
    circle: each answers for itself. Of several, the one that itself suffers from no other is named; of several of those
    the first by name.
    """
    circle_of: dict[Name, int] = {}
    known: list[_Below[Name]] = []
    result: dict[Name, Name] = {}
    for number, circle in enumerate(circles(edges)):
        circle_of |= dict.fromkeys(circle, number)
        others = {circle_of[name] for member in circle for name in edges.get(member, ())} - {number}
        below = _together(known[other] for other in others)
        if (found := below.root or below.first) is not None:
            result |= dict.fromkeys(circle, found)
        risky = sorted(name for name in circle if name in at_risk)
        alone = risky[0] if len(risky) == 1 and below.first is None else None
        known.append(_together([below, _Below(alone, risky[0] if risky else None)]))
    return result


def _together(parts: Iterable[_Below[Name]]) -> _Below[Name]:
    known = list(parts)
    roots = [each.root for each in known if each.root is not None]
    firsts = [each.first for each in known if each.first is not None]
    return _Below(min(roots, default=None), min(firsts, default=None))


def circles(edges: Mapping[Name, Collection[Name]]) -> list[list[Name]]:
    """Return the names by those that depend on each other, each such circle after all that it depends on.

    Tarjan's walk, without recursion: a chain may be longer than the stack is deep.
    """
    order: dict[Name, int] = {}
    low: dict[Name, int] = {}
    stack: list[Name] = []
    waiting: set[Name] = set()
    result: list[list[Name]] = []
    for start in edges:
        todo = [(start, iter(edges.get(start, ())))] if start not in order else []
        while todo:
            name, rest = todo[-1]
            if name not in order:
                order[name] = low[name] = len(order)
                stack.append(name)
                waiting.add(name)
            for other in rest:
                if other not in order:
                    todo.append((other, iter(edges.get(other, ()))))
                    break
                if other in waiting:
                    low[name] = min(low[name], order[other])
            else:
                todo.pop()
                if todo:
                    parent = todo[-1][0]
                    low[parent] = min(low[parent], low[name])
                if low[name] == order[name]:
                    result.append(_down_to(name, stack))
                    waiting.difference_update(result[-1])
    return result


def _down_to(name: Name, stack: list[Name]) -> list[Name]:
    """Take what is on the stack down to `name`."""
    taken = [stack.pop()]
    while taken[-1] != name:
        taken.append(stack.pop())
    return taken
