"""Whose fault it is: an objective that depends on one at risk is a victim, and is not remediated for it."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import TypeVar

Name = TypeVar("Name", bound=str)


def reachable(start: Name, edges: Mapping[Name, AbstractSet[Name]]) -> frozenset[Name]:
    """Return everything that `start` depends on, directly or not, without `start` itself; cycles are allowed."""
    seen: set[Name] = set()
    todo = list(edges.get(start, ()))
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo.extend(edges.get(name, ()))
    return frozenset(seen - {start})


def culprit(victim: Name, edges: Mapping[Name, AbstractSet[Name]], at_risk: AbstractSet[Name]) -> Name | None:
    """Return the objective at risk that `victim` suffers from; None where it must answer for itself.

    Objectives that depend on each other in a circle suffer from none of the circle: each answers for itself. Of
    several, the one that itself suffers from no other is named; of several of those the first by name.
    """
    suspects = sorted(name for name in reachable(victim, edges) & at_risk if victim not in reachable(name, edges))
    roots = [name for name in suspects if not any(other in reachable(name, edges) for other in suspects)]
    return next(iter(roots or suspects), None)
