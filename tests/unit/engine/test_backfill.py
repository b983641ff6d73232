"""The past of new queries: which are asked for it, when, and what becomes of those that have none."""

import asyncio
import math
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs
from tests.support.virtual_time import run

from forestall.api.metric_source import NamespaceShare
from forestall.core.series import SeriesMatrix
from forestall.engine.backfill import Backfiller
from forestall.engine.indicator_queries import IndicatorQuery, ObjectiveQueries
from forestall.engine.past_stores import MatrixPast
from forestall.engine.readings import Reading
from forestall.isolation import ErrorIsolation
from forestall.ports import Labels, Query, QueryFailure, RangeSeries

NOW, STEP, CAPACITY = 1000.0, 10.0, 20


def watched(name, namespace="shop"):
    return IndicatorQuery("o", name, Query(("o", name), name, owner=namespace), 1.0, True, 600.0, None, False)


def asked(*queries, source="main", points=1_000_000):
    first = queries[0]
    return ObjectiveQueries(source, tuple(queries), first.query, first.query, 60.0, share=NamespaceShare(points=points))


class Past:
    """Implements the `Metrics` port as far as the past goes."""

    def __init__(self):
        self.batches, self.spans, self.error = [], [], None
        self.refused, self.hangs = set(), set()
        self.values: dict[str, tuple[RangeSeries, ...]] = {}
        self.takes = 0.0

    async def instant(self, source, queries, at):
        raise NotImplementedError

    async def range(self, source, queries, start, end, step):
        self.batches.append([query.expr for query in queries])
        self.spans.append((source, start, end, step))
        await sleep(math.inf if source in self.hangs else self.takes)
        if self.error is not None:
            raise self.error
        series = (RangeSeries((), (start, end), (1.0, 2.0)),)
        return {
            query.key: QueryFailure("QueryRefused", "no")
            if query.expr in self.refused
            else self.values.get(query.expr, series)
            for query in queries
        }


async def sleep(seconds):
    await (asyncio.Event().wait() if seconds == math.inf else asyncio.sleep(seconds))


class Case:
    """A backfiller and its world."""

    def __init__(self):
        self.past = Past()
        self.matrix, self.isolation = SeriesMatrix(STEP, CAPACITY), ErrorIsolation()
        self.filler = Backfiller(self.past, MatrixPast(self.matrix), self.isolation)

    def run(self, *objectives, at=NOW, seconds=0.0, readings=(), end=math.inf):
        questions = {str(number): queries for number, queries in enumerate(objectives)}
        return run(self.filler.run(questions, at, seconds, {"o": tuple(readings)}, end))


@pytest.fixture
def case():
    return Case()


def test_the_past_ends_before_the_newest_column_and_begins_where_the_matrix_does(case):
    assert case.run(asked(watched("a"))) == 0
    assert case.past.spans == [("main", NOW - 190.0, NOW - 10.0, STEP)]
    case.matrix.push(NOW, {})
    window = case.matrix.window(case.matrix.column(NOW), CAPACITY, slice(0, 1))[:, 0]
    assert (window[0], window[-2], np.isfinite(window).sum()) == (1.0, 2.0, 2)


def test_a_past_is_fetched_once_and_again_where_it_was_forgotten(case):
    query = watched("a")
    case.run(asked(query))
    case.run(asked(query))
    case.filler.retain([query])
    case.run(asked(query))
    assert case.past.batches == [["a"]]
    case.filler.retain(())
    assert not case.filler.is_settled(query.query)
    case.run(asked(query))
    assert case.past.batches == [["a"], ["a"]]


def reading(query, *, values=0, reason=None):
    series: dict[Labels, float] = {(("pod", str(number)),): 1.0 for number in range(values)}
    return Reading(query, series, NOW, bool(values), None if reason is None else QueryFailure(reason, "x"))


@pytest.mark.parametrize(
    ("values", "reason", "fetched"),
    [
        (1, None, True),
        (0, "NoData", True),
        (0, "SourceTimeout", False),
        (0, "SourceDown", False),
        (1, "SourceDown", True),
        (0, "ShareExhausted", False),
        (1, "ShareExhausted", False),
    ],
)
def test_history_is_requested_only_for_queries_with_a_reading(case, values, reason, fetched):
    query = watched("a")
    assert case.run(asked(query), readings=[reading(query, values=values, reason=reason)]) == 0
    assert case.past.batches == [["a"]] * fetched


def test_refused_history_is_requested_three_times_and_then_at_growing_intervals(case):
    query = watched("a")
    case.past.refused = {"a"}
    settled, cycles = [], []
    for cycle in range(100, 300):
        before = len(case.past.batches)
        case.run(asked(query), at=cycle * STEP)
        settled.append(case.filler.is_settled(query.query))
        if len(case.past.batches) > before:
            cycles.append(cycle)
    # Each time beyond the third in every 1st, 2nd, 4th, 8th, 16th, 32nd and at last 64th cycle.
    assert cycles == [100, 101, 102, 103, 104, 108, 112, 128, 160, 192, 256]
    assert settled.index(True) == 2
    case.past.refused = set()
    case.run(asked(query), at=320 * STEP)
    assert case.filler.is_settled(query.query)
    assert len(case.matrix) == 1


