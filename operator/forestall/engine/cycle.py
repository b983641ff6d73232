"""The cycle: observe, forecast, assess, plan, guard, act, verify, for all objectives together."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import ParamSpec, TypeVar

import structlog

from forestall.actions import ACTIONS, Notify
from forestall.actions.notify import Nobody
from forestall.api import Remediation, RemediationPolicy
from forestall.core.clock_skew import ClockOffset, ClockSkew, compare_clocks
from forestall.engine import terms
from forestall.engine.act import Decider
from forestall.engine.advisor import Advisor
from forestall.engine.assessor import Assessor
from forestall.engine.census import Census
from forestall.engine.coverage import Coverage
from forestall.engine.cycle_report import CycleReport, report_of
from forestall.engine.deadlines import Deadlines
from forestall.engine.episodes import at_risk_since
from forestall.engine.fair_scheduling import FairScheduler
from forestall.engine.guard_input import Gatherer
from forestall.engine.herald import Herald
from forestall.engine.objective_controller import ObjectiveController
from forestall.engine.observe import Observer, distrusted
from forestall.engine.orphaned_nodes import OrphanedNodeRelease
from forestall.engine.outbox import WAIT, Outbox
from forestall.engine.pause_checker import PauseChecker
from forestall.engine.permissions import Permissions
from forestall.engine.publish import Publisher
from forestall.engine.questions import Questions
from forestall.engine.remediation_backup import RemediationBackup
from forestall.engine.remediation_cleanup import RemediationCleanup
from forestall.engine.remediation_controller import RemediationController
from forestall.engine.remediation_opener import RemediationOpener
from forestall.engine.report import Findings, Problem
from forestall.engine.scene import Scene
from forestall.engine.settings import Settings
from forestall.engine.shares import Readings, within_series
from forestall.engine.signals import Forecasting
from forestall.engine.survey import Survey
from forestall.engine.targets import Targets
from forestall.engine.together import aside, together, within
from forestall.engine.traffic import PastTraffic
from forestall.engine.watch import Watch, stale_after
from forestall.isolation import Isolation
from forestall.ports import Cluster, Metrics, Notifier
from forestall.read_cache import ReadCache
from forestall.registry import Registry
from forestall.remediation import RemediationReconciler

P = ParamSpec("P")
T = TypeVar("T")

_RIGHTS = 0.25
"""For this share of an interval the rights of policies are asked about in one cycle at the most."""

_log = structlog.get_logger()


class Engine:
    """Runs cycles. It knows no clock: each cycle is told what time it is."""

    def __init__(
        self,
        metrics: Metrics,
        cluster: Cluster,
        registry: Registry,
        settings: Settings,
        notifier: Notifier | None = None,
        api_clock: Callable[[], ClockOffset | None] = lambda: None,
    ) -> None:
        """Make an engine; without a `notifier` nobody is told anything.

        `api_clock` returns the API server's clock against the event loop's, where it is known.
        """
        self._cluster = cluster
        self._registry = registry
        self._settings = settings
        self._api_clock = api_clock
        self._isolation = isolation = Isolation()
        self._watch = Watch(registry, settings.interval, isolation)
        self._forecasting = Forecasting(settings, isolation)
        self._observer = Observer(metrics, self._forecasting.matrix, isolation)
        self._reads = reads = ReadCache(cluster)  # what deciding rests on, of one cycle
        self._targets = Targets(reads, settings.interval, settings.concurrency, isolation)
        self._coverage = Coverage(self._targets, isolation)
        self._census = Census(self._targets)
        self._pause_checker = PauseChecker(registry, cluster)
        self._survey = Survey(cluster)
        self._traffic = PastTraffic(metrics, registry)
        gatherer, permissions = Gatherer(reads, registry, self._survey, self._pause_checker), Permissions(cluster)
        self._decider = Decider(reads, self._targets, gatherer, permissions, self._traffic)
        self._outbox = outbox = Outbox(notifier or Nobody(), min(WAIT, settings.interval / 20))
        telling = Notify(outbox)
        self._backup = RemediationBackup(registry, isolation)
        self._reconciler = RemediationReconciler(
            cluster, {**ACTIONS, telling.traits.name: telling}, self._pause_checker, self._backup.remember
        )
        self._herald = Herald(outbox, self._reconciler, registry, isolation)
        self._advisor = Advisor(self._forecasting.matrix, isolation, metrics)
        self._publisher = Publisher(cluster, registry, settings, outbox, isolation, self._advisor)
        self._publisher.permissions = permissions
        self._publisher.records, self._backup.keep = self._backup.of, self._publisher.keep
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
        self._orphaned_nodes = OrphanedNodeRelease(
            cluster, self._survey, partial(self._pause_checker.check, "", "", "")
        )
        self._cleanup = RemediationCleanup(cluster, registry)

    async def cycle(self, now: float, *, leading: bool) -> CycleReport:
        """Run one cycle at `now` (seconds since the epoch). A standby observes and forecasts, and writes nothing."""
        self._isolation.begin(now)
        # What a server says of its time is compared with this cycle's, as it goes on since now.
        ahead = now - asyncio.get_running_loop().time()
        self._deadlines.begin()
        self._scheduler.begin_cycle()
        self._reads.forget()
        scene = Scene.of(self._registry).ordered(self._scheduler.postponed, self._assessor.episodes)
        # What takes its time is done aside: the lease must be renewed meanwhile.
        asked, problems = await self._aside(self._watch.questions, scene.objectives.values())
        too_old = partial(stale_after, self._registry, self._settings.interval)
        readings, ratios = await self._observer.observe(asked, too_old, now, self._deadlines.values)
        clocks = self._compare(ahead)
        scene = replace(scene, clocks=clocks)
        readings, ratios = distrusted(readings, ratios, asked, clocks)
        bounded = within_series(readings, asked, self._settings.series)
        readings = await self._census.take(bounded, scene.objectives, self._deadlines.observed)
        waiting = await self._read_past(asked, readings, too_old, now)
        self._observer.feed(readings, now)
        self._observer.retain(asked, now)
        signals = await self._aside(self._forecasting.forecast, readings, now)
        problems |= {uid: Problem("InternalError", words) for uid, words in self._forecasting.failures.items()}

        found = self._assessor.assess(scene, problems, readings, ratios, signals)
        ended: list[tuple[str, str]] = []
        if leading:
            found, ended = await self._lead(scene, found, now)
        else:
            self._assessor.retain(())
            self._backup.forget()
        report = report_of(found, ended, waiting, self._isolation.faults)
        return replace(report, clocks=clocks, sources=self._observer.health)

    async def close(self) -> None:
        """End what goes on beside the cycles."""
        await self._outbox.close()
        await self._advisor.probes.close()

    async def _read_past(
        self, asked: Mapping[str, Questions], readings: Readings, too_old: Callable[[str], float], now: float
    ) -> int:
        """Read the past of new queries and on in the windows, side by side; return how many queries wait."""
        settings, end = self._settings, self._deadlines.observed
        async with asyncio.TaskGroup() as tasks:
            past = tasks.create_task(self._observer.backfill(asked, now, settings.backfill, readings, end))
            tasks.create_task(self._observer.read_windows(asked, too_old, now, settings.windows, end))
        return past.result()

    def _compare(self, ahead: float) -> ClockSkew:
        """Return what is known of the clocks; `ahead` is by how much (s) the cycle's is ahead of the event loop's."""
        api = self._api_clock()
        sources = {name: offset.relative_to(ahead) for name, offset in self._observer.clocks.items()}
        clocks = compare_clocks(api and api.relative_to(ahead), sources)
        self._pause_checker.skewed = clocks.global_reason
        return clocks

    async def _aside(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `function` in a thread, where the settings say so."""
        return await aside(function, *args, **kwargs) if self._settings.threads else function(*args, **kwargs)

    async def _lead(
        self, scene: Scene, found: Mapping[str, Findings], now: float
    ) -> tuple[dict[str, Findings], list[tuple[str, str]]]:
        self._opener.begin_cycle()
        self._survey.forget()
        self._scheduler.begin_phase(self._deadlines.decided)
        with self._isolation.around("remembering", "remediations"):
            scene = await self._backup.begin(self._reconciler, scene, now, self._deadlines.checked)
        missing = await self._targets.check(scene.objectives.values(), now, self._deadlines.checked)
        thresholds = self._assessor.thresholds(scene)
        found = await self._coverage.applied(scene, found, thresholds, self._deadlines.checked)
        found = self._assessor.in_episodes(scene, found, now)
        with self._isolation.around("counting", "budgets"):
            await self._opener.budget_usage.begin(scene.guardrails, scene.remediations, now)
        storms = terms.storms(scene.guardrails, at_risk_since(found.values()), scene.watched)
        scene = replace(scene, storms=storms, debts=self._opener.budget_usage.debts)
        found = self._assessor.with_culprits(scene, found)
        results = await together(
            self._objectives.decide(scene, each, missing.get(uid), now) for uid, each in found.items()
        )
        settled = dict(zip(found, results, strict=True))
        self._decider.forget(found.keys())
        self._traffic.retain(found.keys())
        self._assessor.retain(found.keys())
        # By a clock that is wrong deadlines pass too soon, or never.
        trusted = scene.clocks.global_reason is None
        ended = await self._remediations.reconcile(scene, settled, now, self._deadlines.driven) if trusted else []
        with self._isolation.around("asking", "rights"):
            until = self._deadlines.at_most(_RIGHTS * self._settings.interval, self._deadlines.driven)
            await self._publisher.permissions.look(scene, self._registry.all(RemediationPolicy), until)
        await self._publisher.publish(settled, now, scene.selection, self._deadlines.written)
        await within(self._deadlines.over, (self._clean_up(scene, now), self._herald.tell(settled.values(), now)))
        return settled, ended

    async def _clean_up(self, scene: Scene, now: float) -> None:
        with self._isolation.around("reaping", "ended remediations"):
            if scene.clocks.global_reason is None:
                await self._cleanup.run(scene, now)
        with self._isolation.around("sweeping", "nodes"):
            await self._orphaned_nodes.run(self._registry.all(Remediation), now)
