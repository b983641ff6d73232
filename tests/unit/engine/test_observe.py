import math

import pytest

from forestall.core.risk import SLI
from forestall.core.series import SeriesMatrix
from forestall.engine.indicator_queries import IndicatorQuery, ObjectiveQueries
from forestall.engine.observe import Observer
from forestall.engine.readings import read
from forestall.ports import Answer, Query, QueryFailure, RangeSeries, Sample

NOW, OLDEST = 1000.0, 880.0


def watched(indicator="load", per=None):
    return IndicatorQuery("slo", indicator, Query(("slo", indicator), "x"), 10.0, True, 600.0, per, False)


def answer(*samples, newest=NOW, warnings=()):
    return Answer(tuple(Sample(tuple(sorted(labels.items())), value) for labels, value in samples), newest, warnings)


def test_a_fresh_number_is_a_reading():
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
def test_what_cannot_be_used_has_a_reason_and_no_values(said, per, reason):
    reading = read(watched(per=per), said, OLDEST)
    assert not reading.fresh
    assert not reading.values
    assert reading.problem is not None
    assert reading.problem.reason == reason
    assert reading.problem.message


def test_one_bad_series_does_not_hide_the_others():
    said = answer(({"pod": "a"}, math.nan), ({"pod": "b"}, 2.0))
    reading = read(watched(per="pod"), said, OLDEST)
    assert reading.fresh
    assert reading.values == {(("pod", "b"),): 2.0}
    assert reading.problem is not None
    assert reading.problem.reason == "NotFinite"


def test_one_series_without_the_label_does_not_hide_the_others():
    """Absent is not all: one bad series is dropped and told, whatever is bad about it."""
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


def test_an_sli_of_what_does_not_belong_together_is_no_breach():
    reading = read(watched(SLI), answer(({}, -math.inf)), OLDEST)
    assert not reading.fresh
    assert not reading.values
    assert reading.problem is not None
    assert reading.problem.reason == "NotComparable"


def test_why_there_is_no_data_is_told():
    reading = read(watched(), Answer((), None, missing="no x{}"), OLDEST)
    assert reading.problem == QueryFailure("NoData", "no x{}; sent was x")


def test_an_sli_without_events_is_no_breach():
    for said in (answer(), answer(({}, math.nan))):
        reading = read(watched(SLI), said, OLDEST)
        assert not reading.fresh
        assert reading.problem is not None
        assert "no events" in reading.problem.message


class Past:
    """Implements the `Metrics` port as far as the past goes: which queries were asked for, and which are refused."""

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


async def test_the_past_of_many_queries_is_fetched_bit_by_bit_while_there_is_time():
    past, matrix = Past(), SeriesMatrix(10.0, 20)
    observer = Observer(past, matrix)
    assert await observer.backfill(many(120), NOW, 0) == 70
    assert len(matrix) == 50
    assert await observer.backfill(many(120), NOW, 60) == 0
    assert len(matrix) == 120
    assert [len(keys) for keys in past.asked] == [50, 50, 20]
    assert await observer.backfill(many(120), NOW, 60) == 0
    assert len(past.asked) == 3


async def test_queries_whose_past_is_refused_let_the_others_go_first():
    past = Past(*(("slo", f"i-{number}") for number in range(50)))
    observer = Observer(past, SeriesMatrix(10.0, 20))
    await observer.backfill(many(60), NOW, 0)
    await observer.backfill(many(60), NOW, 0)
    assert past.asked[0] == list(past.refused)
    assert past.asked[1][:10] == [("slo", f"i-{number}") for number in range(50, 60)]


async def test_a_series_is_learned_from_when_its_past_is_there_or_can_not_be_had():
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
