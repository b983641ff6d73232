"""A source that refuses: bounded splitting, no query blamed for the source's trouble, and recovery in the next cycle.

Kind: the source's own way to say 'not well', 'not all', 'by the way'.
"""

import pytest

from forestall.adapters.prometheus.responses import IS_PARTIAL
from forestall.adapters.prometheus.triage import CANARY, MOST_FAILED
from forestall.ports import Query, QueryFailure

AT = 1_790_000_000.0
MANY = [Query(i, f'x{{i="{i}"}}') for i in range(400)]


def refusal(status=422, kind=422, words="cannot fetch query results from vmstorage nodes"):
    return status, {"status": "error", "errorType": kind, "error": words}


def failures(answers):
    return {key: answer for key, answer in answers.items() if isinstance(answer, QueryFailure)}


REFUSALS = [
    refusal(),
    refusal(kind="422"),
    refusal(422, "execution", "No StoreAPIs matched for this query"),
    refusal(422, "execution", "the query exceeded the limit"),
    refusal(400, "bad_data", "access denied"),
    refusal(500, "internal", "expanding series: x"),
    refusal(500, "500", "x"),
    refusal(503, 503, "cannot fetch"),
    refusal(418, "teapot", "x"),
    (422, b"limit"),
    (500, b"panic"),
    (400, b"bad request"),
]


@pytest.mark.parametrize("answer", REFUSALS, ids=lambda each: f"{each[0]} {each[1]}"[:40])
@pytest.mark.parametrize("how", ["instant", "range"])
async def test_source_that_refuses_everything_is_blamed_and_not_its_queries(fake_source, make_metrics, answer, how):
    metrics = make_metrics()

    async def ask():
        if how == "instant":
            return await metrics.instant("fake", MANY, AT)
        return await metrics.range("fake", MANY, AT - 60, AT, 15)

    fake_source.behave = lambda exprs: answer
    answers = {}
    for _ in range(3):
        fake_source.requests.clear()
        answers = await ask()
        assert len(fake_source.requests) <= 6
        assert {each.reason for each in answers.values()} <= {"SourceDown", "SourceTimeout", "SourceBadAnswer"}
        assert len(failures(answers)) == 400

    fake_source.behave = fake_source.ones if how == "instant" else lambda exprs: (200, matrix())
    fake_source.requests.clear()
    assert failures(await ask()) == {}
    assert len(fake_source.requests) <= 45
    await metrics.close()


def matrix():
    return {"status": "success", "data": {"resultType": "matrix", "result": []}}


async def test_source_that_fails_during_a_call_is_blamed_and_not_its_queries(fake_source, make_metrics):
    metrics = make_metrics()
    fake_source.behave = lambda exprs: refusal() if len(fake_source.requests) > 12 else fake_source.ones(exprs)
    answers = await metrics.instant("fake", MANY, AT)
    assert {each.reason for each in failures(answers).values()} == {"SourceDown"}
    assert 0 < len(failures(answers)) < 400
    assert len(fake_source.requests) <= 12 + 8 + 1
    fake_source.behave = fake_source.ones
    assert failures(await metrics.instant("fake", MANY, AT)) == {}
    await metrics.close()


async def test_source_that_answers_only_the_probe_is_blamed(fake_source, make_metrics):
    """Kind: refuses nearly everything."""
    metrics = make_metrics()
    fake_source.behave = lambda exprs: fake_source.ones(exprs) if exprs == {None: CANARY} else refusal()
    answers = {}
    for _ in range(3):
        fake_source.requests.clear()
        answers = await metrics.instant("fake", MANY, AT)
        assert len(failures(answers)) == 400
        assert len(fake_source.requests) <= MOST_FAILED + 20
    fake_source.behave = fake_source.ones
    assert failures(await metrics.instant("fake", MANY, AT)) == {}
    await metrics.close()


@pytest.mark.parametrize("bad", [{5}, {5, 77, 300}, set(range(0, 400, 11))])
async def test_bad_queries_are_found_and_soon_affect_no_other(fake_source, make_metrics, bad):
    metrics = make_metrics()
    spoiling = {f'x{{i="{i}"}}' for i in bad}
    fake_source.behave = lambda exprs: refusal() if spoiling & set(exprs.values()) else fake_source.ones(exprs)
    answers = {}
    for _ in range(6):
        fake_source.requests.clear()
        answers = await metrics.instant("fake", MANY, AT)
        assert len(fake_source.requests) <= 3 * MOST_FAILED + 60
    assert set(failures(answers)) == bad
    assert {each.reason for each in failures(answers).values()} == {"QueryRefused"}
    await metrics.close()


