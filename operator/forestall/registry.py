"""The cache of watched objects (what client-go calls an informer store), validated when they enter it.

Watches and the engine's own writes update it. No function waits or does I/O: the handlers put objects of watch events,
the pruner removes objects whose deletion a watch missed, the engine puts the responses to its own writes, and the cycle
reads. All of it runs on one event loop.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar, cast

from pydantic import ValidationError

from forestall.api import API_VERSION, KINDS, Resource
from forestall.api.findings import written_path
from forestall.api.meta import Condition
from forestall.api.remediation import ObjectRef
from forestall.core.untrusted import get_path, mapping, string
from forestall.isolation import ends_process

R = TypeVar("R", bound=Resource)

TOMBSTONES = 4096
"""The number of deleted UIDs that are kept, so that no late response adds a deleted object again."""


class Namespace(Resource):
    """A namespace, for the labels that Guardrails and MetricSources select by."""

    KIND: ClassVar[str] = "Namespace"
    PLURAL: ClassVar[str] = "namespaces"
    SINGULAR: ClassVar[str] = "namespace"
    SHORT_NAMES: ClassVar[tuple[str, ...]] = ()
    NAMESPACED: ClassVar[bool] = False


WATCHED: tuple[type[Resource], ...] = (*KINDS, Namespace)
"""The kinds in the registry."""


@dataclass(frozen=True, slots=True)
class Invalid:
    """An object that does not match its schema. The operator only reports this in its status."""

    ref: ObjectRef
    generation: int
    message: str
    """Which fields are invalid and why, in short."""
    resource_version: str
    conditions: tuple[Condition, ...] = ()
    """Its current conditions, so that the same one is not written again."""
    phase: str = ""
    """The phase of a Remediation."""
    status: Mapping[str, Any] = field(default_factory=dict)
    """Its current status, so that no recorded state is lost."""


@dataclass(slots=True)
class _ObjectStore:
    """The objects of one kind."""

    by_key: dict[tuple[str, str], Resource | Invalid] = field(default_factory=dict)
    by_uid: dict[str, tuple[str, str]] = field(default_factory=dict)
    deleted: OrderedDict[str, None] = field(default_factory=OrderedDict)
    order: list[tuple[str, str]] | None = None
    """The sorted keys; None where keys were added or removed since."""
    synced: bool = False


class Registry:
    """The cache of watched objects of all kinds."""

    def __init__(self) -> None:
        self._models = {model.KIND: model for model in WATCHED}
        self._stores = {model.KIND: _ObjectStore() for model in WATCHED}

    # Updates, by the handlers, the pruner and the engine's own writes.

    def put(self, kind: str, body: Mapping[str, Any]) -> Resource | Invalid | None:
        """Add or update an object from the API server.

        Return its model, or why it is invalid, or None where the registry has a newer version of the object, or knows
        that it was deleted.
        """
        store = self._stores[kind]
        ref = _ref(kind, body)
        key = (ref.namespace, ref.name)
        version = str(_metadata(body).get("resourceVersion", ""))
        current = store.by_key.get(key)
        if ref.uid in store.deleted or (current is not None and _is_stale(version, than=_version(current))):
            return None
        entry = self._validate(kind, body, ref)
        if current is None:
            store.order = None
        else:
            store.by_uid.pop(_uid(current), None)
        store.by_key[key] = entry
        store.by_uid[ref.uid] = key
        return entry

    def remove(self, kind: str, uid: str) -> bool:
        """Remove a deleted object; a later one of the same name stays. Return whether it was in the registry."""
        store = self._stores[kind]
        store.deleted[uid] = None
        if len(store.deleted) > TOMBSTONES:
            store.deleted.popitem(last=False)
        key = store.by_uid.pop(uid, None)
        if key is None:
            return False
        del store.by_key[key]
        store.order = None
        return True

    def prune(self, kind: str, uids: Collection[str]) -> int:
        """Remove the objects with these UIDs, whose deletion the watch missed. Return how many were in the registry."""
        return sum(self.remove(kind, uid) for uid in tuple(uids))

    def mark_synced(self, kind: str) -> None:
        """Mark the initial list of a kind as complete."""
        self._stores[kind].synced = True

    # Queries, by the engine.

    @property
    def synced(self) -> bool:
        """Whether the initial list of every kind is complete. The engine decides nothing before."""
        return not self.unsynced

    @property
    def unsynced(self) -> tuple[str, ...]:
        """The kinds whose initial list is not complete."""
        return tuple(kind for kind, store in self._stores.items() if not store.synced)

    def uids(self, kind: str) -> frozenset[str]:
        """Return the UIDs of all objects of a kind, invalid ones included."""
        return frozenset(self._stores[kind].by_uid)

    def get(self, model: type[R], name: str, namespace: str = "") -> R | None:
        """Return the valid object of this name."""
        entry = self._stores[model.KIND].by_key.get((namespace, name))
        return None if entry is None or isinstance(entry, Invalid) else cast("R", entry)

    def by_uid(self, model: type[R], uid: str) -> R | None:
        """Return the valid object of this UID."""
        key = self._stores[model.KIND].by_uid.get(uid)
        return None if key is None else self.get(model, key[1], key[0])

    def all(self, model: type[R], namespace: str | None = None) -> list[R]:
        """Return the valid objects of a kind, sorted by namespace and name; of one namespace where it is given."""
        store = self._stores[model.KIND]
        if store.order is None:
            store.order = sorted(store.by_key)
        entries = (store.by_key[key] for key in store.order if namespace is None or key[0] == namespace)
        return [cast("R", entry) for entry in entries if not isinstance(entry, Invalid)]

    def invalid(self) -> Iterator[Invalid]:
        """Return the invalid objects of all kinds."""
        for store in self._stores.values():
            yield from [entry for entry in store.by_key.values() if isinstance(entry, Invalid)]

    def unreadable(self, model: type[Resource], namespace: str = "") -> list[Invalid]:
        """Return the invalid objects of one kind in one namespace."""
        store = self._stores[model.KIND].by_key.items()
        return [
            entry
            for (entry_namespace, _), entry in store
            if isinstance(entry, Invalid) and entry_namespace == namespace
        ]

    def is_invalid(self, model: type[Resource], name: str, namespace: str = "") -> bool:
        """Return whether there is an invalid object of this name."""
        return isinstance(self._stores[model.KIND].by_key.get((namespace, name)), Invalid)

    def labels(self, namespace: str) -> dict[str, str] | None:
        """Return a namespace's labels; None where the namespace is unknown, which no selector matches."""
        namespace_object = self.get(Namespace, namespace)
        return None if namespace_object is None else namespace_object.metadata.labels

    def annotations(self, namespace: str) -> dict[str, str]:
        """Return a namespace's annotations; empty where it is unknown."""
        namespace_object = self.get(Namespace, namespace)
        return {} if namespace_object is None else namespace_object.metadata.annotations

    def _validate(self, kind: str, body: Mapping[str, Any], ref: ObjectRef) -> Resource | Invalid:
        try:
            return self._models[kind].read(body)
        except BaseException as error:
            if ends_process(error):
                raise
            metadata = _metadata(body)
            generation = metadata.get("generation", 0)
            return Invalid(
                ref=ref,
                generation=generation if isinstance(generation, int) else 0,
                message=describe(error) if isinstance(error, ValidationError) else _unreadable(error),
                resource_version=str(metadata.get("resourceVersion", "")),
                conditions=tuple(_conditions(body)),
                phase=string(get_path(body, "status", "phase")),
                status=mapping(body.get("status")),
            )


