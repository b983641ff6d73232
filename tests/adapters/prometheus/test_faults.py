"""The adapter's answers when a source is down, slow, or returns something unexpected."""

import asyncio
import re
import time

import pytest

from forestall.adapters.http import BearerToken, Endpoint, TlsSettings, UsernamePassword
from forestall.adapters.prometheus import PrometheusMetrics, SourceConfig
from forestall.core.promql import MARKER
from forestall.devcluster.ports import free_ports
from forestall.ports import Query, QueryFailure

NOW = 1_790_000_000.0
MANY = [Query(i, f'x{{i="{i}"}}') for i in range(500)]
LATE = "beside the cycles"
"""The message about a source that hung and has not answered since."""


async def one(adapter, expr="x"):
    """Return the answer to a single query."""
    return (await adapter.instant("faulty", [Query("q", expr)], NOW))["q"]


def assert_answered(answers, queries=MANY):
    """Assert that each query has the value 1, and that its data are as old as the server says."""
    bad = {key: answers[key] for key in (query.key for query in queries) if isinstance(answers[key], QueryFailure)}
    assert not bad
    assert all([sample.value for sample in answers[query.key].samples] == [1.0] for query in queries)
    assert all(answers[query.key].newest == 1.0 for query in queries)


async def test_working_source(broken, told):
    assert_answered(await broken.instant("faulty", MANY, NOW))
    assert told == [("faulty",)] * 20


@pytest.mark.parametrize(
    ("behave", "reason", "words", "requests"),
    [
        (lambda h: h.answer(status=401), "SourceUnauthorized", "401 Unauthorized", 1),
        (lambda h: h.answer(b"<html>", status=403), "SourceUnauthorized", "403 Forbidden", 1),
        (
            lambda h: h.answer(status=302, Location="http://elsewhere.example/login?a=b"),
            "SourceBadAnswer",
            "elsewhere",
            1,
        ),
        (lambda h: h.answer(status=308, Location="/x"), "SourceBadAnswer", "redirects are not followed", 1),
        (lambda h: h.answer(b"404 page not found", 404), "SourceBadAnswer", "404 Not Found", 1),
        (lambda h: h.answer(b"<html>Hello", Content_Type="text/html; x"), "SourceBadAnswer", "but with text/html", 1),
        (lambda h: h.answer(b""), "SourceBadAnswer", "not answer with JSON", 1),
        (lambda h: h.answer(b'{"status":"success","data":{"resu'), "SourceBadAnswer", "not answer with JSON", 1),
        (lambda h: h.answer([1]), "SourceBadAnswer", "not answer with JSON", 1),
        (lambda h: h.answer({"status": "success"}), "SourceBadAnswer", "not of the Prometheus API", 1),
        (lambda h: h.answer({"status": "success", "data": 5}), "SourceBadAnswer", "not of the Prometheus API", 1),
        (lambda h: h.answer(b"upstream", 503), "SourceDown", "503 Service Unavailable", 3),
        (lambda h: h.answer(b"slow down", 429), "SourceDown", "429 Too Many Requests", 3),
        (lambda h: h.reset(), "SourceDown", "Connection reset", 3),
        (lambda h: h.hang(), "SourceTimeout", "did not answer in time", 1),
    ],
    ids=lambda each: each if isinstance(each, str) else None,
)
async def test_failing_source_is_queried_once_for_all_queries(broken, told, faulty, behave, reason, words, requests):
    faulty.behave = behave
    began = time.monotonic()
    answers = await broken.instant("faulty", MANY, NOW)
    assert time.monotonic() - began < 60  # it ends, on a busy machine as well
    assert {answer.reason for answer in answers.values()} == {reason}
    assert words in answers[0].message
    assert len(faulty.requests) == requests
    assert told == [("faulty",), ("faulty", reason)] * requests
    past = await broken.range("faulty", MANY, NOW - 60, NOW, 15)
    if reason == "SourceTimeout":
        assert all(LATE in answer.message for answer in past.values())
    else:
        assert past == answers
    assert len(faulty.requests) == requests + 1  # while it is down it is not tried again and again

    faulty.behave = type(faulty.requests[0]).ones
    answers = await broken.instant("faulty", MANY, NOW)
    while any(isinstance(answer, QueryFailure) and LATE in answer.message for answer in answers.values()):
        await asyncio.sleep(0.05)  # what was asked while it hung must first end
        answers = await broken.instant("faulty", MANY, NOW)
    assert_answered(answers)


