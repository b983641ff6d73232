"""How a status is written: over the one that is known, whatever others write on the object meanwhile."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from pydantic import ValidationError

from forestall.api.meta import Model
from forestall.api.remediation import ObjectRef
from forestall.errors import Conflict
from forestall.ports import Cluster

ATTEMPTS: Final = 40
"""How often a status is written over what others write meanwhile, as `kubectl annotate` in a loop does."""


class StatusVersions:
    """Remembers which version of each object its last write has made."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._versions: dict[str, tuple[str, str]] = {}  # by UID: which was seen when it was written, and made by that

    def retain(self, uids: Collection[str]) -> None:
        """Forget the objects that are not among these."""
        self._versions = {uid: version for uid, version in self._versions.items() if uid in uids}

    async def put(
        self, ref: ObjectRef, status: Mapping[str, Any], resource_version: str, current: Model | None = None
    ) -> None:
        """Apply a status to the object of the version that was seen, or that the last write made of that one.

        Where the status is `known` that it replaces, what others write beside it keeps it from being written no longer
        than a few attempts: only another status than that is a conflict.

        Raises:
            ClusterError: it is not known to be written; `Conflict`: it was changed meanwhile.
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
    """Say whether a status as the API server gives it is the one that is known."""
    try:
        return type(current).model_validate(status or {}) == current
    except ValidationError:
        return False
