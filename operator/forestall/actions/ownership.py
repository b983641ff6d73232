"""Who manages a field, by the object's `managedFields`.

A manager that *applies* a field (server-side apply: Flux, Argo CD with ServerSideApply, `kubectl apply --server-side`)
has declared its value and sets it again. Writing it would start a fight that nobody wins, so such a field is left to
its manager. A manager that merely *updated* a field has no further claim to it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from forestall.actions.base import title
from forestall.api.remediation import ObjectRef
from forestall.core.decision import Hold
from forestall.core.untrusted import get_path, mapping, mappings, string
from forestall.ports import MANAGER

Path = Sequence[str]
"""Keys from the root of an object down to a field; `name=main` is the element of a list that has this name."""


def appliers(body: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    """Return the managers that apply the field at `path`, or anything below it."""
    return tuple(
        sorted(
            {
                str(entry.get("manager", "somebody"))
                for entry in _entries(body)
                if entry.get("operation") == "Apply" and not entry.get("subresource") and _covers(entry, path)
            }
        )
    )


def field_owned(body: Mapping[str, Any], ref: ObjectRef, path: Path) -> Hold | None:
    """Return why the field at `path` is left alone: somebody applies it; None where nobody does."""
    managers = appliers(body, path)
    if not managers:
        return None
    field, names = ".".join(path), " and ".join(managers)
    return Hold(
        "FieldOwned",
        f"{field} of {title(ref)} is applied by {names}, which would set it back, so it is left alone; to give it up, "
        f"leave it out of what {names} applies, then set it once by hand, for a field that nobody sets has its default",
    )


def taken_over(body: Mapping[str, Any], path: Path) -> bool:
    """Say whether the field at `path` was last changed by somebody else than the operator, as far as that is known.

    An update that changes a value takes the field from whoever had set it before, also where the new value is one that
    the operator was about to set itself. One that changes nothing leaves no trace.
    """
    updaters = {
        string(entry.get("manager"))
        for entry in _entries(body)
        if entry.get("operation") == "Update" and _covers(entry, path)
    }
    return bool(updaters) and MANAGER not in updaters


def holds_scale(body: Mapping[str, Any]) -> bool:
    """Say whether the operator was the last to set the replicas by /scale, whatever field that is.

    A custom resource says in its definition which field /scale sets, and may have another meaning for `spec.replicas`.
    """
    return any(
        entry.get("manager") == MANAGER and entry.get("subresource") == "scale" and bool(entry.get("fieldsV1"))
        for entry in _entries(body)
    )


def signer(body: Mapping[str, Any], annotation: str, path: Path) -> str | None:
    """Return the UID that the annotation says, as long as whoever wrote it still manages the field at `path`.

    Somebody who sets another value takes over the field, but leaves the annotation.
    """
    uid = string(get_path(body, "metadata", "annotations", annotation)) or None
    entries = list(_entries(body))
    signature = ("metadata", "annotations", annotation)
    signers = [entry for entry in entries if _covers(entry, signature, by_name=True)]
    return uid if not entries or any(_covers(entry, path) for entry in signers) else None


def _entries(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from mappings(get_path(body, "metadata", "managedFields"))


def _covers(entry: Mapping[str, Any], path: Path, *, by_name: bool = False) -> bool:
    """Say whether the entry has the field at `path`: by its name, or also as part of something managed as a whole."""
    fields = mapping(entry.get("fieldsV1"))
    for part in path:
        below = fields.get(_key(part))
        if below is None:
            return False
        if not below and not by_name:
            return True
        fields = mapping(below)
    return True


def _key(part: str) -> str:
    name = part.removeprefix("name=")
    return f"f:{part}" if name == part else "k:" + json.dumps({"name": name}, separators=(",", ":"))