async def test_source_that_is_down(metrics, told):
    metrics.set_sources({"faulty": SourceConfig(Endpoint(f"http://127.0.0.1:{free_ports(1)[0]}"))})
    answers = await metrics.instant("faulty", MANY, NOW)
    assert {(answer.reason, answer.message) for answer in answers.values()} == {
        ("SourceDown", "no connection to the source: Connection refused")
    }
    assert told == [("faulty",), ("faulty", "SourceDown")] * 3


async def test_unresolvable_name(metrics):
    metrics.set_sources({"faulty": SourceConfig(Endpoint("http://no-such-host.invalid:9090", timeout=1))})
    answer = await one(metrics)
    assert answer.reason in {"SourceDown", "SourceTimeout"}
    assert "query" not in answer.message


async def test_answers_before_a_source_went_down_are_kept(broken, faulty):
    def behave(handler):
        handler.ones() if len(faulty.requests) <= 4 else handler.answer(b"", 503)

    faulty.behave = behave
    answers = await broken.instant("faulty", MANY, NOW)
    reasons = {answer.reason for answer in answers.values() if isinstance(answer, QueryFailure)}
    assert reasons == {"SourceDown"}
    assert len(faulty.requests) <= 4 + 8 * 3  # what was under way is tried again, and nothing else begun


async def test_interrupted_response_is_requested_again(broken, faulty):
    def behave(handler):
        if len(faulty.requests) > 1:
            return handler.ones()
        handler.begin(Content_Length="1000")
        handler.wfile.write(b'{"status":')
        handler.wfile.flush()
        return handler.reset()

    faulty.behave = behave
    assert_answered(await broken.instant("faulty", MANY, NOW))
    assert len(faulty.requests) == 21


@pytest.mark.parametrize("times", [1, 2])
async def test_short_outage_is_retried(broken, faulty, times):
    faulty.behave = lambda handler: handler.reset() if len(faulty.requests) <= times else handler.ones()
    assert_answered(await broken.instant("faulty", MANY, NOW))


async def test_slow_trickling_body_times_out(broken, faulty):
    def behave(handler):
        handler.begin(Content_Length="100000")
        while not faulty.over.wait(0.05):
            handler.wfile.write(b" ")
            handler.wfile.flush()

    faulty.behave = behave
    began = time.monotonic()
    answer = await one(broken)
    assert time.monotonic() - began < 60  # it ends, on a busy machine as well
    assert answer == QueryFailure("SourceTimeout", "the source did not finish its answer in time")


