"""What people have protected by an annotation, and forestall leaves alone."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from forestall.api.remediation import ObjectRef
from forestall.core.untrusted import get_path, mappings, string, string_map
from forestall.errors import NotFound
from forestall.ports import Reader

PROTECTED: Final = "forestall.dev/protected"
"""The annotation, when its value is `true`."""
_UNDISTURBED: Final = {
    "karpenter.sh/do-not-disrupt": "true",
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
}
"""What Karpenter and the cluster autoscaler are told by annotations of a pod."""
_READ: Final = ("ReplicaSet", "Deployment", "StatefulSet")
"""The owners that are looked at, of apps/v1: on others the annotation does not count for their pods."""
_LEVELS: Final = 3
"""So many owners above a pod are looked at: more than there are, unless somebody lets owners own each other."""

Body = Mapping[str, Any]


def is_protected(body: Body) -> bool:
    """Say whether the object carries the annotation itself."""
    return protects(string_map(get_path(body, "metadata", "annotations")))


def protects(annotations: Mapping[str, str] | None) -> bool:
    """Say whether these annotations protect what carries them."""
    return (annotations or {}).get(PROTECTED) == "true"


def undisturbed(pod: Body) -> str | None:
    """Return the annotation by which people tell whoever moves pods, whatever its name, to leave this one alone."""
    annotations = string_map(get_path(pod, "metadata", "annotations"))
    return next((f"{key}: {value}" for key, value in _UNDISTURBED.items() if annotations.get(key) == value), None)


def controller(body: Body) -> Mapping[str, Any] | None:
    """Return the owner that replaces the object when it goes; None where there is none."""
    owners = mappings(get_path(body, "metadata", "ownerReferences"))
    return next((owner for owner in owners if owner.get("controller") is True and _is_whole(owner)), None)


def _is_whole(owner: Body) -> bool:
    return all(string(owner.get(field)) for field in ("kind", "uid"))


async def protected_from_above(cluster: Reader, pods: Iterable[Body]) -> frozenset[str]:
    """Return the UIDs of those pods whose namespace or workload is protected.

    Raises:
        ClusterError: the cluster could not say.
    """
    lookup = _ProtectionLookup(cluster)
    return frozenset([str(pod["metadata"]["uid"]) for pod in pods if await lookup.is_protected(pod)])


class _ProtectionLookup:
    """Reads each namespace and each workload once."""

    def __init__(self, cluster: Reader) -> None:
        self._cluster = cluster
        self._results: dict[ObjectRef, bool] = {}

    async def is_protected(self, body: Body, levels: int = _LEVELS) -> bool:
        """Say whether what the object belongs to is protected, so many owners up."""
        namespace = body["metadata"]["namespace"]
        if await self._is(ObjectRef(api_version="v1", kind="Namespace", name=namespace)):
            return True
        owner = controller(body)
        if not levels or owner is None or owner["kind"] not in _READ or owner.get("apiVersion") != "apps/v1":
            return False
        return await self._is(
            ObjectRef(
                api_version="apps/v1",
                kind=owner["kind"],
                namespace=namespace,
                name=string(owner.get("name")),
                uid=owner["uid"],
            ),
            levels - 1,
        )

    async def _is(self, ref: ObjectRef, levels: int = 0) -> bool:
        if ref not in self._results:
            try:
                body = await self._cluster.read(ref)
            except NotFound:
                self._results[ref] = False
            else:
                self._results[ref] = is_protected(body) or (
                    bool(ref.namespace) and await self.is_protected(body, levels)
                )
        return self._results[ref]
