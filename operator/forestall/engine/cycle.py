"""The cycle: observe, forecast, assess, plan, guard, act, verify, for all objectives together."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import ParamSpec, TypeVar

import structlog

from forestall.actions import ACTIONS, Notify
from forestall.actions.notify import NoChannels
from forestall.api import Remediation, RemediationPolicy
from forestall.core.clock_skew import ClockOffset, ClockSkew, compare_clocks
from forestall.engine import policy_limits
from forestall.engine.advisor import Advisor
from forestall.engine.assessor import Assessor
from forestall.engine.concurrency import aside, at_most, gather_all, within
from forestall.engine.cycle_report import CycleReport, report_of
from forestall.engine.deadlines import Deadlines
from forestall.engine.decider import Decider
from forestall.engine.declared_capacity import DeclaredCapacityChecker
from forestall.engine.delivery_tracker import DeliveryTracker
from forestall.engine.episodes import at_risk_since
from forestall.engine.fair_scheduling import FairScheduler
from forestall.engine.forecasting import Forecasting
from forestall.engine.guard_input import GuardInputGatherer
from forestall.engine.indicator_queries import ObjectiveQueries
from forestall.engine.node_lister import NodeLister
from forestall.engine.notifications import NotificationDispatcher
from forestall.engine.objective_controller import ObjectiveController
from forestall.engine.objective_status import Findings, Problem
from forestall.engine.observe import Observer
from forestall.engine.orphaned_nodes import OrphanedNodeRelease
from forestall.engine.past_stores import BreachPast
from forestall.engine.past_traffic import PastTraffic
from forestall.engine.pause_checker import PauseChecker
from forestall.engine.permissions import Permissions
from forestall.engine.query_planner import QueryPlanner, stale_after
from forestall.engine.readings import distrusted
from forestall.engine.remediation_backup import RemediationBackup
from forestall.engine.remediation_cleanup import RemediationCleanup
from forestall.engine.remediation_controller import RemediationController
from forestall.engine.remediation_opener import RemediationOpener
from forestall.engine.series_quota import Readings, within_series
from forestall.engine.settings import Settings
from forestall.engine.snapshot import Snapshot
from forestall.engine.status_publisher import StatusPublisher
from forestall.engine.subject_checker import SubjectChecker
from forestall.engine.target_counter import TargetCounter
from forestall.engine.target_resolver import TargetResolver
from forestall.isolation import ErrorIsolation
from forestall.ports import Cluster, Metrics, Notifier
from forestall.read_cache import ReadCache
from forestall.registry import Registry
from forestall.remediation import RemediationReconciler

P = ParamSpec("P")
T = TypeVar("T")

_RIGHTS = 0.25
"""The share of an interval for which one cycle checks the permissions of policies at the most."""

_log = structlog.get_logger()


class Engine:
    """Runs cycles. It reads no clock: the caller passes the time of each cycle."""

    def __init__(
        self,
        metrics: Metrics,
        cluster: Cluster,
        registry: Registry,
        settings: Settings,
        notifier: Notifier | None = None,
        api_clock: Callable[[], ClockOffset | None] = lambda: None,
    ) -> None:
        """Make an engine; without a `notifier` no notifications are sent.

        `api_clock` returns the offset of the API server's clock from the event loop's, where it is known.
        """
        self._cluster = cluster
        self._registry = registry
        self._settings = settings
        self._api_clock = api_clock
        self._isolation = isolation = ErrorIsolation()
        self._watch = QueryPlanner(registry, settings.interval, isolation)
        self._forecasting = Forecasting(settings, isolation)
        self._observer = Observer(metrics, self._forecasting.matrix, isolation, BreachPast(self._forecasting))
        self._reads = reads = ReadCache(cluster)  # what deciding rests on, of one cycle
        self._targets = TargetResolver(reads, settings.interval, settings.concurrency, isolation)
        self._coverage = DeclaredCapacityChecker(self._targets, isolation)
        self._census = TargetCounter(self._targets)
        self._subjects = SubjectChecker(cluster, settings.concurrency, isolation)
        self._pause_checker = PauseChecker(registry, cluster)
        self._node_lister = NodeLister(cluster)
        self._traffic = PastTraffic(metrics, registry)
        gatherer, permissions = (
            GuardInputGatherer(reads, registry, self._node_lister, self._pause_checker),
            Permissions(cluster),
        )
        self._decider = Decider(reads, self._targets, gatherer, permissions, self._traffic)
        self._delivery_tracker = delivery_tracker = DeliveryTracker(notifier or NoChannels(), settings.delivery_wait)
        telling = Notify(delivery_tracker, delivery_tracker.was_sent)
        self._backup = RemediationBackup(registry, isolation)
        self._reconciler = RemediationReconciler(
            cluster, {**ACTIONS, telling.traits.name: telling}, self._pause_checker, self._backup.remember
        )
        self._notifications = NotificationDispatcher(delivery_tracker, self._reconciler, registry, isolation)
        self._advisor = Advisor(self._forecasting.matrix, isolation, metrics)
        self._publisher = StatusPublisher(cluster, registry, settings, delivery_tracker, isolation, self._advisor)
        self._publisher.permissions = permissions
        self._publisher.records, self._backup.write_records = self._backup.of, self._publisher.write_records
        self._assessor = Assessor(settings, self._advisor, isolation)
        self._scheduler = FairScheduler(settings.concurrency, settings.turn)
        self._deadlines = Deadlines(settings)
        self._opener = RemediationOpener(
            self._decider, self._reconciler, self._publisher, self._backup, self._scheduler, registry
        )
        self._objectives = ObjectiveController(
            self._decider, self._opener, self._scheduler, registry, settings, isolation
        )
        self._remediations = RemediationController(
            cluster=cluster,
            registry=registry,
            settings=settings,
            isolation=isolation,
            reconciler=self._reconciler,
            decider=self._decider,
            targets=self._targets,
            backup=self._backup,
            forecasting=self._forecasting,
            scheduler=self._scheduler,
        )
        self._orphaned_nodes = OrphanedNodeRelease(cluster, partial(self._pause_checker.check, "", "", ""))
        self._cleanup = RemediationCleanup(cluster, registry)

    async def cycle(self, now: float, *, leading: bool) -> CycleReport:
        """Run one cycle at `now` (seconds since the epoch). A standby observes and forecasts, and writes nothing."""
        self._isolation.begin(now)
        # What a server says of its time is compared with this cycle's, as it goes on since now.
        ahead = now - asyncio.get_running_loop().time()
        self._deadlines.begin()
        self._scheduler.begin_cycle()
        self._reads.forget()
        snapshot = Snapshot.of(self._registry).ordered(self._scheduler.postponed, self._assessor.episodes)
        # What takes its time is done aside: the lease must be renewed meanwhile.
        queries, problems = await self._aside(self._watch.questions, snapshot.objectives.values())
        too_old = partial(stale_after, self._registry, self._settings.interval)
        readings, ratios = await self._observer.observe(queries, too_old, now, self._deadlines.values)
        clocks = self._compare(ahead)
        snapshot = replace(snapshot, clocks=clocks)
        readings, ratios = distrusted(readings, ratios, queries, clocks)
        bounded = within_series(readings, queries, self._settings.series)
        readings = await self._census.take(bounded, snapshot.objectives, self._deadlines.observed)
        waiting = await self._read_past(queries, readings, too_old, now)
        self._observer.feed(readings, now)
        self._observer.retain(queries, now)
        signals = await self._aside(self._forecasting.forecast, readings, now)
        problems |= {uid: Problem("InternalError", message) for uid, message in self._forecasting.failures.items()}

        findings = self._assessor.assess(snapshot, problems, readings, ratios, signals)
        thresholds = self._assessor.thresholds(snapshot)
        # The pods and nodes are listed after the sources answered: what is missing then is gone, and not new.
        findings = await self._subjects.applied(
            snapshot, findings, thresholds, lambda source: now - too_old(source), self._deadlines.checked
        )
        ended: list[tuple[str, str]] = []
        if leading:
            findings, ended = await self._lead(snapshot, findings, thresholds, now)
        else:
            self._assessor.retain(())
            self._backup.forget()
        report = report_of(findings, ended, waiting, self._isolation.faults)
        return replace(report, clocks=clocks, sources=self._observer.health)

    async def close(self) -> None:
        """Cancel background tasks: probes and notifications under way."""
        await self._delivery_tracker.close()
        await self._advisor.probes.close()

    async def _read_past(
        self, queries: Mapping[str, ObjectiveQueries], readings: Readings, too_old: Callable[[str], float], now: float
    ) -> int:
        """Backfill new queries and read further pieces of windows concurrently; return how many queries still wait."""
        settings, end = self._settings, self._deadlines.observed
        async with asyncio.TaskGroup() as tasks:
            past = tasks.create_task(self._observer.backfill(queries, now, settings.backfill, readings, end))
            tasks.create_task(self._observer.read_windows(queries, too_old, now, settings.windows, end))
        return past.result()

    def _compare(self, ahead: float) -> ClockSkew:
        """Compare the clocks; `ahead` is by how many seconds the cycle's clock is ahead of the event loop's."""
        api = self._api_clock()
        sources = {name: offset.relative_to(ahead) for name, offset in self._observer.clocks.items()}
        clocks = compare_clocks(api and api.relative_to(ahead), sources)
        self._pause_checker.skewed = clocks.global_reason
        return clocks

    async def _aside(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `function` in a thread if the settings ask for that."""
        return await aside(function, *args, **kwargs) if self._settings.threads else function(*args, **kwargs)

    async def _lead(
        self,
        snapshot: Snapshot,
        findings_by_uid: Mapping[str, Findings],
        thresholds: Mapping[str, float],
        now: float,
    ) -> tuple[dict[str, Findings], list[tuple[str, str]]]:
        self._opener.begin_cycle()
        self._node_lister.forget()
        self._scheduler.begin_phase(self._deadlines.decided)
        with self._isolation.attempt("remembering", "remediations"):
            snapshot = await self._backup.begin(self._reconciler, snapshot, now, self._deadlines.checked)
        missing = await self._targets.check(snapshot.objectives.values(), now, self._deadlines.checked)
        findings_by_uid = await self._coverage.applied(snapshot, findings_by_uid, thresholds, self._deadlines.checked)
        findings_by_uid = self._assessor.in_episodes(snapshot, findings_by_uid, now)
        with self._isolation.attempt("counting", "budgets"):
            await self._opener.budget_usage.begin(snapshot.guardrails, snapshot.remediations, now)
        storms = policy_limits.storms(snapshot.guardrails, at_risk_since(findings_by_uid.values()), snapshot.watched)
        snapshot = replace(snapshot, storms=storms, debts=self._opener.budget_usage.debts)
        findings_by_uid = self._assessor.with_culprits(snapshot, findings_by_uid)
        results = await gather_all(
            self._objectives.decide(snapshot, findings, missing.get(uid), now)
            for uid, findings in findings_by_uid.items()
        )
        settled = dict(zip(findings_by_uid, results, strict=True))
        self._decider.forget(findings_by_uid.keys())
        self._traffic.retain(findings_by_uid.keys())
        self._assessor.retain(findings_by_uid.keys())
        self._orphaned_nodes.note(self._registry.all(Remediation))
        # By a clock that is wrong deadlines pass too soon, or never.
        trusted = snapshot.clocks.global_reason is None
        ended = await self._remediations.reconcile(snapshot, settled, now, self._deadlines.driven) if trusted else []
        with self._isolation.attempt("asking", "rights"):
            until = at_most(_RIGHTS * self._settings.interval, self._deadlines.driven)
            await self._publisher.permissions.check(snapshot, self._registry.all(RemediationPolicy), until)
        await self._publisher.publish(settled, now, snapshot.selection, self._deadlines.written)
        await within(
            self._deadlines.over, (self._clean_up(snapshot, now), self._notifications.dispatch(settled.values(), now))
        )
        return settled, ended

    async def _clean_up(self, snapshot: Snapshot, now: float) -> None:
        with self._isolation.attempt("reaping", "ended remediations"):
            if snapshot.clocks.global_reason is None:
                await self._cleanup.run(snapshot, now)
        with self._isolation.attempt("sweeping", "nodes"):
            await self._orphaned_nodes.run(self._registry.all(Remediation), now)