def describe(error: ValidationError, max_problems: int = 3) -> str:
    """Return which fields are invalid and why, in one line: `spec.objective: Input should be less than 100`."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    lines = [f"{written_path(problem['loc']) or 'the object'}: {problem['msg']}" for problem in problems[:max_problems]]
    if len(problems) > max_problems:
        lines.append(f"and {len(problems) - max_problems} more")
    return "; ".join(lines)


def _unreadable(error: BaseException) -> str:
    return f"the object can't be read: an unexpected error ({type(error).__name__})"


def _metadata(body: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = body.get("metadata")
    return metadata if isinstance(metadata, Mapping) else {}


def _ref(kind: str, body: Mapping[str, Any]) -> ObjectRef:
    metadata = _metadata(body)
    return ObjectRef(
        api_version=str(body.get("apiVersion") or ("v1" if kind == Namespace.KIND else API_VERSION)),
        kind=kind,
        namespace=str(metadata.get("namespace") or ""),
        name=str(metadata.get("name", "")),
        uid=str(metadata.get("uid", "")),
    )


def _conditions(body: Mapping[str, Any]) -> Iterator[Condition]:
    status = body.get("status")
    listed = status.get("conditions") if isinstance(status, Mapping) else None
    for item in listed if isinstance(listed, list) else []:
        try:
            yield Condition.model_validate(item)
        except ValidationError:
            continue


def _version(entry: Resource | Invalid) -> str:
    return entry.resource_version if isinstance(entry, Invalid) else entry.metadata.resource_version


def _uid(entry: Resource | Invalid) -> str:
    return entry.ref.uid if isinstance(entry, Invalid) else entry.uid


def _is_stale(version: str, *, than: str) -> bool:
    """Return whether `version` is certainly not newer.

    Resource versions of one kind are increasing decimal numbers. Other formats have no order, and the later response
    counts.
    """
    if version == than:
        return bool(version)
    if not (version.isdecimal() and than.isdecimal()):
        return False
    return int(version) < int(than)
