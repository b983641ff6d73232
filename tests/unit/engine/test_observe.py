import asyncio
import math
import zlib
from dataclasses import replace

import pytest
from structlog.testing import capture_logs
from tests.support.virtual_time import run

from forestall.core.clock_skew import MAX_SKEW, ClockOffset
from forestall.core.risk import SLI
from forestall.core.series import SeriesMatrix
from forestall.engine.indicator_queries import IndicatorQuery, ObjectiveQueries
from forestall.engine.observe import Observer
from forestall.engine.readings import read
from forestall.engine.source_health import SourceHealth
from forestall.isolation import ErrorIsolation
from forestall.ports import Answer, Query, QueryFailure, RangeSeries, Sample

NOW, OLDEST = 1000.0, 880.0


def watched(indicator="load", per=None):
    return IndicatorQuery("slo", indicator, Query(("slo", indicator), "x"), 10.0, True, 600.0, per, False)


def answer(*samples, newest=NOW, warnings=()):
    return Answer(tuple(Sample(tuple(sorted(labels.items())), value) for labels, value in samples), newest, warnings)


def test_fresh_value_is_a_reading():
    reading = read(watched(), answer(({}, 4.0)), OLDEST)
    assert reading.fresh
    assert reading.values == {(): 4.0}
    assert reading.problem is None


@pytest.mark.parametrize(
    ("said", "per", "reason"),
    [
        (QueryFailure("QueryRefused", "parse error"), None, "QueryRefused"),
        (answer(newest=None), None, "NoData"),
        (answer(({}, 1.0), newest=None), None, "NoData"),
        (answer(), None, "NoData"),
        (answer(({}, 1.0), newest=OLDEST - 1), None, "StaleData"),
        (answer(({}, 1.0), warnings=("one store did not answer",)), None, "PartialAnswer"),
        (answer(({"pod": "a"}, 1.0), ({"pod": "b"}, 2.0)), None, "TooManySeries"),
        (answer(({"instance": "a"}, 1.0)), "pod", "LabelMissing"),
        (answer(({}, math.nan)), None, "NotFinite"),
        (answer(({}, math.inf)), None, "NotFinite"),
    ],
)
def test_unusable_answer_has_a_reason_and_no_values(said, per, reason):
    reading = read(watched(per=per), said, OLDEST)
    assert not reading.fresh
    assert not reading.values
    assert reading.problem is not None
    assert reading.problem.reason == reason
    assert reading.problem.message


def test_invalid_series_does_not_hide_the_others():
    said = answer(({"pod": "a"}, math.nan), ({"pod": "b"}, 2.0))
    reading = read(watched(per="pod"), said, OLDEST)
    assert reading.fresh
    assert reading.values == {(("pod", "b"),): 2.0}
    assert reading.problem is not None
    assert reading.problem.reason == "NotFinite"


def test_series_without_the_label_does_not_hide_the_others():
    """An invalid series is dropped and reported, whatever is wrong with it."""
    said = answer(({"pod": "a"}, math.inf), ({"node": "n"}, 3.0), ({"pod": "b"}, 2.0))
    reading = read(watched(per="pod"), said, OLDEST)
    assert reading.fresh
    assert reading.values == {(("pod", "b"),): 2.0}
    assert reading.problem is not None
    assert reading.problem.message == (
        "1 of 3 series has no label 'pod', which `per` names; there are the labels node, pod"
    )
    assert reading.problem.reason == "LabelMissing"
    assert "1 of 3" in reading.problem.message


def test_sli_of_mismatched_events_is_no_breach():
    reading = read(watched(SLI), answer(({}, -math.inf)), OLDEST)
    assert not reading.fresh
    assert not reading.values
    assert reading.problem is not None
    assert reading.problem.reason == "NotComparable"


def test_missing_data_has_a_reason():
    reading = read(watched(), Answer((), None, missing="no x{}"), OLDEST)
    assert reading.problem == QueryFailure("NoData", "no x{}; sent was x")


