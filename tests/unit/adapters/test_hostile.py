"""Hostile responses: valid structure outside, and invalid values in any field inside, for one query of a batch.

The result is a `QueryFailure` for each affected query, never an exception, and invalid series of one query affect no
other query.
"""

import asyncio
import math

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.support.examples import examples

from forestall.adapters.prometheus.question import RequestLimits
from forestall.core.promql.evidence import freshness_query
from forestall.ports import Answer, Query, QueryFailure

AT = 1_790_000_000.0
QUERIES = [Query(i, f'x{{i="{i}"}}') for i in range(24)]
PACE = RequestLimits(max_joined=20, at_once=8)
"""With the queries about freshness three joined requests, as 60 queries are by default."""
HOSTILE = 'x{i="7"}'
FRESHNESS = freshness_query(HOSTILE)

plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8"), max_size=8),
)
anything = st.recursive(
    plain,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abmv"), inner, max_size=3)),
    max_leaves=6,
)
numbers = st.sampled_from(
    ["1", "NaN", "+Inf", "-Inf", "1e400", "", "0x1", "1_0", "true", "-1", str(AT + 1e6), "9" * 400]
)
pair = st.one_of(anything, st.tuples(anything, anything), st.tuples(st.just(AT), numbers), st.tuples(anything, numbers))
metric = st.one_of(
    anything,
    st.dictionaries(st.sampled_from(["a", "__name__", "__forestall_query", ""]), anything, max_size=3),
    st.just({f"l{n}": "x" for n in range(5000)}),
    st.just({"a": "x" * 100_000}),
)
series = st.one_of(
    anything,
    st.fixed_dictionaries(
        {},
        optional={
            "metric": metric,
            "value": pair,
            "values": st.one_of(anything, st.lists(pair, max_size=4)),
            "histogram": anything,
        },
    ),
)
document = st.fixed_dictionaries(
    {},
    optional={
        "status": st.one_of(anything, st.sampled_from(["success", "error"])),
        "errorType": anything,
        "error": anything,
        "warnings": st.one_of(anything, st.lists(anything, max_size=3)),
        "infos": anything,
        "isPartial": anything,
        "data": st.one_of(
            anything,
            st.fixed_dictionaries(
                {},
                optional={
                    "resultType": st.one_of(anything, st.sampled_from(["vector", "matrix", "scalar", "string"])),
                    "result": st.one_of(anything, st.lists(series, max_size=4)),
                },
            ),
        ),
    },
)
bodies = st.one_of(
    st.binary(max_size=20),
    document.map(lambda each: orjson.dumps(each, default=str)),
    document.map(lambda each: orjson.dumps(each, default=str)[:-3]),
    st.just(b'{"a":' * 3000),
    st.just(b'{"status":"success","status":"error","data":{},"data":{"resultType":"vector","result":[]}}'),
    st.just('{"status":"success"}'.encode("utf-16")),
)
UNLABELLED = b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{}}]}}'
"""Series without the label that says which query they answer."""
BOUNDED = settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


def ask(make_metrics, how, cycles=1):
    """Return the answers of the last of so many cycles."""

    async def run():
        metrics, answers = make_metrics(pace=PACE), {}
        for _ in range(cycles):
            if how == "instant":
                answers = await metrics.instant("fake", QUERIES, AT)
            else:
                answers = await metrics.range("fake", QUERIES, AT - 60, AT, 15)
        await metrics.close()
        return answers

    return asyncio.run(run())


def believable(answer):
    """Say whether an answer is valid input for the engine."""
    if isinstance(answer, QueryFailure):
        return len(answer.message) <= 500
    if isinstance(answer, Answer):
        samples = [(sample.labels, [sample.value]) for sample in answer.samples]
        timely = answer.newest is None or (math.isfinite(answer.newest) and answer.newest >= 0)
    else:
        samples = [(each.labels, each.values) for each in answer]
        timely = all(AT - 80 <= at <= AT + 20 for each in answer for at in each.times)
        timely = timely and all(list(each.times) == sorted(set(each.times)) for each in answer)
    texts = [text for labels, _ in samples for label in labels for text in label]
    values = [value for _, some in samples for value in some]
    return timely and all(type(text) is str for text in texts) and all(type(value) is float for value in values)


@BOUNDED
@given(
    body=bodies,
    status=st.sampled_from([200, 200, 200, 204, 400, 422, 500, 503]),
    how=st.sampled_from(["instant", "range"]),
)
def test_hostile_response_gives_valid_answers_or_failures(fake_source, make_metrics, body, status, how):
    fake_source.behave = lambda exprs: (status, body)
    answers = ask(make_metrics, how)
    assert answers.keys() == set(range(24))
    assert all(map(believable, answers.values()))


