"""Reads the workloads that objectives target: whether they exist, and their size."""

import asyncio
import math
from collections.abc import Iterable
from dataclasses import dataclass

from forestall.actions import Floor, find_floor
from forestall.actions.readiness import ready_of
from forestall.api import ServiceLevelObjective
from forestall.api.remediation import ObjectRef
from forestall.core.decision import Hold
from forestall.core.plan import TargetScale
from forestall.engine.concurrency import within
from forestall.engine.fair_scheduling import NamespaceLimit, round_robin
from forestall.engine.objective_status import Problem, named
from forestall.engine.workload import Workload, workload_of
from forestall.errors import ClusterError, Forbidden, NotFound
from forestall.isolation import ErrorIsolation
from forestall.ports import Reader

_EVERY = 10
"""Intervals between two reads of the target of an objective that is not at risk."""
_PATIENCE = 5.0
"""How long (s) reading a target may take, where cycles are not shorter."""
_PATIENCE_LEAST = 1.0
_AT_ONCE = 200
"""How many targets are read in one cycle at the most."""


@dataclass(frozen=True, slots=True)
class ResolvedTarget:
    """A target as it was read."""

    ref: ObjectRef
    """With its UID."""
    size: TargetScale
    workload: Workload
    """The workload's properties for the guards."""
    floor: Floor | None = None
    """The object whose replicas are raised to scale the target; None where it can't be scaled, or was not asked for."""
    obstacle: Hold | None = None
    """Why it can't be scaled."""


class TargetResolver:
    """Reads targets when they are needed, and periodically to report a missing one early."""

    def __init__(
        self, cluster: Reader, interval: float, concurrency: int, isolation: ErrorIsolation | None = None
    ) -> None:
        self._cluster = cluster
        self._isolation = isolation or ErrorIsolation()
        self._check_interval = interval * _EVERY
        self._patience = max(_PATIENCE_LEAST, min(_PATIENCE, interval))
        self._limit = NamespaceLimit(concurrency)
        self._checked: dict[str, tuple[int, float, Problem | None]] = {}
        self._ready: dict[str, int | None] = {}

    async def check(
        self, objectives: Iterable[ServiceLevelObjective], now: float, until: float = math.inf
    ) -> dict[str, Problem]:
        """Return, by UID, the problems of objectives whose targets can't be used; targets that are due are read again.

        A target that is not read by `until` (s, of the event loop) keeps its last result.
        """
        present = {slo.uid: slo for slo in objectives}
        self._checked = {uid: entry for uid, entry in self._checked.items() if uid in present}
        self._limit.clear()
        self._ready = {uid: ready for uid, ready in self._ready.items() if uid in present}
        due = sorted((slo for slo in present.values() if self._due(slo, now)), key=self._check_result)
        fair = round_robin(due, lambda slo: slo.namespace)
        await within(until, (self._check(slo, now) for slo in fair[:_AT_ONCE]))
        return {uid: problem for uid, (_, _, problem) in self._checked.items() if problem is not None}

    def ready(self, uid: str) -> int | None:
        """Return how many pods of an objective's (UID) target were ready at the last read; None if unknown."""
        return self._ready.get(uid)

    async def read(
        self, slo: ServiceLevelObjective, *, with_scale: bool, cluster: Reader | None = None
    ) -> ResolvedTarget | Problem:
        """Return the target of `slo` as it is now, or why it can't be used; read through `cluster`, where given."""
        ref, cluster = reference(slo), cluster or self._cluster
        try:
            async with self._limit.slot(slo.namespace), asyncio.timeout(self._patience):
                body = await cluster.read(ref)
                floor = await find_floor(cluster, ref) if with_scale else None
        except NotFound:
            message = (
                f"{ref.kind} {ref.name} does not exist in namespace {ref.namespace}: create it, or mend spec.target"
            )
            return Problem("TargetMissing", message)
        except Forbidden as error:
            return Problem("TargetForbidden", f"{error}; bind the operator's workload role in this namespace")
        except ClusterError as error:
            return Problem("TargetUnknown", f"{ref.kind} {ref.name} could not be read: {error}")
        except TimeoutError:
            message = f"{ref.kind} {ref.name} could not be read within {self._patience:g} s"
            return Problem("TargetUnknown", message)
        if isinstance(floor, Floor) and floor.blocked is not None:
            floor = floor.blocked
        uid = str(body["metadata"]["uid"])
        body = {**body, "apiVersion": ref.api_version, "kind": ref.kind}
        return ResolvedTarget(
            ref.model_copy(update={"uid": uid}),
            TargetScale(floor.replicas, ready_of(body), floor.ceiling)
            if isinstance(floor, Floor)
            else TargetScale(None, ready_of(body)),
            workload_of(body),
            floor if isinstance(floor, Floor) else None,
            floor if isinstance(floor, Hold) else None,
        )

    def _due(self, slo: ServiceLevelObjective, now: float) -> bool:
        checked = self._checked.get(slo.uid)
        return (
            checked is None or checked[0] != slo.metadata.generation or not 0 <= now - checked[1] < self._check_interval
        )

    def _check_result(self, slo: ServiceLevelObjective) -> float:
        checked = self._checked.get(slo.uid)
        return -math.inf if checked is None or checked[0] != slo.metadata.generation else checked[1]

    async def _check(self, slo: ServiceLevelObjective, now: float) -> None:
        problem: Problem | None = None
        with self._isolation.attempt("looking at the target", named(slo)) as attempt:
            resolved = await self.read(slo, with_scale=False)
            self._ready[slo.uid] = resolved.size.ready if isinstance(resolved, ResolvedTarget) else None
            problem = resolved if isinstance(resolved, Problem) and resolved.reason != "TargetUnknown" else None
        if attempt.failure is not None:
            problem = Problem("InternalError", attempt.failure)
        self._checked[slo.uid] = (slo.metadata.generation, now, problem)


def reference(slo: ServiceLevelObjective) -> ObjectRef:
    """Return a reference to the target, in the objective's own namespace."""
    target = slo.spec.target
    return ObjectRef(api_version=target.api_version, kind=target.kind, namespace=slo.namespace, name=target.name)