def test_sli_without_events_is_no_breach():
    for said in (answer(), answer(({}, math.nan))):
        reading = read(watched(SLI), said, OLDEST)
        assert not reading.fresh
        assert reading.problem is not None
        assert "no events" in reading.problem.message


class Past:
    """Implements `range` of the `Metrics` port: records queries, and refuses chosen ones."""

    def __init__(self, *refused):
        self.asked = []
        self.refused = refused

    async def instant(self, source, queries, at):
        raise NotImplementedError

    async def range(self, source, queries, start, end, step):
        self.asked.append([query.key for query in queries])
        found = (RangeSeries((), (start, end), (1.0, 2.0)),)
        return {q.key: QueryFailure("SourceTimeout", "x") if q.key in self.refused else found for q in queries}


def many(count):
    each = [watched(f"i-{number}") for number in range(count)]
    return {"slo": ObjectiveQueries("default", tuple(each), each[0].query, each[0].query, 60.0)}


async def test_history_of_many_queries_is_fetched_in_parts_within_the_time():
    past, matrix = Past(), SeriesMatrix(10.0, 20)
    observer = Observer(past, matrix)
    assert await observer.backfill(many(120), NOW, 0) == 70
    assert len(matrix) == 50
    assert await observer.backfill(many(120), NOW, 60) == 0
    assert len(matrix) == 120
    assert [len(keys) for keys in past.asked] == [50, 50, 20]
    assert await observer.backfill(many(120), NOW, 60) == 0
    assert len(past.asked) == 3


async def test_queries_with_refused_history_come_after_the_others():
    past = Past(*(("slo", f"i-{number}") for number in range(50)))
    observer = Observer(past, SeriesMatrix(10.0, 20))
    await observer.backfill(many(60), NOW, 0)
    await observer.backfill(many(60), NOW, 0)
    assert past.asked[0] == list(past.refused)
    assert past.asked[1][:10] == [("slo", f"i-{number}") for number in range(50, 60)]


async def test_series_is_learned_when_its_history_is_fetched_or_unavailable():
    matrix = SeriesMatrix(10.0, 20)
    observer = Observer(Past(("slo", "refused")), matrix)
    some = {"slo": tuple(read(watched(name), answer(({}, 4.0)), OLDEST) for name in ("given", "refused"))}
    each = [reading.watched for reading in some["slo"]]
    asked = {"slo": ObjectiveQueries("default", tuple(each), each[0].query, each[0].query, 60.0)}
    observer.feed(some, NOW)
    assert len(matrix) == 0
    known = []
    for cycle in range(3):
        await observer.backfill(asked, NOW + 10 * cycle, 0)
        observer.feed(some, NOW + 10 * cycle)
        known.append(each[1].key(()) in matrix)
        assert each[0].key(()) in matrix
    assert known == [False, False, True]


class Answers:
    """Implements the `Metrics` port: answers by the name of the query, after some seconds."""

    def __init__(self):
        self.says = {}
        self.seconds = 0.0
        self.error = None
        self.asked = []

    async def instant(self, source, queries, at):
        self.asked += [(source, query.key[1]) for query in queries]
        await asyncio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return {query.key: self.says.get(query.key[1], answer(({}, 0.25))) for query in queries}

    async def range(self, source, queries, start, end, step):
        raise NotImplementedError


def asked_about(uid="slo", source="main", interval=600.0, indicators=("load",)):
    each = [watched(indicator) for indicator in indicators]
    queries = [Query((uid, name), name) for name in ("long", "window")]
    return {uid: ObjectiveQueries(source, tuple(each), queries[0], queries[1], interval, 3600.0, namespace="shop")}


