"""Write down what was found: statuses, on change only, and Events for what is news."""

import asyncio
import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Literal, TypeVar

import structlog

from forestall.api import (
    KINDS,
    Guardrail,
    MetricSource,
    NotificationChannel,
    Pause,
    Remediation,
    RemediationPolicy,
    Resource,
    ServiceLevelObjective,
)
from forestall.api.guardrail import GuardrailStatus, Spent
from forestall.api.meta import Condition, Model, condition, lasts
from forestall.api.metric_source import MetricSourceStatus
from forestall.api.notification_channel import NotificationChannelStatus
from forestall.api.pause import PauseStatus
from forestall.api.remediation import ObjectRef
from forestall.api.remediation_policy import RemediationPolicyStatus
from forestall.api.service_level_objective import Record, ServiceLevelObjectiveStatus
from forestall.api.times import stamp
from forestall.core.risk import ObjectiveState
from forestall.core.series import SeriesMatrix
from forestall.engine.advisor import Advisor
from forestall.engine.fair_scheduling import NamespaceLimit, round_robin
from forestall.engine.outbox import Outbox
from forestall.engine.permissions import Permissions
from forestall.engine.probes import answering
from forestall.engine.report import Findings, headline, named, settle, status_of, weight
from forestall.engine.selection import Selection
from forestall.engine.settings import Settings
from forestall.engine.statuses import Statuses
from forestall.engine.together import within
from forestall.errors import ClusterError, Conflict, NotFound
from forestall.isolation import Isolation
from forestall.ports import Cluster, Event
from forestall.registry import Invalid, Registry
from forestall.remediation import lockouts

S = TypeVar("S", bound=Model)

_log = structlog.get_logger()

_FIGURES = 2
"""Intervals after which figures are written that moved while nothing else changed."""
_AT_ONCE = 250
"""How many objectives' statuses are written in one cycle at the most: when much changes at once, as when a source fails
or the operator starts, the cycle must not wait for all of it."""
_FIGURES_AT_ONCE = 100
"""How many of them only for their figures: each write is one for the API server and all who watch."""
_REASONS = {
    ObjectiveState.HEALTHY: ("Normal", "Recovered"),
    ObjectiveState.EXHAUSTED: ("Warning", "ErrorBudgetExhausted"),
    ObjectiveState.AT_RISK: ("Warning", "BreachForecast"),
    ObjectiveState.BREACHED: ("Warning", "Breached"),
    ObjectiveState.UNKNOWN: ("Warning", "DataNotFresh"),
}


_Standing = RemediationPolicyStatus | MetricSourceStatus | GuardrailStatus | PauseStatus | NotificationChannelStatus
"""The statuses that have `observedGeneration` and `conditions` alike."""

_Standings = RemediationPolicy | MetricSource | Guardrail | Pause | NotificationChannel

_ENDANGERED = (ObjectiveState.AT_RISK, ObjectiveState.BREACHED)


@dataclass(frozen=True, slots=True)
class _Settled:
    """The status of anything but an objective, as it was and as it is."""

    resource: Resource
    before: _Standing
    status: _Standing


@dataclass(frozen=True, slots=True)
class _Change:
    """A status that is not what was written before."""

    found: Findings
    before: ServiceLevelObjectiveStatus
    status: ServiceLevelObjectiveStatus


