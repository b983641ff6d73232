"""Write down what was found: statuses, on change only, and Events for what is news."""

import asyncio
from collections.abc import Mapping

import structlog

from forestall.api import KINDS, Guardrail, MetricSource, Remediation, RemediationPolicy, Resource
from forestall.api.meta import API_VERSION, Condition, Model
from forestall.api.remediation import ObjectRef
from forestall.api.service_level_objective import ServiceLevelObjectiveStatus
from forestall.api.times import stamp
from forestall.core.risk import State
from forestall.engine.report import Findings, settle, status_of, weight
from forestall.engine.settings import Settings
from forestall.errors import ClusterError, NotFound
from forestall.ports import Cluster, Event
from forestall.registry import Registry

_log = structlog.get_logger()

_FIGURES = 2
"""Intervals after which figures are written that moved while nothing else changed."""
_SOURCE_REASONS = frozenset(
    {"SourceDown", "SourceTimeout", "SourceUnauthorized", "SourceBadAnswer", "PartialAnswer", "SourceMissing"}
)
_REASONS = {
    State.HEALTHY: ("Normal", "Recovered"),
    State.AT_RISK: ("Warning", "BreachForecast"),
    State.BREACHED: ("Warning", "Breached"),
    State.UNKNOWN: ("Warning", "DataNotFresh"),
}