def test_counter_of_refusals_restarts_once_history_was_returned(case):
    query = watched("a")
    case.past.refused = {"a"}
    for _ in range(2):
        case.run(asked(query))
    case.past.refused = set()
    case.run(asked(query))
    case.filler.retain(())
    case.past.refused = {"a"}
    for expected in (False, False, True):
        case.run(asked(query))
        assert case.filler.is_settled(query.query) is expected


def test_a_refusal_is_forgotten_with_its_query(case):
    query = watched("a")
    case.past.refused = {"a"}
    for _ in range(3):
        case.run(asked(query))
    case.filler.retain([query])
    assert case.filler.is_settled(query.query)
    case.filler.retain(())
    assert not case.filler.is_settled(query.query)


def test_refused_queries_come_last_and_namespaces_take_turns(case):
    queries = [watched("a"), watched("b"), watched("c"), watched("x", "bank")]
    case.past.refused = {"a"}
    case.run(asked(queries[0]))
    case.run(asked(*queries))
    assert case.past.batches[1] == ["b", "x", "c", "a"]


@pytest.mark.parametrize(
    ("points", "fetched", "waiting"),
    [(30_000, ["a", "b"], 1), (40_000, ["a", "b", "c"], 0), (29_999, ["a", "c"], 1), (10_000, ["a"], 2)],
)
def test_no_more_points_of_a_namespace_are_fetched_than_its_share(case, points, fetched, waiting):
    queries = [watched(name) for name in "abc"]
    readings = [reading(query, values=values) for query, values in zip(queries, (500, 1000, 500), strict=True)]
    assert case.run(asked(*queries, points=points), readings=readings, seconds=60.0) == waiting
    assert case.past.batches == [fetched]


@pytest.mark.parametrize("values", [None, 0])
def test_a_query_of_which_nothing_is_known_counts_as_one_series(case, values):
    queries = [watched("a"), watched("b")]
    readings = [reading(queries[1], values=499)]
    readings += [] if values is None else [reading(queries[0], values=values, reason="NoData")]
    assert case.run(asked(*queries, points=10_000), readings=readings) == 0
    readings[0] = reading(queries[1], values=500)
    assert Case().run(asked(*queries, points=10_000), readings=readings) == 1


def test_a_first_query_is_fetched_whatever_its_size_and_another_namespace_has_its_own_share(case):
    queries = [watched("a"), watched("b"), watched("x", "bank")]
    readings = [reading(query, values=1000) for query in queries]
    assert case.run(asked(*queries, points=10_000), readings=readings) == 1
    assert case.past.batches == [["a", "x"]]


def test_backfill_ends_after_its_time_and_fetches_at_least_one_batch(case):
    queries = [watched(f"q{number}") for number in range(120)]
    case.past.takes = 2.0
    assert case.run(asked(*queries), seconds=1.0) == 70
    assert Case().run(asked(*queries), seconds=0.0) == 70, "also where it takes no time at all"
    assert case.run(asked(*queries), seconds=2.5) == 0
    assert [len(batch) for batch in case.past.batches] == [50, 50, 20]


@pytest.mark.parametrize(("values", "sizes"), [(25_000, [2, 1]), (25_001, [1, 1, 1])])
def test_points_fetched_in_one_batch_are_bounded(case, values, sizes):
    queries = [watched(name) for name in "abc"]
    readings = [reading(query, values=values) for query in queries]
    case.run(asked(*queries, points=10_000_000), readings=readings, seconds=60.0)
    assert [len(batch) for batch in case.past.batches] == sizes


def test_hanging_source_delays_no_other_and_counts_as_a_refusal(case):
    query, other = watched("a"), watched("b")
    case.past.hangs = {"slow"}
    for _ in range(3):
        assert not case.filler.is_settled(query.query)
        assert case.run(asked(query, source="slow"), asked(other), end=5.0) == 1
    assert case.filler.is_settled(query.query)
    assert case.past.batches == [["a"], ["b"], ["a"], ["a"]]


def test_an_error_counts_as_a_refusal_of_all_that_were_asked(case):
    queries = [watched("a"), watched("b")]
    case.past.error = RuntimeError("no JSON")
    with capture_logs():
        for _ in range(3):
            assert not case.filler.is_settled(queries[1].query)
            assert case.run(asked(*queries)) == 0
    assert all(case.filler.is_settled(query.query) for query in queries)
    assert len(case.matrix) == 0


def test_an_answer_that_makes_no_sense_is_refused_alone(case):
    queries = [watched("a"), watched("b")]
    case.past.values["a"] = (RangeSeries((), (NOW,), (1.0, 2.0)),)
    with capture_logs():
        for _ in range(3):
            case.run(asked(*queries))
    assert [len(batch) for batch in case.past.batches] == [2, 1, 1]
    assert case.isolation.faults == {"observing": 3}
    assert case.filler.is_settled(queries[0].query)
    assert queries[0].key(()) not in case.matrix or not np.isfinite(case.matrix.latest()).all()


def test_an_error_after_some_were_stored_refuses_only_the_others(case):
    class Sudden(dict[Any, Any]):
        def __getitem__(self, key):
            if key == ("o", "b"):
                raise RuntimeError("sudden")
            return super().__getitem__(key)

    queries = [watched("a"), watched("b")]
    answer = case.past.range

    async def sudden(*args):
        return Sudden(await answer(*args))

    case.past.range = sudden
    with capture_logs():
        for _ in range(3):
            case.run(asked(*queries))
    assert case.past.batches == [["a", "b"], ["b"], ["b"]]
    assert case.filler.is_settled(queries[1].query)
