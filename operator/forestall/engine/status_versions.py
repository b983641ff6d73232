"""Writes statuses with optimistic concurrency, also while others change the object."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from pydantic import ValidationError

from forestall.api.meta import Model
from forestall.api.remediation import ObjectRef
from forestall.errors import Conflict
from forestall.ports import Cluster

ATTEMPTS: Final = 40
"""How many attempts a write takes while others change the object, as `kubectl annotate` in a loop does."""


class StatusVersions:
    """Writes statuses, and remembers the resource version of each object after its last write."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._versions: dict[str, tuple[str, str]] = {}  # by UID: which was seen when it was written, and made by that

    def retain(self, uids: Collection[str]) -> None:
        """Forget all objects but these."""
        self._versions = {uid: version for uid, version in self._versions.items() if uid in uids}

    async def put(
        self, ref: ObjectRef, status: Mapping[str, Any], resource_version: str, current: Model | None = None
    ) -> None:
        """Apply a status to the object at the version that was read, or at the version after the last write.

        With `current`, the status to be replaced, the write is repeated while others change the rest of the object:
        only a status that differs from `current` is a conflict.

        Raises:
            ClusterError: the write failed, or its result is unknown; `Conflict`: the status was changed meanwhile.
        """
        before, written_version = self._versions.get(ref.uid, ("", ""))
        version = written_version if before == resource_version else resource_version
        for left in reversed(range(ATTEMPTS)):
            try:
                written = await self._cluster.apply_status(ref, status, version)
            except Conflict:
                if not left or current is None:
                    raise
                newest = await self._cluster.read(ref)
                if not _is(current, newest.get("status")):
                    raise
                version = str(newest["metadata"]["resourceVersion"])
            else:
                self._versions[ref.uid] = (resource_version, str(written["metadata"]["resourceVersion"]))
                return


def _is(current: Model, status: Any) -> bool:
    """Say whether the status of an object from the API server equals the known one."""
    try:
        return type(current).model_validate(status or {}) == current
    except ValidationError:
        return False