class Publisher:
    """Writes statuses by server-side apply, each only when it changed."""

    def __init__(self, cluster: Cluster, registry: Registry, settings: Settings) -> None:
        self._cluster = cluster
        self._registry = registry
        self._interval = settings.interval
        self._limit = asyncio.Semaphore(settings.concurrency)
        self._written: dict[str, tuple[float, Model]] = {}  # by UID: when, and what

    async def publish(self, found: Mapping[str, Findings], now: float) -> None:
        """Write what changed since the last cycle. What can't be written now is written in a later one."""
        present = frozenset[str]().union(*(self._registry.uids(model.KIND) for model in KINDS))
        self._written = {uid: known for uid, known in self._written.items() if uid in present}
        await asyncio.gather(
            *(self._objective(each, now) for each in found.values()),
            *(self._policy(policy, found, now) for policy in self._registry.all(RemediationPolicy)),
            *(self._source(source, found, now) for source in self._registry.all(MetricSource)),
            *(self._guardrail(guardrail, now) for guardrail in self._registry.all(Guardrail)),
            *(self._invalid(one.ref, one.message, one.generation, now) for one in self._registry.invalid()),
        )

    async def write(self, found: Findings, now: float) -> None:
        """Write the status of an objective now.

        Raises:
            ClusterError: it is not known to be written.
        """
        status = status_of(found, now)
        await self._cluster.apply_status(reference(found.slo), status.dump())
        self._written[found.slo.uid] = (now, status)

    async def _objective(self, found: Findings, now: float) -> None:
        status = status_of(found, now)
        known = self._written.get(found.slo.uid)
        before = known[1] if known else found.slo.status
        if not isinstance(before, ServiceLevelObjectiveStatus):
            return
        news = weight(status) != weight(before)
        figures = status != before and (known is None or not 0 <= now - known[0] < _FIGURES * self._interval)
        if not news and not figures:
            return
        async with self._limit:
            try:
                await self.write(found, now)
            except NotFound:
                return  # deleted meanwhile
            except ClusterError as error:
                _log.warning("status not written", objective=found.slo.name, error=str(error))
                return
            await self._tell(found, before)

    async def _tell(self, found: Findings, before: ServiceLevelObjectiveStatus) -> None:
        about, state = reference(found.slo), found.risk.state
        if state.value != before.state and (before.state is not None or state is not State.HEALTHY):
            kind, reason = _REASONS[state]
            await self._record(Event(about, kind, reason, _headline(found)))
        told = {(one.policy, one.verdict, one.reason) for one in before.decisions or ()}
        for one in found.decisions:
            # Why nothing was done is news only while there is something to be done about.
            worth = one.verdict != "Hold" or one.reason not in ("BelowThreshold", "NoForecast", "RemediationActive")
            if worth and (one.policy, one.verdict, one.reason) not in told:
                kind = "Warning" if one.verdict == "Hold" else "Normal"
                reason = one.reason if one.verdict == "Hold" else one.verdict
                await self._record(Event(about, kind, reason, f"{one.policy}: {one.message}", one.action))

    async def _policy(self, policy: RemediationPolicy, found: Mapping[str, Findings], now: float) -> None:
        selected = sum(
            each.slo.namespace == policy.namespace and policy.spec.objectives.matches(each.slo.metadata.labels)
            for each in found.values()
        )
        active = sum(
            not one.ended and one.spec.intent.policy.uid == policy.uid
            for one in self._registry.all(Remediation, policy.namespace)
        )
        ready = (
            Condition(type="Ready", status="True", reason="Selecting", message=f"{selected} objectives are selected")
            if selected
            else Condition(
                type="Ready",
                status="False",
                reason="SelectsNothing",
                message="no objective in this namespace has the labels of spec.objectives",
            )
        )
        status = policy.status.model_copy(
            update={
                "observed_generation": policy.metadata.generation,
                "objectives": selected,
                "active": active,
                "conditions": settle(policy.status.conditions, [ready], policy.metadata.generation, now),
            }
        )
        await self._changed(policy, policy.status, status, now)

    async def _source(self, source: MetricSource, found: Mapping[str, Findings], now: float) -> None:
        users = [each for each in found.values() if each.slo.spec.source == source.name]
        problems = [
            reading.problem
            for each in users
            for reading in each.readings
            if reading.problem is not None and reading.problem.reason in _SOURCE_REASONS
        ]
        if not users:
            ready = Condition(type="Ready", status="Unknown", reason="NotUsed", message="no objective uses this source")
        elif problems:
            ready = Condition(type="Ready", status="False", reason=problems[0].reason, message=problems[0].message)
        else:
            ready = Condition(type="Ready", status="True", reason="Answering", message="the source answers")
        status = source.status.model_copy(
            update={
                "observed_generation": source.metadata.generation,
                "objectives": len(users),
                "conditions": settle(source.status.conditions, [ready], source.metadata.generation, now),
            }
        )
        await self._changed(source, source.status, status, now)

    async def _guardrail(self, guardrail: Guardrail, now: float) -> None:
        ready = Condition(type="Ready", status="True", reason="InForce", message="every action is held against it")
        status = guardrail.status.model_copy(
            update={
                "observed_generation": guardrail.metadata.generation,
                "conditions": settle(guardrail.status.conditions, [ready], guardrail.metadata.generation, now),
            }
        )
        await self._changed(guardrail, guardrail.status, status, now)

    async def _changed(self, resource: Resource, read: Model, status: Model, now: float) -> None:
        known = self._written.get(resource.uid)
        if status == (known[1] if known else read):
            return
        async with self._limit:
            try:
                await self._cluster.apply_status(reference(resource), status.dump())
            except ClusterError as error:
                _log.warning("status not written", kind=resource.KIND, name=resource.name, error=str(error))
                return
        self._written[resource.uid] = (now, status)

    async def _invalid(self, ref: ObjectRef, message: str, generation: int, now: float) -> None:
        ready = Condition(
            type="Ready",
            status="False",
            reason="InvalidSpec",
            message=message[:1024],
            observed_generation=generation,
            last_transition_time=stamp(now),
        )
        known = self._written.get(ref.uid)
        same = known is not None and isinstance(known[1], Condition) and known[1].message == ready.message
        if ref.kind == Remediation.KIND or same:
            return
        async with self._limit:
            try:
                body = {"observedGeneration": generation, "conditions": [ready.dump()]}
                await self._cluster.apply_status(ref, body)
            except ClusterError as error:
                _log.warning("status not written", kind=ref.kind, name=ref.name, error=str(error))
                return
        self._written[ref.uid] = (now, ready)

    async def _record(self, event: Event) -> None:
        try:
            await self._cluster.record(event)
        except ClusterError as error:
            _log.warning("event not recorded", reason=event.reason, error=str(error))


def reference(resource: Resource) -> ObjectRef:
    """Return a reference to one of the operator's own objects."""
    return ObjectRef(
        api_version=API_VERSION,
        kind=resource.KIND,
        namespace=resource.namespace,
        name=resource.name,
        uid=resource.uid,
    )


def _headline(found: Findings) -> str:
    match found.risk.state:
        case State.HEALTHY:
            return "no breach is forecast any more"
        case State.UNKNOWN:
            return "the data is missing or too old: nothing can be said, and nothing is done"
        case State.BREACHED:
            return "the error budget burns fast now"
        case State.AT_RISK:
            cause = status_of(found, 0.0).cause
            if cause is None:
                return "a breach is forecast"
            soon = f" in {cause.time_to_breach}" if cause.time_to_breach else ""
            where = f" ({', '.join(f'{k}={v}' for k, v in cause.labels.items())})" if cause.labels else ""
            if found.risk.cause is not None and found.risk.cause.breached:
                return f"{cause.indicator}{where} is {cause.value}, past its limit of {cause.limit}"
            return f"{cause.indicator}{where} is forecast to pass {cause.limit}{soon}, with {cause.probability}"
