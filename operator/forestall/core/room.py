"""Whether the pods of a drained node fit on other nodes, by their requests and the free resources.

First-fit decreasing: the largest pod first, on the first node that accepts it. A placement that it finds is one that
the scheduler could make. It considers requests, taints, node selectors and required node affinity. It ignores pod
affinity, topology spread and volumes.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Amounts = Mapping[str, int]
"""Amounts by resource name, in milli-units."""


@dataclass(frozen=True, slots=True)
class Taint:
    """A taint of a node."""

    key: str
    value: str
    effect: str

    @property
    def hard(self) -> bool:
        """Whether it excludes pods that do not tolerate it."""
        return self.effect in ("NoSchedule", "NoExecute")


@dataclass(frozen=True, slots=True)
class Toleration:
    """A toleration of a pod."""

    key: str
    """Empty: any."""
    operator: str
    """Equal or Exists."""
    value: str
    effect: str
    """Empty: any."""

    def covers(self, taint: Taint) -> bool:
        """Return whether it tolerates `taint`."""
        if self.effect not in ("", taint.effect):
            return False
        if self.operator == "Exists":
            return self.key in ("", taint.key)
        return (self.key, self.value) == (taint.key, taint.value)


@dataclass(frozen=True, slots=True)
class Wish:
    """A requirement on a label of the node, as in a NodeSelectorTerm."""

    key: str
    operator: str
    values: Sequence[str]

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Return whether a node with these labels meets it; no node meets an unknown operator."""
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
    """The scheduling requirements of a pod."""

    name: str
    """`namespace/name`."""
    needs: Amounts
    tolerations: Sequence[Toleration] = ()
    wishes: Sequence[Sequence[Wish]] = ((),)
    """Node selector terms: all requirements of at least one term must hold."""


@dataclass(frozen=True, slots=True)
class Host:
    """A schedulable node, with its free resources."""

    name: str
    free: Amounts
    labels: Mapping[str, str]
    taints: Sequence[Taint] = ()

    def suits(self, lodger: Lodger) -> bool:
        """Return whether taints and node selectors allow the pod on this node, whatever it requests."""
        tolerated = all(
            any(toleration.covers(taint) for toleration in lodger.tolerations) for taint in self.taints if taint.hard
        )
        return tolerated and any(all(wish.holds(self.labels) for wish in group) for group in lodger.wishes)


def homeless(lodgers: Sequence[Lodger], hosts: Sequence[Host], waiting: Sequence[Lodger] = ()) -> Lodger | None:
    """Return the first pod that fits on no node besides the other pods; None where all fit.

    Pending pods (`waiting`) are placed first. A pending pod that fits nowhere takes no resources.
    """
    total: Counter[str] = Counter()
    for host in hosts:
        total.update(host.free)

    def size(lodger: Lodger) -> float:
        return max((need / max(1, total[name]) for name, need in lodger.needs.items()), default=0.0)

    def by_size(pods: Sequence[Lodger]) -> list[Lodger]:
        return sorted(pods, key=lambda pod: (-size(pod), pod.name))

    free = {host.name: dict(host.free) for host in hosts}
    for lodger in by_size(waiting):
        _bind(lodger, hosts, free)
    return next((lodger for lodger in by_size(lodgers) if not _bind(lodger, hosts, free)), None)


def _bind(lodger: Lodger, hosts: Sequence[Host], free: Mapping[str, dict[str, int]]) -> bool:
    """Subtract the requests of a pod from the first node that it fits on; return whether there is one."""
    node_free = next((free[host.name] for host in hosts if host.suits(lodger) and _fits(lodger, free[host.name])), None)
    if node_free is None:
        return False
    for name, need in lodger.needs.items():
        node_free[name] = node_free.get(name, 0) - need
    return True


def _fits(lodger: Lodger, free: Amounts) -> bool:
    return all(need <= free.get(name, 0) for name, need in lodger.needs.items() if need > 0)


def _compares(operator: str, value: str, values: Sequence[str]) -> bool:
    try:
        number, bound = int(value), int(values[0])
    except (ValueError, IndexError):
        return False
    return number > bound if operator == "Gt" else number < bound
