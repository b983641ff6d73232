"""Queries the metric sources, and turns their answers into readings, error ratios and reasons."""

import asyncio
import math
import zlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence

from forestall.core.clock_skew import MAX_SKEW, ClockOffset
from forestall.core.series import SeriesMatrix
from forestall.engine.backfill import Backfiller
from forestall.engine.chunked_window import ChunkedWindow, ChunkedWindows, ErrorRatio
from forestall.engine.concurrency import at_most, gather_all, within
from forestall.engine.fair_scheduling import round_robin
from forestall.engine.indicator_queries import ObjectiveQueries
from forestall.engine.past_stores import MatrixPast, PastStore
from forestall.engine.readings import ErrorRatios, Reading, read
from forestall.engine.source_health import TIMEOUT, SourceHealth, health_of
from forestall.isolation import ErrorIsolation
from forestall.ports import Answer, Metrics, Query, QueryFailure

_AGAIN = 60.0
"""Seconds after which the whole window is queried again when there was no answer."""
_LONG_PASTS_AT_ONCE = 10
"""The number of queries whose last weeks are fetched in one cycle: they are many points, and nothing waits for them."""
_FORGOTTEN = 120
"""After how many intervals without data a series is dropped."""


class Observer:
    """Sends all queries of a cycle together, and appends their values to the matrix of series."""

    def __init__(
        self,
        metrics: Metrics,
        matrix: SeriesMatrix,
        isolation: ErrorIsolation | None = None,
        long_past: PastStore | None = None,
    ) -> None:
        """``long_past``: where the weeks before the matrix go, whose breaches may recur."""
        self._metrics = metrics
        self._isolation = isolation or ErrorIsolation()
        self._matrix = matrix
        self._backfiller = Backfiller(metrics, MatrixPast(matrix), self._isolation)
        self._long_past = (
            Backfiller(metrics, long_past, self._isolation, _LONG_PASTS_AT_ONCE) if long_past is not None else None
        )
        self._window_shares: dict[str, tuple[float, ErrorRatio]] = {}  # by objective: when it was asked, and the answer
        self._windows = ChunkedWindows(metrics)
        self.clocks: Mapping[str, ClockOffset] = {}
        """The clock offsets from `time.monotonic()` of the sources that answered in this cycle, by name."""
        self.health: Mapping[str, SourceHealth] = {}
        """The health of the sources in this cycle, by name."""

    async def observe(
        self,
        questions: Mapping[str, ObjectiveQueries],
        stale_after: Callable[[str], float],
        at: float,
        until: float = math.inf,
    ) -> tuple[dict[str, tuple[Reading, ...]], dict[str, ErrorRatios]]:
        """Return the readings of the indicators, and the error ratios, of each objective.

        `questions` are keyed by objective; `stale_after(source)` is the age (s) from which a source's data is stale. An
        answer that arrives after `until` (s, of the event loop) is dropped.
        """
        due = {
            uid: self._due(uid, queries_of_objective, at, at - stale_after(queries_of_objective.source))
            for uid, queries_of_objective in questions.items()
        }
        by_source: dict[str, list[Query]] = defaultdict(list)
        for uid, queries_of_objective in questions.items():
            by_source[queries_of_objective.source] += [item.query for item in queries_of_objective.watched]
            by_source[queries_of_objective.source] += [queries_of_objective.long, *due[uid]]
        answers: dict[Hashable, Answer | QueryFailure] = {}
        clocks: dict[str, ClockOffset] = {}
        asking = (self._ask(s, q, at, until) for s, q in by_source.items())
        answered = dict(zip(by_source, await gather_all(asking), strict=True))
        self.health = {source: health_of(answers_of_source.values()) for source, answers_of_source in answered.items()}
        for source, answers_of_source in answered.items():
            answers |= answers_of_source
            clocks_of_source = (
                item.clock for item in answers_of_source.values() if isinstance(item, Answer) and item.clock is not None
            )
            if (clock := next(clocks_of_source, None)) is not None:
                clocks[source] = clock
        self.clocks = clocks

        readings, ratios = {}, {}
        for uid, queries_of_objective in questions.items():
            with self._isolation.attempt("observing", f"objective {uid}") as attempt:
                oldest = at - stale_after(queries_of_objective.source)
                readings[uid] = tuple(
                    read(item, answers[item.query.key], oldest, at + MAX_SKEW) for item in queries_of_objective.watched
                )
                if due[uid]:
                    self._note(uid, queries_of_objective.window_query, answers, at, oldest)
                ratios[uid] = _ratios(
                    queries_of_objective,
                    _share(answers[queries_of_objective.long.key], oldest),
                    self._share_of(uid, queries_of_objective.window_query),
                )
            if attempt.failure is not None:
                failure = QueryFailure("InternalError", attempt.failure)
                readings[uid], ratios[uid] = (
                    tuple(Reading(item, problem=failure) for item in queries_of_objective.watched),
                    ErrorRatios(),
                )
        return readings, ratios

    def _note(
        self,
        uid: str,
        window: Query | ChunkedWindow,
        answers: Mapping[Hashable, Answer | QueryFailure],
        at: float,
        oldest: float,
    ) -> None:
        if isinstance(window, ChunkedWindow):
            self._windows.prepare(window, answers, oldest)
        else:
            self._window_shares[uid] = (at, _share(answers[window.key], oldest))

    def _share_of(self, uid: str, window: Query | ChunkedWindow) -> ErrorRatio:
        return self._windows.share(window) if isinstance(window, ChunkedWindow) else self._window_shares[uid][1]

    async def _ask(
        self, source: str, queries: Sequence[Query], at: float, until: float
    ) -> Mapping[Hashable, Answer | QueryFailure]:
        with self._isolation.attempt("observing", f"metric source {source}") as attempt:
            (answers,) = await within(until, (self._metrics.instant(source, queries, at),))
            if answers is not None:
                return answers
        message = "the source did not answer in the time that a cycle has for it"
        failure = QueryFailure("InternalError", attempt.failure) if attempt.failure else QueryFailure(TIMEOUT, message)
        return {query.key: failure for query in queries}

    def feed(self, readings: Mapping[str, Sequence[Reading]], at: float) -> None:
        """Append one column to the matrix: the series whose history is in it already, or is not available.

        A series that is learned without its history has to be learned again when the history arrives.
        """
        values: dict[Hashable, float] = {}
        sampled_at: dict[Hashable, float] = {}
        for readings_of_objective in readings.values():
            for reading in readings_of_objective:
                if reading.fresh and self._backfiller.is_settled(reading.watched.query):
                    by_key = {reading.watched.key(labels): value for labels, value in reading.values.items()}
                    values |= by_key
                    sampled_at |= dict.fromkeys(by_key, reading.sampled_at)
        self._matrix.push(at, values, sampled_at)

    async def backfill(
        self,
        questions: Mapping[str, ObjectiveQueries],
        at: float,
        seconds: float,
        readings: Mapping[str, Sequence[Reading]] | None = None,
        end: float = math.inf,
    ) -> int:
        """Fetch the history of new queries; see `Backfiller.run`.

        Where every query has its last day, the last weeks of a few of them follow.
        """
        waiting = await self._backfiller.run(questions, at, seconds, readings or {}, end)
        if waiting == 0 and self._long_past is not None:
            await self._long_past.run(questions, at, 0, readings or {}, at_most(seconds / 2, end))
        return waiting

    async def read_windows(
        self,
        questions: Mapping[str, ObjectiveQueries],
        stale_after: Callable[[str], float],
        at: float,
        seconds: float,
        end: float = math.inf,
    ) -> None:
        """Read further pieces of windows for about `seconds`, and no longer than until `end`."""
        by_source: dict[str, list[ChunkedWindow]] = defaultdict(list)
        for queries_of_objective in questions.values():
            if isinstance(queries_of_objective.window_query, ChunkedWindow):
                by_source[queries_of_objective.source].append(queries_of_objective.window_query)
        until = at_most(seconds, end)
        await within(
            end, (self._read_on(s, windows, at, at - stale_after(s), until) for s, windows in by_source.items())
        )

    async def _read_on(
        self, source: str, windows: Sequence[ChunkedWindow], at: float, oldest: float, until: float
    ) -> None:
        waiting = list(round_robin(sorted(windows, key=self._windows.last_query), lambda window: window.owner))
        while waiting:
            unfinished = []
            for pieces in waiting:
                with self._isolation.attempt("observing", f"the window of objective {pieces.objective}"):
                    if await self._windows.read(source, pieces, oldest, at):
                        unfinished.append(pieces)
                if asyncio.get_running_loop().time() >= until:
                    return
            waiting = unfinished

    def retain(self, questions: Mapping[str, ObjectiveQueries], at: float) -> None:
        """Forget objectives that are deleted, and series that queries have not returned for long."""
        present = [query for queries_of_objective in questions.values() for query in queries_of_objective.watched]
        self._backfiller.retain(present)
        if self._long_past is not None:
            self._long_past.retain(present)
        self._window_shares = {uid: share for uid, share in self._window_shares.items() if uid in questions}
        self._windows.retain(frozenset(questions))
        watched = {
            (query.objective, query.indicator)
            for queries_of_objective in questions.values()
            for query in queries_of_objective.watched
        }
        ages = self._matrix.age(at)
        self._matrix.retain(
            key
            for key, row in self._matrix.rows.items()
            if isinstance(key, tuple) and key[:2] in watched and ages[row] < _FORGOTTEN * self._matrix.step
        )

    def _due(self, uid: str, queries: ObjectiveQueries, at: float, oldest: float) -> tuple[Query, ...]:
        """Return the queries over the whole window that are due."""
        if isinstance(queries.window_query, ChunkedWindow):
            return self._windows.questions(queries.window_query, oldest)
        before = self._window_shares.get(uid)
        if before is None:
            return (queries.window_query,)
        # Objectives that were met together part ways; what could not be answered is asked again sooner.
        spread = 0.5 + zlib.crc32(uid.encode()) / 2**33
        wait = (
            queries.window_interval * spread if math.isfinite(before[1].value) else min(queries.window_interval, _AGAIN)
        )
        return () if 0 <= at - before[0] < wait else (queries.window_query,)


