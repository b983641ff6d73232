"""The objectives and policies of a replay, from YAML files or a cluster, as the registry that the engine reads."""

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

_UNLIMITED = {"queries": 1_000_000, "series": 1_000_000, "points": 1_000_000_000, "size": "999Gi", "time": "10m"}
"""Query limits of a replay, which shares the source with no other namespace."""
KINDS = (ServiceLevelObjective, RemediationPolicy, Guardrail, MetricSource)
"""The kinds that are read; other objects in the same files are ignored."""

_ALLOWED = {"namespaces": {}, "actions": list(get_args(ActionName))}


@dataclass(frozen=True, slots=True)
class Manifest:
    """An object and its location, for messages."""

    body: Mapping[str, Any]
    location: str


def from_files(paths: Iterable[Path]) -> list[Manifest]:
    """Return forestall's objects in YAML files and folders.

    Raises:
        InvalidInput: a file can't be read or is not YAML, an object is invalid, or there is no objective; the message
            names the location and says what to write.
    """
    kinds = {kind.KIND for kind in KINDS}
    written = documents.read(paths)
    documents.refuse_faults(written)
    manifests = [
        Manifest(document.body, f"{document.file}: {document.title}")
        for document in written
        if document.body["kind"] in kinds
    ]
    if not any(manifest.body["kind"] == ServiceLevelObjective.KIND for manifest in manifests):
        raise InvalidInput("there is no ServiceLevelObjective in the files given by -f")
    return manifests


def build_registry(manifests: Sequence[Manifest], namespace: str, stale_after: float) -> Registry:
    """Return a registry with these objects, adapted to a replay.

    Policies are set to mode Observe: an action can't change the past, so its verification would fail and lock the
    policy. Missing objects are added: metric sources, namespaces, and a Guardrail that allows everything where there is
    none. `staleAfter` of the sources is at least `stale_after` (s).

    Raises:
        InvalidInput: an object does not match its schema; the message names its location.
    """
    result = Registry()
    namespaces, sources = set(), set()
    for manifest in manifests:
        body = _with_defaults(manifest.body, namespace)
        entry = result.put(body["kind"], body)
        if isinstance(entry, Invalid):
            raise InvalidInput(f"{manifest.location}: {entry.message}")
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


def metric_sources(manifests: Iterable[Manifest]) -> tuple[str, ...]:
    """Return the names of the metric sources that the objectives query."""
    specs = [manifest.body.get("spec") for manifest in manifests if manifest.body["kind"] == ServiceLevelObjective.KIND]
    default = ServiceLevelObjectiveSpec.model_fields["source"].default
    return tuple(sorted({str(spec.get("source") or default) for spec in specs if isinstance(spec, Mapping)}))


def _with_defaults(body: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    """Return an object with the defaults that the API server sets, and without its status."""
    metadata = dict(body["metadata"])
    kind = next(kind for kind in KINDS if body["kind"] == kind.KIND)
    if kind.NAMESPACED:
        metadata["namespace"] = metadata.get("namespace") or namespace
    key = f"{body['kind']}/{metadata.get('namespace', '')}/{metadata['name']}"
    identity = {name: metadata[name] for name in ("name", "namespace", "labels") if metadata.get(name)}
    spec = body.get("spec")
    if kind is RemediationPolicy and isinstance(spec, Mapping):
        spec = {**spec, "mode": "Observe", "suspend": False}
    return {
        "apiVersion": API_VERSION,
        "kind": body["kind"],
        "metadata": {**identity, "uid": key, "generation": 1},
        "spec": spec,
    }


def _put_source(result: Registry, name: str, stale_after: float) -> None:
    """Add a source without query limits; of a source in the files, its URL, `staleAfter` and `maxSeries` are kept."""
    source = result.get(MetricSource, name)
    stale_seconds = max(stale_after, source.spec.stale_after.seconds if source else 0.0)
    spec: dict[str, Any] = {
        "url": source.spec.url if source else "http://history",
        "staleAfter": exact_duration(min(max(1, round(stale_seconds)), 86400)),
        "maxSeries": source.spec.max_series if source else 500,
        "perNamespace": _UNLIMITED,
    }
    if source and source.spec.enforce_label:
        spec["enforceLabel"] = source.spec.enforce_label
    result.put(MetricSource.KIND, _object(MetricSource.KIND, name, spec))


def _object(kind: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "uid": f"{kind}//{name}", "generation": 1}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": dict(spec)}