class Publisher:
    """Writes statuses by server-side apply, each only when it changed."""

    def __init__(
        self,
        cluster: Cluster,
        registry: Registry,
        settings: Settings,
        outbox: Outbox,
        isolation: Isolation | None = None,
        advisor: Advisor | None = None,
    ) -> None:
        self._cluster = cluster
        self.permissions = Permissions(cluster)
        self._registry = registry
        self._outbox = outbox
        self._isolation = isolation or Isolation()
        self._advisor = advisor or Advisor(SeriesMatrix(settings.interval, 2), self._isolation)
        self._interval = settings.interval
        self._lease = settings.lease
        self._limit = NamespaceLimit(settings.concurrency)
        self._written: dict[str, tuple[float, Model]] = {}  # by UID: when, and what
        self._statuses = Statuses(cluster)
        self.records: Callable[[str, list[Record]], list[Record]] = lambda _, known: known
        """What of its remediations an objective (UID) is to remember, given what it does."""

    async def publish(
        self,
        found: Mapping[str, Findings],
        now: float,
        selection: Selection = Selection(),  # noqa: B008 -- frozen
        until: float = math.inf,
    ) -> None:
        """Write what changed since the last cycle. What can't be written by `until` is written in a later one."""
        present = frozenset[str]().union(*(self._registry.uids(model.KIND) for model in KINDS))
        self._advisor.retain(present)
        self._written = {uid: known for uid, known in self._written.items() if uid in present}
        self._statuses.retain(present)
        self._limit.clear()
        sources, used = self._registry.all(MetricSource), {each.slo.spec.source for each in found.values()}
        await self._advisor.probes.run((one for one in sources if one.name not in used), now)
        policies = self._registry.all(RemediationPolicy)
        done: dict[str, list[Remediation]] = defaultdict(list)
        for one in self._registry.all(Remediation):
            done[one.spec.intent.policy.uid].append(one)
        in_namespace: dict[str, list[Findings]] = defaultdict(list)
        for each in found.values():
            in_namespace[each.slo.namespace].append(each)
        settling: list[tuple[_Standings, Callable[[float], _Settled]]] = [
            *(
                (each, partial(self._policy, each, selection, in_namespace[each.namespace], done[each.uid]))
                for each in policies
            ),
            *((each, partial(self._source, each, found)) for each in sources),
            *((each, partial(self._guardrail, each)) for each in self._registry.all(Guardrail)),
            *((each, partial(self._channel, each)) for each in self._registry.all(NotificationChannel)),
            *((each, partial(self._pause, each)) for each in self._registry.all(Pause)),
        ]
        standings = []
        for resource, settled in settling:
            standings.append(self._standing(resource, now, settled))
            await asyncio.sleep(0)  # what is said of many policies takes its time, and the lease must be renewed
        await within(
            until,
            chain(
                (self._safely(c.found.slo, self._objective(c, now)) for c in self._changes(found.values(), now)),
                (self._safely(each.resource, self._changed(each, now)) for each in standings if each is not None),
                (self._safely(one.ref, self._invalid(one, now)) for one in self._registry.invalid()),
            ),
        )

    def _standing(self, resource: _Standings, now: float, settled: Callable[[float], _Settled]) -> _Settled | None:
        """Return what has changed of an object that is no objective; None where nothing has."""
        with self._isolation.around("publishing", named(resource)) as attempt:
            result = settled(now)
        if attempt.failure is not None:
            result = self._settle(resource, resource.status, [_ready("False", "InternalError", attempt.failure)], now)
        return None if result.status == result.before else result

    async def _safely(self, about: Resource | ObjectRef, write: Awaitable[None]) -> None:
        with self._isolation.around("publishing", named(about)):
            await write

    async def write(self, found: Findings, now: float) -> None:
        """Write the status of an objective now.

        Raises:
            ClusterError: it is not known to be written.
        """
        before = self._before(found.slo.uid, found.slo.status)
        status = status_of(found, now, before, self._lease)
        records = self.records(found.slo.uid, before.records)
        await self._apply(found.slo, status.model_copy(update={"records": records}), now)

    async def keep(self, slo: ServiceLevelObjective, now: float) -> None:
        """Write down now what of its remediations an objective is to remember.

        Raises:
            ClusterError: it is not known to be written.
        """
        before = self._before(slo.uid, slo.status)
        status = before.model_copy(update={"records": self.records(slo.uid, before.records)})
        if status != before:
            await self._apply(slo, status, now)

    async def spend(self, guardrail: Guardrail, spent: list[Spent], now: float) -> None:
        """Write down what is gone from the budgets of a Guardrail.

        Raises:
            ClusterError: it is not known to be written; `Conflict`: somebody else wrote it since it was read.
        """
        status = self._before(guardrail.uid, guardrail.status).model_copy(update={"spent": spent})
        await self._statuses.put(ObjectRef.to(guardrail), status.dump(), guardrail.metadata.resource_version)
        self._written[guardrail.uid] = (now, status)

    def spent(self, guardrail: Guardrail) -> list[Spent]:
        """Return what is written down to be gone from the budgets of a Guardrail."""
        return self._before(guardrail.uid, guardrail.status).spent

    async def _apply(self, slo: ServiceLevelObjective, status: ServiceLevelObjectiveStatus, now: float) -> None:
        before = self._before(slo.uid, slo.status)
        status = status.model_copy(update={"last_look": stamp(now)})
        await self._statuses.put(ObjectRef.to(slo), status.dump(), slo.metadata.resource_version, before)
        self._written[slo.uid] = (now, status)

    def _changes(self, found: Iterable[Findings], now: float) -> list[_Change]:
        """Return what is to be written now: news before figures, in both first those at risk, then the oldest.

        Every namespace's first comes before anybody's second: one in which much is news all the time delays no other.
        """
        news: list[tuple[bool, float, int, _Change]] = []
        figures: list[tuple[bool, float, int, _Change]] = []
        for each in found:
            uid = each.slo.uid
            before = self._before(uid, each.slo.status)
            status = self._status(each, now, before)
            at = self._written[uid][0] if uid in self._written else -math.inf
            change = (each.risk.state not in _ENDANGERED, at, len(news) + len(figures), _Change(each, before, status))
            if weight(status) != weight(before):
                news.append(change)
            elif status != before and not 0 <= now - at < _FIGURES * self._interval:
                figures.append(change)
        return [*_fairly(news), *_fairly(figures)[:_FIGURES_AT_ONCE]][:_AT_ONCE]

    def _status(self, found: Findings, now: float, before: ServiceLevelObjectiveStatus) -> ServiceLevelObjectiveStatus:
        records = self.records(found.slo.uid, before.records)
        with self._isolation.around("publishing", named(found.slo)) as attempt:
            return status_of(found, now, before, self._lease).model_copy(update={"records": records})
        generation = found.slo.metadata.generation
        ready = _ready("False", "InternalError", attempt.failure or "")
        return ServiceLevelObjectiveStatus(
            observed_generation=generation,
            state=ObjectiveState.UNKNOWN.value,
            decisions=list(found.decisions),
            episode=found.episode,
            records=records,
            last_look=before.last_look,
            looked_by=self._lease,
            conditions=settle(before.conditions, [ready], generation, now),
        )

    def _before(self, uid: str, read: S) -> S:
        """Return the status that was written last, where this process wrote one: what was read may be older."""
        _, known = self._written.get(uid, (0.0, None))
        return known if isinstance(known, type(read)) else read

    async def _objective(self, change: _Change, now: float) -> None:
        slo = change.found.slo
        async with self._limit.slot(slo.namespace):
            if await self._is_done(self._apply(slo, change.status, now), objective=slo.name):
                await self._tell(change.found, change.before)

    async def _is_done(self, write: Awaitable[None], **about: str) -> bool:
        """Wait for the write of a status; say whether it is written, or is for a later cycle."""
        try:
            await write
        except (Conflict, NotFound):
            return False  # changed or deleted meanwhile: the next cycle knows more
        except ClusterError as error:
            _log.warning("status not written", **about, error=str(error))
            return False
        return True

    async def _tell(self, found: Findings, before: ServiceLevelObjectiveStatus) -> None:
        about, state = ObjectRef.to(found.slo), found.state
        if state.value != before.state and (before.state is not None or state is not ObjectiveState.HEALTHY):
            kind, reason = _REASONS[state]
            if state is ObjectiveState.AT_RISK and found.risk.cause is not None and found.risk.cause.breached:
                reason = "LimitPassed"
            await self._record(Event(about, kind, reason, headline(found)))
        told = {(one.policy, one.verdict, one.reason) for one in before.decisions or ()}
        for one in found.decisions:
            # Why nothing was done is news only while there is something to be done about.
            worth = one.verdict != "Hold" or one.reason not in ("BelowThreshold", "NoForecast", "RemediationActive")
            if worth and (one.policy, one.verdict, one.reason) not in told:
                kind = "Warning" if one.verdict == "Hold" else "Normal"
                reason = one.reason if one.verdict == "Hold" else one.verdict
                await self._record(Event(about, kind, reason, f"{one.policy}: {one.message}", one.action))

    def _policy(
        self,
        policy: RemediationPolicy,
        selection: Selection,
        found: Sequence[Findings],
        done: Sequence[Remediation],
        now: float,
    ) -> _Settled:
        why = selection.left_out.get(policy.uid)
        selected = [] if why else selection.of(policy, (each.slo for each in found))
        active = sum(not one.ended for one in done)
        ready = (
            _ready("False", "TooManyPolicies", why) if why else self._advisor.ready(policy, selected, self._registry)
        )
        open_episodes = {(each.slo.uid, each.episode.number) for each in found if each.episode.since}
        locked = lockouts.locked_condition(policy, done, open_episodes)
        permitted = self.permissions.condition(policy)
        conditions = [ready, locked, *([permitted] if permitted is not None else [])]
        return self._settle(policy, policy.status, conditions, now, objectives=len(selected), active=active)

    def _source(self, source: MetricSource, found: Mapping[str, Findings], now: float) -> _Settled:
        users = [each for each in found.values() if each.slo.spec.source == source.name]
        ready = answering(users) if users else self._advisor.probes.ready(source)
        return self._settle(source, source.status, [ready], now, objectives=len(users))

    def _guardrail(self, guardrail: Guardrail, now: float) -> _Settled:
        ready = _ready("True", "Active", "every action is held against it")
        return self._settle(guardrail, guardrail.status, [ready], now)

    def _pause(self, pause: Pause, now: float) -> _Settled:
        if lasts(pause.spec.until, now):
            ready = _ready("True", "Active", f"nothing is changed for {pause.scope}")
        else:
            ready = _ready("False", "Expired", f"it ended by itself at {pause.spec.until}; it can be deleted")
        return self._settle(pause, pause.status, [ready], now)

    def _channel(self, channel: NotificationChannel, now: float) -> _Settled:
        trouble = self._outbox.trouble(channel.name)
        if trouble is not None:
            ready = _ready("False", trouble.reason, str(trouble))
        elif self._outbox.was_used(channel.name):
            ready = _ready("True", "Delivering", "the last notification went out")
        else:
            known = condition(self._before(channel.uid, channel.status).conditions, "Ready")
            ready = known or _ready("Unknown", "NotUsed", "nothing has been sent by it")
        return self._settle(channel, channel.status, [ready], now)

    def _settle(
        self, resource: Resource, read: _Standing, conditions: list[Condition], now: float, **more: int
    ) -> _Settled:
        before = self._before(resource.uid, read)
        generation = resource.metadata.generation
        settled = settle(before.conditions, conditions, generation, now)
        update = {"observed_generation": generation, "conditions": settled, **more}
        return _Settled(resource, before, before.model_copy(update=update))

    async def _changed(self, settled: _Settled, now: float) -> None:
        resource, status = settled.resource, settled.status
        async with self._limit.slot(resource.namespace):
            version = resource.metadata.resource_version
            put = self._statuses.put(ObjectRef.to(resource), status.dump(), version, settled.before)
            if await self._is_done(put, kind=resource.KIND, name=resource.name):
                self._written[resource.uid] = (now, status)

    async def _invalid(self, one: Invalid, now: float) -> None:
        ref = one.ref
        ready = Condition(
            type="Ready",
            status="False",
            reason="InvalidSpec",
            message=one.message[:1024],
            observed_generation=one.generation,
            last_transition_time=stamp(now),
        )
        known = self._written.get(ref.uid)
        same = known is not None and isinstance(known[1], Condition) and known[1].message == ready.message
        if ref.kind == Remediation.KIND or same:
            return
        # What is remembered in it stays: it is all written by one manager, and what that leaves out is gone.
        body = {**one.status, "observedGeneration": one.generation, "conditions": [ready.dump()]}
        async with self._limit.slot(ref.namespace):
            if await self._is_done(self._statuses.put(ref, body, one.resource_version), kind=ref.kind, name=ref.name):
                self._written[ref.uid] = (now, ready)

    async def _record(self, event: Event) -> None:
        try:
            await self._cluster.record(event)
        except ClusterError as error:
            _log.warning("event not recorded", reason=event.reason, error=str(error))


def _fairly(changes: Iterable[tuple[bool, float, int, _Change]]) -> list[_Change]:
    return round_robin([change for *_, change in sorted(changes)], lambda change: change.found.slo.namespace)


def _ready(status: Literal["True", "False", "Unknown"], reason: str, message: str) -> Condition:
    return Condition(type="Ready", status=status, reason=reason, message=message)
