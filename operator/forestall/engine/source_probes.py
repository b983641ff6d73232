"""Probes metric sources that no objective uses; for the others the queries of objectives show whether they answer.

Such a source is queried once for each generation, and again periodically while it fails, so that a wrong URL is
reported soon after it is applied.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from forestall.api import MetricSource
from forestall.api.meta import Condition
from forestall.engine.objective_status import Findings, named
from forestall.engine.source_health import OF_SOURCES
from forestall.isolation import ErrorIsolation
from forestall.ports import Metrics, Query, QueryFailure

_QUERY: Final = "count(forestall_probe)"
"""A query for a metric that does not exist: a healthy source answers with an empty result."""
_AGAIN: Final = 300.0
"""Seconds after which a source that failed is probed again."""
_WAIT: Final = 1.0
"""How long (s) a cycle waits for the probes; later results appear in the next cycle."""
_OF_SOURCES: Final = OF_SOURCES | {"PartialAnswer", "ClockSkew"}
"""Reasons that may be about the source, and not about a query."""


def answering(users: Sequence[Findings]) -> Condition:
    """Return the condition Ready of a source that objectives query.

    Queries of a few objectives may take too long for any source: where others are answered, the source is ready.
    """
    readings = [reading for findings in users for reading in findings.readings]
    problems = [
        findings.problem
        for findings in readings
        if findings.problem is not None and findings.problem.reason in _OF_SOURCES
    ]
    if not problems:
        return _ready("True", "Available", "the source answers")
    if all(findings.problem is not None for findings in readings):
        return _ready("False", problems[0].reason, problems[0].message)
    message = (
        f"the source answers, but not for {len(problems)} of {len(readings)} indicators ({problems[0].reason}): "
        "DataFresh of their objectives says why"
    )
    return _ready("True", "PartiallyAvailable", message)


class SourceProbes:
    """Probes sources that no objective uses, and remembers the results."""

    def __init__(self, metrics: Metrics | None, isolation: ErrorIsolation) -> None:
        self._metrics = metrics
        self._isolation = isolation
        self._results: dict[
            str, tuple[int, float, QueryFailure | None]
        ] = {}  # by UID: generation, when, and what failed
        self._under_way: dict[str, asyncio.Task[None]] = {}

    async def run(self, sources: Iterable[MetricSource], now: float) -> None:
        """Probe the sources that are due; `sources` are all that no objective uses."""
        present = {source.uid: source for source in sources}
        self._results = {uid: result for uid, result in self._results.items() if uid in present}
        new = {
            uid: asyncio.create_task(self._ask(source, now))
            for uid, source in present.items()
            if uid not in self._under_way and self._is_due(source, now)
        }
        self._under_way |= new
        if new:  # what hangs is waited for once
            await asyncio.wait(new.values(), timeout=_WAIT)
        self._under_way = {uid: task for uid, task in self._under_way.items() if not task.done()}

    async def close(self) -> None:
        """Cancel the probes under way."""
        for task in self._under_way.values():
            task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    def ready(self, source: MetricSource) -> Condition:
        """Return the condition Ready of a source that no objective uses."""
        result = self._results.get(source.uid)
        if result is None or result[0] != source.metadata.generation:
            return _ready("Unknown", "NotUsed", "no objective uses this source, and it has not answered a probe yet")
        if result[2] is not None:
            return _ready("False", result[2].reason, f"{result[2].message}; no objective uses this source yet")
        return _ready("True", "Available", "the source answers; no objective uses it yet")

    def _is_due(self, source: MetricSource, now: float) -> bool:
        result = self._results.get(source.uid)
        if result is None or result[0] != source.metadata.generation:
            return self._metrics is not None
        return result[2] is not None and not 0 <= now - result[1] < _AGAIN

    async def _ask(self, source: MetricSource, now: float) -> None:
        with self._isolation.attempt("probing", named(source)):
            if self._metrics is not None:
                query = Query(("probe", source.uid), _QUERY)
                answer = (await self._metrics.instant(source.name, [query], now))[query.key]
                failure = answer if isinstance(answer, QueryFailure) else None
                self._results[source.uid] = (source.metadata.generation, now, failure)


def _ready(status: str, reason: str, message: str) -> Condition:
    return Condition.model_validate({"type": "Ready", "status": status, "reason": reason, "message": message})