class Case:
    """An observer and its answers."""

    def __init__(self):
        self.metrics, self.isolation = Answers(), ErrorIsolation()
        self.matrix = SeriesMatrix(10.0, 20)
        self.observer = Observer(self.metrics, self.matrix, self.isolation)

    async def observe(self, questions=None, at=NOW, until=math.inf):
        return await self.observer.observe(questions or asked_about(), lambda _: NOW - OLDEST, at, until)

    async def share(self, said, name="window"):
        self.metrics.says[name] = said
        _, ratios = await self.observe()
        found = ratios["slo"]
        return (found.window, found.whole_problem) if name == "window" else (found.long, found.long_problem)


@pytest.fixture
def case():
    return Case()


@pytest.mark.parametrize("name", ["long", "window"])
@pytest.mark.parametrize(
    ("said", "reason", "message"),
    [
        (QueryFailure("SourceDown", "refused"), "SourceDown", "refused"),
        (answer(({}, 0.1), warnings=("a", "b")), "PartialAnswer", "a; b"),
        (answer(({}, 0.1), newest=None), "NoData", "the query's series do not exist in the source"),
        (
            answer(({}, 0.1), newest=OLDEST - 0.5),
            "StaleData",
            "the newest sample is older than the source's staleAfter",
        ),
        (answer(({"a": "1"}, 0.1), ({"a": "2"}, 0.1)), "TooManySeries", "the query returns 2 series, not one"),
        (answer(), "NoData", "there were no events"),
        (answer(({}, math.nan)), "NotFinite", "it is NaN or infinite"),
        (answer(({}, math.inf)), "NotFinite", "it is NaN or infinite"),
    ],
)
async def test_why_an_error_ratio_is_not_known_is_told(case, name, said, reason, message):
    value, problem = await case.share(said, name)
    assert math.isnan(value)
    assert problem == QueryFailure(reason, message)


@pytest.mark.parametrize("name", ["long", "window"])
async def test_an_error_ratio_is_the_only_value_that_is_new_enough(case, name):
    assert await case.share(answer(({}, 0.1), newest=OLDEST), name) == (0.1, None)
    _, ratios = await case.observe()
    assert ratios["slo"].long_window == 3600.0


@pytest.mark.parametrize(
    ("said", "interval", "spread"),
    [(answer(({}, 0.1)), 600.0, True), (answer(), 600.0, False), (answer(), 40.0, False)],
)
async def test_a_whole_window_is_asked_for_at_its_interval_and_sooner_where_it_is_not_known(
    case, said, interval, spread
):
    case.metrics.says["window"] = said
    # Objectives that were met together part ways: each has its own part of half an interval beside the other half.
    wait = interval * (0.5 + zlib.crc32(b"slo") / 2**33) if spread else min(interval, 60.0)
    for at, count in ((NOW, 1), (NOW + wait - 0.01, 1), (NOW + wait, 2), (NOW + wait - 1.0, 3)):
        await case.observe(asked_about(interval=interval), at)
        assert len([name for _, name in case.metrics.asked if name == "window"]) == count
    assert 0.5 <= 0.5 + zlib.crc32(b"slo") / 2**33 < 1.0


async def test_what_was_known_of_a_window_lasts_until_it_is_asked_again_and_is_forgotten_with_the_objective(case):
    await case.share(answer(({}, 0.1)))
    case.metrics.says["window"] = answer(({}, 0.9))
    _, ratios = await case.observe(at=NOW + 1)
    assert ratios["slo"].window == 0.1
    case.observer.retain(asked_about(), NOW + 1)
    _, ratios = await case.observe(at=NOW + 2)
    assert ratios["slo"].window == 0.1
    case.observer.retain({}, NOW + 2)
    _, ratios = await case.observe(at=NOW + 3)
    assert ratios["slo"].window == 0.9


async def test_each_source_is_asked_for_all_at_once(case):
    questions = {**asked_about("a"), **asked_about("b"), **asked_about("c", "other")}
    calls = []
    instant = case.metrics.instant

    async def noted(source, queries, at):
        calls.append((source, len(queries), at))
        return await instant(source, queries, at)

    case.metrics.instant = noted
    with capture_logs():
        await case.observe(questions)
    assert calls == [("main", 6, NOW), ("other", 3, NOW)]


