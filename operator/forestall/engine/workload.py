"""What the guards need to know of a workload: may it be touched, and can it spare a pod?"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from forestall.actions.protection import is_protected
from forestall.api.meta import LabelSelector
from forestall.core.guards import Budget, Pods


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload as it was read."""

    protected: bool
    labels: Mapping[str, str]
    """Of its pods."""
    pods: Pods | None
    """Without budgets; None for a kind whose rollouts are not known."""


def workload_of(body: Mapping[str, Any]) -> Workload:
    """Return what the guards need of an object as the API server gives it."""
    spec, status = body.get("spec") or {}, body.get("status") or {}
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    return Workload(is_protected(body), labels, _pods(str(body.get("kind")), spec, status, seen=_is_seen(body)))


def budgets_of(labels: Mapping[str, str], bodies: Iterable[Mapping[str, Any]]) -> tuple[Budget, ...]:
    """Return the PodDisruptionBudgets, of those of a namespace, that are about pods with these labels.

    One whose controller has not looked at it yet allows nothing.
    """
    return tuple(
        Budget(str(body["metadata"]["name"]), int((body.get("status") or {}).get("disruptionsAllowed", 0)))
        for body in bodies
        # A budget without a selector is about no pod, one with an empty selector about all.
        if (selector := (body.get("spec") or {}).get("selector")) is not None
        and LabelSelector.model_validate(selector).matches(dict(labels))
    )


def _is_seen(body: Mapping[str, Any]) -> bool:
    """Say whether the controller has looked at the object as it is now."""
    newest = (body.get("metadata") or {}).get("generation") or 0
    return bool(((body.get("status") or {}).get("observedGeneration") or 0) >= newest)


def _pods(kind: str, spec: Mapping[str, Any], status: Mapping[str, Any], *, seen: bool) -> Pods | None:
    """Return how many pods there should be, are, and may be missing by the API's own defaults."""
    replicas = int(spec.get("replicas", 1))
    ready = int(status.get("readyReplicas", 0))
    match kind:
        case "Deployment":
            strategy = spec.get("strategy") or {}
            if strategy.get("type") == "Recreate":
                return Pods(replicas, ready, replicas)
            most = (strategy.get("rollingUpdate") or {}).get("maxUnavailable", "25%")
            spare = _absolute(most, replicas, up=False)
            return Pods(replicas, ready, spare, bounded=True, rolling=not seen or _is_rolling(status))
        case "StatefulSet":
            most = ((spec.get("updateStrategy") or {}).get("rollingUpdate") or {}).get("maxUnavailable", 1)
            return Pods(replicas, ready, max(1, _absolute(most, replicas, up=True)))
        case "DaemonSet":
            wanted = int(status.get("desiredNumberScheduled", 0))
            most = ((spec.get("updateStrategy") or {}).get("rollingUpdate") or {}).get("maxUnavailable", 1)
            return Pods(wanted, int(status.get("numberReady", 0)), _absolute(most, wanted, up=True), bounded=True)
        case _:
            return None


def _is_rolling(status: Mapping[str, Any]) -> bool:
    """Say whether a Deployment's controller says that its rollout goes on: it has neither ended nor got stuck."""
    conditions = status.get("conditions") or ()
    reasons = [each.get("reason") for each in conditions if each.get("type") == "Progressing"]
    return any(reason not in ("NewReplicaSetAvailable", "ProgressDeadlineExceeded") for reason in reasons)


def _absolute(number: int | str, of: int, *, up: bool) -> int:
    """Return an `IntOrString` as a number of pods; a percentage is rounded as the controllers do."""
    if isinstance(number, int):
        return number
    share = float(number.removesuffix("%")) * of / 100  # in this order 55 % of 20 are 11, and not a hair more
    return math.ceil(share) if up else math.floor(share)
