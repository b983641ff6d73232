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
from forestall.engine.fair_scheduling import batches, round_robin
from forestall.engine.loss import lost, sent
from forestall.engine.pieces import Pieces, Share, Windows
from forestall.engine.questions import Questions, Watched
from forestall.engine.source_health import OF_SOURCES, TIMEOUT, SourceHealth, health_of
from forestall.engine.together import together, within
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

    watched: Watched
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
class Ratios:
    """The error ratios over the long and the whole window; NaN where not known, and why."""

    long: float = math.nan
    whole: float = math.nan
    long_problem: QueryFailure | None = None
    whole_problem: QueryFailure | None = None
    long_window: float = math.nan
    """How long (s) the long window is."""


@dataclass(frozen=True, slots=True)
class _Missing:
    """A query whose past is not there yet: about how many points it has, and how many its namespace may fetch."""

    watched: Watched
    points: int
    most: int


def blind(readings: Sequence[Reading]) -> list[Reading]:
    """Return the readings that tell nothing at all of their indicator. An SLI without events tells that none failed."""
    return [
        each
        for each in readings
        if each.problem is not None
        and not (each.fresh and each.values)
        and not (each.watched.indicator == SLI and each.problem.reason == "NoData" and math.isfinite(each.sampled_at))
    ]