@pytest.mark.parametrize(("seconds", "reason"), [(4.0, None), (6.0, "SourceTimeout")])
def test_a_source_that_is_late_is_told_so(case, seconds, reason):
    case.metrics.seconds = seconds

    async def observe():
        return await case.observe(until=asyncio.get_running_loop().time() + 5.0)

    readings, ratios = run(observe())
    (reading,) = readings["slo"]
    for problem in (reading.problem, ratios["slo"].long_problem, ratios["slo"].whole_problem):
        assert (problem and problem.reason) == reason
    assert case.observer.health["main"] == SourceHealth(up=reason is None, late=reason is not None)
    message = "the source did not answer in the time that a cycle has for it"
    assert reading.problem is None or reading.problem.message == message


async def test_an_error_of_a_source_is_told_by_all_that_asked_it(case):
    case.metrics.error = RuntimeError("no JSON")
    with capture_logs():
        readings, _ = await case.observe()
    (reading,) = readings["slo"]
    assert (reading.problem.reason, "RuntimeError" in reading.problem.message) == ("InternalError", True)
    assert case.isolation.faults == {"observing": 1}


async def test_an_answer_that_makes_no_sense_is_told_by_its_objective_alone(case):
    questions = {**asked_about("slo"), **asked_about("other", indicators=())}
    case.metrics.says["load"] = None
    with capture_logs():
        readings, ratios = await case.observe(questions)
    (reading,) = readings["slo"]
    assert (reading.problem.reason, readings["other"]) == ("InternalError", ())
    assert math.isnan(ratios["slo"].long)
    assert ratios["other"].long == 0.25


@pytest.mark.parametrize(("at", "reason"), [(NOW + MAX_SKEW, None), (NOW + MAX_SKEW + 0.5, "ClockSkew")])
async def test_data_may_be_as_far_ahead_as_clocks_may_be_apart(case, at, reason):
    case.metrics.says["load"] = answer(({}, 4.0), newest=at)
    readings, _ = await case.observe()
    (reading,) = readings["slo"]
    assert (reading.problem and reading.problem.reason) == reason


async def test_clock_of_a_source_is_taken_from_its_first_answer_with_one(case):
    clock = ClockOffset(1.0, 2.0)
    case.metrics.says["long"] = replace(answer(({}, 0.1)), clock=clock)
    case.metrics.says["load"] = QueryFailure("QueryRefused", "x")
    await case.observe()
    assert case.observer.clocks == {"main": clock}
    case.metrics.says["long"] = answer(({}, 0.1))
    await case.observe()
    assert case.observer.clocks == {}


@pytest.mark.parametrize(("intervals", "kept"), [(119.9, True), (120, False)])
async def test_a_series_is_forgotten_after_120_intervals_without_data_or_with_its_indicator(case, intervals, kept):
    reading = read(watched(), answer(({}, 4.0)), OLDEST)
    keys = [reading.watched.key(()), ("slo", "gone", ()), ("gone", "load", ()), "no tuple"]
    case.matrix.push(NOW, dict.fromkeys(keys, 1.0))
    case.observer.retain(asked_about(), NOW + intervals * 10.0)
    assert list(case.matrix.rows) == keys[:1] * kept


async def test_only_what_is_fresh_is_fed_into_the_matrix(case):
    stale = read(watched(), answer(({}, 4.0), newest=OLDEST - 1), OLDEST)
    refused = watched("refused")
    fresh = read(refused, answer(({}, 4.0)), OLDEST)
    for _ in range(3):
        case.observer._backfiller._refused.update((refused.query, watched().query))
    case.observer.feed({"slo": (stale, replace(fresh, fresh=False))}, NOW)
    assert len(case.matrix) == 0
    case.observer.feed({"slo": (stale, fresh)}, NOW)
    assert list(case.matrix.rows) == [refused.key(())]
