"""Backs up Remediations that guards depend on, and creates them again where they are deleted.

The backup is in memory, and in the objectives' statuses, where it outlives the process. It is written there before
anything is changed, and read when a process begins to lead.
"""

import asyncio
import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

import structlog

from forestall.api import Remediation, RemediationPolicy, ServiceLevelObjective
from forestall.api.service_level_objective import Record
from forestall.engine.objective_status import named
from forestall.engine.snapshot import Snapshot
from forestall.errors import ClusterError, Forbidden, NotFound
from forestall.isolation import ErrorIsolation
from forestall.registry import Namespace, Registry
from forestall.remediation import RemediationReconciler, RetentionNeeds
from forestall.remediation.backup import from_records, to_back_up, to_records

AT_ONCE: Final = 50
"""How many Remediations are created again in one cycle at the most; each takes three requests."""

_log = structlog.get_logger()

Key = tuple[str, str]
"""Namespace and name."""


class RemediationBackup:
    """Keeps the backup of each objective's Remediations."""

    def __init__(self, registry: Registry, isolation: ErrorIsolation) -> None:
        self._registry = registry
        self._isolation = isolation
        self.write_records: Callable[[ServiceLevelObjective, float], Awaitable[None]] = _nowhere
        """A function that writes the backup of an objective into its status."""
        self._by_objective: dict[str, dict[str, Remediation]] = {}  # by UID of the objective and name
        self._versions: dict[str, frozenset[tuple[str, str]]] = {}  # the names and versions that this was chosen from
        self._written: dict[str, list[Record]] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def forget(self) -> None:
        """Drop the backup in memory when another process leads: the statuses are read again."""
        self._by_objective, self._versions, self._written = {}, {}, {}

    def of(self, objective: str, before: list[Record]) -> list[Record]:
        """Return the backup for the status of an objective (UID); `before`, where the status was not read yet."""
        remediations = self._by_objective.get(objective)
        if remediations is None:
            return before
        if objective not in self._written:
            self._written[objective] = to_records(remediations.values())
        return self._written[objective]

    async def remember(self, remediation: Remediation, now: float) -> None:
        """Write a step into the backup at `now` (s), before it is made.

        Raises:
            ClusterError: it is not known to be written.
        """
        self.note(remediation)
        uid = remediation.spec.intent.objective.uid
        slo = self._registry.by_uid(ServiceLevelObjective, uid)
        if slo is not None:
            async with self._locks[uid]:
                await self.write_records(slo, now)

    def note(self, remediation: Remediation) -> None:
        """Update the backup in memory of a remediation."""
        if remediation.status.steps or remediation.ended:
            uid = remediation.spec.intent.objective.uid
            # The newest comes first: should there be no room for all, it is there.
            other_remediations = {
                name: other for name, other in self._by_objective.get(uid, {}).items() if name != remediation.name
            }
            self._remember(uid, {remediation.name: remediation, **other_remediations})

    def awaits(self, remediation: Remediation) -> bool:
        """Say whether the Remediation is created again, but without its status, which is in the backup."""
        uid = remediation.spec.intent.objective.uid
        return remediation.unwritten and remediation.name in self._by_objective.get(uid, {})

    def with_deleted(self, existing: Mapping[Key, Remediation]) -> dict[Key, Remediation]:
        """Return the remediations that exist, by namespace and name, with those that are only in the backup."""
        backed_up = _by_key(remediation for by_name in self._by_objective.values() for remediation in by_name.values())
        written = {key: body for key, body in existing.items() if key not in backed_up or not body.unwritten}
        return backed_up | written

    async def begin(
        self, reconciler: RemediationReconciler, snapshot: Snapshot, now: float, until: float = math.inf
    ) -> Snapshot:
        """Create deleted Remediations again; return the snapshot with all of them, including those that could not be
        created.

        Nothing is begun after `until` (s, of the event loop), and each attempt takes at most half of the remaining
        time.
        """
        needs = RetentionNeeds.of(
            snapshot.objectives.keys(), self._registry.all(RemediationPolicy), snapshot.guardrails
        )
        existing: defaultdict[str, list[Remediation]] = defaultdict(list)
        for remediation in snapshot.remediations:
            existing[remediation.spec.intent.objective.uid].append(remediation)
        for uid, slo in snapshot.objectives.items():
            if uid not in self._by_objective:
                with self._isolation.attempt("remembering", named(slo)):
                    self._remember(uid, _by_name(from_records(slo.status.records, uid, slo.namespace)))
        back: dict[Key, Remediation] = {}
        tries = AT_ONCE
        for uid in [*self._by_objective, *(uid for uid in existing if uid not in self._by_objective)]:
            with self._isolation.attempt("remembering", f"objective {uid}"):
                missing = self._missing(uid, existing[uid], needs, now)
                back |= _by_key(missing)
                for remediation in missing:
                    restored: Remediation | None = remediation
                    if tries:
                        restored, tries = await self._restore(reconciler, remediation, now, until), tries - 1
                    existing[uid] = [other for other in existing[uid] if other.name != remediation.name]
                    if restored is None:
                        del back[remediation.namespace, remediation.name]
                    else:
                        back[remediation.namespace, remediation.name] = restored
                        existing[uid].append(restored)
                if missing:
                    self._choose(uid, existing[uid], needs, now)
        self._retain(snapshot)
        if not back:
            return snapshot
        return replace(snapshot, remediations=list((_by_key(snapshot.remediations) | back).values()))

    def _missing(self, uid: str, existing: list[Remediation], needs: RetentionNeeds, now: float) -> list[Remediation]:
        """Return the Remediations of an objective that are needed and in the backup, but missing; update the backup of
        the others.
        """
        versions = frozenset((remediation.name, remediation.metadata.resource_version) for remediation in existing)
        present = _by_name(remediation for remediation in existing if not remediation.unwritten)
        deleted = [
            remediation
            for name, remediation in self._by_objective.get(uid, {}).items()
            # What this version can't read is there all the same.
            if name not in present and not self._registry.is_invalid(Remediation, name, remediation.namespace)
        ]
        if not deleted:
            if self._versions.get(uid) != versions:
                self._choose(uid, existing, needs, now)
                self._versions[uid] = versions
            return []
        needed = {remediation.name for remediation in to_back_up([*present.values(), *deleted], needs, now)}
        self._versions.pop(uid, None)
        missing = [remediation for remediation in deleted if remediation.name in needed]
        if not missing:
            self._choose(uid, list(present.values()), needs, now)
        return missing

    def _choose(self, uid: str, existing: list[Remediation], needs: RetentionNeeds, now: float) -> None:
        self._remember(uid, _by_name(to_back_up(existing, needs, now)))

    def _remember(self, uid: str, remediations: dict[str, Remediation]) -> None:
        self._by_objective[uid] = remediations
        self._written.pop(uid, None)

    async def _restore(
        self, reconciler: RemediationReconciler, remediation: Remediation, now: float, until: float
    ) -> Remediation | None:
        """Create one again; return it as created, or as in the backup; None where its namespace is deleted."""
        if self._is_of_deleted_namespace(remediation):
            return None
        try:
            async with asyncio.timeout_at(_half_way(until)):
                restored = await reconciler.restore(remediation, now)
        except (Forbidden, NotFound) as error:
            if self._registry.labels(remediation.namespace) is None:
                return None
            _log.warning("remediation not written again", remediation=remediation.name, error=str(error))
            return remediation
        except (ClusterError, TimeoutError) as error:
            why = str(error) or "it took too long"
            _log.warning("remediation not written again", remediation=remediation.name, error=why)
            return remediation
        if restored.spec.restored is not None:
            _log.warning(
                "remediation written again that was deleted",
                remediation=remediation.name,
                namespace=remediation.namespace,
            )
        self._registry.put(Remediation.KIND, restored.dump())
        return restored

    def _is_of_deleted_namespace(self, remediation: Remediation) -> bool:
        """Say whether the namespace was deleted and created again since; both times are by the API server's clock."""
        namespace = self._registry.get(Namespace, remediation.namespace)
        since = None if namespace is None else namespace.metadata.creation_timestamp
        created = remediation.metadata.creation_timestamp
        return created is not None and since is not None and created < since

    def _retain(self, snapshot: Snapshot) -> None:
        """Forget deleted objectives whose backup is empty."""
        for uid in [
            uid for uid, by_name in self._by_objective.items() if not by_name and uid not in snapshot.objectives
        ]:
            del self._by_objective[uid]
        for by_objective in (self._versions, self._written, self._locks):
            for uid in [uid for uid in by_objective if uid not in self._by_objective]:
                del by_objective[uid]


def _by_name(remediations: Iterable[Remediation]) -> dict[str, Remediation]:
    return {remediation.name: remediation for remediation in remediations}


def _by_key(remediations: Iterable[Remediation]) -> dict[Key, Remediation]:
    return {(remediation.namespace, remediation.name): remediation for remediation in remediations}


def _half_way(until: float) -> float:
    now = asyncio.get_running_loop().time()
    return now + (until - now) / 2


async def _nowhere(_: ServiceLevelObjective, __: float) -> None:
    """The writer where there is no status to write to."""