async def test_slow_trickling_headers_time_out(broken, faulty):
    def behave(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        while not faulty.over.wait(0.05) and len(faulty.requests) == 1:
            handler.wfile.write(b"x")
            handler.wfile.flush()
        handler.close_connection = True

    faulty.behave = behave
    began = time.monotonic()
    answer = await one(broken)
    faulty.over.set()  # so that the thread ends
    assert time.monotonic() - began < 60  # it ends, on a busy machine as well
    assert answer.reason == "SourceTimeout"


@pytest.mark.parametrize(
    ("head", "reason"),
    [(b"", "SourceBadAnswer"), (b'{"status":"success","data":{"resultType":"vector","result":[', "TooManySeries")],
)
async def test_huge_response_is_dropped(metrics, faulty, head, reason):
    sent = []

    def behave(handler):
        handler.begin(Content_Length=str(200 << 20))
        handler.wfile.write(head)
        for _ in range(200):
            handler.wfile.write(b" " * (1 << 20))
            sent.append(1)

    faulty.behave = behave
    metrics.set_sources({"faulty": SourceConfig(Endpoint(faulty.url, timeout=3))})
    answer = await one(metrics)
    assert (answer.reason, "32 MiB" in answer.message) == (reason, True)
    assert len(sent) < 50 * len(faulty.requests) <= 150


async def test_warnings_of_the_source_are_kept(broken, faulty):
    faulty.behave = lambda handler: handler.ones(warnings=["store-1 did not answer"])
    answers = await broken.instant("faulty", MANY, NOW)
    assert {answer.warnings for answer in answers.values()} == {("store-1 did not answer",)}
    assert len(faulty.requests) == 20
    past = await broken.range("faulty", MANY[:3], NOW - 60, NOW, 15)
    assert past[0] == QueryFailure("SourceBadAnswer", "store-1 did not answer")


@pytest.mark.parametrize("poison", [1, 3])
async def test_slow_query_is_found_and_sent_separately(broken, faulty, poison):
    slow = [f'x{{i="{i}"}}' for i in (7, 423, 424)][:poison]

    def behave(handler):
        if any(f"{text}, " in handler.params["query"] or handler.params["query"] == text for text in slow):
            handler.refuse("timeout", "query timed out in expression evaluation", 503)
        else:
            handler.ones()

    faulty.behave = behave
    answers = await broken.instant("faulty", MANY, NOW)
    bad = {key: answer for key, answer in answers.items() if isinstance(answer, QueryFailure)}
    assert set(bad) == {7, 423, 424} if poison == 3 else {7}
    assert set(bad.values()) == {QueryFailure("SourceTimeout", "query timed out in expression evaluation")}
    before = len(faulty.requests)
    assert await broken.instant("faulty", MANY, NOW) == answers
    assert len(faulty.requests) - before < 50


async def test_queries_over_long_ranges_are_sent_last_and_separately(broken, faulty):
    queries = [Query(("far", i), f'rate(x{{i="{i}"}}[30d])') for i in range(20)]
    queries += [Query(i, f'rate(x{{i="{i}"}}[5m])') for i in range(120)]

    def behave(handler):
        handler.hang() if "30d" in handler.params["query"] else handler.ones()

    faulty.behave = behave
    answers = await broken.instant("faulty", queries, NOW)
    assert_answered({key: answer for key, answer in answers.items() if isinstance(key, int)}, queries[20:])
    assert {answers[query.key].reason for query in queries[:20]} == {"SourceTimeout"}
    far = [handler.params["query"].count("[30d]") for handler in faulty.requests]
    assert (far[:5], set(far[5:])) == ([0] * 5, {1})


@pytest.mark.parametrize("how", ["hangs", "gateway"])
@pytest.mark.parametrize("slow", [0, 450])
async def test_query_that_makes_a_source_hang_fails_others_at_most_once(metrics, faulty, how, slow):
    def behave(handler):
        if f'x{{i="{slow}"}}, ' not in handler.params["query"] and handler.params["query"] != f'x{{i="{slow}"}}':
            handler.ones()
        elif how == "hangs":
            handler.hang()
        else:
            handler.answer(b"", 504)

    faulty.behave = behave
    metrics.set_sources({"faulty": SourceConfig(Endpoint(faulty.url, timeout=1 if how == "hangs" else 10))})
    spoilt = []
    for _ in range(5):
        answers = await metrics.instant("faulty", MANY, NOW)
        assert answers[slow].reason == "SourceTimeout"
        spoilt.append(len([answer for answer in answers.values() if isinstance(answer, QueryFailure)]))
    assert spoilt[0] == 500 if slow == 0 and how == "hangs" else spoilt[0] <= 25
    assert max(spoilt[1:]) <= 25
    assert spoilt[-1] == 1


async def test_overloaded_source_does_not_get_more_requests(broken, faulty):
    faulty.behave = lambda handler: handler.refuse("timeout", "query timed out in expression evaluation", 503)
    for _ in range(3):
        faulty.requests.clear()
        answers = await broken.instant("faulty", MANY, NOW)
        assert {answer.reason for answer in answers.values()} == {"SourceTimeout"}
        assert len(faulty.requests) <= 30


async def test_internal_error_of_one_query_affects_no_other(broken, faulty):
    def behave(handler):
        if 'i="5"' in handler.params["query"]:
            handler.refuse("internal", "unexpected error: index out of range", 500)
        else:
            handler.ones()

    faulty.behave = behave
    answers = await broken.instant("faulty", MANY[:100], NOW)
    assert answers.pop(5) == QueryFailure("SourceBadAnswer", "unexpected error: index out of range")
    assert_answered(answers, [query for query in MANY[:100] if query.key != 5])


async def test_queries_that_fail_only_together_get_answers(broken, faulty):
    def behave(handler):
        if handler.params["query"].count(MARKER) > 10:
            handler.refuse("execution", "query processing would load too many samples into memory", 422)
        else:
            handler.ones()

    faulty.behave = behave
    assert_answered(await broken.instant("faulty", MANY[:200], NOW), MANY[:200])
    faulty.requests.clear()
    assert_answered(await broken.instant("faulty", MANY[:200], NOW), MANY[:200])
    assert len(faulty.requests) < 75  # it is remembered how few go together


async def test_search_for_the_failing_query_is_bounded(broken, faulty):
    def behave(handler):
        faulty.over.wait(0.9)
        handler.refuse("execution", "no", 422) if 'i="5"' in handler.params["query"] else handler.ones()

    faulty.behave = behave
    began = time.monotonic()
    answers = await broken.instant("faulty", MANY, NOW)
    assert time.monotonic() - began < 60  # it ends, on a busy machine as well
    assert answers[5].reason == "SourceTimeout"


async def test_changed_marker_label_is_detected(broken, faulty):
    result = [{"metric": {"a": "b"}, "value": [1, "1"]}]
    faulty.behave = lambda handler: handler.answer(
        {"status": "success", "data": {"resultType": "vector", "result": result}}
    )
    answers = await broken.instant("faulty", MANY[:2], NOW)
    assert {answer.reason for answer in answers.values()} == {"SourceBadAnswer"}


@pytest.mark.parametrize("series", [5, {"metric": 5, "value": [1, "1"]}, {"metric": {}, "value": [1]}, {"value": 5}])
async def test_invalid_series(broken, faulty, series):
    faulty.behave = lambda handler: handler.answer(
        {"status": "success", "data": {"resultType": "vector", "result": [series]}}
    )
    answer = await one(broken, "x")
    assert answer.reason == "SourceBadAnswer"


async def test_sent_requests(broken, faulty, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    broken.set_sources(
        {
            "faulty": SourceConfig(
                Endpoint(
                    faulty.url + "/prefix/",
                    headers={"X-Scope-OrgID": "team"},
                    credentials=BearerToken("secret\n"),
                    timeout=2,
                )
            )
        }
    )
    assert not isinstance(await one(broken), QueryFailure)
    await broken.instant("faulty", MANY, NOW)
    short, long = faulty.requests[0], faulty.requests[-1]
    assert (short.command, long.command) == ("GET", "POST")
    assert short.path.startswith("/prefix/api/v1/query?")
    assert long.path == "/prefix/api/v1/query"
    assert (short.headers["Authorization"], short.headers["X-Scope-OrgID"]) == ("Bearer secret", "team")
    assert float(short.params["time"]) == NOW
    assert float(short.params["timeout"]) < 2


async def test_basic_credentials(broken, faulty):
    broken.set_sources({"faulty": SourceConfig(Endpoint(faulty.url, credentials=UsernamePassword("me", "pass")))})
    await one(broken)
    assert faulty.requests[0].headers["Authorization"] == "Basic bWU6cGFzcw=="


async def test_connections_are_reused(broken, faulty):
    for _ in range(3):
        await broken.instant("faulty", MANY, NOW)
    assert len({handler.client_address for handler in faulty.requests}) <= 8


@pytest.mark.parametrize(
    "config",
    [
        SourceConfig(Endpoint("http://127.0.0.1:1", credentials=BearerToken("sec\nret"))),
        SourceConfig(Endpoint("http://127.0.0.1:1", credentials=BearerToken("sec\u20acret"))),
        SourceConfig(Endpoint("http://127.0.0.1:1", headers={"sec ret\n": "x"})),
        SourceConfig(Endpoint("https://127.0.0.1:1", tls=TlsSettings("secret"))),
        SourceConfig(Endpoint("http://[secret", credentials=BearerToken("x"))),
    ],
    ids=["line-break", "not-latin", "header-name", "no-pem", "no-url"],
)
async def test_invalid_configuration_is_reported_without_secrets(metrics, config):
    metrics.set_sources({"faulty": config})
    answer = await one(metrics)
    assert answer.reason == "SourceDown"
    assert not re.search("sec.*ret", answer.message)


async def test_adapter_works_after_a_cancelled_call(broken, faulty):
    faulty.behave = lambda handler: handler.hang()
    call = asyncio.create_task(broken.instant("faulty", MANY, NOW))
    assert await asyncio.to_thread(faulty.asked.wait, 5)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    faulty.behave = type(faulty.requests[0]).ones
    assert_answered(await broken.instant("faulty", MANY, NOW))


async def test_source_removed_during_a_call(broken, faulty):
    faulty.behave = lambda handler: handler.hang() if len(faulty.requests) > 1 else handler.ones()
    call = asyncio.create_task(broken.instant("faulty", MANY, NOW))
    while len(faulty.requests) < 2:
        faulty.asked.clear()
        assert await asyncio.to_thread(faulty.asked.wait, 5)
    broken.set_sources({})
    assert {answer.reason for answer in (await call).values() if isinstance(answer, QueryFailure)} == {"SourceMissing"}


async def test_sources_do_not_wait_for_each_other(faulty):
    metrics = PrometheusMetrics(budget=5)
    metrics.set_sources(
        {"slow": SourceConfig(Endpoint(faulty.url + "/slow", timeout=2)), "faulty": SourceConfig(Endpoint(faulty.url))}
    )
    faulty.behave = lambda handler: handler.hang() if handler.path.startswith("/slow") else handler.ones()
    slow = asyncio.create_task(metrics.instant("slow", MANY, NOW))
    assert_answered(await metrics.instant("faulty", MANY, NOW))
    assert not slow.done()
    assert {isinstance(answer, QueryFailure) for answer in (await slow).values()} == {True}
    await metrics.close()
