"""The port `Metrics` on Prometheus-compatible sources."""

import math
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from forestall.adapters.prometheus.answers import Payload
from forestall.adapters.prometheus.config import SourceConfig
from forestall.adapters.prometheus.connection import THREADS, Connection
from forestall.adapters.prometheus.judging import Judge, wanted_by
from forestall.adapters.prometheus.past import PastMemory
from forestall.adapters.prometheus.question import Pace, Question
from forestall.adapters.prometheus.series import Past, answer_of
from forestall.adapters.prometheus.source import Source
from forestall.core.promql import PreparedQuery, prepare
from forestall.engine.concurrency import aside
from forestall.errors import InvalidQuery
from forestall.ports import Answer, Query, QueryFailure, RangeSeries

INSTANT = Pace(together=50, at_once=THREADS)
"""With fewer queries in a request the requests cost more, with more their evaluation does."""
_ROUNDS = 10
"""How often questions may follow from answers: names, freshness, what is beyond the lookback and why, how the query
looks at it, the past, targets."""
RANGE = Pace(together=10, at_once=2)
"""The answers are large, and all of them are in memory at once."""
POINTS = 10_000
"""How many points of each series one request asks for; Prometheus gives 11,000 at the most."""


def _ignore(*_: str) -> None:
    """Do nothing."""


class PrometheusMetrics:
    """Asks Prometheus-compatible sources; see the port `Metrics`.

    One call for values takes about `budget` seconds at the most, one for the past `range_budget`. `pace` is that of
    instant queries. `on_request` is told the name of the source of each request, `on_failure` the name and the reason
    of each request that failed.
    """

    def __init__(
        self,
        *,
        budget: float = 20.0,
        range_budget: float | None = None,
        pace: Pace = INSTANT,
        on_request: Callable[[str], None] = _ignore,
        on_failure: Callable[[str, str], None] = _ignore,
    ) -> None:
        self._budget = budget
        self._range_budget = budget if range_budget is None else range_budget
        self._pace = pace
        self._on_request = on_request
        self._on_failure = on_failure
        self._sources: dict[str, Source] = {}
        self._pasts: dict[str, PastMemory] = {}

    def set_sources(self, sources: Mapping[str, SourceConfig]) -> None:
        """Ask these sources from now on, by their names. One whose configuration is the same keeps its connections."""
        before, self._sources = self._sources, {}
        for name, config in sources.items():
            known = before.get(name)
            self._sources[name] = known if known is not None and known.config == config else self._source(name, config)
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
        asked = self._sources.get(source)
        if asked is None:
            return {query.key: _missing(source) for query in queries}

        def request(connection: Connection, expr: str, limit: int, timeout: float) -> Payload:
            return connection.instant(expr, at, limit, timeout)

        deadline = time.monotonic() + self._budget
        asked.clock = None
        past = self._pasts.setdefault(source, PastMemory())
        outcomes = past.known(at)
        meter = asked.meter()
        for _ in range(_ROUNDS):  # most queries are judged by what is asked along with them, in the first
            cases = [(each.freshness, query.proof, query.owner) for query, each in prepared]
            wanted = await aside(wanted_by, cases, outcomes, at)
            questions |= wanted
            if not questions:
                break
            outcomes |= await asked.ask(questions.values(), request, self._pace, deadline, meter)
            past.keep(wanted.values(), outcomes, at)
            questions = {}
        judge = Judge(outcomes, at)
        answers = {
            query.key: answer_of(
                outcomes[each.text], judge.final(each.freshness, query.proof), asked.clock, named=each.has_many_names
            )
            for query, each in prepared
        }
        past.correct(judge.there)
        return refused | answers

    async def range(
        self, source: str, queries: Sequence[Query], start: float, end: float, step: float
    ) -> Mapping[Hashable, tuple[RangeSeries, ...] | QueryFailure]:
        """See the port. Times are in seconds; both ends are asked for."""
        prepared, refused = _prepared(queries)
        questions = _questions(prepared)
        past = {each.text: Past(named=each.has_many_names) for _, each in prepared}
        asked = self._sources.get(source)
        if asked is None:
            return {query.key: _missing(source) for query in queries}
        deadline = time.monotonic() + self._range_budget
        for span in _spans(start, end, step):
            going = [question for text, question in questions.items() if past[text].failure is None]
            outcomes = await asked.ask(going, partial(_range, span), RANGE, deadline)
            for text, outcome in outcomes.items():
                past[text].add(outcome, span)
        return refused | {query.key: past[each.text].answer() for query, each in prepared}

    def _source(self, name: str, config: SourceConfig) -> Source:
        return Source(name, config, partial(self._on_request, name), partial(self._on_failure, name))


def _missing(source: str) -> QueryFailure:
    return QueryFailure("SourceMissing", f"there is no MetricSource {source!r} that can be asked")


def _prepared(queries: Iterable[Query]) -> tuple[list[tuple[Query, PreparedQuery]], dict[Hashable, QueryFailure]]:
    """Return the queries that can be asked, and by their keys why others can't."""
    prepared, refused = [], {}
    for query in queries:
        try:
            newer_than = query.proof.stale_after if query.proof.each_series else 0.0
            prepared.append((query, prepare(query.expr, query.proof.evidence, newer_than)))
        except InvalidQuery as error:
            refused[query.key] = QueryFailure("QueryRefused", str(error))
    return prepared, refused


def _questions(prepared: Iterable[tuple[Query, PreparedQuery]]) -> dict[str, Question]:
    """Return what to ask, by its text: the same query of several objectives is asked once."""
    questions: dict[str, Question] = {}
    for query, each in prepared:
        known = questions.get(each.text)
        most = max(query.max_series, known.max_series if known else 0)
        questions[each.text] = Question(each.text, most, each.joinable, each.reach, _owners(query, known))
    return questions


def _owners(query: Query, known: Question | None) -> tuple[str, ...]:
    """Return who asks it, with those who are known to."""
    before = known.owners if known else ()
    return before if not query.owner or query.owner in before else (*before, query.owner)


def _range(span: tuple[float, float, float], connection: Connection, expr: str, limit: int, timeout: float) -> Payload:
    return connection.range(expr, span, limit, timeout)


def _spans(start: float, end: float, step: float) -> Iterator[tuple[float, float, float]]:
    """Yield start, end and step of consecutive parts with no more than `POINTS` points each."""
    last = math.floor((end - start) / step)
    for first in range(0, last + 1, POINTS):
        yield start + first * step, start + min(first + POINTS - 1, last) * step, step
