"""Which rights an action uses, so that they can be asked for before it is decided."""

from forestall.actions.floor import FIELDS
from forestall.api.remediation import ObjectRef
from forestall.ports import Right


def rights_of(action: str, target: ObjectRef, subject: ObjectRef | None = None) -> tuple[Right, ...]:
    """Return the rights to change `target` by an action; `subject` is what is written to scale it, where known."""
    if action == "Scale":
        written = subject or target
        return (_patch(written, "" if written.kind in FIELDS else "scale"),)
    if action == "Evict":
        return (Right("create", "v1", "Pod", "eviction", target.namespace),)
    if action == "Job":
        return (Right("create", "batch/v1", "Job", namespace=target.namespace),)
    if action == "Drain":
        return (_patch(target), Right("create", "v1", "Pod", "eviction"))
    return () if action == "Notify" else (_patch(target),)


def _patch(ref: ObjectRef, subresource: str = "") -> Right:
    return Right("patch", ref.api_version, ref.kind, subresource, ref.namespace, ref.name)
