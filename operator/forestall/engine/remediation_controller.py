"""Advances every Remediation under way once a cycle, each when its namespace has a slot."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import structlog

from forestall.actions import RiskOutlook, traits_of
from forestall.api import Remediation, RemediationPolicy
from forestall.api.times import seconds
from forestall.core.decision import Hold
from forestall.engine import policy_limits
from forestall.engine.concurrency import gather_all
from forestall.engine.deadlines import failure_text
from forestall.engine.decider import Decider
from forestall.engine.fair_scheduling import FairScheduler, round_robin
from forestall.engine.forecasting import Forecasting
from forestall.engine.guard_input import Evaluation
from forestall.engine.objective_status import Findings, named
from forestall.engine.outlook import outlook, unjudgeable
from forestall.engine.remediation_backup import RemediationBackup
from forestall.engine.settings import Settings
from forestall.engine.snapshot import Snapshot
from forestall.engine.target_resolver import ResolvedTarget, TargetResolver
from forestall.errors import ClusterError, Unreadable
from forestall.isolation import ErrorIsolation
from forestall.ports import Cluster
from forestall.read_cache import ReadCache
from forestall.registry import Registry
from forestall.remediation import RemediationReconciler

_log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class RemediationController:
    """Reconciles Remediations, and updates the registry and the forecasts by the results."""

    cluster: Cluster
    registry: Registry
    settings: Settings
    isolation: ErrorIsolation
    reconciler: RemediationReconciler
    decider: Decider
    targets: TargetResolver
    backup: RemediationBackup
    forecasting: Forecasting
    scheduler: FairScheduler

    async def reconcile(
        self, snapshot: Snapshot, findings_by_uid: Mapping[str, Findings], now: float, until: float
    ) -> list[tuple[str, str]]:
        """Advance every remediation under way as far as possible; return action and phase of those that ended.

        Work that has not ended at `until` (s, of the event loop) continues in the next cycle.
        """
        live = [
            remediation
            for remediation in self.registry.all(Remediation)
            if not remediation.ended and not self.backup.awaits(remediation)
        ]
        live = round_robin(
            sorted(live, key=lambda remediation: remediation.uid not in self.scheduler.postponed),
            lambda item: item.namespace,
        )
        self.scheduler.begin_phase(until)
        after = await gather_all(self._safely(snapshot, remediation, findings_by_uid, now) for remediation in live)
        return [
            (remediation.spec.intent.action.name, remediation.status.phase)
            for remediation in after
            if remediation and remediation.ended
        ]

    async def _safely(
        self, snapshot: Snapshot, remediation: Remediation, findings_by_uid: Mapping[str, Findings], now: float
    ) -> Remediation | None:
        """Advance one remediation; an error is reported by this remediation, and affects no other."""
        hold: Hold | None = None
        with self.isolation.attempt("driving", named(remediation)) as attempt:
            try:
                return await self._drive(snapshot, remediation, findings_by_uid, now)
            except Unreadable as error:
                hold = Hold("ObjectUnreadable", str(error))
        with self.isolation.attempt("noting", named(remediation)):
            hold = hold or Hold("InternalError", attempt.failure or "")
            try:
                async with asyncio.timeout_at(self.scheduler.end):
                    after = await self.reconciler.hold(remediation, hold, now)
            except (ClusterError, TimeoutError) as error:
                _log_waiting(remediation, failure_text(error))
                return None
            self.registry.put(Remediation.KIND, after.dump())
        return None

    async def _drive(
        self, snapshot: Snapshot, remediation: Remediation, findings_by_uid: Mapping[str, Findings], now: float
    ) -> Remediation | None:
        intent = remediation.spec.intent
        async with self.scheduler.slot(remediation.namespace) as over:
            if over is not None:
                self.scheduler.postpone(remediation.uid)
                _log_waiting(remediation, over.message)
                return None
            findings = findings_by_uid.get(intent.objective.uid)
            evaluation = self._evaluation_of(remediation, findings)
            view = await self._outlook(remediation, findings)
            reader = ReadCache(self.cluster)  # what changes something rests on what is read in this turn
            recheck = partial(self.decider.recheck, snapshot, evaluation=evaluation, now=now, reader=reader)
            try:
                async with asyncio.timeout_at(self.scheduler.end):
                    after = await self.reconciler.reconcile(remediation, view, recheck, now, reader)
            except Unreadable:
                raise
            except (ClusterError, TimeoutError) as error:
                _log_waiting(remediation, failure_text(error))
                return None
        if after is not remediation:
            self.registry.put(Remediation.KIND, after.dump())
            self.backup.note(after)
        since = seconds(after.status.steps[0].at) if after.status.steps else None
        if since is not None and not policy_limits.only_notifies(after):
            # What is done to a workload changes what would have happened to every objective that is about it.
            shared = [intent.objective.uid] if findings is None else snapshot.sharing(findings.slo)
            self.forecasting.censor(shared, since, now)
        return after

    async def _outlook(self, remediation: Remediation, findings: Findings | None) -> RiskOutlook:
        policy = self.registry.by_uid(RemediationPolicy, remediation.spec.intent.policy.uid)
        ready = None
        if findings is not None and traits_of(remediation.spec.intent.action).changes_replicas:
            target = await self.targets.read(findings.slo, with_scale=False)
            ready = target.size.ready if isinstance(target, ResolvedTarget) else None
        view = outlook(
            remediation, findings.slo if findings else None, policy, findings.signals if findings else (), ready
        )
        view = replace(view, calm=self.settings.calm)
        return view if view.fresh else replace(view, unjudgeable=unjudgeable(remediation, findings))

    def _evaluation_of(self, remediation: Remediation, findings: Findings | None) -> Evaluation | None:
        policy = self.registry.by_uid(RemediationPolicy, remediation.spec.intent.policy.uid)
        if findings is None or policy is None:
            return None
        labels = self.registry.labels(remediation.namespace)
        return Evaluation(
            findings.slo, policy, findings.signals, remediation.spec.intent.episode, findings.victim_of, labels
        )


def _log_waiting(remediation: Remediation, why: str) -> None:
    _log.warning("remediation waits", remediation=remediation.name, namespace=remediation.namespace, error=why)
