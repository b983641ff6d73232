"""How Remediations are written: an intent once, and a status only over the one that was read."""

import contextlib
from typing import Final

from forestall.api.remediation import Intent, ObjectRef, Remediation, RemediationStatus, change_of
from forestall.core.decision import Hold
from forestall.errors import ClusterError, Conflict, Forbidden, NotFound
from forestall.ports import Cluster, Event
from forestall.remediation.backup import draft_of, restored_body
from forestall.remediation.status_updates import moved

_ATTEMPTS: Final = 40
"""How often a status is written over what others write meanwhile: a read and a write, one right after the other, find
a gap also where the object is written dozens of times a second."""
_WARNINGS: Final = frozenset({"Failed", "Aborted", "Holding", "RollingBack", "RolledBack"})


class RemediationStore:
    """The Remediations of a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def open(self, intent: Intent) -> Remediation:
        """See `RemediationReconciler.open`."""
        body = draft_of(intent)
        try:
            return Remediation.read(await self._cluster.create(body))
        except Conflict:
            return Remediation.read(await self._cluster.read(ObjectRef.to(Remediation.read(body))))

    async def restore(self, remediation: Remediation, status: RemediationStatus) -> Remediation:
        """See `RemediationReconciler.restore`."""
        ref = ObjectRef.to(remediation).model_copy(update={"uid": ""})
        try:
            existing = Remediation.read(await self._cluster.read(ref))
        except NotFound:
            existing = Remediation.read(await self._cluster.create(restored_body(remediation)))
        if not existing.unwritten:
            return existing
        body = await self._cluster.replace_status(
            ObjectRef.to(existing), status.dump(), existing.metadata.resource_version
        )
        restored = Remediation.read(body)
        message = f"{restored.name} was deleted while something rested on it, and is written again"
        await self.record_event(restored, restored.spec.intent.objective, "Warning", "RemediationRestored", message)
        return restored

    async def read(self, remediation: Remediation) -> Remediation:
        """Return it as it is now.

        Raises:
            ClusterError: it is gone, or the cluster could not say.
        """
        body = await self._cluster.read(ObjectRef.to(remediation))
        if body["metadata"].get("resourceVersion") == remediation.metadata.resource_version:
            return remediation  # what was checked before need not be checked again
        return Remediation.read(body)

    async def hold(self, remediation: Remediation, hold: Hold, now: float) -> Remediation:
        """See `RemediationReconciler.hold`."""
        current = await self.read(remediation)
        if current.ended or current.status.reason == hold.reason:
            return current
        return await self.save(current, moved(current.status, current.status.phase, hold.reason, hold.message, now))

    async def save(self, current: Remediation, status: RemediationStatus) -> Remediation:
        """Write the status if it differs; otherwise as `commit`."""
        return current if status == current.status else await self.commit(current, status)

    async def commit(self, current: Remediation, status: RemediationStatus) -> Remediation:
        """Write the status, on the condition that nobody else wrote one since `current` was read.

        People write feedback and labels at any time. What they write is no part of what a step rests on, and must not
        keep it from being written, however often they do.

        Raises:
            ClusterError: it was not written (`Conflict`: somebody else wrote), or that is not known (`Unavailable`).
        """
        saved = await self._over(current, status)
        if status.phase != current.status.phase:
            kind = "Warning" if status.phase in _WARNINGS else "Normal"
            message = f"{saved.name}: {status.message}"
            await self.record_event(saved, saved.spec.intent.objective, kind, f"Remediation{status.phase}", message)
        return saved

    async def _over(self, current: Remediation, status: RemediationStatus) -> Remediation:
        status = status.model_copy(update={"change": change_of(current.spec.intent, status.steps)})
        ref, version, attempts = ObjectRef.to(current), current.metadata.resource_version, 1
        while True:
            try:
                return Remediation.read(await self._cluster.replace_status(ref, status.dump(), version))
            except Forbidden as error:  # then its status can't say so
                await self.record_event(current, ref, "Warning", "NotRecorded", f"its status can't be written: {error}")
                raise
            except Conflict:
                newest = Remediation.read(await self._cluster.read(ref))
                if attempts == _ATTEMPTS or not _means_the_same(newest, current):
                    raise
            version, attempts = newest.metadata.resource_version, attempts + 1

    async def record_event(
        self, remediation: Remediation, regarding: ObjectRef, kind: str, reason: str, message: str
    ) -> None:
        """Record an Event about an object."""
        # An Event is for people: a life does not hang on it.
        with contextlib.suppress(ClusterError):
            await self._cluster.record(Event(regarding, kind, reason, message, remediation.spec.intent.action.name))


def _means_the_same(newest: Remediation, current: Remediation) -> bool:
    """Say whether what was decided on `current` would be decided on `newest` too."""
    spec, known_spec = newest.spec, current.spec
    return (newest.status, spec.approval, spec.undo) == (current.status, known_spec.approval, known_spec.undo)
