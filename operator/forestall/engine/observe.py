"""Ask the sources, and sort what they answer into series, facts and reasons."""

import asyncio
import math
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from forestall.core.clock_skew import MAX_SKEW, ClockOffset, ClockSkew
from forestall.core.risk import SLI
from forestall.core.series import SeriesMatrix
from forestall.engine.chunked_window import ChunkedWindow, ChunkedWindows, ErrorRatio
from forestall.engine.concurrency import gather_all, within
from forestall.engine.fair_scheduling import batches, round_robin
from forestall.engine.indicator_queries import IndicatorQuery, ObjectiveQueries
from forestall.engine.source_health import OF_SOURCES, TIMEOUT, SourceHealth, health_of
from forestall.engine.unusable_answers import query_text, unusable_part
from forestall.isolation import Isolation
from forestall.ports import Answer, Metrics, Query, QueryFailure

Labels = tuple[tuple[str, str], ...]

_AGAIN = 60.0
"""After how many seconds the whole window is asked for again when there was no answer."""
_AT_ONCE = 50
"""How many queries' pasts are in memory at once."""
_POINTS_AT_ONCE = 1_000_000
"""And how many of their points, about."""
_REFUSALS = 3
"""How often the past of a query is asked for before its series are learned from without it."""
_LONGEST_PAUSE = 6
"""The past of a query that is refused again and again is asked for in every 2nd, 4th and at last 64th cycle."""
_FORGOTTEN = 120
"""After how many intervals without data a series is forgotten."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one indicator says now: its series, or why there is none that can be used."""

    watched: IndicatorQuery
    values: Mapping[Labels, float] = field(default_factory=dict)
    """The finite values by series."""
    sampled_at: float = -math.inf
    """When the newest raw sample behind it was taken."""
    fresh: bool = False
    problem: QueryFailure | None = None
    """Why it can't be used, or what of it could not."""
    members: tuple[tuple[str, int], ...] = ()
    """How many targets feed each of its selectors."""


@dataclass(frozen=True, slots=True)
class ErrorRatios:
    """The error ratios over the long and the whole window; NaN where not known, and why."""

    long: float = math.nan
    window: float = math.nan
    long_problem: QueryFailure | None = None
    whole_problem: QueryFailure | None = None
    long_window: float = math.nan
    """How long (s) the long window is."""


@dataclass(frozen=True, slots=True)
class _Backfill:
    """A query whose past is not there yet: about how many points it has, and how many its namespace may fetch."""

    watched: IndicatorQuery
    points: int
    max_points: int


def blind(readings: Sequence[Reading]) -> list[Reading]:
    """Return the readings that tell nothing at all of their indicator. An SLI without events tells that none failed."""
    return [
        reading
        for reading in readings
        if reading.problem is not None
        and not (reading.fresh and reading.values)
        and not (
            reading.watched.indicator == SLI
            and reading.problem.reason == "NoData"
            and math.isfinite(reading.sampled_at)
        )
    ]


