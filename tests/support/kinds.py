"""The kinds that the in-memory cluster serves, and what it reads out of selectors and patches."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from forestall.api import API_VERSION, KINDS


@dataclass(frozen=True, slots=True)
class Kind:
    """The properties of a served kind."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True
    scale: bool = False
    status: bool = True
    """Whether its status is a subresource: then no other write changes it."""


_SERVED = (
    *(Kind(API_VERSION, kind.KIND, kind.PLURAL, kind.NAMESPACED) for kind in KINDS),
    Kind("apps/v1", "Deployment", "deployments", scale=True),
    Kind("apps/v1", "StatefulSet", "statefulsets", scale=True),
    Kind("apps/v1", "ReplicaSet", "replicasets", scale=True),
    Kind("apps/v1", "DaemonSet", "daemonsets"),
    Kind("apps/v1", "ControllerRevision", "controllerrevisions", status=False),
    Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    Kind("batch/v1", "CronJob", "cronjobs"),
    Kind("batch/v1", "Job", "jobs"),
    Kind("coordination.k8s.io/v1", "Lease", "leases", status=False),
    Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    Kind("v1", "ConfigMap", "configmaps", status=False),
    Kind("v1", "Namespace", "namespaces", namespaced=False),
    Kind("v1", "Node", "nodes", namespaced=False),
    Kind("v1", "Pod", "pods"),
    Kind("v1", "Secret", "secrets", status=False),
)
SERVED = {kind.kind: kind for kind in _SERVED}
"""What a plain control plane with forestall's CRDs serves."""
EXTENSIONS = (
    Kind("argoproj.io/v1alpha1", "Rollout", "rollouts", scale=True),
    Kind("autoscaling.k8s.io/v1", "VerticalPodAutoscaler", "verticalpodautoscalers"),
    Kind("keda.sh/v1alpha1", "ScaledObject", "scaledobjects"),
)
"""Kinds of extensions, such as KEDA and Argo Rollouts."""


def merged(body: Any, patch: Any) -> Any:
    """Return `body` after a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(body) if isinstance(body, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def without_empty(value: Any) -> Any:
    """Return `value` without its empty maps, as a status is applied."""
    if isinstance(value, Mapping):
        return {key: without_empty(inner) for key, inner in value.items() if inner != {}}
    return [without_empty(inner) for inner in value] if isinstance(value, list) else value


def owned_after(managed: Any, manager: str, patch: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return `managedFields` after `manager` wrote `patch`: it becomes the only manager of the fields that it sets."""
    entries = managed if isinstance(managed, list) and all(isinstance(entry, dict) for entry in managed) else []
    written = {key: value for key, value in patch.items() if key not in ("apiVersion", "kind")}
    metadata = {
        key: value for key, value in (written.get("metadata") or {}).items() if key in ("annotations", "labels")
    }
    written = {key: value for key, value in {**written, "metadata": metadata}.items() if value != {}}
    own = next((entry.get("fieldsV1") or {} for entry in entries if entry.get("manager") == manager), {})
    entry = {"manager": manager, "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": _with(own, written)}
    others = [
        {**other, "fieldsV1": _without(other.get("fieldsV1"), written)}
        for other in entries
        if other.get("manager") != manager
    ]
    return [*others, entry]


def _with(fields: Any, patch: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(fields) if isinstance(fields, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(f"f:{key}", None)
        else:
            result[f"f:{key}"] = _with(result.get(f"f:{key}"), value) if isinstance(value, Mapping) else {}
    return result


def _without(fields: Any, patch: Mapping[str, Any]) -> Any:
    if not isinstance(fields, Mapping):
        return fields
    result = dict(fields)
    for key, value in patch.items():
        inner = result.get(f"f:{key}")
        if isinstance(value, Mapping) and inner:
            result[f"f:{key}"] = _without(inner, value)
        else:
            result.pop(f"f:{key}", None)
    return result


def label_test(selector: str) -> Callable[[Mapping[str, str]], bool]:
    """Return the test for a label selector: `a=b`, `a!=b`, `a in (b,c)`, `a notin (b)`, `a`, `!a`, or several of
    them.
    """
    tests = [_requirement(part.strip()) for part in re.split(r",(?![^(]*\))", selector) if part.strip()]
    return lambda labels: all(test(labels) for test in tests)


def _requirement(text: str) -> Callable[[Mapping[str, str]], bool]:
    if several := re.fullmatch(r"(\S+)\s+(in|notin)\s+\((.*)\)", text):
        key, operator, values = several[1], several[2], {value.strip() for value in several[3].split(",")}
        return lambda labels: (labels.get(key) in values) == (operator == "in")
    if pair := re.fullmatch(r"([^!=\s]+)\s*(!=|==?)\s*(\S*)", text):
        return lambda labels: (labels.get(pair[1]) == pair[3]) == (pair[2] != "!=")
    return (lambda labels: text[1:] not in labels) if text.startswith("!") else (lambda labels: text in labels)


def field_test(selector: str) -> Callable[[Mapping[str, Any]], bool]:
    """Return the test for a field selector: `spec.nodeName=n1,status.phase!=Failed`."""
    parts = [re.fullmatch(r"([\w.]+?)(!=|==?)(.*)", part) for part in selector.split(",") if part]

    def test(body: Mapping[str, Any]) -> bool:
        return all(part and (_text(_at(body, part[1])) == part[3]) == (part[2] != "!=") for part in parts)

    return test


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _at(body: Any, path: str) -> Any:
    for key in path.split("."):
        body = body.get(key, "") if isinstance(body, Mapping) else ""
    return body
