"""Writes statuses when they change, and records Events for changes of state."""

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
from forestall.engine.concurrency import within
from forestall.engine.delivery_tracker import DeliveryTracker
from forestall.engine.fair_scheduling import NamespaceLimit, round_robin
from forestall.engine.objective_status import Findings, fingerprint, headline, named, settle, status_of
from forestall.engine.permissions import Permissions
from forestall.engine.selection import Selection
from forestall.engine.settings import Settings
from forestall.engine.source_probes import answering
from forestall.engine.status_versions import StatusVersions
from forestall.errors import ClusterError, Conflict, NotFound
from forestall.isolation import ErrorIsolation
from forestall.ports import Cluster, Event
from forestall.registry import Invalid, Registry
from forestall.remediation import lockouts

S = TypeVar("S", bound=Model)

_log = structlog.get_logger()

_FIGURES = 2
"""Intervals after which changed figures are written while nothing else changed."""
_AT_ONCE = 250
"""How many objectives' statuses are written in one cycle at the most: when many change at once, as when a source fails
or the operator starts, the cycle must not wait for all of them.
"""
_FIGURES_AT_ONCE = 100
"""How many of these only for changed figures: each write costs the API server and all watchers."""
_REASONS = {
    ObjectiveState.HEALTHY: ("Normal", "Recovered"),
    ObjectiveState.EXHAUSTED: ("Warning", "ErrorBudgetExhausted"),
    ObjectiveState.AT_RISK: ("Warning", "BreachForecast"),
    ObjectiveState.BREACHED: ("Warning", "Breached"),
    ObjectiveState.UNKNOWN: ("Warning", "DataNotFresh"),
}


_OtherStatus = RemediationPolicyStatus | MetricSourceStatus | GuardrailStatus | PauseStatus | NotificationChannelStatus
"""The statuses that have `observedGeneration` and `conditions` alike."""

_OtherResource = RemediationPolicy | MetricSource | Guardrail | Pause | NotificationChannel

_ENDANGERED = (ObjectiveState.AT_RISK, ObjectiveState.BREACHED)


@dataclass(frozen=True, slots=True)
class _StatusUpdate:
    """The old and the new status of an object that is no objective."""

    resource: Resource
    before: _OtherStatus
    status: _OtherStatus


@dataclass(frozen=True, slots=True)
class _Change:
    """A status that differs from the one written before."""

    findings: Findings
    before: ServiceLevelObjectiveStatus
    status: ServiceLevelObjectiveStatus


