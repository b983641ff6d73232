"""Fetches the history of new queries in parts; forecasts of a series are learned from it."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass

from forestall.core.series import SeriesMatrix
from forestall.engine.concurrency import at_most, within
from forestall.engine.fair_scheduling import batches, round_robin
from forestall.engine.indicator_queries import IndicatorQuery, ObjectiveQueries
from forestall.engine.readings import Reading
from forestall.engine.source_health import OF_SOURCES
from forestall.isolation import Isolation
from forestall.ports import Metrics, Query, QueryFailure

_AT_ONCE = 50
"""How many queries' histories are held in memory at once."""
_POINTS_AT_ONCE = 1_000_000
"""About how many points of these histories are held in memory at once."""
_REFUSALS = 3
"""After how many refusals the series of a query are learned from without their history."""
_LONGEST_PAUSE = 6
"""A history that the source keeps refusing is requested in every 2nd, then 4th, and finally in every 64th cycle."""


@dataclass(frozen=True, slots=True)
class _Backfill:
    """A query whose history is not fetched yet: about how many points it has, and how many its namespace may fetch."""

    watched: IndicatorQuery
    points: int
    max_points: int


class Backfiller:
    """Fetches the history of queries into the matrix, and remembers which queries have none to fetch."""

    def __init__(self, metrics: Metrics, matrix: SeriesMatrix, isolation: Isolation) -> None:
        self._metrics = metrics
        self._matrix = matrix
        self._isolation = isolation
        self._backfilled: set[Hashable] = set()  # queries whose past is in the matrix
        self._refused: Counter[Hashable] = Counter()  # how often the past of others could not be had

    async def run(
        self,
        questions: Mapping[str, ObjectiveQueries],
        at: float,
        seconds: float,
        readings: Mapping[str, Sequence[Reading]],
        end: float,
    ) -> int:
        """Fetch the history of new queries for about `seconds`; return how many queries still wait.

        `readings` give the number of series of each query; a query without an answer is not backfilled. The first query
        of every namespace comes before the second of any, and each namespace fetches no more points than its share
        allows. Returns before `end` (s, of the event loop).
        """
        reading_by_query = {item.watched.query: item for items in readings.values() for item in items}
        by_source: dict[str, list[_Backfill]] = defaultdict(list)
        for queries_of_objective in questions.values():
            left = [
                item
                for item in queries_of_objective.watched
                if item.query not in self._backfilled and self._may_ask(item.query, at)
            ]
            by_source[queries_of_objective.source] += [
                _Backfill(item, self._points(reading_by_query.get(item.query)), queries_of_objective.share.points)
                for item in left
                if not _is_over(reading_by_query.get(item.query))
            ]
        until = at_most(seconds, end)
        waiting = await within(end, (self._catch_up(source, items, at, until) for source, items in by_source.items()))
        total = 0
        for count, items in zip(waiting, by_source.values(), strict=True):
            if count is None:  # the source hung
                self._refused.update(item.watched.query for item in items)
            total += len(items) if count is None else count
        return total

    def _points(self, reading: Reading | None) -> int:
        series = 1 if reading is None else max(1, len(reading.values))
        return series * self._matrix.capacity

    def _may_ask(self, query: Query, at: float) -> bool:
        """Say whether it is time to request the history of a query; the pause grows with each refusal."""
        beyond = max(0, self._refused[query] - _REFUSALS)
        return round(at / self._matrix.step) % (1 << min(beyond, _LONGEST_PAUSE)) == 0

    def is_settled(self, query: Query) -> bool:
        """Say whether the history of a query is in the matrix, or is known not to be available."""
        return query in self._backfilled or self._refused[query] >= _REFUSALS

    def retain(self, queries: Collection[Hashable]) -> None:
        """Forget all queries but these."""
        self._backfilled &= set(queries)
        self._refused = Counter({query: count for query, count in self._refused.items() if query in queries})

    async def _catch_up(self, source: str, missing: Sequence[_Backfill], at: float, until: float) -> int:
        """Backfill from one source, at least one batch, until `until` (s, of the event loop); return how many queries
        still wait.
        """
        # What could not be had lets the others go first.
        ordered = sorted(missing, key=lambda item: self._refused[item.watched.query])
        fair = round_robin(ordered, lambda item: item.watched.query.owner)
        used: Counter[str] = Counter()
        due: list[_Backfill] = []
        for item in fair:
            owner = item.watched.query.owner
            if not used[owner] or used[owner] + item.points <= item.max_points:
                used[owner] += item.points
                due.append(item)
        waiting = len(fair)
        for batch in batches(due, lambda item: item.points, _POINTS_AT_ONCE, _AT_ONCE):
            watched = [item.watched for item in batch]
            with self._isolation.attempt("observing", f"the past in metric source {source}") as attempt:
                await self._backfill(source, watched, at)
            if attempt.failure is not None:
                self._refused.update(item.query for item in watched if item.query not in self._backfilled)
            waiting -= len(batch)
            if asyncio.get_running_loop().time() >= until:
                break
        return waiting

    async def _backfill(self, source: str, watched: Sequence[IndicatorQuery], at: float) -> None:
        step = self._matrix.step
        # The newest column is this cycle's own.
        past = await self._metrics.range(
            source, [query.query for query in watched], at - step * (self._matrix.capacity - 1), at - step, step
        )
        for query in watched:
            answer = past[query.query.key]
            if isinstance(answer, QueryFailure):
                self._refused[query.query] += 1
                continue  # asked again in the next cycle
            with self._isolation.attempt("observing", f"the past of objective {query.objective}") as attempt:
                for series in answer:
                    self._matrix.backfill(query.key(series.labels), series.times, series.values)
            if attempt.failure is not None:
                self._refused[query.query] += 1
                continue
            self._backfilled.add(query.query)


def _is_over(reading: Reading | None) -> bool:
    if reading is None or reading.problem is None:
        return False
    return reading.problem.reason == "ShareExhausted" or (not reading.values and reading.problem.reason in OF_SOURCES)
