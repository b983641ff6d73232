"""The rights that actions use, so that they can be asked for before one is decided."""

from forestall.api.remediation import ObjectRef
from forestall.ports import Right


def may_patch(ref: ObjectRef, subresource: str = "") -> Right:
    """Return the right to patch an object."""
    return Right("patch", ref.api_version, ref.kind, subresource, ref.namespace, ref.name)


def may_evict(namespace: str = "") -> Right:
    """Return the right to evict pods, of one namespace or of all."""
    return Right("create", "v1", "Pod", "eviction", namespace)