class StatusPublisher:
    """Writes statuses by server-side apply, each only when it changed."""

    def __init__(
        self,
        cluster: Cluster,
        registry: Registry,
        settings: Settings,
        delivery_tracker: DeliveryTracker,
        isolation: ErrorIsolation | None = None,
        advisor: Advisor | None = None,
    ) -> None:
        self._cluster = cluster
        self.permissions = Permissions(cluster)
        self._registry = registry
        self._delivery_tracker = delivery_tracker
        self._isolation = isolation or ErrorIsolation()
        self._advisor = advisor or Advisor(SeriesMatrix(settings.interval, 2), self._isolation)
        self._interval = settings.interval
        self._lease = settings.lease
        self._limit = NamespaceLimit(settings.concurrency)
        self._written: dict[str, tuple[float, Model]] = {}  # by UID: when, and what
        self._statuses = StatusVersions(cluster)
        self.records: Callable[[str, list[Record]], list[Record]] = lambda _, recorded: recorded
        """Returns the backup of an objective's (UID) Remediations for its status, given the present one."""

    async def publish(
        self,
        findings_by_uid: Mapping[str, Findings],
        now: float,
        selection: Selection = Selection(),  # noqa: B008 -- frozen
        until: float = math.inf,
    ) -> None:
        """Write the statuses that changed since the last cycle. Those that are not written by `until` are written in a
        later one.
        """
        present = frozenset[str]().union(*(self._registry.uids(model.KIND) for model in KINDS))
        self._advisor.retain(present)
        self._written = {uid: entry for uid, entry in self._written.items() if uid in present}
        self._statuses.retain(present)
        self._limit.clear()
        sources = self._registry.all(MetricSource)
        users: dict[str, list[Findings]] = defaultdict(list)
        in_namespace: dict[str, list[Findings]] = defaultdict(list)
        for findings in findings_by_uid.values():
            users[findings.slo.spec.source].append(findings)
            in_namespace[findings.slo.namespace].append(findings)
        await self._advisor.probes.run((source for source in sources if source.name not in users), now)
        remediations_of: dict[str, list[Remediation]] = defaultdict(list)
        for remediation in self._registry.all(Remediation):
            remediations_of[remediation.spec.intent.policy.uid].append(remediation)

        def of_policy(policy: RemediationPolicy) -> Callable[[float], _StatusUpdate]:
            remediations = remediations_of[policy.uid]
            return partial(self._policy, policy, selection, in_namespace[policy.namespace], remediations)

        computations: list[tuple[_OtherResource, Callable[[float], _StatusUpdate]]] = [
            *((policy, of_policy(policy)) for policy in self._registry.all(RemediationPolicy)),
            *((source, partial(self._source, source, users[source.name])) for source in sources),
            *((guardrail, partial(self._guardrail, guardrail)) for guardrail in self._registry.all(Guardrail)),
            *((channel, partial(self._channel, channel)) for channel in self._registry.all(NotificationChannel)),
            *((pause, partial(self._pause, pause)) for pause in self._registry.all(Pause)),
        ]
        status_updates = []
        for resource, compute in computations:
            status_updates.append(self._status_update(resource, now, compute))
            await asyncio.sleep(0)  # what is said of many policies takes its time, and the lease must be renewed
        await within(
            until,
            chain(
                (
                    self._safely(c.findings.slo, self._objective(c, now))
                    for c in self._changes(findings_by_uid.values(), now)
                ),
                (self._safely(item.resource, self._changed(item, now)) for item in status_updates if item is not None),
                (self._safely(invalid.ref, self._invalid(invalid, now)) for invalid in self._registry.invalid()),
            ),
        )

    def _status_update(
        self, resource: _OtherResource, now: float, compute: Callable[[float], _StatusUpdate]
    ) -> _StatusUpdate | None:
        """Return the changed status of an object that is no objective; None where it did not change."""
        with self._isolation.attempt("publishing", named(resource)) as attempt:
            result = compute(now)
        if attempt.failure is not None:
            result = self._settle(resource, resource.status, [_ready("False", "InternalError", attempt.failure)], now)
        return None if result.status == result.before else result

    async def _safely(self, subject: Resource | ObjectRef, write: Awaitable[None]) -> None:
        with self._isolation.attempt("publishing", named(subject)):
            await write

    async def write(self, findings: Findings, now: float) -> None:
        """Write the status of an objective now.

        Raises:
            ClusterError: it is not known to be written.
        """
        before = self._before(findings.slo.uid, findings.slo.status)
        status = status_of(findings, now, before, self._lease)
        records = self.records(findings.slo.uid, before.records)
        await self._apply(findings.slo, status.model_copy(update={"records": records}), now)

    async def write_records(self, slo: ServiceLevelObjective, now: float) -> None:
        """Write the backup of an objective's Remediations now.

        Raises:
            ClusterError: it is not known to be written.
        """
        before = self._before(slo.uid, slo.status)
        status = before.model_copy(update={"records": self.records(slo.uid, before.records)})
        if status != before:
            await self._apply(slo, status, now)

    async def write_budget_usage(self, guardrail: Guardrail, spent: list[Spent], now: float) -> None:
        """Write the spent part of a Guardrail's budgets.

        Raises:
            ClusterError: the write failed, or its result is unknown; `Conflict`: the object changed since it was read.
        """
        status = self._before(guardrail.uid, guardrail.status).model_copy(update={"spent": spent})
        await self._statuses.put(ObjectRef.to(guardrail), status.dump(), guardrail.metadata.resource_version)
        self._written[guardrail.uid] = (now, status)

    def spent(self, guardrail: Guardrail) -> list[Spent]:
        """Return the spent part of a Guardrail's budgets according to its status."""
        return self._before(guardrail.uid, guardrail.status).spent

    async def _apply(self, slo: ServiceLevelObjective, status: ServiceLevelObjectiveStatus, now: float) -> None:
        before = self._before(slo.uid, slo.status)
        status = status.model_copy(update={"last_evaluated": stamp(now)})
        await self._statuses.put(ObjectRef.to(slo), status.dump(), slo.metadata.resource_version, before)
        self._written[slo.uid] = (now, status)

    def _changes(self, findings_of_cycle: Iterable[Findings], now: float) -> list[_Change]:
        """Return the statuses to write now: changes of state before figures; of each those at risk first, then the
        oldest.

        Namespaces take turns, so that one with constant changes delays no other.
        """
        changes: list[tuple[bool, float, int, _Change]] = []
        figures: list[tuple[bool, float, int, _Change]] = []
        for findings in findings_of_cycle:
            uid = findings.slo.uid
            before = self._before(uid, findings.slo.status)
            status = self._status(findings, now, before)
            at = self._written[uid][0] if uid in self._written else -math.inf
            change = (
                findings.risk.state not in _ENDANGERED,
                at,
                len(changes) + len(figures),
                _Change(findings, before, status),
            )
            if fingerprint(status) != fingerprint(before):
                changes.append(change)
            elif status != before and not 0 <= now - at < _FIGURES * self._interval:
                figures.append(change)
        return [*_fairly(changes), *_fairly(figures)[:_FIGURES_AT_ONCE]][:_AT_ONCE]

    def _status(
        self, findings: Findings, now: float, before: ServiceLevelObjectiveStatus
    ) -> ServiceLevelObjectiveStatus:
        records = before.records
        with self._isolation.attempt("publishing", named(findings.slo)) as attempt:
            records = self.records(findings.slo.uid, before.records)
            return status_of(findings, now, before, self._lease).model_copy(update={"records": records})
        generation = findings.slo.metadata.generation
        ready = _ready("False", "InternalError", attempt.failure or "")
        return ServiceLevelObjectiveStatus(
            observed_generation=generation,
            state=ObjectiveState.UNKNOWN.value,
            decisions=list(findings.decisions),
            episode=findings.episode,
            records=records,
            last_evaluated=before.last_evaluated,
            evaluated_by=self._lease,
            conditions=settle(before.conditions, [ready], generation, now),
        )

    def _before(self, uid: str, read: S) -> S:
        """Return the last written status where this process wrote one: the one that was read may be older."""
        _, status = self._written.get(uid, (0.0, None))
        return status if isinstance(status, type(read)) else read

    async def _objective(self, change: _Change, now: float) -> None:
        slo = change.findings.slo
        async with self._limit.slot(slo.namespace):
            if await self._is_done(self._apply(slo, change.status, now), objective=slo.name):
                await self._record_events(change.findings, change.before)

    async def _is_done(self, write: Awaitable[None], **log_fields: str) -> bool:
        """Wait for the write of a status; say whether it succeeded, or is left to a later cycle."""
        try:
            await write
        except (Conflict, NotFound):
            return False  # changed or deleted meanwhile: the next cycle knows more
        except ClusterError as error:
            _log.warning("status not written", **log_fields, error=str(error))
            return False
        return True

    async def _record_events(self, findings: Findings, before: ServiceLevelObjectiveStatus) -> None:
        subject, state = ObjectRef.to(findings.slo), findings.state
        if state.value != before.state and (before.state is not None or state is not ObjectiveState.HEALTHY):
            kind, reason = _REASONS[state]
            if state is ObjectiveState.AT_RISK and findings.risk.cause is not None and findings.risk.cause.breached:
                reason = "LimitPassed"
            await self._record(Event(subject, kind, reason, headline(findings)))
        reported = {(decision.policy, decision.verdict, decision.reason) for decision in before.decisions or ()}
        for decision in findings.decisions:
            # Why nothing was done is news only while there is something to be done about.
            is_notable = decision.verdict != "Hold" or decision.reason not in (
                "BelowThreshold",
                "NoForecast",
                "RemediationActive",
            )
            if is_notable and (decision.policy, decision.verdict, decision.reason) not in reported:
                kind = "Warning" if decision.verdict == "Hold" else "Normal"
                reason = decision.reason if decision.verdict == "Hold" else decision.verdict
                await self._record(
                    Event(subject, kind, reason, f"{decision.policy}: {decision.message}", decision.action)
                )

    def _policy(
        self,
        policy: RemediationPolicy,
        selection: Selection,
        findings_of_cycle: Sequence[Findings],
        remediations: Sequence[Remediation],
        now: float,
    ) -> _StatusUpdate:
        why = selection.left_out.get(policy.uid)
        selected = [] if why else selection.of(policy, (findings.slo for findings in findings_of_cycle))
        active = sum(not remediation.ended for remediation in remediations)
        ready = (
            _ready("False", "TooManyPolicies", why) if why else self._advisor.ready(policy, selected, self._registry)
        )
        open_episodes = {
            (findings.slo.uid, findings.episode.number) for findings in findings_of_cycle if findings.episode.since
        }
        locked = lockouts.locked_condition(policy, remediations, open_episodes)
        permitted = self.permissions.condition(policy)
        conditions = [ready, locked, *([permitted] if permitted is not None else [])]
        return self._settle(policy, policy.status, conditions, now, objectives=len(selected), active=active)

    def _source(self, source: MetricSource, users: Sequence[Findings], now: float) -> _StatusUpdate:
        ready = answering(users) if users else self._advisor.probes.ready(source)
        return self._settle(source, source.status, [ready], now, objectives=len(users))

    def _guardrail(self, guardrail: Guardrail, now: float) -> _StatusUpdate:
        ready = _ready("True", "Active", "every action is held against it")
        return self._settle(guardrail, guardrail.status, [ready], now)

    def _pause(self, pause: Pause, now: float) -> _StatusUpdate:
        if lasts(pause.spec.until, now):
            ready = _ready("True", "Active", f"nothing is changed for {pause.scope}")
        else:
            ready = _ready("False", "Expired", f"it ended by itself at {pause.spec.until}; it can be deleted")
        return self._settle(pause, pause.status, [ready], now)

    def _channel(self, channel: NotificationChannel, now: float) -> _StatusUpdate:
        trouble = self._delivery_tracker.trouble(channel.name)
        if trouble is not None:
            ready = _ready("False", trouble.reason, str(trouble))
        elif self._delivery_tracker.was_used(channel.name):
            ready = _ready("True", "Delivering", "the last notification went out")
        else:
            previous = condition(self._before(channel.uid, channel.status).conditions, "Ready")
            ready = previous or _ready("Unknown", "NotUsed", "nothing has been sent by it")
        return self._settle(channel, channel.status, [ready], now)

    def _settle(
        self, resource: Resource, read: _OtherStatus, conditions: list[Condition], now: float, **counts: int
    ) -> _StatusUpdate:
        before = self._before(resource.uid, read)
        generation = resource.metadata.generation
        settled = settle(before.conditions, conditions, generation, now)
        update = {"observed_generation": generation, "conditions": settled, **counts}
        return _StatusUpdate(resource, before, before.model_copy(update=update))

    async def _changed(self, update: _StatusUpdate, now: float) -> None:
        resource, status = update.resource, update.status
        async with self._limit.slot(resource.namespace):
            version = resource.metadata.resource_version
            put = self._statuses.put(ObjectRef.to(resource), status.dump(), version, update.before)
            if await self._is_done(put, kind=resource.KIND, name=resource.name):
                self._written[resource.uid] = (now, status)

    async def _invalid(self, invalid: Invalid, now: float) -> None:
        ref = invalid.ref
        ready = Condition(
            type="Ready",
            status="False",
            reason="InvalidSpec",
            message=invalid.message[:1024],
            observed_generation=invalid.generation,
            last_transition_time=stamp(now),
        )
        written = self._written.get(ref.uid)
        is_unchanged = written is not None and isinstance(written[1], Condition) and written[1].message == ready.message
        if ref.kind == Remediation.KIND or is_unchanged:
            return
        # What is remembered in it stays: it is all written by one manager, and what that leaves out is gone.
        body = {**invalid.status, "observedGeneration": invalid.generation, "conditions": [ready.dump()]}
        async with self._limit.slot(ref.namespace):
            if await self._is_done(
                self._statuses.put(ref, body, invalid.resource_version), kind=ref.kind, name=ref.name
            ):
                self._written[ref.uid] = (now, ready)

    async def _record(self, event: Event) -> None:
        try:
            await self._cluster.record(event)
        except ClusterError as error:
            _log.warning("event not recorded", reason=event.reason, error=str(error))


def _fairly(changes: Iterable[tuple[bool, float, int, _Change]]) -> list[_Change]:
    return round_robin([change for *_, change in sorted(changes)], lambda change: change.findings.slo.namespace)


def _ready(status: Literal["True", "False", "Unknown"], reason: str, message: str) -> Condition:
    return Condition(type="Ready", status=status, reason=reason, message=message)
