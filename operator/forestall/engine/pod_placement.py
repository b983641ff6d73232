"""Computes the effect of taking a node out of service on the others, from nodes and pods as the API server returns
them.
"""

import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from forestall.actions.pods import title
from forestall.core.guards import NodeAvailability
from forestall.core.quantity import to_milli
from forestall.core.scheduling import (
    NodeCapacity,
    NodeSelectorRequirement,
    PodRequest,
    Taint,
    Toleration,
    first_unschedulable,
)

Body = Mapping[str, Any]
MOST_HOSTS: Final = 50
"""How many nodes are considered for the pods of one node: if these lack capacity, the pods are not moved."""
_CONTROL_PLANE: Final = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")


def assess(target: str, nodes: Sequence[Body], soon: Collection[str], max_cordoned: int) -> NodeAvailability | None:
    """Return the input of the guards about the node `target`; None where it is not among the nodes.

    `soon` are nodes that remediations under way take out of service; `max_cordoned` is how many may be out of service.
    """
    by_name = {_name(node): node for node in nodes}
    if target not in by_name:
        return None
    other_nodes = {name: node for name, node in by_name.items() if name != target}
    out = sorted(name for name, node in other_nodes.items() if name in soon or not _takes_pods(node))
    taints = _hard_taints(by_name[target])
    return NodeAvailability(
        target=target,
        unavailable=out,
        max_unavailable=max_cordoned,
        equivalent_nodes=sum(name not in out and _hard_taints(node) <= taints for name, node in other_nodes.items()),
        control_plane=_is_control_plane(by_name[target]),
        control_planes_unavailable=[name for name in out if _is_control_plane(by_name[name])],
    )


def hosts_for(target: str, nodes: Sequence[Body], without: Collection[str]) -> list[Body]:
    """Return the nodes that may take the pods of `target`; of many, those with the labels most similar to its own."""
    labels = next(_labels(node) for node in nodes if _name(node) == target).items()
    candidates = [node for node in nodes if _name(node) != target and _name(node) not in without]
    return heapq.nsmallest(MOST_HOSTS, candidates, key=lambda node: (-len(labels & _labels(node).items()), _name(node)))


def without_room(
    moving: Iterable[Body], hosts: Sequence[Body], pods: Mapping[str, Iterable[Body]], waiting: Iterable[Body] = ()
) -> str | None:
    """Return the first of the pods `moving` that does not fit on the `hosts`, whose pods are given by node.

    Terminating pods count until they are gone, and pods `waiting` to be scheduled count as well.
    """
    capacities = [_host(node, pods[_name(node)]) for node in hosts]
    unschedulable = first_unschedulable(
        [_pod_request(pod) for pod in moving], capacities, [_pod_request(pod) for pod in waiting]
    )
    return unschedulable.name if unschedulable else None


def _pod_request(pod: Body) -> PodRequest:
    spec = pod["spec"]
    return PodRequest(title(pod), needs_of(spec), _tolerations(spec), _wishes(spec))


def needs_of(spec: Body) -> dict[str, int]:
    """Return the resource requests of a pod, in thousandths, as the scheduler counts them.

    The sum of containers and sidecars, or the largest request while init containers run where that is more, plus the
    overhead.
    """
    total, sidecars, peak = Counter[str](), Counter[str](), Counter[str]()
    for container in spec.get("containers") or []:
        total.update(_requests(container))
    for container in spec.get("initContainers") or []:
        if container.get("restartPolicy") == "Always":
            sidecars.update(_requests(container))
            peak |= sidecars
        else:
            peak |= sidecars + _requests(container)
    result = (total + sidecars) | peak
    result.update({name: to_milli(amount) for name, amount in (spec.get("overhead") or {}).items()})
    # What the pod as a whole asks for counts instead of what its containers do.
    return {**result, **_requests(spec), "pods": to_milli(1)}


def _requests(holder: Body) -> Counter[str]:
    requests = (holder.get("resources") or {}).get("requests") or {}
    return Counter({name: to_milli(amount) for name, amount in requests.items()})


def _host(node: Body, pods: Iterable[Body]) -> NodeCapacity:
    used = Counter[str]()
    for pod in pods:
        used.update(needs_of(pod["spec"]))
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    free = {name: to_milli(amount) - used[name] for name, amount in allocatable.items()}
    return NodeCapacity(_name(node), free, _labels(node), sorted(_hard_taints(node), key=str))


def _name(node: Body) -> str:
    return str(node["metadata"]["name"])


def _labels(node: Body) -> Mapping[str, str]:
    labels: Mapping[str, str] = node["metadata"].get("labels") or {}
    return labels


def _takes_pods(node: Body) -> bool:
    conditions = (node.get("status") or {}).get("conditions") or []
    ready = any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
    return ready and not (node.get("spec") or {}).get("unschedulable")


def _is_control_plane(node: Body) -> bool:
    return any(label in _labels(node) for label in _CONTROL_PLANE)


def _hard_taints(node: Body) -> frozenset[Taint]:
    taints = (node.get("spec") or {}).get("taints") or []
    hard = (Taint(taint["key"], taint.get("value", ""), taint["effect"]) for taint in taints)
    return frozenset(taint for taint in hard if taint.is_hard)


def _tolerations(spec: Body) -> tuple[Toleration, ...]:
    return tuple(
        Toleration(
            toleration.get("key", ""),
            toleration.get("operator") or "Equal",
            toleration.get("value", ""),
            toleration.get("effect") or "",
        )
        for toleration in spec.get("tolerations") or []
    )


def _wishes(spec: Body) -> tuple[tuple[NodeSelectorRequirement, ...], ...]:
    """Return the pod's requirements of its node: the node selector, and one of the terms of the required affinity."""
    always = tuple(
        NodeSelectorRequirement(key, "In", (value,)) for key, value in (spec.get("nodeSelector") or {}).items()
    )
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    terms = required.get("nodeSelectorTerms") or [{}]
    return tuple((*always, *(_wish(expression) for expression in _expressions(term))) for term in terms)


def _expressions(term: Body) -> list[Body]:
    # Of the node's fields only its name can be asked for: who asks for that wants this node, and fits no other.
    return [*(term.get("matchExpressions") or []), *(term.get("matchFields") or [])]


def _wish(expression: Body) -> NodeSelectorRequirement:
    return NodeSelectorRequirement(expression["key"], expression["operator"], tuple(expression.get("values") or ()))
