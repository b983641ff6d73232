"""The cycle: observe, forecast, assess, plan, guard, act, verify, for all objectives together."""

import asyncio
import contextlib
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import ParamSpec, TypeVar

import structlog

from forestall.actions import ACTIONS, Notify, Outlook, traits_of
from forestall.actions.notify import Nobody
from forestall.api import Remediation, RemediationPolicy
from forestall.api.service_level_objective import Decision, Episode
from forestall.api.times import seconds
from forestall.core.clocks import Clocks, Offset, compare
from forestall.core.decision import Hold
from forestall.core.dependencies import culprits
from forestall.core.duration import format_duration
from forestall.core.plan import triggering
from forestall.core.risk import Risk, State, assess
from forestall.engine import terms
from forestall.engine.act import Decider, Proposal, held
from forestall.engine.advisor import Advisor
from forestall.engine.budget_usage import BudgetUsage
from forestall.engine.census import Census
from forestall.engine.coverage import Coverage
from forestall.engine.cycle_report import CycleReport, report_of
from forestall.engine.deadlines import Deadlines
from forestall.engine.episodes import advance, at_risk_since, with_decided
from forestall.engine.fair_scheduling import FairScheduler, round_robin
from forestall.engine.guard_input import Case, Gatherer
from forestall.engine.herald import Herald
from forestall.engine.observe import Observer, Ratios, blind, distrusted
from forestall.engine.orphaned_nodes import OrphanedNodeRelease
from forestall.engine.outbox import WAIT, Outbox
from forestall.engine.outlook import outlook, unjudgeable
from forestall.engine.pause_checker import PauseChecker
from forestall.engine.permissions import Permissions
from forestall.engine.publish import Publisher
from forestall.engine.questions import Questions
from forestall.engine.remediation_backup import RemediationBackup
from forestall.engine.remediation_cleanup import RemediationCleanup
from forestall.engine.report import Findings, Problem, named
from forestall.engine.scene import Scene
from forestall.engine.settings import Settings
from forestall.engine.shares import Readings, within_series
from forestall.engine.signals import Forecasting
from forestall.engine.survey import Survey
from forestall.engine.targets import Found, Targets
from forestall.engine.together import aside, together, within
from forestall.engine.traffic import PastTraffic
from forestall.engine.watch import Watch, dependencies, stale_after
from forestall.errors import ClusterError, Unavailable, Unreadable
from forestall.isolation import Isolation
from forestall.ports import Cluster, Metrics, Notifier
from forestall.read_cache import ReadCache
from forestall.registry import Registry
from forestall.remediation import RemediationReconciler, draft_of

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
        api_clock: Callable[[], Offset | None] = lambda: None,
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
        self._episodes: dict[str, Episode] = {}
        self._scheduler = FairScheduler(settings.concurrency, settings.turn)
        self._deadlines = Deadlines(settings)
        self._budget_usage = BudgetUsage(self._publisher)
        self._opening = asyncio.Lock()
        self._drafts: dict[tuple[str, str], Remediation] = {}  # what this cycle writes down, by namespace and name
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
        scene = Scene.of(self._registry).ordered(self._scheduler.postponed, self._episodes)
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

        at_risk_from = dict.fromkeys(scene.objectives, self._settings.at_risk_from)
        found: dict[str, Findings] = {}
        for uid, slo in scene.objectives.items():
            bare = Findings(slo, Risk(State.UNKNOWN, math.nan, None), problems.get(uid))
            with self._isolation.around("assessing", named(slo)) as attempt:
                at_risk_from[uid] = self._at_risk_from(scene, uid)
                found[uid] = replace(
                    bare,
                    risk=assess(signals.get(uid, ()), at_risk_from[uid], blind=bool(blind(readings.get(uid, ())))),
                    readings=readings.get(uid, ()),
                    signals=signals.get(uid, ()),
                    ratios=ratios.get(uid, Ratios()),
                )
            if attempt.failure is not None:
                found[uid] = replace(bare, problem=Problem("InternalError", attempt.failure))
        ended: list[tuple[str, str]] = []
        if leading:
            found, ended = await self._lead(scene, found, at_risk_from, now)
        else:
            self._episodes.clear()
            self._backup.forget()
        return replace(report_of(found, ended, waiting, self._isolation.faults), clocks=clocks)

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

    def _compare(self, ahead: float) -> Clocks:
        """Return what is known of the clocks; `ahead` is by how much (s) the cycle's is ahead of the event loop's."""
        api = self._api_clock()
        sources = {name: offset.less(ahead) for name, offset in self._observer.clocks.items()}
        clocks = compare(api and api.less(ahead), sources)
        self._pause_checker.skewed = clocks.everywhere
        return clocks

    async def _aside(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `function` in a thread, where the settings say so."""
        return await aside(function, *args, **kwargs) if self._settings.threads else function(*args, **kwargs)

    async def _lead(
        self, scene: Scene, found: dict[str, Findings], at_risk_from: Mapping[str, float], now: float
    ) -> tuple[dict[str, Findings], list[tuple[str, str]]]:
        self._drafts.clear()
        self._survey.forget()
        self._scheduler.begin_phase(self._deadlines.decided)
        with self._isolation.around("remembering", "remediations"):
            scene = await self._backup.begin(self._reconciler, scene, now)
        missing = await self._targets.check(scene.objectives.values(), now, self._deadlines.checked)
        found = await self._coverage.applied(scene, found, at_risk_from, self._deadlines.checked)
        edges = dependencies(scene.objectives)
        for uid, each in found.items():
            with self._isolation.around("assessing", named(each.slo)) as attempt:
                warnings = self._advisor.about_objective(each.slo, each.readings, now)
                found[uid] = replace(each, episode=self._episode(each, scene, now), warnings=warnings)
            if attempt.failure is not None:
                found[uid] = replace(each, problem=Problem("InternalError", attempt.failure))
        with self._isolation.around("counting", "budgets"):
            await self._budget_usage.begin(scene.guardrails, scene.remediations, now)
        storms = terms.storms(scene.guardrails, at_risk_since(found.values()), scene.watched)
        scene = replace(scene, storms=storms, debts=self._budget_usage.debts)
        at_risk = {uid for uid, each in found.items() if each.risk.state in (State.AT_RISK, State.BREACHED)}
        suffering = culprits(edges, at_risk)
        found = {uid: replace(each, victim_of=_name(found, suffering.get(uid))) for uid, each in found.items()}
        results = await together(self._safely(scene, each, missing.get(uid), now) for uid, each in found.items())
        settled = dict(zip(found, results, strict=True))
        self._decider.forget(found.keys())
        self._traffic.retain(found.keys())
        self._episodes = {uid: episode for uid, episode in self._episodes.items() if uid in found}
        # By a clock that is wrong deadlines pass too soon, or never.
        trusted = scene.clocks.everywhere is None
        ended = await self._advance(scene, settled, now) if trusted else []
        with self._isolation.around("asking", "rights"):
            until = self._deadlines.at_most(_RIGHTS * self._settings.interval, self._deadlines.driven)
            await self._publisher.permissions.look(scene, self._registry.all(RemediationPolicy), until)
        await self._publisher.publish(settled, now, scene.selection, self._deadlines.written)
        await within(self._deadlines.over, (self._clean_up(scene, now), self._herald.tell(settled.values(), now)))
        return settled, ended

    async def _clean_up(self, scene: Scene, now: float) -> None:
        with self._isolation.around("reaping", "ended remediations"):
            if scene.clocks.everywhere is None:
                await self._cleanup.run(scene, now)
        with self._isolation.around("sweeping", "nodes"):
            await self._orphaned_nodes.run(self._registry.all(Remediation), now)

    async def _safely(self, scene: Scene, found: Findings, missing: Problem | None, now: float) -> Findings:
        """Decide about one objective; what goes wrong with it is told by it, and by no other."""
        with self._isolation.around("deciding", named(found.slo)) as attempt:
            return await self._one(scene, found, missing, now)
        return replace(found, problem=found.problem or Problem("InternalError", attempt.failure or ""))

    async def _one(self, scene: Scene, found: Findings, missing: Problem | None, now: float) -> Findings:
        """Decide about one objective, and open the journal entry of what is to be done."""
        slo, signals = found.slo, found.signals
        policies = scene.policies[slo.uid]
        labels = self._registry.labels(slo.namespace)
        episode = found.episode
        found = replace(found, problem=found.problem or missing)
        decisions, proposals = [], []
        for policy in policies:
            case = Case(slo, policy, signals, episode.number, found.victim_of, labels, seconds(episode.since))
            proposal = None
            with self._isolation.around("deciding", f"{named(slo)} by {named(policy)}") as attempt:
                decision, proposal = await self._decide(scene, case, now)
            if attempt.failure is not None:
                decision = held(policy, Hold("InternalError", attempt.failure))
            decisions.append(decision)
            if proposal is not None:
                proposals.append((len(decisions) - 1, proposal))
        found = replace(found, decisions=tuple(decisions))
        # Of several policies that would act for one objective the first by name does; the others see it under way.
        for index, proposal in proposals[:1]:
            with self._isolation.around("opening", f"{named(slo)} by {decisions[index].policy}") as attempt:
                decisions[index] = await self._open(scene, found, index, proposal, now)
            if attempt.failure is not None:
                decisions[index] = _held(decisions[index], Hold("InternalError", attempt.failure))
        return replace(found, decisions=tuple(decisions))

    async def _decide(self, scene: Scene, case: Case, now: float) -> tuple[Decision, Proposal | None]:
        """Decide when it is this namespace's turn."""
        async with self._scheduler.slot(case.slo.namespace) as over:
            await asyncio.sleep(0)  # many decisions ask nobody anything, and the lease must be renewed meanwhile
            if over is None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(
                        self._deadlines.at_most(2 * self._settings.turn, self._scheduler.until)
                    ):
                        return await self._decider.decide(scene, case, now)
        self._scheduler.postpone(case.slo.uid)
        words = f"it took longer than {format_duration(2 * self._settings.turn)} to decide: it is tried again"
        return held(case.policy, over or Hold("NoTurn", words)), None

    async def _open(self, scene: Scene, found: Findings, index: int, proposal: Proposal, now: float) -> Decision:
        """Write the episode down, then the intent; a Remediation of this name was decided before.

        The guards asked with what was known when the cycle began. Others were decided since, and what they spend is
        spent: the guards are asked again, one proposal at a time.
        """
        decision, intent = found.decisions[index], proposal.intent(now)
        draft = Remediation.read(draft_of(intent))
        known = self._registry.get(Remediation, draft.name, draft.namespace) is not None
        if not known and draft.name in found.episode.decided:
            words = f"{draft.name} was decided in this episode already, and deleted since: it is not done twice"
            return _held(decision, Hold("AlreadyDecided", words))
        try:
            async with asyncio.timeout_at(self._scheduler.until):
                async with self._opening:
                    self._budget_usage.refund(scene.guardrails, draft)
                    decided = self._decided()
                    hold = await self._decider.confirm(replace(scene, remediations=decided), proposal)
                    if hold is not None:
                        return _held(decision, hold)
                    if not known:
                        await self._budget_usage.pay(scene.guardrails, decided, draft, now)
                    self._drafts[draft.namespace, draft.name] = draft
                await self._publisher.write(found, now)
                remediation = await self._reconciler.open(intent)
        except (ClusterError, TimeoutError) as error:
            if not isinstance(error, Unavailable | TimeoutError):  # else it may have been written down all the same
                self._drafts.pop((draft.namespace, draft.name), None)
            why = str(error) or "no time was left for it in this cycle"
            return _held(decision, Hold("NotRecorded", f"{decision.message}; it could not be written down: {why}"))
        self._registry.put(Remediation.KIND, remediation.dump())
        if remediation.ended:
            words = f"{remediation.name} was decided in this episode already and ended: {remediation.status.phase}"
            return _held(decision, Hold("AlreadyDecided", words))
        return decision.model_copy(update={"remediation": remediation.name})

    def _decided(self) -> list[Remediation]:
        """Return every Remediation that there is, or that this cycle is writing down."""
        there = {(one.namespace, one.name): one for one in self._registry.all(Remediation)}
        return list((self._drafts | self._backup.with_deleted(there)).values())

    async def _advance(self, scene: Scene, found: Mapping[str, Findings], now: float) -> list[tuple[str, str]]:
        """Drive every remediation under way as far as it goes now; return action and phase of those that ended."""
        live = [one for one in self._registry.all(Remediation) if not one.ended and not self._backup.awaits(one)]
        live = round_robin(
            sorted(live, key=lambda one: one.uid not in self._scheduler.postponed), lambda one: one.namespace
        )
        self._scheduler.begin_phase(self._deadlines.driven)
        after = await together(self._drive_safely(scene, one, found, now) for one in live)
        return [(one.spec.intent.action.name, one.status.phase) for one in after if one and one.ended]

    async def _drive_safely(
        self, scene: Scene, one: Remediation, found: Mapping[str, Findings], now: float
    ) -> Remediation | None:
        """Drive one remediation; what goes wrong with it is told by it, and keeps no other from going on."""
        hold: Hold | None = None
        with self._isolation.around("driving", named(one)) as attempt:
            try:
                return await self._drive(scene, one, found, now)
            except Unreadable as error:
                hold = Hold("ObjectUnreadable", str(error))
        with self._isolation.around("noting", named(one)):
            try:
                after = await self._reconciler.hold(one, hold or Hold("InternalError", attempt.failure or ""), now)
            except ClusterError as error:
                _log.warning("remediation waits", remediation=one.name, namespace=one.namespace, error=str(error))
                return None
            self._registry.put(Remediation.KIND, after.dump())
        return None

    async def _drive(
        self, scene: Scene, one: Remediation, found: Mapping[str, Findings], now: float
    ) -> Remediation | None:
        intent = one.spec.intent
        async with self._scheduler.slot(one.namespace) as over:
            if over is not None:
                self._scheduler.postpone(one.uid)
                _log.warning("remediation waits", remediation=one.name, namespace=one.namespace, error=over.message)
                return None
            here = found.get(intent.objective.uid)
            case = self._case_of(one, here)
            view = await self._outlook(one, here)
            reader = ReadCache(self._cluster)  # what changes something rests on what is read in this turn
            recheck = partial(self._decider.recheck, scene, case=case, now=now, reader=reader)
            try:
                async with asyncio.timeout_at(self._scheduler.until):
                    after = await self._reconciler.reconcile(one, view, recheck, now, reader)
            except Unreadable:
                raise
            except (ClusterError, TimeoutError) as error:
                why = str(error) or "no time was left for it in this cycle"
                _log.warning("remediation waits", remediation=one.name, namespace=one.namespace, error=why)
                return None
        if after is not one:
            self._registry.put(Remediation.KIND, after.dump())
            self._backup.note(after)
        since = seconds(after.status.steps[0].at) if after.status.steps else None
        if since is not None and not terms.tells(after):
            # What is done to a workload changes what would have happened to every objective that is about it.
            shared = [intent.objective.uid] if here is None else scene.sharing(here.slo)
            self._forecasting.censor(shared, since, now)
        return after

    async def _outlook(self, one: Remediation, found: Findings | None) -> Outlook:
        policy = self._registry.by_uid(RemediationPolicy, one.spec.intent.policy.uid)
        ready = None
        if found is not None and traits_of(one.spec.intent.action).sized:
            target = await self._targets.read(found.slo, with_scale=False)
            ready = target.size.ready if isinstance(target, Found) else None
        view = outlook(one, found.slo if found else None, policy, found.signals if found else (), ready)
        view = replace(view, calm=self._settings.calm)
        return view if view.fresh else replace(view, unjudgeable=unjudgeable(one, found))

    def _case_of(self, one: Remediation, found: Findings | None) -> Case | None:
        policy = self._registry.by_uid(RemediationPolicy, one.spec.intent.policy.uid)
        if found is None or policy is None:
            return None
        labels = self._registry.labels(one.namespace)
        return Case(found.slo, policy, found.signals, one.spec.intent.episode, found.victim_of, labels)

    def _at_risk_from(self, scene: Scene, uid: str) -> float:
        thresholds = [policy.spec.when.probability for policy in scene.policies[uid]]
        return min(thresholds, default=self._settings.at_risk_from)

    def _episode(self, found: Findings, scene: Scene, now: float) -> Episode:
        uid = found.slo.uid
        before = self._episodes.get(uid) or found.slo.status.episode or Episode()
        before = with_decided(before, scene.about(uid), uid)
        known = found.risk.state is not State.UNKNOWN
        at_risk = found.risk.state in (State.AT_RISK, State.BREACHED) or any(
            triggering(found.signals, terms.trigger_of(policy)) is not None for policy in scene.policies[uid]
        )
        self._episodes[uid] = advance(before, at_risk=at_risk if known else None, now=now, calm=self._settings.calm)
        return self._episodes[uid]


def _held(decision: Decision, hold: Hold) -> Decision:
    return decision.model_copy(update={"verdict": "Hold", "reason": hold.reason, "message": hold.message})


def _name(found: Mapping[str, Findings], uid: str | None) -> str | None:
    return None if uid is None else found[uid].slo.name
