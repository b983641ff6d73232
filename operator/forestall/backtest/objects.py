"""The objectives and policies of a replay, from YAML files or from a cluster, as the registry that the engine reads."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from forestall import documents
from forestall.api import API_VERSION, Guardrail, MetricSource, RemediationPolicy, ServiceLevelObjective
from forestall.api.guardrail import ActionName
from forestall.api.service_level_objective import ServiceLevelObjectiveSpec
from forestall.core.duration import exact_duration
from forestall.errors import InvalidInput
from forestall.registry import Invalid, Namespace, Registry

_ALL = {"queries": 1_000_000, "series": 1_000_000, "points": 1_000_000_000, "size": "999Gi", "time": "10m"}
"""Nobody else waits while history is replayed."""
KINDS = (ServiceLevelObjective, RemediationPolicy, Guardrail, MetricSource)
"""What is read; other objects in the same files are passed over."""

_ALLOWED = {"namespaces": {}, "actions": list(get_args(ActionName))}


@dataclass(frozen=True, slots=True)
class Found:
    """An object and where it was written."""

    body: Mapping[str, Any]
    where: str


def from_files(paths: Iterable[Path]) -> list[Found]:
    """Return forestall's objects in YAML files, and in the files of folders.

    Raises:
        InvalidInput: a file can't be read, is not YAML, holds no objective, or an object with a fault; the message says
            where, and what to write.
    """
    kinds = {kind.KIND for kind in KINDS}
    written = documents.read(paths)
    documents.refuse_faults(written)
    found = [Found(one.body, f"{one.file}: {one.title}") for one in written if one.body["kind"] in kinds]
    if not any(one.body["kind"] == ServiceLevelObjective.KIND for one in found):
        raise InvalidInput("there is no ServiceLevelObjective in the files given by -f")
    return found


def registry(found: Sequence[Found], namespace: str, stale_after: float) -> Registry:
    """Return a registry with these objects, made fit for a replay.

    Policies only observe: an action can't change the past, so its verification would fail and lock the policy. What is
    missing around the objectives is made up: their metric source, their namespace, and a Guardrail that allows
    everything where there is none. Data older than `stale_after` (s) is stale at the least.

    Raises:
        InvalidInput: an object does not fit its schema; the message says where it is written.
    """
    result = Registry()
    namespaces, sources = set(), set()
    for one in found:
        body = _prepared(one.body, namespace)
        entry = result.put(body["kind"], body)
        if isinstance(entry, Invalid):
            raise InvalidInput(f"{one.where}: {entry.message}")
        if isinstance(entry, ServiceLevelObjective):
            namespaces.add(entry.namespace)
            sources.add(entry.spec.source)
    for name in namespaces:
        labels = {"kubernetes.io/metadata.name": name}
        result.put(Namespace.KIND, {"metadata": {"name": name, "uid": name, "labels": labels}})
    for name in sources:
        _put_source(result, name, stale_after)
    if not result.all(Guardrail):
        spec = {"nodes": {"maxCordoned": 1}, "allow": [_ALLOWED]}
        result.put(Guardrail.KIND, _object(Guardrail.KIND, "replay", spec))
    return result


def sources(found: Iterable[Found]) -> tuple[str, ...]:
    """Return the names of the metric sources that the objectives ask."""
    specs = [one.body.get("spec") for one in found if one.body["kind"] == ServiceLevelObjective.KIND]
    default = ServiceLevelObjectiveSpec.model_fields["source"].default
    return tuple(sorted({str(spec.get("source") or default) for spec in specs if isinstance(spec, Mapping)}))


def _prepared(body: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    """Return an object with what the API server would have filled in, and without its past."""
    metadata = dict(body["metadata"])
    kind = next(kind for kind in KINDS if body["kind"] == kind.KIND)
    if kind.NAMESPACED:
        metadata["namespace"] = metadata.get("namespace") or namespace
    key = f"{body['kind']}/{metadata.get('namespace', '')}/{metadata['name']}"
    kept = {name: metadata[name] for name in ("name", "namespace", "labels") if metadata.get(name)}
    spec = body.get("spec")
    if kind is RemediationPolicy and isinstance(spec, Mapping):
        spec = {**spec, "mode": "Observe", "suspend": False}
    return {
        "apiVersion": API_VERSION,
        "kind": body["kind"],
        "metadata": {**kept, "uid": key, "generation": 1},
        "spec": spec,
    }


def _put_source(result: Registry, name: str, stale_after: float) -> None:
    """Put the source of this name, open to all; only the patience with old data is kept of one that was given."""
    known = result.get(MetricSource, name)
    patience = max(stale_after, known.spec.stale_after.seconds if known else 0.0)
    spec: dict[str, Any] = {
        "url": known.spec.url if known else "http://history",
        "staleAfter": exact_duration(min(max(1, round(patience)), 86400)),
        "maxSeries": known.spec.max_series if known else 500,
        "perNamespace": _ALL,
    }
    if known and known.spec.enforce_label:
        spec["enforceLabel"] = known.spec.enforce_label
    result.put(MetricSource.KIND, _object(MetricSource.KIND, name, spec))


def _object(kind: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "uid": f"{kind}//{name}", "generation": 1}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": dict(spec)}