class Observer:
    """Asks all questions of a cycle together, and feeds the matrix of series."""

    def __init__(self, metrics: Metrics, matrix: SeriesMatrix, isolation: Isolation | None = None) -> None:
        self._metrics = metrics
        self._isolation = isolation or Isolation()
        self._matrix = matrix
        self._backfilled: set[Hashable] = set()  # queries whose past is in the matrix
        self._refused: Counter[Hashable] = Counter()  # how often the past of others could not be had
        self._window_shares: dict[str, tuple[float, ErrorRatio]] = {}  # by objective: when it was asked, and the answer
        self._windows = ChunkedWindows(metrics)
        self.clocks: Mapping[str, ClockOffset] = {}
        """The clocks of the sources that answered in this cycle, by name, against `time.monotonic()`."""
        self.health: Mapping[str, SourceHealth] = {}
        """How the sources did in this cycle, by name."""

    async def observe(
        self,
        questions: Mapping[str, ObjectiveQueries],
        stale_after: Callable[[str], float],
        at: float,
        until: float = math.inf,
    ) -> tuple[dict[str, tuple[Reading, ...]], dict[str, ErrorRatios]]:
        """Return, by objective, the readings of its indicators and its error ratios.

        `questions` are by objective; `stale_after(source)` is the age (s) at which a source's data is too old. A source
        that has not answered at `until` (s, of the event loop) is late: what it says later is dropped.
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
            with self._isolation.around("observing", f"objective {uid}") as attempt:
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
        with self._isolation.around("observing", f"metric source {source}") as attempt:
            (answers,) = await within(until, (self._metrics.instant(source, queries, at),))
            if answers is not None:
                return answers
        message = "the source did not answer in the time that a cycle has for it"
        failure = QueryFailure("InternalError", attempt.failure) if attempt.failure else QueryFailure(TIMEOUT, message)
        return {query.key: failure for query in queries}

    def feed(self, readings: Mapping[str, Sequence[Reading]], at: float) -> None:
        """Feed the matrix one column: the series whose past is in it already, or can't be had.

        What is learned of a series without its past is learned anew when that comes, at the cost of all of it.
        """
        self._matrix.push(
            at,
            {
                reading.watched.key(labels): value
                for readings_of_objective in readings.values()
                for reading in readings_of_objective
                if reading.fresh and self._is_settled(reading.watched.query)
                for labels, value in reading.values.items()
            },
        )

    async def backfill(
        self,
        questions: Mapping[str, ObjectiveQueries],
        at: float,
        seconds: float,
        readings: Mapping[str, Sequence[Reading]] | None = None,
        end: float = math.inf,
    ) -> int:
        """Fetch the past of queries that are new, for about `seconds`; return how many are still waiting.

        `readings` tell how many series each has; what was not answered is not asked for its past. Every namespace's
        first query comes before anybody's second, and of each namespace no more points are fetched than its share
        allows. All is over at `end` (s, of the event loop).
        """
        reading_by_query = {item.watched.query: item for items in (readings or {}).values() for item in items}
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
        until = min(asyncio.get_running_loop().time() + seconds, end)
        waiting = await within(end, (self._catch_up(source, items, at, until) for source, items in by_source.items()))
        counts = zip(waiting, by_source.values(), strict=True)
        return sum(len(items) if left is None else left for left, items in counts)

    def _points(self, reading: Reading | None) -> int:
        return max(1, len(reading.values) if reading is not None else 1) * self._matrix.capacity

    def _may_ask(self, query: Query, at: float) -> bool:
        """Say whether it is time to ask for the past of a query: what was refused again and again comes ever later."""
        beyond = self._refused[query] - _REFUSALS
        return beyond < 0 or round(at / self._matrix.step) % 2 ** min(beyond, _LONGEST_PAUSE) == 0

    async def read_windows(
        self,
        questions: Mapping[str, ObjectiveQueries],
        stale_after: Callable[[str], float],
        at: float,
        seconds: float,
        end: float = math.inf,
    ) -> None:
        """Read on in the windows that are put together from pieces, for about `seconds`, and until `end` at most."""
        by_source: dict[str, list[ChunkedWindow]] = defaultdict(list)
        for queries_of_objective in questions.values():
            if isinstance(queries_of_objective.window_query, ChunkedWindow):
                by_source[queries_of_objective.source].append(queries_of_objective.window_query)
        until = min(asyncio.get_running_loop().time() + seconds, end)
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
                with self._isolation.around("observing", f"the window of objective {pieces.objective}"):
                    if await self._windows.read(source, pieces, oldest, at):
                        unfinished.append(pieces)
                if asyncio.get_running_loop().time() >= until:
                    return
            waiting = unfinished

    async def _catch_up(self, source: str, missing: Sequence[_Backfill], at: float, until: float) -> int:
        """Backfill from one source, at least once and until `until` (s, of the event loop); return how many wait."""
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
            with self._isolation.around("observing", f"the past in metric source {source}") as attempt:
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
            with self._isolation.around("observing", f"the past of objective {query.objective}") as attempt:
                for series in answer:
                    self._matrix.backfill(query.key(series.labels), series.times, series.values)
            if attempt.failure is not None:
                self._refused[query.query] += 1
                continue
            self._backfilled.add(query.query)
            self._refused.pop(query.query, None)

    def retain(self, questions: Mapping[str, ObjectiveQueries], at: float) -> None:
        """Forget the objectives that are gone, and the series that their queries have not returned for long."""
        present = {query.query for queries_of_objective in questions.values() for query in queries_of_objective.watched}
        self._backfilled &= present
        self._refused = Counter({query: count for query, count in self._refused.items() if query in present})
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

    def _is_settled(self, query: Query) -> bool:
        return query in self._backfilled or self._refused[query] >= _REFUSALS

    def _due(self, uid: str, queries: ObjectiveQueries, at: float, oldest: float) -> tuple[Query, ...]:
        """Return what is to be asked now about the whole window."""
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


def _is_over(reading: Reading | None) -> bool:
    if reading is None or reading.problem is None:
        return False
    return reading.problem.reason == "ShareExhausted" or (not reading.values and reading.problem.reason in OF_SOURCES)


def distrusted(
    readings: Mapping[str, tuple[Reading, ...]],
    ratios: Mapping[str, ErrorRatios],
    queries_by_uid: Mapping[str, ObjectiveQueries],
    clocks: ClockSkew,
) -> tuple[dict[str, tuple[Reading, ...]], dict[str, ErrorRatios]]:
    """Return readings and ratios without those whose age can't be told, because clocks are apart."""
    readings, ratios = dict(readings), dict(ratios)
    for uid, questions in queries_by_uid.items():
        why = clocks.reason_for(questions.source)
        if why is not None:
            problem = QueryFailure("ClockSkew", why)
            readings[uid] = tuple(Reading(reading.watched, problem=problem) for reading in readings.get(uid, ()))
            ratios[uid] = ErrorRatios(long_problem=problem, whole_problem=problem)
    return readings, ratios


