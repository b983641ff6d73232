"""Queries the traffic of an objective's service in the past days, for restarts that wait for low traffic."""

import asyncio
import math
from collections.abc import Collection
from typing import Final

from forestall.api import MetricSource, ServiceLevelObjective
from forestall.api.meta import Duration
from forestall.api.times import clock
from forestall.core.decision import Hold
from forestall.core.low_traffic import DAY, TrafficHistory, next_low_traffic
from forestall.core.risk import Signal
from forestall.engine.indicator_queries import traffic_query
from forestall.errors import InvalidQuery
from forestall.ports import Metrics, QueryFailure
from forestall.registry import Registry

STEP: Final = 900.0
"""Seconds between two points."""
_DAYS: Final = 7
_PATIENCE: Final = 2.0
"""How long (s) a query may take."""
_LASTS: Final = 3600.0
"""How long (s) an answer or a failure is reused: low traffic is a convenience, and must not load the source."""


class PastTraffic:
    """Sends one coarse range query an hour for each objective to be restarted, and none for others."""

    def __init__(self, metrics: Metrics, registry: Registry) -> None:
        self._metrics = metrics
        self._registry = registry
        self._by_objective: dict[str, tuple[int, float, TrafficHistory | None]] = {}

    async def of(self, slo: ServiceLevelObjective, now: float) -> TrafficHistory | None:
        """Return the traffic of the past days; None where the indicator does not count events, or the query fails."""
        generation, queried_at, traffic = self._by_objective.get(slo.uid, (-1, 0.0, None))
        if generation != slo.metadata.generation or not 0 <= now - queried_at < _LASTS:
            traffic = await self._ask(slo, now)
            self._by_objective[slo.uid] = (slo.metadata.generation, now, traffic)
        return traffic

    async def too_busy(self, slo: ServiceLevelObjective, cause: Signal, reserve: Duration, now: float) -> Hold | None:
        """Return until when a disruptive action waits for low traffic; None where there is none in time.

        The action must end before the earliest forecast breach; `reserve` is how long it may take.
        """
        _, earliest, _ = cause.time_to_breach
        latest = now + earliest - reserve.seconds
        if not now < latest < math.inf:
            return None
        traffic = await self.of(slo, now)
        low_traffic = next_low_traffic(traffic, now, latest) if traffic is not None else None
        if low_traffic is None:
            return None
        return Hold(
            "WaitingForLowTraffic",
            f"it waits until {clock(low_traffic.at)}, when past days had {low_traffic.share:.0%} of the traffic that "
            f"they had at this time of day, and {reserve} or more are left before the breach",
        )

    def retain(self, present: Collection[str]) -> None:
        """Forget all objectives but those with these UIDs."""
        self._by_objective = {uid: entry for uid, entry in self._by_objective.items() if uid in present}

    async def _ask(self, slo: ServiceLevelObjective, now: float) -> TrafficHistory | None:
        source = self._registry.get(MetricSource, slo.spec.source)
        if source is None:
            return None
        try:
            query = traffic_query(slo, source, STEP)
        except InvalidQuery:
            return None
        if query is None:
            return None
        try:
            async with asyncio.timeout(_PATIENCE):
                answers = await self._metrics.range(slo.spec.source, (query,), now - _DAYS * DAY - STEP, now, STEP)
        except TimeoutError:
            return None
        answer = answers.get(query.key, ())
        if isinstance(answer, QueryFailure) or len(answer) != 1:
            return None
        return TrafficHistory(answer[0].times, answer[0].values, STEP)
