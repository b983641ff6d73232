"""Whether pods that have to move find room on other nodes, by what they request and what is free.

A bin check, and a careful one: what it places, a scheduler could place just so, one pod after the other. It places
the largest pod first, on the first node that takes it (first-fit decreasing). Requests, taints, node selectors and
required node affinity count. What pods want of each other (affinity, spread) and where their volumes are does not.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Amounts = Mapping[str, int]
"""By name of the resource, in thousandths of its unit."""


@dataclass(frozen=True, slots=True)
class Taint:
    """What keeps pods away from a node."""

    key: str
    value: str
    effect: str

    @property
    def hard(self) -> bool:
        """Whether pods that do not tolerate it can't run there."""
        return self.effect in ("NoSchedule", "NoExecute")


@dataclass(frozen=True, slots=True)
class Toleration:
    """Which taints a pod puts up with."""

    key: str
    """Empty: any."""
    operator: str
    """Equal or Exists."""
    value: str
    effect: str
    """Empty: any."""

    def covers(self, taint: Taint) -> bool:
        """Say whether it tolerates `taint`."""
        if self.effect not in ("", taint.effect):
            return False
        if self.operator == "Exists":
            return self.key in ("", taint.key)
        return (self.key, self.value) == (taint.key, taint.value)


@dataclass(frozen=True, slots=True)
class Wish:
    """One requirement of a label of the node."""

    key: str
    operator: str
    values: Sequence[str]

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Say whether a node with these labels meets it; an operator that is not known is met by none."""
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value in self.values
            case "NotIn":
                return value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
            case "Gt" | "Lt":
                return value is not None and _compares(self.operator, value, self.values)
        return False


@dataclass(frozen=True, slots=True)
class Lodger:
    """A pod that needs a place."""

    name: str
    """With its namespace."""
    needs: Amounts
    tolerations: Sequence[Toleration] = ()
    wishes: Sequence[Sequence[Wish]] = ((),)
    """One of these groups must hold, as a whole."""


@dataclass(frozen=True, slots=True)
class Host:
    """A node that takes pods."""

    name: str
    free: Amounts
    labels: Mapping[str, str]
    taints: Sequence[Taint] = ()

    def suits(self, lodger: Lodger) -> bool:
        """Say whether the pod may run here, if there is room."""
        tolerated = all(any(each.covers(taint) for each in lodger.tolerations) for taint in self.taints if taint.hard)
        return tolerated and any(all(wish.holds(self.labels) for wish in group) for group in lodger.wishes)


def homeless(lodgers: Sequence[Lodger], hosts: Sequence[Host], waiting: Sequence[Lodger] = ()) -> Lodger | None:
    """Return the first pod that finds no place among the others; None when every one does.

    Those that are `waiting` for a node already are placed before. One of them that fits nowhere takes no room either.
    """
    total: Counter[str] = Counter()
    for host in hosts:
        total.update(host.free)

    def size(lodger: Lodger) -> float:
        return max((need / max(1, total[name]) for name, need in lodger.needs.items()), default=0.0)

    def by_size(pods: Sequence[Lodger]) -> list[Lodger]:
        return sorted(pods, key=lambda each: (-size(each), each.name))

    free = {host.name: dict(host.free) for host in hosts}
    for lodger in by_size(waiting):
        _place(lodger, hosts, free)
    return next((lodger for lodger in by_size(lodgers) if not _place(lodger, hosts, free)), None)


def _place(lodger: Lodger, hosts: Sequence[Host], free: Mapping[str, dict[str, int]]) -> bool:
    """Take the room for a pod on the first node that has it; say whether there is one."""
    place = next((free[host.name] for host in hosts if host.suits(lodger) and _fits(lodger, free[host.name])), None)
    if place is None:
        return False
    for name, need in lodger.needs.items():
        place[name] = place.get(name, 0) - need
    return True


def _fits(lodger: Lodger, free: Amounts) -> bool:
    return all(need <= free.get(name, 0) for name, need in lodger.needs.items() if need > 0)


def _compares(operator: str, value: str, values: Sequence[str]) -> bool:
    try:
        found, bound = int(value), int(values[0])
    except (ValueError, IndexError):
        return False
    return found > bound if operator == "Gt" else found < bound
