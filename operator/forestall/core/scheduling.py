"""Whether the pods of a drained node fit on other nodes, by their requests and the free resources.

First-fit decreasing: the largest pod first, on the first node that accepts it. A placement that it finds is one that
the scheduler could make. It considers requests, taints, node selectors and required node affinity. It ignores pod
affinity, topology spread and volumes.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ResourceAmounts = Mapping[str, int]
"""Amounts by resource name, in milli-units."""


@dataclass(frozen=True, slots=True)
class Taint:
    """A taint of a node."""

    key: str
    value: str
    effect: str

    @property
    def is_hard(self) -> bool:
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

    def tolerates(self, taint: Taint) -> bool:
        """Return whether it tolerates `taint`."""
        if self.effect not in ("", taint.effect):
            return False
        if self.operator == "Exists":
            return self.key in ("", taint.key)
        return (self.key, self.value) == (taint.key, taint.value)


@dataclass(frozen=True, slots=True)
class NodeSelectorRequirement:
    """A requirement on a label of the node, as in a NodeSelectorTerm."""

    key: str
    operator: str
    values: Sequence[str]

    def matches(self, labels: Mapping[str, str]) -> bool:
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
                return value is not None and _matches_number(self.operator, value, self.values)
        return False


@dataclass(frozen=True, slots=True)
class PodRequest:
    """The scheduling requirements of a pod."""

    name: str
    """`namespace/name`."""
    requests: ResourceAmounts
    tolerations: Sequence[Toleration] = ()
    node_selector_terms: Sequence[Sequence[NodeSelectorRequirement]] = ((),)
    """Node selector terms: all requirements of at least one term must hold."""


@dataclass(frozen=True, slots=True)
class NodeCapacity:
    """A schedulable node, with its free resources."""

    name: str
    free: ResourceAmounts
    labels: Mapping[str, str]
    taints: Sequence[Taint] = ()

    def accepts(self, pod: PodRequest) -> bool:
        """Return whether taints and node selectors allow the pod on this node, whatever it requests."""
        tolerated = all(
            any(toleration.tolerates(taint) for toleration in pod.tolerations) for taint in self.taints if taint.is_hard
        )
        return tolerated and any(
            all(requirement.matches(self.labels) for requirement in term) for term in pod.node_selector_terms
        )


def first_unschedulable(
    pods: Sequence[PodRequest], nodes: Sequence[NodeCapacity], pending: Sequence[PodRequest] = ()
) -> PodRequest | None:
    """Return the first pod that fits on no node besides the other pods; None where all fit.

    `pending` pods are placed first. A pending pod that fits nowhere takes no resources.
    """
    total: Counter[str] = Counter()
    for node in nodes:
        total.update(node.free)

    def size(pod: PodRequest) -> float:
        return max((amount / max(1, total[name]) for name, amount in pod.requests.items()), default=0.0)

    def by_size(pods: Sequence[PodRequest]) -> list[PodRequest]:
        return sorted(pods, key=lambda pod: (-size(pod), pod.name))

    free = {node.name: dict(node.free) for node in nodes}
    for pod in by_size(pending):
        _bind(pod, nodes, free)
    return next((pod for pod in by_size(pods) if not _bind(pod, nodes, free)), None)


def _bind(pod: PodRequest, nodes: Sequence[NodeCapacity], free: Mapping[str, dict[str, int]]) -> bool:
    """Subtract the requests of a pod from the first node that it fits on; return whether there is one."""
    node_free = next((free[node.name] for node in nodes if node.accepts(pod) and _fits(pod, free[node.name])), None)
    if node_free is None:
        return False
    for name, amount in pod.requests.items():
        node_free[name] = node_free.get(name, 0) - amount
    return True


def _fits(pod: PodRequest, free: ResourceAmounts) -> bool:
    return all(amount <= free.get(name, 0) for name, amount in pod.requests.items() if amount > 0)


def _matches_number(operator: str, value: str, values: Sequence[str]) -> bool:
    try:
        number, bound = int(value), int(values[0])
    except (ValueError, IndexError):
        return False
    return number > bound if operator == "Gt" else number < bound