def _share(answer: Answer | QueryFailure, oldest: float) -> ErrorRatio:
    """Return the single finite value of an answer, or why there is none that is recent enough."""
    if isinstance(answer, QueryFailure):
        return ErrorRatio(problem=answer)
    if answer.warnings:
        return ErrorRatio(problem=QueryFailure("PartialAnswer", "; ".join(answer.warnings)))
    if answer.newest is None:
        return ErrorRatio(problem=QueryFailure("NoData", "the query's series do not exist in the source"))
    if answer.newest < oldest:
        return ErrorRatio(problem=QueryFailure("StaleData", "the newest sample is older than the source's staleAfter"))
    if len(answer.samples) > 1:
        return ErrorRatio(
            problem=QueryFailure("TooManySeries", f"the query returns {len(answer.samples)} series, not one")
        )
    if not answer.samples:
        return ErrorRatio(problem=QueryFailure("NoData", "there were no events"))
    value = answer.samples[0].value
    return (
        ErrorRatio(value)
        if math.isfinite(value)
        else ErrorRatio(problem=QueryFailure("NotFinite", "it is NaN or infinite"))
    )


def _ratios(queries: ObjectiveQueries, long: ErrorRatio, window: ErrorRatio) -> ErrorRatios:
    return ErrorRatios(long.value, window.value, long.problem, window.problem, queries.long_window)
