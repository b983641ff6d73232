"""Drives every Remediation under way as far as it goes in a cycle, each when it is its namespace's turn."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import structlog

from forestall.actions import Outlook, traits_of
from forestall.api import Remediation, RemediationPolicy
from forestall.api.times import seconds
from forestall.core.decision import Hold
from forestall.engine import terms
from forestall.engine.act import Decider
from forestall.engine.fair_scheduling import FairScheduler, round_robin
from forestall.engine.guard_input import Case
from forestall.engine.outlook import outlook, unjudgeable
from forestall.engine.remediation_backup import RemediationBackup
from forestall.engine.report import Findings, named
from forestall.engine.scene import Scene
from forestall.engine.settings import Settings
from forestall.engine.signals import Forecasting
from forestall.engine.targets import Found, Targets
from forestall.engine.together import together
from forestall.errors import ClusterError, Unreadable
from forestall.isolation import Isolation
from forestall.ports import Cluster
from forestall.read_cache import ReadCache
from forestall.registry import Registry
from forestall.remediation import RemediationReconciler

_log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class RemediationController:
    """Reconciles Remediations; what it learns of them goes into the registry and the forecasts."""

    cluster: Cluster
    registry: Registry
    settings: Settings
    isolation: Isolation
    reconciler: RemediationReconciler
    decider: Decider
    targets: Targets
    backup: RemediationBackup
    forecasting: Forecasting
    scheduler: FairScheduler

    async def reconcile(
        self, scene: Scene, found: Mapping[str, Findings], now: float, until: float
    ) -> list[tuple[str, str]]:
        """Drive every remediation under way as far as it goes now; return action and phase of those that ended.

        What has not come so far at `until` (s, of the event loop) goes on in the next cycle.
        """
        live = [one for one in self.registry.all(Remediation) if not one.ended and not self.backup.awaits(one)]
        live = round_robin(
            sorted(live, key=lambda one: one.uid not in self.scheduler.postponed), lambda one: one.namespace
        )
        self.scheduler.begin_phase(until)
        after = await together(self._safely(scene, one, found, now) for one in live)
        return [(one.spec.intent.action.name, one.status.phase) for one in after if one and one.ended]

    async def _safely(
        self, scene: Scene, one: Remediation, found: Mapping[str, Findings], now: float
    ) -> Remediation | None:
        """Drive one remediation; what goes wrong with it is told by it, and keeps no other from going on."""
        hold: Hold | None = None
        with self.isolation.around("driving", named(one)) as attempt:
            try:
                return await self._drive(scene, one, found, now)
            except Unreadable as error:
                hold = Hold("ObjectUnreadable", str(error))
        with self.isolation.around("noting", named(one)):
            try:
                after = await self.reconciler.hold(one, hold or Hold("InternalError", attempt.failure or ""), now)
            except ClusterError as error:
                _log.warning("remediation waits", remediation=one.name, namespace=one.namespace, error=str(error))
                return None
            self.registry.put(Remediation.KIND, after.dump())
        return None

    async def _drive(
        self, scene: Scene, one: Remediation, found: Mapping[str, Findings], now: float
    ) -> Remediation | None:
        intent = one.spec.intent
        async with self.scheduler.slot(one.namespace) as over:
            if over is not None:
                self.scheduler.postpone(one.uid)
                _log.warning("remediation waits", remediation=one.name, namespace=one.namespace, error=over.message)
                return None
            here = found.get(intent.objective.uid)
            case = self._case_of(one, here)
            view = await self._outlook(one, here)
            reader = ReadCache(self.cluster)  # what changes something rests on what is read in this turn
            recheck = partial(self.decider.recheck, scene, case=case, now=now, reader=reader)
            try:
                async with asyncio.timeout_at(self.scheduler.end):
                    after = await self.reconciler.reconcile(one, view, recheck, now, reader)
            except Unreadable:
                raise
            except (ClusterError, TimeoutError) as error:
                why = str(error) or "no time was left for it in this cycle"
                _log.warning("remediation waits", remediation=one.name, namespace=one.namespace, error=why)
                return None
        if after is not one:
            self.registry.put(Remediation.KIND, after.dump())
            self.backup.note(after)
        since = seconds(after.status.steps[0].at) if after.status.steps else None
        if since is not None and not terms.tells(after):
            # What is done to a workload changes what would have happened to every objective that is about it.
            shared = [intent.objective.uid] if here is None else scene.sharing(here.slo)
            self.forecasting.censor(shared, since, now)
        return after

    async def _outlook(self, one: Remediation, found: Findings | None) -> Outlook:
        policy = self.registry.by_uid(RemediationPolicy, one.spec.intent.policy.uid)
        ready = None
        if found is not None and traits_of(one.spec.intent.action).changes_replicas:
            target = await self.targets.read(found.slo, with_scale=False)
            ready = target.size.ready if isinstance(target, Found) else None
        view = outlook(one, found.slo if found else None, policy, found.signals if found else (), ready)
        view = replace(view, calm=self.settings.calm)
        return view if view.fresh else replace(view, unjudgeable=unjudgeable(one, found))

    def _case_of(self, one: Remediation, found: Findings | None) -> Case | None:
        policy = self.registry.by_uid(RemediationPolicy, one.spec.intent.policy.uid)
        if found is None or policy is None:
            return None
        labels = self.registry.labels(one.namespace)
        return Case(found.slo, policy, found.signals, one.spec.intent.episode, found.victim_of, labels)
