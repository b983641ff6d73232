"""Implements the port `Metrics` with Prometheus-compatible sources."""

import math
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from forestall.adapters.prometheus.absence import AbsenceJudge, questions_needed_by
from forestall.adapters.prometheus.config import SourceConfig
from forestall.adapters.prometheus.connection import THREADS, Connection
from forestall.adapters.prometheus.past_answers import PastAnswerCache
from forestall.adapters.prometheus.question import Question, RequestLimits
from forestall.adapters.prometheus.range_assembly import RangeAssembly, answer_of
from forestall.adapters.prometheus.responses import Payload
from forestall.adapters.prometheus.source import Source
from forestall.core.promql import PreparedQuery, prepare
from forestall.engine.concurrency import aside
from forestall.errors import InvalidQuery
from forestall.ports import Answer, Query, QueryFailure, RangeSeries

INSTANT = RequestLimits(max_joined=50, at_once=THREADS)
"""The pace of instant queries: with fewer queries in a request the requests cost more, with more their evaluation
does.
"""
_ROUNDS = 10
"""How many rounds of further queries may follow from answers: names, freshness, samples beyond the lookback and the
reason, ranges and offsets, the past, targets.
"""
RANGE = RequestLimits(max_joined=10, at_once=2)
"""The pace of range queries: the answers are large, and all of them are in memory at once."""
POINTS = 10_000
"""How many points of each series one request asks for; Prometheus returns at most 11,000."""


def _ignore(*_: str) -> None:
    """Do nothing."""


class PrometheusMetrics:
    """Queries Prometheus-compatible sources; see the port `Metrics`.

    A call to `instant` takes about `budget` seconds at the most, a call to `range` about `range_budget`. `pace` is that
    of instant queries. `on_request` is called with the name of the source of each request, `on_failure` with the name
    and the reason of each request that failed.
    """

    def __init__(
        self,
        *,
        budget: float = 20.0,
        range_budget: float | None = None,
        pace: RequestLimits = INSTANT,
        on_request: Callable[[str], None] = _ignore,
        on_failure: Callable[[str, str], None] = _ignore,
    ) -> None:
        self._budget = budget
        self._range_budget = budget if range_budget is None else range_budget
        self._pace = pace
        self._on_request = on_request
        self._on_failure = on_failure
        self._sources: dict[str, Source] = {}
        self._pasts: dict[str, PastAnswerCache] = {}

    def set_sources(self, sources: Mapping[str, SourceConfig]) -> None:
        """Replace the sources, by name. A source with an unchanged configuration keeps its connections."""
        before, self._sources = self._sources, {}
        for name, config in sources.items():
            source = before.get(name)
            self._sources[name] = (
                source if source is not None and source.config == config else self._source(name, config)
            )
        for name, source in before.items():
            if self._sources.get(name) is not source:
                self._pasts.pop(name, None)
                source.close()

    async def close(self) -> None:
        """Close all connections."""
        self.set_sources({})

    async def instant(
        self, source: str, queries: Sequence[Query], at: float
    ) -> Mapping[Hashable, Answer | QueryFailure]:
        """See the port."""
        # Parsing what has not been asked before takes its time, and the event loop has more to do.
        prepared, refused = await aside(_prepared, queries)
        questions = _questions(prepared)
        queried = self._sources.get(source)
        if queried is None:
            return {query.key: _missing(source) for query in queries}

        def request(connection: Connection, expr: str, limit: int, timeout: float) -> Payload:
            return connection.instant(expr, at, limit, timeout)

        deadline = time.monotonic() + self._budget
        queried.clock = None
        past = self._pasts.setdefault(source, PastAnswerCache())
        outcomes = past.outcomes_at(at)
        meter = queried.meter()
        for _ in range(_ROUNDS):  # most queries are judged by what is asked along with them, in the first
            cases = [(prepared_query.freshness, query.freshness, query.owner) for query, prepared_query in prepared]
            wanted = await aside(questions_needed_by, cases, outcomes, at)
            questions |= wanted
            if not questions:
                break
            outcomes |= await queried.ask(questions.values(), request, self._pace, deadline, meter)
            past.keep(wanted.values(), outcomes, at)
            questions = {}
        judge = AbsenceJudge(outcomes, at)
        answers = {
            query.key: answer_of(
                outcomes[prepared_query.text],
                judge.final(prepared_query.freshness, query.freshness),
                queried.clock,
                named=prepared_query.has_many_names,
            )
            for query, prepared_query in prepared
        }
        past.correct(judge.present)
        return refused | answers

    async def range(
        self, source: str, queries: Sequence[Query], start: float, end: float, step: float
    ) -> Mapping[Hashable, tuple[RangeSeries, ...] | QueryFailure]:
        """See the port. Times are in seconds; both ends are included."""
        prepared, refused = _prepared(queries)
        questions = _questions(prepared)
        past = {
            prepared_query.text: RangeAssembly(named=prepared_query.has_many_names) for _, prepared_query in prepared
        }
        queried = self._sources.get(source)
        if queried is None:
            return {query.key: _missing(source) for query in queries}
        deadline = time.monotonic() + self._range_budget
        for span in _spans(start, end, step):
            going = [question for text, question in questions.items() if past[text].failure is None]
            outcomes = await queried.ask(going, partial(_range, span), RANGE, deadline)
            for text, outcome in outcomes.items():
                past[text].add(outcome, span)
        return refused | {query.key: past[prepared_query.text].answer() for query, prepared_query in prepared}

    def _source(self, name: str, config: SourceConfig) -> Source:
        return Source(name, config, partial(self._on_request, name), partial(self._on_failure, name))


def _missing(source: str) -> QueryFailure:
    return QueryFailure("SourceMissing", f"there is no MetricSource {source!r} that can be asked")


def _prepared(queries: Iterable[Query]) -> tuple[list[tuple[Query, PreparedQuery]], dict[Hashable, QueryFailure]]:
    """Return the queries that can be sent, and the failures of the others by key."""
    prepared, refused = [], {}
    for query in queries:
        try:
            newer_than = query.freshness.stale_after if query.freshness.each_series else 0.0
            prepared.append((query, prepare(query.expr, query.freshness.evidence, newer_than)))
        except InvalidQuery as error:
            refused[query.key] = QueryFailure("QueryRefused", str(error))
    return prepared, refused


def _questions(prepared: Iterable[tuple[Query, PreparedQuery]]) -> dict[str, Question]:
    """Return the questions by expression: the same query of several objectives is sent once."""
    questions: dict[str, Question] = {}
    for query, prepared_query in prepared:
        existing = questions.get(prepared_query.text)
        max_series = max(query.max_series, existing.max_series if existing else 0)
        questions[prepared_query.text] = Question(
            prepared_query.text, max_series, prepared_query.joinable, prepared_query.reach, _owners(query, existing)
        )
    return questions


def _owners(query: Query, existing: Question | None) -> tuple[str, ...]:
    """Return the owners of the query, added to the known ones."""
    before = existing.owners if existing else ()
    return before if not query.owner or query.owner in before else (*before, query.owner)


def _range(span: tuple[float, float, float], connection: Connection, expr: str, limit: int, timeout: float) -> Payload:
    return connection.range(expr, span, limit, timeout)


def _spans(start: float, end: float, step: float) -> Iterator[tuple[float, float, float]]:
    """Yield start, end and step of consecutive parts with no more than `POINTS` points each."""
    last = math.floor((end - start) / step)
    for first in range(0, last + 1, POINTS):
        yield start + first * step, start + min(first + POINTS - 1, last) * step, step