def read(watched: IndicatorQuery, answer: Answer | QueryFailure, oldest: float, latest: float = math.inf) -> Reading:
    """Return the reading of one indicator; data from before `oldest` (s) is too old, from after `latest` is not yet."""
    if isinstance(answer, QueryFailure):
        return Reading(watched, problem=answer)
    if answer.warnings:
        return Reading(watched, problem=QueryFailure("PartialAnswer", "; ".join(answer.warnings)))
    if answer.newest is None:
        message = answer.lacking or "the query's series do not exist in the source"
        return Reading(watched, problem=QueryFailure("NoData", f"{message}; sent was {query_text(watched)}"))
    if answer.newest > latest:
        message = "the newest sample is from the future: the clock of what wrote it, or of the source, is ahead"
        return Reading(watched, problem=QueryFailure("ClockSkew", message))
    if not answer.newest >= oldest:
        return Reading(
            watched,
            sampled_at=answer.newest,
            problem=QueryFailure("StaleData", "the newest sample is older than the source's staleAfter"),
        )
    usable = {
        sample.labels: sample.value
        for sample in answer.samples
        if math.isfinite(sample.value) and (watched.per is None or watched.per in dict(sample.labels))
    }
    if watched.per is None and len(answer.samples) > 1:
        message = (
            f"the query returns {len(answer.samples)} series: aggregate them, for example with max(), "
            f"or name in `per` the label that tells them apart"
        )
        return Reading(watched, sampled_at=answer.newest, problem=QueryFailure("TooManySeries", message))
    problem = unusable_part(watched, answer, len(usable))
    return Reading(watched, usable, answer.newest, bool(usable), problem, answer.members)


def _share(answer: Answer | QueryFailure, oldest: float) -> ErrorRatio:
    """Return the single finite value of an answer; why there is none, or none that is new enough."""
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
