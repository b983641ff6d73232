"""Keeps what rests on Remediations from going with them: they are remembered, and written again where they are deleted.

What is remembered is in memory, as it was last seen, and in the objectives' statuses, where it outlives the process. It
is written there before anything is changed, and read when a process begins to lead.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final

import structlog

from forestall.api import Remediation, RemediationPolicy, ServiceLevelObjective
from forestall.api.service_level_objective import Record
from forestall.engine.report import named
from forestall.engine.scene import Scene
from forestall.errors import ClusterError, Forbidden, NotFound
from forestall.isolation import Isolation
from forestall.registry import Registry
from forestall.remediation import RemediationReconciler, RetentionNeeds
from forestall.remediation.backup import from_records, to_back_up, to_records

AT_ONCE: Final = 50
"""So many Remediations are written again in one cycle at the most; each takes three requests."""

_log = structlog.get_logger()

Known = dict[str, Remediation]
"""By name."""


class RemediationBackup:
    """What is remembered of each objective's Remediations."""

    def __init__(self, registry: Registry, isolation: Isolation) -> None:
        self._registry = registry
        self._isolation = isolation
        self.keep: Callable[[ServiceLevelObjective, float], Awaitable[None]] = _nowhere
        """Writes the records of an objective into its status."""
        self._known: dict[str, Known] = {}  # by UID of the objective
        self._seen: dict[str, frozenset[tuple[str, str]]] = {}  # the names and versions that this was chosen from
        self._written: dict[str, list[Record]] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def forget(self) -> None:
        """Forget everything, as somebody else leads: what is written down is read again."""
        self._known, self._seen, self._written = {}, {}, {}

    def of(self, objective: str, before: list[Record]) -> list[Record]:
        """Return what the status of an objective (UID) is to remember; what it did `before`, where it was not read."""
        known = self._known.get(objective)
        if known is None:
            return before
        if objective not in self._written:
            self._written[objective] = to_records(known.values())
        return self._written[objective]

    async def remember(self, remediation: Remediation, now: float) -> None:
        """Write down, at `now` (s), a step that is about to be made.

        Raises:
            ClusterError: it is not known to be written.
        """
        self.note(remediation)
        uid = remediation.spec.intent.objective.uid
        slo = self._registry.by_uid(ServiceLevelObjective, uid)
        if slo is not None:
            async with self._locks[uid]:
                await self.keep(slo, now)

    def note(self, remediation: Remediation) -> None:
        """Remember a remediation as it is now."""
        if remediation.status.steps or remediation.ended:
            uid = remediation.spec.intent.objective.uid
            # The newest comes first: should there be no room for all, it is there.
            others = {name: one for name, one in self._known.get(uid, {}).items() if name != remediation.name}
            self._remember(uid, {remediation.name: remediation, **others})

    def awaits(self, remediation: Remediation) -> bool:
        """Say whether it is written again, but not yet what became of it, which is remembered."""
        uid = remediation.spec.intent.objective.uid
        return remediation.unwritten and remediation.name in self._known.get(uid, {})

    def with_deleted(self, there: Mapping[tuple[str, str], Remediation]) -> dict[tuple[str, str], Remediation]:
        """Return the remediations that are there, by namespace and name, and those that are only remembered."""
        known = {(one.namespace, one.name): one for some in self._known.values() for one in some.values()}
        return known | {key: one for key, one in there.items() if key not in known or not one.unwritten}

    async def begin(self, reconciler: RemediationReconciler, scene: Scene, now: float) -> Scene:
        """Write again what was deleted; return the scene with it, and with what could not be written all the same."""
        needs = RetentionNeeds.of(scene.objectives.keys(), self._registry.all(RemediationPolicy), scene.guardrails)
        there: defaultdict[str, list[Remediation]] = defaultdict(list)
        for one in scene.remediations:
            there[one.spec.intent.objective.uid].append(one)
        for uid, slo in scene.objectives.items():
            if uid not in self._known:
                with self._isolation.around("remembering", named(slo)):
                    self._remember(uid, {one.name: one for one in from_records(slo.status.records, uid, slo.namespace)})
        back: dict[tuple[str, str], Remediation] = {}
        tries = AT_ONCE
        for uid in [*self._known, *(uid for uid in there if uid not in self._known)]:
            with self._isolation.around("remembering", f"objective {uid}"):
                missing = self._missing(uid, there[uid], needs, now)
                back |= {(one.namespace, one.name): one for one in missing}
                for one in missing:
                    restored, tries = (await self._restore(reconciler, one, now), tries - 1) if tries else (one, 0)
                    there[uid] = [each for each in there[uid] if each.name != one.name]
                    if restored is None:
                        del back[one.namespace, one.name]
                    else:
                        back[one.namespace, one.name] = restored
                        there[uid].append(restored)
                if missing:
                    self._choose(uid, there[uid], needs, now)
        self._retain(scene)
        if not back:
            return scene
        present = {(one.namespace, one.name): one for one in scene.remediations}
        return replace(scene, remediations=list((present | back).values()))

    def _missing(self, uid: str, there: list[Remediation], needs: RetentionNeeds, now: float) -> list[Remediation]:
        """Return what is remembered of an objective, is needed and is not there; note what is."""
        seen = frozenset((one.name, one.metadata.resource_version) for one in there)
        present = {one.name: one for one in there if not one.unwritten}
        gone = [
            one
            for name, one in self._known.get(uid, {}).items()
            # What this version can't read is there all the same.
            if name not in present and not self._registry.is_invalid(Remediation, name, one.namespace)
        ]
        if not gone:
            if self._seen.get(uid) != seen:
                self._choose(uid, there, needs, now)
                self._seen[uid] = seen
            return []
        needed = {one.name for one in to_back_up([*present.values(), *gone], needs, now)}
        self._seen.pop(uid, None)
        missing = [one for one in gone if one.name in needed]
        if not missing:
            self._choose(uid, list(present.values()), needs, now)
        return missing

    def _choose(self, uid: str, there: list[Remediation], needs: RetentionNeeds, now: float) -> None:
        self._remember(uid, {one.name: one for one in to_back_up(there, needs, now)})

    def _remember(self, uid: str, known: Known) -> None:
        self._known[uid] = known
        self._written.pop(uid, None)

    async def _restore(self, reconciler: RemediationReconciler, one: Remediation, now: float) -> Remediation | None:
        """Write one again; return it as it is then, or as it is remembered; None where its namespace is gone."""
        try:
            restored = await reconciler.restore(one, now)
        except (Forbidden, NotFound) as error:
            if self._registry.labels(one.namespace) is None:
                return None
            _log.warning("remediation not written again", remediation=one.name, error=str(error))
            return one
        except ClusterError as error:
            _log.warning("remediation not written again", remediation=one.name, error=str(error))
            return one
        if restored.spec.restored is not None:
            _log.warning("remediation written again that was deleted", remediation=one.name, namespace=one.namespace)
        self._registry.put(Remediation.KIND, restored.dump())
        return restored

    def _retain(self, scene: Scene) -> None:
        """Forget the objectives that are gone, with nothing left to remember."""
        for uid in [uid for uid, known in self._known.items() if not known and uid not in scene.objectives]:
            del self._known[uid]
        for held in (self._seen, self._written, self._locks):
            for uid in [uid for uid in held if uid not in self._known]:
                del held[uid]


async def _nowhere(_: ServiceLevelObjective, __: float) -> None:
    """Where there is no status to write to."""