class Observer:
    """Asks all questions of a cycle together, and feeds the matrix of series."""

    def __init__(self, metrics: Metrics, matrix: SeriesMatrix, isolation: Isolation | None = None) -> None:
        self._metrics = metrics
        self._isolation = isolation or Isolation()
        self._matrix = matrix
        self._known: set[Hashable] = set()  # queries whose past is in the matrix
        self._refused: Counter[Hashable] = Counter()  # how often the past of others could not be had
        self._whole: dict[str, tuple[float, Share]] = {}  # by objective: when it was asked, and the answer
        self._windows = Windows(metrics)
        self.clocks: Mapping[str, ClockOffset] = {}
        """The clocks of the sources that answered in this cycle, by name, against `time.monotonic()`."""
        self.health: Mapping[str, SourceHealth] = {}
        """How the sources did in this cycle, by name."""

    async def observe(
        self,
        questions: Mapping[str, Questions],
        stale_after: Callable[[str], float],
        at: float,
        until: float = math.inf,
    ) -> tuple[dict[str, tuple[Reading, ...]], dict[str, Ratios]]:
        """Return, by objective, the readings of its indicators and its error ratios.

        `questions` are by objective; `stale_after(source)` is the age (s) at which a source's data is too old. A source
        that has not answered at `until` (s, of the event loop) is late: what it says later is dropped.
        """
        due = {uid: self._due(uid, asked, at, at - stale_after(asked.source)) for uid, asked in questions.items()}
        by_source: dict[str, list[Query]] = defaultdict(list)
        for uid, asked in questions.items():
            by_source[asked.source] += [each.query for each in asked.watched]
            by_source[asked.source] += [asked.long, *due[uid]]
        answers: dict[Hashable, Answer | QueryFailure] = {}
        clocks: dict[str, ClockOffset] = {}
        asking = (self._ask(s, q, at, until) for s, q in by_source.items())
        answered = dict(zip(by_source, await together(asking), strict=True))
        self.health = {source: health_of(some.values()) for source, some in answered.items()}
        for source, some in answered.items():
            answers |= some
            known = (each.clock for each in some.values() if isinstance(each, Answer) and each.clock is not None)
            if (clock := next(known, None)) is not None:
                clocks[source] = clock
        self.clocks = clocks

        readings, ratios = {}, {}
        for uid, asked in questions.items():
            with self._isolation.around("observing", f"objective {uid}") as attempt:
                oldest = at - stale_after(asked.source)
                readings[uid] = tuple(
                    read(each, answers[each.query.key], oldest, at + MAX_SKEW) for each in asked.watched
                )
                if due[uid]:
                    self._note(uid, asked.whole, answers, at, oldest)
                ratios[uid] = _ratios(asked, _share(answers[asked.long.key], oldest), self._share_of(uid, asked.whole))
            if attempt.failure is not None:
                failure = QueryFailure("InternalError", attempt.failure)
                readings[uid], ratios[uid] = tuple(Reading(each, problem=failure) for each in asked.watched), Ratios()
        return readings, ratios

    def _note(
        self,
        uid: str,
        whole: Query | Pieces,
        answers: Mapping[Hashable, Answer | QueryFailure],
        at: float,
        oldest: float,
    ) -> None:
        if isinstance(whole, Pieces):
            self._windows.prepare(whole, answers, oldest)
        else:
            self._whole[uid] = (at, _share(answers[whole.key], oldest))

    def _share_of(self, uid: str, whole: Query | Pieces) -> Share:
        return self._windows.share(whole) if isinstance(whole, Pieces) else self._whole[uid][1]

    async def _ask(
        self, source: str, queries: Sequence[Query], at: float, until: float
    ) -> Mapping[Hashable, Answer | QueryFailure]:
        with self._isolation.around("observing", f"metric source {source}") as attempt:
            (answers,) = await within(until, (self._metrics.instant(source, queries, at),))
            if answers is not None:
                return answers
        words = "the source did not answer in the time that a cycle has for it"
        failure = QueryFailure("InternalError", attempt.failure) if attempt.failure else QueryFailure(TIMEOUT, words)
        return {query.key: failure for query in queries}

    def feed(self, readings: Mapping[str, Sequence[Reading]], at: float) -> None:
        """Feed the matrix one column: the series whose past is in it already, or can't be had.

        What is learned of a series without its past is learned anew when that comes, at the cost of all of it.
        """
        self._matrix.push(
            at,
            {
                reading.watched.key(labels): value
                for some in readings.values()
                for reading in some
                if reading.fresh and self._is_settled(reading.watched.query)
                for labels, value in reading.values.items()
            },
        )

    async def backfill(
        self,
        questions: Mapping[str, Questions],
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
        found = {each.watched.query: each for some in (readings or {}).values() for each in some}
        by_source: dict[str, list[_Missing]] = defaultdict(list)
        for asked in questions.values():
            left = [each for each in asked.watched if each.query not in self._known and self._may_ask(each.query, at)]
            by_source[asked.source] += [
                _Missing(each, self._points(found.get(each.query)), asked.share.points)
                for each in left
                if not _is_over(found.get(each.query))
            ]
        until = min(asyncio.get_running_loop().time() + seconds, end)
        waiting = await within(end, (self._catch_up(source, some, at, until) for source, some in by_source.items()))
        counts = zip(waiting, by_source.values(), strict=True)
        return sum(len(some) if left is None else left for left, some in counts)

    def _points(self, reading: Reading | None) -> int:
        return max(1, len(reading.values) if reading is not None else 1) * self._matrix.capacity

    def _may_ask(self, query: Query, at: float) -> bool:
        """Say whether it is time to ask for the past of a query: what was refused again and again comes ever later."""
        beyond = self._refused[query] - _REFUSALS
        return beyond < 0 or round(at / self._matrix.step) % 2 ** min(beyond, _LONGEST_PAUSE) == 0

    async def read_windows(
        self,
        questions: Mapping[str, Questions],
        stale_after: Callable[[str], float],
        at: float,
        seconds: float,
        end: float = math.inf,
    ) -> None:
        """Read on in the windows that are put together from pieces, for about `seconds`, and until `end` at most."""
        by_source: dict[str, list[Pieces]] = defaultdict(list)
        for asked in questions.values():
            if isinstance(asked.whole, Pieces):
                by_source[asked.source].append(asked.whole)
        until = min(asyncio.get_running_loop().time() + seconds, end)
        await within(end, (self._read_on(s, some, at, at - stale_after(s), until) for s, some in by_source.items()))

    async def _read_on(self, source: str, some: Sequence[Pieces], at: float, oldest: float, until: float) -> None:
        waiting = list(round_robin(sorted(some, key=self._windows.asked), lambda each: each.owner))
        while waiting:
            more = []
            for pieces in waiting:
                with self._isolation.around("observing", f"the window of objective {pieces.objective}"):
                    if await self._windows.read(source, pieces, oldest, at):
                        more.append(pieces)
                if asyncio.get_running_loop().time() >= until:
                    return
            waiting = more

    async def _catch_up(self, source: str, missing: Sequence[_Missing], at: float, until: float) -> int:
        """Backfill from one source, at least once and until `until` (s, of the event loop); return how many wait."""
        # What could not be had lets the others go first.
        ordered = sorted(missing, key=lambda each: self._refused[each.watched.query])
        fair = round_robin(ordered, lambda each: each.watched.query.owner)
        used: Counter[str] = Counter()
        due: list[_Missing] = []
        for each in fair:
            owner = each.watched.query.owner
            if not used[owner] or used[owner] + each.points <= each.most:
                used[owner] += each.points
                due.append(each)
        waiting = len(fair)
        for batch in batches(due, lambda each: each.points, _POINTS_AT_ONCE, _AT_ONCE):
            watched = [each.watched for each in batch]
            with self._isolation.around("observing", f"the past in metric source {source}") as attempt:
                await self._backfill(source, watched, at)
            if attempt.failure is not None:
                self._refused.update(each.query for each in watched if each.query not in self._known)
            waiting -= len(batch)
            if asyncio.get_running_loop().time() >= until:
                break
        return waiting

    async def _backfill(self, source: str, watched: Sequence[Watched], at: float) -> None:
        step = self._matrix.step
        # The newest column is this cycle's own.
        past = await self._metrics.range(
            source, [each.query for each in watched], at - step * (self._matrix.capacity - 1), at - step, step
        )
        for each in watched:
            answer = past[each.query.key]
            if isinstance(answer, QueryFailure):
                self._refused[each.query] += 1
                continue  # asked again in the next cycle
            with self._isolation.around("observing", f"the past of objective {each.objective}") as attempt:
                for series in answer:
                    self._matrix.backfill(each.key(series.labels), series.times, series.values)
            if attempt.failure is not None:
                self._refused[each.query] += 1
                continue
            self._known.add(each.query)
            self._refused.pop(each.query, None)

    def retain(self, questions: Mapping[str, Questions], at: float) -> None:
        """Forget the objectives that are gone, and the series that their queries have not returned for long."""
        present = {each.query for asked in questions.values() for each in asked.watched}
        self._known &= present
        self._refused = Counter({query: count for query, count in self._refused.items() if query in present})
        self._whole = {uid: whole for uid, whole in self._whole.items() if uid in questions}
        self._windows.retain(frozenset(questions))
        watched = {(each.objective, each.indicator) for asked in questions.values() for each in asked.watched}
        ages = self._matrix.age(at)
        self._matrix.retain(
            key
            for key, row in self._matrix.rows.items()
            if isinstance(key, tuple) and key[:2] in watched and ages[row] < _FORGOTTEN * self._matrix.step
        )

    def _is_settled(self, query: Query) -> bool:
        return query in self._known or self._refused[query] >= _REFUSALS

    def _due(self, uid: str, asked: Questions, at: float, oldest: float) -> tuple[Query, ...]:
        """Return what is to be asked now about the whole window."""
        if isinstance(asked.whole, Pieces):
            return self._windows.questions(asked.whole, oldest)
        before = self._whole.get(uid)
        if before is None:
            return (asked.whole,)
        # Objectives that were met together part ways; what could not be answered is asked again sooner.
        apart = 0.5 + zlib.crc32(uid.encode()) / 2**33
        wait = asked.every * apart if math.isfinite(before[1].value) else min(asked.every, _AGAIN)
        return () if 0 <= at - before[0] < wait else (asked.whole,)


def _is_over(reading: Reading | None) -> bool:
    if reading is None or reading.problem is None:
        return False
    return reading.problem.reason == "ShareExhausted" or (not reading.values and reading.problem.reason in OF_SOURCES)


def distrusted(
    readings: Mapping[str, tuple[Reading, ...]],
    ratios: Mapping[str, Ratios],
    asked: Mapping[str, Questions],
    clocks: ClockSkew,
) -> tuple[dict[str, tuple[Reading, ...]], dict[str, Ratios]]:
    """Return readings and ratios without those whose age can't be told, because clocks are apart."""
    readings, ratios = dict(readings), dict(ratios)
    for uid, questions in asked.items():
        why = clocks.reason_for(questions.source)
        if why is not None:
            problem = QueryFailure("ClockSkew", why)
            readings[uid] = tuple(Reading(each.watched, problem=problem) for each in readings.get(uid, ()))
            ratios[uid] = Ratios(long_problem=problem, whole_problem=problem)
    return readings, ratios


def read(watched: Watched, answer: Answer | QueryFailure, oldest: float, latest: float = math.inf) -> Reading:
    """Return the reading of one indicator; data from before `oldest` (s) is too old, from after `latest` is not yet."""
    if isinstance(answer, QueryFailure):
        return Reading(watched, problem=answer)
    if answer.warnings:
        return Reading(watched, problem=QueryFailure("PartialAnswer", "; ".join(answer.warnings)))
    if answer.newest is None:
        words = answer.lacking or "the query's series do not exist in the source"
        return Reading(watched, problem=QueryFailure("NoData", f"{words}; sent was {sent(watched)}"))
    if answer.newest > latest:
        words = "the newest sample is from the future: the clock of what wrote it, or of the source, is ahead"
        return Reading(watched, problem=QueryFailure("ClockSkew", words))
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
        words = (
            f"the query returns {len(answer.samples)} series: aggregate them, for example with max(), "
            f"or name in `per` the label that tells them apart"
        )
        return Reading(watched, sampled_at=answer.newest, problem=QueryFailure("TooManySeries", words))
    problem = lost(watched, answer, len(usable))
    return Reading(watched, usable, answer.newest, bool(usable), problem, answer.members)


def _share(answer: Answer | QueryFailure, oldest: float) -> Share:
    """Return the single finite value of an answer; why there is none, or none that is new enough."""
    if isinstance(answer, QueryFailure):
        return Share(problem=answer)
    if answer.warnings:
        return Share(problem=QueryFailure("PartialAnswer", "; ".join(answer.warnings)))
    if answer.newest is None:
        return Share(problem=QueryFailure("NoData", "the query's series do not exist in the source"))
    if answer.newest < oldest:
        return Share(problem=QueryFailure("StaleData", "the newest sample is older than the source's staleAfter"))
    if len(answer.samples) > 1:
        return Share(problem=QueryFailure("TooManySeries", f"the query returns {len(answer.samples)} series, not one"))
    if not answer.samples:
        return Share(problem=QueryFailure("NoData", "there were no events"))
    value = answer.samples[0].value
    return Share(value) if math.isfinite(value) else Share(problem=QueryFailure("NotFinite", "it is NaN or infinite"))


def _ratios(asked: Questions, long: Share, whole: Share) -> Ratios:
    return Ratios(long.value, whole.value, long.problem, whole.problem, asked.long_window)