async def test_bad_queries_of_one_namespace_do_not_starve_others(fake_source, make_metrics):
    metrics = make_metrics()
    queries = [
        *(Query(("bad", i), f"bad_{i}") for i in range(150)),
        *(Query(("good", i), f"good_{i}") for i in range(10)),
    ]
    fake_source.behave = lambda exprs: (
        refusal() if any("bad" in text for text in exprs.values()) else fake_source.ones(exprs)
    )
    answers = {}
    for _ in range(8):
        fake_source.requests.clear()
        answers = await metrics.instant("fake", queries, AT)
        assert len(fake_source.requests) <= MOST_FAILED + 60
    assert not [key for key in failures(answers) if key[0] == "good"]
    await metrics.close()


INFO = 'PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "x" (1:6)'


async def test_hint_among_warnings_is_ignored(fake_source, make_metrics):
    """Prometheus up to 2.53 and Thanos write hints among the warnings."""
    metrics = make_metrics()
    fake_source.behave = lambda exprs: fake_source.ones(exprs, warnings=[INFO], infos=["x"])
    answers = await metrics.instant("fake", MANY, AT)
    assert failures(answers) == {}
    assert {answer.warnings for answer in answers.values()} == {()}
    assert len(fake_source.requests) == 16
    fake_source.behave = lambda exprs: {**matrix(), "warnings": [INFO]}
    assert failures(await metrics.range("fake", MANY[:20], AT - 60, AT, 15)) == {}
    await metrics.close()


@pytest.mark.parametrize(
    "warning", ["PromQL warning: mix of floats and histograms", "No StoreAPIs matched", "receive x"]
)
async def test_warning_about_one_query_affects_no_other(fake_source, make_metrics, warning):
    metrics = make_metrics()

    def behave(exprs):
        return fake_source.ones(exprs, **({"warnings": [warning]} if 'x{i="7"}' in exprs.values() else {}))

    fake_source.behave = behave
    answers = await metrics.instant("fake", MANY, AT)
    assert failures(answers) == {}
    assert {key for key, answer in answers.items() if answer.warnings} == {7}
    assert len(fake_source.requests) <= 16 + 14
    await metrics.close()


@pytest.mark.parametrize("more", [{"isPartial": True}, {"warnings": ["store-1 did not answer"]}])
async def test_partial_response_is_never_used(fake_source, make_metrics, more):
    """VictoriaMetrics with a storage node down returns partial data with `isPartial`."""
    metrics = make_metrics()
    fake_source.behave = lambda exprs: fake_source.ones(exprs, **more)
    answers = await metrics.instant("fake", MANY, AT)
    assert {answer.warnings for answer in answers.values()} == {
        (IS_PARTIAL,) if "isPartial" in more else ("store-1 did not answer",)
    }
    assert len(fake_source.requests) == 16  # it is no single query's fault: none is asked again
    fake_source.behave = lambda exprs: {**matrix(), **more}
    past = await metrics.range("fake", MANY[:20], AT - 60, AT, 15)
    assert {answer.reason for answer in past.values()} == {"SourceBadAnswer"}
    await metrics.close()


async def test_missing_store_is_not_searched_for_query_by_query(fake_source, make_metrics):
    metrics = make_metrics()
    fake_source.behave = lambda exprs: fake_source.ones(
        exprs, **({} if 'x{i="399"}' in exprs.values() else {"isPartial": True})
    )
    answers = await metrics.instant("fake", MANY, AT)
    assert len(fake_source.requests) == 16 + 1  # a harmless query warns as well
    whole = [answer for answer in answers.values() if not isinstance(answer, QueryFailure) and not answer.warnings]
    assert 0 < len(whole) <= 50
    await metrics.close()


@pytest.mark.parametrize("status", [422, 500, 502, 503, 504, 418])
@pytest.mark.parametrize("size", [2, 40])
async def test_message_about_a_query_is_not_shown_to_other_namespaces(fake_source, make_metrics, status, size):
    """Kind: users of a namespace learn about another one, here by a source whose message quotes its query."""
    metrics = make_metrics()
    queries = [Query(n, f"secret_of_one + {n}", owner="one") for n in range(size)]
    queries += [Query(-1 - n, f"up + {n}", owner="other") for n in range(size)]

    def behave(exprs):
        quoted = next((expr for expr in exprs.values() if "secret_of_one" in expr), None)
        return refusal(status, str(status), f"cannot execute query={quoted}" if quoted else "cannot fetch")

    fake_source.behave = behave
    for _ in range(3):
        answers = await metrics.instant("fake", queries, AT)
        words = [str(answer) for key, answer in answers.items() if key < 0]
        assert len(words) == size
        assert not [each for each in words if "secret_of_one" in each]
    await metrics.close()


async def test_single_namespace_gets_the_whole_message_of_the_source(fake_source, make_metrics):
    metrics = make_metrics()
    fake_source.behave = lambda exprs: refusal(words="the quota of the storage is used up")
    answers = await metrics.instant("fake", [Query(n, f"up + {n}", owner="one") for n in range(40)], AT)
    assert all("the quota of the storage is used up" in each.message for each in answers.values())
    await metrics.close()
