"""Fetches the history of new queries in parts; forecasts of a series are learned from it."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from forestall.engine.concurrency import at_most, within
from forestall.engine.fair_scheduling import batches, round_robin
from forestall.engine.indicator_queries import IndicatorQuery, ObjectiveQueries
from forestall.engine.past_stores import PastStore
from forestall.engine.readings import Reading
from forestall.engine.source_health import OF_SOURCES
from forestall.isolation import ErrorIsolation
from forestall.ports import Metrics, Query, QueryFailure

AT_ONCE = 50
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
    identity: Hashable
    points: int
    max_points: int


class Backfiller:
    """Fetches the history of queries into a store, and remembers which queries have none to fetch."""

    def __init__(self, metrics: Metrics, store: PastStore, isolation: ErrorIsolation, at_once: int = AT_ONCE) -> None:
        """``at_once``: the number of queries in one request."""
        self._metrics = metrics
        self._store = store
        self._isolation = isolation
        self._at_once = at_once
        self._backfilled: set[Hashable] = set()  # what is in the store, by identity
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
            by_source[queries_of_objective.source] += [
                _Backfill(
                    item, identity, self._points(reading_by_query.get(item.query)), queries_of_objective.share.points
                )
                for item in queries_of_objective.watched
                if (identity := self._store.identity(item)) is not None
                and identity not in self._backfilled
                and self._may_ask(identity, at)
                and not _is_over(reading_by_query.get(item.query))
            ]
        until = at_most(seconds, end)
        waiting = await within(end, (self._catch_up(source, items, at, until) for source, items in by_source.items()))
        total = 0
        for count, items in zip(waiting, by_source.values(), strict=True):
            if count is None:  # the source hung
                self._refused.update(item.identity for item in items)
            total += len(items) if count is None else count
        return total

    def _points(self, reading: Reading | None) -> int:
        series = 1 if reading is None else max(1, len(reading.values))
        return series * self._store.points

    def _may_ask(self, identity: Hashable, at: float) -> bool:
        """Say whether it is time to request the history of a query; the pause grows with each refusal."""
        beyond = max(0, self._refused[identity] - _REFUSALS)
        return round(at / self._store.interval) % (1 << min(beyond, _LONGEST_PAUSE)) == 0

    def is_settled(self, query: Query) -> bool:
        """Say whether the history of a query is in the matrix, or is known not to be available."""
        return query in self._backfilled or self._refused[query] >= _REFUSALS

    def retain(self, queries: Iterable[IndicatorQuery]) -> None:
        """Forget all queries but these."""
        identities = {self._store.identity(query) for query in queries}
        self._backfilled &= identities
        self._refused = Counter({item: count for item, count in self._refused.items() if item in identities})

    async def _catch_up(self, source: str, missing: Sequence[_Backfill], at: float, until: float) -> int:
        """Backfill from one source, at least one batch, until `until` (s, of the event loop); return how many queries
        still wait.
        """
        # What could not be had lets the others go first.
        ordered = sorted(missing, key=lambda item: self._refused[item.identity])
        fair = round_robin(ordered, lambda item: item.watched.query.owner)
        used: Counter[str] = Counter()
        due: list[_Backfill] = []
        for item in fair:
            owner = item.watched.query.owner
            if not used[owner] or used[owner] + item.points <= item.max_points:
                used[owner] += item.points
                due.append(item)
        waiting = len(fair)
        for batch in batches(due, lambda item: item.points, _POINTS_AT_ONCE, self._at_once):
            with self._isolation.attempt("observing", f"the past in metric source {source}") as attempt:
                await self._backfill(source, batch, at)
            if attempt.failure is not None:
                self._refused.update(item.identity for item in batch if item.identity not in self._backfilled)
            waiting -= len(batch)
            if asyncio.get_running_loop().time() >= until:
                break
        return waiting

    async def _backfill(self, source: str, batch: Sequence[_Backfill], at: float) -> None:
        past = await self._metrics.range(source, [item.watched.query for item in batch], *self._store.span(at))
        for item in batch:
            answer = past[item.watched.query.key]
            if isinstance(answer, QueryFailure):
                self._refused[item.identity] += 1
                continue  # asked again in the next cycle
            with self._isolation.attempt("observing", f"the past of objective {item.watched.objective}") as attempt:
                for series in answer:
                    self._store.store(item.watched, series)
            if attempt.failure is not None:
                self._refused[item.identity] += 1
                continue
            self._backfilled.add(item.identity)


def _is_over(reading: Reading | None) -> bool:
    if reading is None or reading.problem is None:
        return False
    return reading.problem.reason == "ShareExhausted" or (not reading.values and reading.problem.reason in OF_SOURCES)
