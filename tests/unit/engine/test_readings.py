"""What an answer says of an indicator, or why it can't be used."""

import math

import pytest

from forestall.core.clock_skew import ClockSkew
from forestall.core.promql import NOT_COMPARABLE
from forestall.core.risk import SLI
from forestall.engine.indicator_queries import IndicatorQuery, ObjectiveQueries
from forestall.engine.readings import ErrorRatios, Reading, blind, distrusted, read
from forestall.engine.source_health import SourceHealth, health_of
from forestall.ports import Answer, Query, QueryFailure, Sample

NOW = 1000.0
OLDEST = NOW - 120.0
NAN = math.nan


def query(indicator="load", per=None, expr="sum(load)"):
    return IndicatorQuery(
        objective="o-1",
        indicator=indicator,
        query=Query(("o-1", indicator), expr),
        limit=100.0,
        above=True,
        horizon=600.0,
        per=per,
        long_trend=False,
    )


def answer(*values, at=NOW, label="pod", **rest):
    if len(values) == 1 and not isinstance(values[0], tuple):
        return Answer((Sample((), values[0]),), at, **rest)
    return Answer(tuple(Sample(((label, name),) if name else (), value) for name, value in values), at, **rest)


def test_a_fresh_answer_is_a_reading():
    reading = read(query(), answer(5.0, target_counts=(("load", 3),)), OLDEST)
    assert reading == Reading(query(), {(): 5.0}, NOW, True, None, (("load", 3),))


@pytest.mark.parametrize(("at", "fresh"), [(OLDEST, True), (OLDEST - 0.5, False), (NAN, False)])
def test_data_is_fresh_up_to_an_age(at, fresh):
    reading = read(query(), answer(5.0, at=at), OLDEST)
    assert reading.fresh is fresh
    assert (reading.problem and reading.problem.reason) == (None if fresh else "StaleData")
    assert reading.sampled_at == at or math.isnan(at)
    assert bool(reading.values) is fresh


@pytest.mark.parametrize(("at", "reason"), [(NOW + 5.0, None), (NOW + 5.5, "ClockSkew")])
def test_data_of_the_future_can_not_be_used(at, reason):
    reading = read(query(), answer(5.0, at=at), OLDEST, NOW + 5.0)
    assert (reading.problem and reading.problem.reason) == reason
    assert reading.fresh is (reason is None)


@pytest.mark.parametrize(
    ("per", "given", "values", "reason", "message"),
    [
        (None, QueryFailure("SourceDown", "refused"), {}, "SourceDown", "refused"),
        (None, answer(5.0, warnings=("a", "b")), {}, "PartialAnswer", "a; b"),
        (
            None,
            answer(5.0, at=None),
            {},
            "NoData",
            "the query's series do not exist in the source; sent was sum(load)",
        ),
        (None, answer(5.0, at=None, missing="there is no load"), {}, "NoData", "there is no load; sent was sum(load)"),
        (None, Answer((), NOW), {}, "NoData", "the query returns nothing; sent was sum(load)"),
        (
            None,
            answer(("a", 1.0), ("b", 2.0)),
            {},
            "TooManySeries",
            (
                "the query returns 2 series: aggregate them, for example with max(), or name in `per` the label that"
                " tells them apart"
            ),
        ),
        (None, answer(NAN), {}, "NotFinite", "1 of 1 series is NaN or infinite"),
        (
            "pod",
            answer(("a", NAN), ("b", 2.0), ("c", math.inf)),
            {(("pod", "b"),): 2.0},
            "NotFinite",
            "2 of 3 series are NaN or infinite",
        ),
        ("pod", answer(("a", 1.0), ("b", 2.0)), {(("pod", "a"),): 1.0, (("pod", "b"),): 2.0}, None, None),
        (
            "node",
            answer(("a", 1.0), ("b", 2.0)),
            {},
            "LabelMissing",
            "2 of 2 series have no label 'node', which `per` names; there are the labels pod",
        ),
        (
            "pod",
            answer(("a", 1.0), ("", 2.0)),
            {(("pod", "a"),): 1.0},
            "LabelMissing",
            "1 of 2 series has no label 'pod', which `per` names; there are the labels pod",
        ),
        (
            "pod",
            answer(2.0),
            {},
            "LabelMissing",
            (
                "1 of 1 series has no label 'pod', which `per` names; they have no labels: keep it by `by (…)` in the"
                " query"
            ),
        ),
    ],
)
def test_unusable_part_of_an_answer_is_the_problem_of_its_reading(per, given, values, reason, message):
    reading = read(query(per=per), given, OLDEST)
    assert reading.values == values
    assert reading.fresh is bool(values)
    assert reading.problem == (None if reason is None else QueryFailure(reason, message))