@BOUNDED
@example(body=UNLABELLED, status=200)
@given(body=bodies, status=st.sampled_from([200, 200, 400, 422, 500]))
def test_hostile_response_to_one_query_affects_no_other(fake_source, make_metrics, body, status):
    def behave(exprs):
        return (status, body) if HOSTILE in exprs.values() else fake_source.ones(exprs)

    fake_source.behave = behave
    answers = ask(make_metrics, "instant", cycles=4)
    assert all(map(believable, answers.values()))
    assert {key for key, answer in answers.items() if isinstance(answer, QueryFailure)} <= {7}


@BOUNDED
@given(bad=st.lists(series, min_size=1, max_size=3), freshness=st.booleans())
@example(bad=[{"metric": {}, "value": [AT, "1"]}, {"metric": None}], freshness=False)
@example(bad=[{"metric": {}, "value": [AT, "1"]}, None], freshness=False)
def test_invalid_series_of_one_query_affect_no_other(fake_source, make_metrics, bad, freshness):
    hostile = FRESHNESS if freshness else HOSTILE

    def behave(exprs):
        answer = fake_source.ones(exprs)
        if hostile in exprs.values():
            answer["data"]["result"] += bad
        return answer

    fake_source.behave = behave
    answers = ask(make_metrics, "instant")
    assert all(map(believable, answers.values()))
    assert {key for key, answer in answers.items() if isinstance(answer, QueryFailure)} <= {7}


def test_series_that_differ_only_in_name_are_both_named(fake_source, make_metrics):
    def behave(exprs):
        answer = fake_source.ones(exprs)
        for twin in [s for s, text in zip(answer["data"]["result"], exprs.values(), strict=True) if text == HOSTILE]:
            names = [("other", "2"), ("first", "1"), ("second", "1")]
            twins = [{**twin, "metric": {**twin["metric"], "__name__": name, "a": a}} for name, a in names]
            answer["data"]["result"] += twins
        return answer

    fake_source.behave = behave
    failed = ask(make_metrics, "instant")[7]
    assert isinstance(failed, QueryFailure)
    assert 'first{a="1"} and second{a="1"}' in failed.message


@pytest.mark.parametrize("labels", [[], ["a"], "a", 5, None, True, {"a": 5}, {"a": None}, {"a": ["b"]}, {"a": {}}])
@pytest.mark.parametrize("marked", [True, False])
def test_invalid_labels(fake_source, make_metrics, labels, marked):
    def behave(exprs):
        answer = fake_source.ones(exprs)
        for each, text in zip(answer["data"]["result"], exprs.values(), strict=True):
            if text == HOSTILE:
                each["metric"] = labels | each["metric"] if marked and isinstance(labels, dict) else labels
        return answer

    fake_source.behave = behave
    answers = ask(make_metrics, "instant")
    assert {key: answer.reason for key, answer in answers.items() if isinstance(answer, QueryFailure)} == {
        7: "SourceBadAnswer"
    }


@pytest.mark.parametrize("error", [RecursionError, MemoryError, KeyError("x"), AttributeError])
def test_unexpected_exception_ends_no_cycle(fake_source, make_metrics, error):
    def behave(exprs):
        if HOSTILE in exprs.values():
            raise error
        return fake_source.ones(exprs)

    fake_source.behave = behave
    answers = ask(make_metrics, "instant", cycles=3)
    assert {key: answer.reason for key, answer in answers.items() if isinstance(answer, QueryFailure)} == {
        7: "SourceBadAnswer"
    }


@pytest.mark.parametrize("newest", ["NaN", "+Inf", "-1", "", "x", 5, None])
def test_invalid_freshness_is_not_fresh(fake_source, make_metrics, newest):
    def behave(exprs):
        answer = fake_source.ones(exprs)
        for each, text in zip(answer["data"]["result"], exprs.values(), strict=True):
            if text == FRESHNESS:
                each["value"] = [AT, newest]
        return answer

    fake_source.behave = behave
    answers = ask(make_metrics, "instant")
    assert {key for key, answer in answers.items() if isinstance(answer, QueryFailure)} == {7}


@pytest.mark.parametrize("times", [[AT + 1e9], [0], [-1], [AT, AT - 15], [AT, AT], [AT - 1e6, AT]])
def test_points_outside_the_range_are_refused(fake_source, make_metrics, times):
    """One point of the year 2060 would push the history of every series out of the matrix."""

    def behave(exprs):
        result = [
            {
                "metric": {} if n is None else {"__forestall_query": n},
                "values": [[at, "1"] for at in (times if text == HOSTILE else [AT - 30, AT - 15])],
            }
            for n, text in exprs.items()
        ]
        return {"status": "success", "data": {"resultType": "matrix", "result": result}}

    fake_source.behave = behave
    answers = ask(make_metrics, "range")
    assert {key for key, answer in answers.items() if isinstance(answer, QueryFailure)} == {7}
