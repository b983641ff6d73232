"""Dependencies between objectives: one that depends on another at risk is a victim, and is not remediated.

Tenants write the graph, so it may be large, dense and full of cycles. One walk over it answers for all objectives.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=str)


@dataclass(frozen=True, slots=True)
class _Culprits(Generic[Name]):
    """The objectives at risk in a cycle, or among its dependencies."""

    root: Name | None = None
    """The first by name that is no victim itself."""
    first: Name | None = None
    """The first by name."""


def culprits(edges: Mapping[Name, Collection[Name]], at_risk: Collection[Name]) -> dict[Name, Name]:
    """Return the culprit of each victim: the objective at risk that it depends on. Objectives that are no victims are
    left out.

    `edges` has the dependencies of each objective. Objectives that depend on each other in a cycle are no victims of
    one another. Of several culprits, one that is no victim itself is returned; of several of those the first by name.
    """
    cycle_of: dict[Name, int] = {}
    culprits_by_cycle: list[_Culprits[Name]] = []
    result: dict[Name, Name] = {}
    for number, cycle in enumerate(cycles(edges)):
        cycle_of |= dict.fromkeys(cycle, number)
        dependencies = {cycle_of[name] for member in cycle for name in edges.get(member, ())} - {number}
        candidates = _merge(culprits_by_cycle[dependency] for dependency in dependencies)
        if (culprit := candidates.root or candidates.first) is not None:
            result |= dict.fromkeys(cycle, culprit)
        at_risk_here = sorted(name for name in cycle if name in at_risk)
        root = at_risk_here[0] if len(at_risk_here) == 1 and candidates.first is None else None
        culprits_by_cycle.append(_merge([candidates, _Culprits(root, at_risk_here[0] if at_risk_here else None)]))
    return result


def _merge(candidates: Iterable[_Culprits[Name]]) -> _Culprits[Name]:
    merged = list(candidates)
    roots = [candidate.root for candidate in merged if candidate.root is not None]
    firsts = [candidate.first for candidate in merged if candidate.first is not None]
    return _Culprits(min(roots, default=None), min(firsts, default=None))


def cycles(edges: Mapping[Name, Collection[Name]]) -> list[list[Name]]:
    """Return the strongly connected components of the graph, each after all that it depends on.

    Tarjan's algorithm, without recursion: a chain of dependencies may be longer than the stack is deep.
    """
    order: dict[Name, int] = {}
    low: dict[Name, int] = {}
    stack: list[Name] = []
    on_stack: set[Name] = set()
    result: list[list[Name]] = []
    for start in edges:
        path = [(start, iter(edges.get(start, ())))] if start not in order else []
        while path:
            name, dependencies = path[-1]
            if name not in order:
                order[name] = low[name] = len(order)
                stack.append(name)
                on_stack.add(name)
            for dependency in dependencies:
                if dependency not in order:
                    path.append((dependency, iter(edges.get(dependency, ()))))
                    break
                if dependency in on_stack:
                    low[name] = min(low[name], order[dependency])
            else:
                path.pop()
                if path:
                    parent = path[-1][0]
                    low[parent] = min(low[parent], low[name])
                if low[name] == order[name]:
                    result.append(_pop_until(name, stack))
                    on_stack.difference_update(result[-1])
    return result


def _pop_until(name: Name, stack: list[Name]) -> list[Name]:
    """Pop the stack down to `name`, and return what was popped."""
    popped = [stack.pop()]
    while popped[-1] != name:
        popped.append(stack.pop())
    return popped
