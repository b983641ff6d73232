"""Reads what the guards need about a workload: whether it is protected, and how many pods may be missing.

These objects are written by others. A field that can't be parsed is unknown, and never allows a pod to be missing.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from forestall.actions.protection import is_protected
from forestall.core.guards import DisruptionBudget, WorkloadPods
from forestall.core.label_selectors import selects
from forestall.core.untrusted import decimal_integer, get_path, integer, mapping, mappings, string, string_map


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload as it was read."""

    protected: bool
    labels: Mapping[str, str]
    """The labels of its pods."""
    pods: WorkloadPods | None
    """Its pods, without PodDisruptionBudgets; None for a kind of unknown rollout, and where its numbers can't be
    parsed.
    """


def workload_of(body: Mapping[str, Any]) -> Workload:
    """Return the workload of an object as the API server returns it."""
    spec, status = mapping(body.get("spec")), mapping(body.get("status"))
    labels = string_map(get_path(spec, "template", "metadata", "labels"))
    return Workload(is_protected(body), labels, _pods(str(body.get("kind")), spec, status, is_seen=_is_seen(body)))


def budgets_of(labels: Mapping[str, str], bodies: Iterable[Mapping[str, Any]]) -> tuple[DisruptionBudget, ...]:
    """Return those of a namespace's PodDisruptionBudgets that select, or may select, pods with these labels.

    A PodDisruptionBudget that its controller has not observed yet allows no disruption.
    """
    return tuple(
        DisruptionBudget(
            str(get_path(body, "metadata", "name")),
            integer(get_path(body, "status", "disruptionsAllowed"), default=0) if selected else None,
            _budget_text(body),
        )
        for body in bodies
        if (selected := selects(get_path(body, "spec", "selector"), labels)) is not False
    )


def _budget_text(budget: Mapping[str, Any]) -> str:
    """Return the disruption controller's message for a PodDisruptionBudget that it can't evaluate, and that therefore
    allows no disruption.
    """
    conditions = mappings(get_path(budget, "status", "conditions"))
    failed = [
        condition
        for condition in conditions
        if (condition.get("type"), condition.get("reason")) == ("DisruptionAllowed", "SyncFailed")
    ]
    return f"its controller can't count the pods: {string(failed[0].get('message'))}" if failed else ""


def _is_seen(body: Mapping[str, Any]) -> bool:
    """Say whether the controller has observed the present generation of the object."""
    newest, observed = (
        integer(get_path(body, "metadata", "generation"), 0),
        integer(get_path(body, "status", "observedGeneration"), 0),
    )
    return newest is not None and observed is not None and observed >= newest


def _pods(kind: str, spec: Mapping[str, Any], status: Mapping[str, Any], *, is_seen: bool) -> WorkloadPods | None:
    """Return the desired, ready and allowed missing number of pods, with the API's own defaults.

    None where that is unknown: for another kind, with numbers that can't be parsed, or before its controller has
    reported ready pods.
    """
    none = 0 if is_seen else None
    replicas, ready = integer(spec.get("replicas"), default=1), integer(status.get("readyReplicas"), default=none)
    rolling, recreated = False, False
    match kind:
        case "Deployment":
            strategy = mapping(spec.get("strategy"))
            recreated = strategy.get("type") == "Recreate"
            max_unavailable, up = _set(get_path(strategy, "rollingUpdate", "maxUnavailable"), "25%"), False
            rolling = not recreated and (not is_seen or _is_rolling(status))
        case "StatefulSet":
            max_unavailable, up = _set(get_path(spec, "updateStrategy", "rollingUpdate", "maxUnavailable"), 1), True
        case "DaemonSet":
            max_unavailable, up = _set(get_path(spec, "updateStrategy", "rollingUpdate", "maxUnavailable"), 1), True
            replicas = integer(status.get("desiredNumberScheduled"), default=none)
            ready = integer(status.get("numberReady"), default=none)
        case _:
            return None
    spare = replicas if recreated else _absolute(max_unavailable, replicas, up=up)
    if replicas is None or ready is None or spare is None:
        return None
    if kind == "StatefulSet":
        return WorkloadPods(replicas, ready, max(1, spare))
    return WorkloadPods(replicas, ready, spare, is_bounded=not recreated, is_rolling=rolling)


def _is_rolling(status: Mapping[str, Any]) -> bool:
    """Say whether a Deployment's rollout is in progress: it is neither complete nor stuck."""
    reasons = [
        condition.get("reason")
        for condition in mappings(status.get("conditions"))
        if condition.get("type") == "Progressing"
    ]
    return any(reason not in ("NewReplicaSetAvailable", "ProgressDeadlineExceeded") for reason in reasons)


def _set(value: Any, unset: int | str) -> Any:
    return unset if value is None else value


def _absolute(number: Any, of: int | None, *, up: bool) -> int | None:
    """Return an `IntOrString` as a number of pods; a percentage is rounded as the controllers round it."""
    if not isinstance(number, str):
        return integer(number)
    percent = decimal_integer(number.removesuffix("%")) if number.endswith("%") else None
    if percent is None or of is None:
        return None
    share = percent * of / 100  # in this order 55 % of 20 are 11, and not a hair more
    return math.ceil(share) if up else math.floor(share)