@pytest.mark.parametrize(
    ("given", "reason", "message"),
    [
        (answer(NAN), "NoData", "there were no events; sent was sum(load)"),
        (Answer((), NOW), "NoData", "there were no events; sent was sum(load)"),
        (
            answer(NOT_COMPARABLE),
            "NotComparable",
            "events that can't be told good or bad are mixed in, as while versions with other labels or buckets mix",
        ),
    ],
)
def test_an_error_ratio_that_is_no_number_had_no_events(given, reason, message):
    reading = read(query(SLI), given, OLDEST)
    assert reading.problem == QueryFailure(reason, message)
    assert (reading.values, reading.fresh) == ({}, False)


def test_only_an_error_ratio_has_events_that_can_not_be_compared():
    reading = read(query(), answer(NOT_COMPARABLE), OLDEST)
    assert reading.problem == QueryFailure("NotFinite", "1 of 1 series is NaN or infinite")


def why(reading):
    assert reading.problem is not None
    return reading.problem.message


def test_a_long_query_is_shortened():
    shown = [
        why(read(query(expr="x" * length), Answer((), NOW), OLDEST)).removeprefix(
            "the query returns nothing; sent was "
        )
        for length in (300, 301)
    ]
    assert shown == ["x" * 300, "x" * 299 + "…"]


@pytest.mark.parametrize(("count", "end"), [(8, "l7"), (9, "l7, …")])
def test_many_labels_are_shortened(count, end):
    labels = tuple((f"l{number}", "x") for number in range(count))
    message = why(read(query(per="node"), Answer((Sample(labels, 1.0),), NOW), OLDEST))
    assert message.endswith(f"there are the labels {', '.join(f'l{number}' for number in range(7))}, {end}")


PROBLEM = QueryFailure("NotFinite", "x")
NO_EVENTS = QueryFailure("NoData", "there were no events")


@pytest.mark.parametrize(
    ("reading", "is_blind"),
    [
        (Reading(query(), {(): 1.0}, NOW, True), False),
        (Reading(query(), {(): 1.0}, NOW, True, PROBLEM), False),
        (Reading(query(), {(): 1.0}, NOW, False, PROBLEM), True),
        (Reading(query(), {}, NOW, True, PROBLEM), True),
        (Reading(query(), {}, NOW, False, NO_EVENTS), True),
        (Reading(query(SLI), {}, NOW, False, NO_EVENTS), False),
        (Reading(query(SLI), {}, -math.inf, False, NO_EVENTS), True),
        (Reading(query(SLI), {}, NOW, False, PROBLEM), True),
        (Reading(query()), False),
    ],
)
def test_reading_without_usable_values_is_blind(reading, is_blind):
    assert blind([reading]) == [reading] * is_blind


def test_readings_of_a_source_with_clock_skew_are_not_used(monkeypatch):
    monkeypatch.setattr(ClockSkew, "reason_for", lambda self, source: "ahead" if source == "b" else None)
    asked = Query("k", "x")
    queries = {uid: ObjectiveQueries(source, (query(),), asked, asked, 60.0) for uid, source in ("1a", "2b", "3b")}
    readings = {uid: (Reading(query(), {(): 1.0}, NOW, True),) for uid in "12"}
    ratios = {uid: ErrorRatios(0.1, 0.2) for uid in "12"}
    new_readings, new_ratios = distrusted(readings, ratios, queries, ClockSkew())
    problem = QueryFailure("ClockSkew", "ahead")
    assert new_readings == {"1": readings["1"], "2": (Reading(query(), problem=problem),), "3": ()}
    assert new_ratios["1"] == ErrorRatios(0.1, 0.2) or new_ratios["1"] is ratios["1"]
    for uid in "23":
        assert (new_ratios[uid].long_problem, new_ratios[uid].whole_problem) == (problem, problem)
        assert math.isnan(new_ratios[uid].long)
        assert math.isnan(new_ratios[uid].window)
    assert readings["2"][0].fresh  # what was given stays as it was


@pytest.mark.parametrize(
    ("answers", "up", "late"),
    [
        ([Answer((), NOW)], True, False),
        ([QueryFailure("QueryRefused", "")], True, False),
        ([QueryFailure("SourceDown", "")], False, False),
        ([QueryFailure("SourceTimeout", ""), QueryFailure("SourceDown", "")], False, True),
        ([QueryFailure("SourceTimeout", ""), Answer((), NOW)], True, True),
        ([], False, False),
    ],
)
def test_a_source_is_up_that_answers_anything(answers, up, late):
    assert health_of(answers) == SourceHealth(up, late)
