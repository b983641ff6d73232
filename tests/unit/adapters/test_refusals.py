"""The error responses of each kind of source, line by line, from its code or (for AMP and GMP) its documentation.

Kind: the source's own way to say 'not well', 'not all', 'by the way'.
"""

import json

import pytest

from forestall.adapters.prometheus.errors import QueryTrouble, SourceTrouble
from forestall.adapters.prometheus.refusals import REFUSALS, REMARKS, WarningKind, note_of, refusal_of
from forestall.adapters.prometheus.responses import IS_PARTIAL, check_count, read_payload

JSON, TEXT, HTML = "application/json", "text/plain; charset=utf-8", "text/html"


def error(kind, words):
    """As Prometheus writes it."""
    return JSON, {"status": "error", "errorType": kind, "error": words}


def google(code, status, words):
    return JSON, {"error": {"code": code, "message": words, "status": status}}


SOURCE, QUERY, DOUBT = "source", "query", "query or source"
LIMIT = "the query exceeded the maximum number of series (limit: 3 series) (err-mimir-max-series-per-query)"
EXAMPLES = [
    ("Prometheus: wrong expression", 400, *error("bad_data", "invalid parameter"), DOUBT, "QueryRefused"),
    ("Prometheus: many-to-many", 422, *error("execution", "many-to-many matching not allowed"), DOUBT, "QueryRefused"),
    ("Prometheus: too slow", 503, *error("timeout", "query timed out in query queue"), QUERY, "SourceTimeout"),
    ("Prometheus: canceled", 499, *error("canceled", "query was canceled"), QUERY, "SourceTimeout"),
    ("Prometheus: storage", 500, *error("internal", "remote read: server returned 500"), DOUBT, "SourceBadAnswer"),
    ("Prometheus: starting", 503, TEXT, "Service Unavailable", SOURCE, "SourceDown"),
    ("Prometheus: wrong path", 404, TEXT, "404 page not found", SOURCE, "SourceBadAnswer"),
    ("Prometheus: no such thing", 404, *error("not_found", "x"), SOURCE, "SourceBadAnswer"),
    ("Prometheus: web.config.file", 401, TEXT, "Unauthorized", SOURCE, "SourceUnauthorized"),
    ("Thanos: wrong expression", 400, *error("bad_data", "1:1: parse error"), DOUBT, "QueryRefused"),
    ("Thanos: no store for it", 422, *error("execution", "No StoreAPIs matched for this query"), DOUBT, "QueryRefused"),
    ("Thanos: no store at all", 422, *error("execution", "No StoreAPIs available"), DOUBT, "QueryRefused"),
    ("Thanos: a store fails", 422, *error("execution", "fetch series: receive series from s"), DOUBT, "QueryRefused"),
    ("Thanos: too slow", 503, *error("timeout", "query timed out"), QUERY, "SourceTimeout"),
    ("Thanos: inside", 500, *error("internal", "x"), DOUBT, "SourceBadAnswer"),
    ("Mimir: no tenant", 401, TEXT, "no org id", SOURCE, "SourceUnauthorized"),
    ("Mimir: limit", 422, *error("execution", LIMIT), DOUBT, "QueryRefused"),
    ("Mimir: limit of the frontend", 422, TEXT, "the query exceeded", DOUBT, "QueryRefused"),
    ("Mimir: too many requests", 429, TEXT, "too many outstanding requests", SOURCE, "SourceDown"),
    ("Mimir: rate", 429, *error("too_many_requests", "rate limit"), SOURCE, "SourceDown"),
    ("Mimir: older, rate", 500, *error("too_many_requests", "rate limit"), SOURCE, "SourceDown"),
    ("Mimir: ingesters too busy", 503, *error("timeout", "the ingester is too busy"), QUERY, "SourceTimeout"),
    ("Mimir: not running", 500, *error("internal", "frontend not running"), DOUBT, "SourceBadAnswer"),
    ("Mimir: not available", 500, *error("unavailable", "frontend not ready"), SOURCE, "SourceDown"),
    ("Mimir: body too large", 413, TEXT, "http: request body too large", QUERY, "QueryRefused"),
    ("Mimir: deadline", 504, TEXT, "context deadline exceeded", QUERY, "SourceTimeout"),
    ("Cortex: no tenant", 401, TEXT, "no org id", SOURCE, "SourceUnauthorized"),
    ("Cortex: limit", 422, *error("execution", "the query hit the max number of chunks"), DOUBT, "QueryRefused"),
    ("Cortex: denied", 422, *error("bad_data", "access denied"), DOUBT, "QueryRefused"),
    ("Cortex: too many", 429, *error("server_error", "too many outstanding requests"), SOURCE, "SourceDown"),
    ("Cortex: inside", 500, *error("server_error", "x"), DOUBT, "SourceBadAnswer"),
    ("Cortex: body too large", 413, *error("bad_data", "http: request body too large"), QUERY, "QueryRefused"),
    ("Cortex: deadline", 504, *error("timeout", "context deadline exceeded"), QUERY, "SourceTimeout"),
    ("VictoriaMetrics: wrong parameter", 400, *error("400", "missing `query` arg"), DOUBT, "QueryRefused"),
    ("VictoriaMetrics: wrong expression", 422, *error("422", "cannot parse query"), DOUBT, "QueryRefused"),
    ("VictoriaMetrics, a number", 422, *error(422, "cannot fetch data from vmstorage"), DOUBT, "QueryRefused"),
    ("VictoriaMetrics: concurrency", 429, *error("429", "couldn't start executing"), SOURCE, "SourceDown"),
    ("VictoriaMetrics cluster: node down", 503, *error("503", "cannot fetch from vmstorage"), SOURCE, "SourceDown"),
    ("VictoriaMetrics cluster, a number", 503, *error(503, "cannot fetch from vmstorage"), SOURCE, "SourceDown"),
    ("VictoriaMetrics: inside", 500, *error("500", "x"), DOUBT, "SourceBadAnswer"),
    ("vmauth: all backends down", 502, TEXT, "all the backends are unavailable", SOURCE, "SourceDown"),
    ("vmauth: concurrency", 429, TEXT, "cannot serve more than", SOURCE, "SourceDown"),
    ("AMP: signature", 403, JSON, {"message": "Missing Authentication Token"}, SOURCE, "SourceUnauthorized"),
    ("AMP: too many", 429, JSON, {"message": "Too Many Requests"}, SOURCE, "SourceDown"),
    ("AMP: throttled", 400, JSON, {"__type": "com.amazon#ThrottlingException", "message": "x"}, SOURCE, "SourceDown"),
    ("AMP: limit", 422, *error("execution", "the query hit the max number of series"), DOUBT, "QueryRefused"),
    ("AMP: no such workspace", 404, JSON, {"message": "Workspace not found"}, SOURCE, "SourceBadAnswer"),
    ("GMP: wrong expression", 400, *error("bad_data", "invalid parameter"), DOUBT, "QueryRefused"),
    ("GMP: wrong request", 400, *google(400, "INVALID_ARGUMENT", "x"), DOUBT, "QueryRefused"),
    ("GMP: no login", 401, *google(401, "UNAUTHENTICATED", "x"), SOURCE, "SourceUnauthorized"),
    ("GMP: denied", 403, *google(403, "PERMISSION_DENIED", "x"), SOURCE, "SourceUnauthorized"),
    ("GMP: denied, by a proxy", 500, *google(403, "PERMISSION_DENIED", "x"), SOURCE, "SourceUnauthorized"),
    ("GMP: quota", 429, *google(429, "RESOURCE_EXHAUSTED", "Quota exceeded"), SOURCE, "SourceDown"),
    ("GMP: quota, by a proxy", 500, *google(429, "RESOURCE_EXHAUSTED", "Quota exceeded"), SOURCE, "SourceDown"),
    ("GMP: not available", 503, *google(503, "UNAVAILABLE", "x"), SOURCE, "SourceDown"),
    ("GMP: not available, by a proxy", 500, *google(503, "UNAVAILABLE", "x"), SOURCE, "SourceDown"),
    ("GMP: too slow", 504, *google(504, "DEADLINE_EXCEEDED", "x"), QUERY, "SourceTimeout"),
    ("GMP: inside", 500, *google(500, "INTERNAL", "x"), DOUBT, "SourceBadAnswer"),
    ("a proxy: too long", 414, HTML, "<html>", QUERY, "QueryRefused"),
    ("a proxy: bad request", 400, HTML, "<html>", DOUBT, "QueryRefused"),
    ("a proxy: nobody behind it", 502, HTML, "<html>", SOURCE, "SourceDown"),
    ("a proxy: nobody behind it", 503, HTML, "<html>", SOURCE, "SourceDown"),
    ("a proxy: lost patience", 504, HTML, "<html>", QUERY, "SourceTimeout"),
    ("a proxy: slow request", 408, HTML, "<html>", SOURCE, "SourceDown"),
    ("a proxy: login", 403, HTML, "<html>", SOURCE, "SourceUnauthorized"),
    ("a proxy: not allowed", 405, HTML, "<html>", SOURCE, "SourceBadAnswer"),
    ("unknown type", 422, *error(["x"], {"a": 1}), DOUBT, "QueryRefused"),
    ("unknown type", 500, *error(None, None), DOUBT, "SourceBadAnswer"),
    ("unknown", 599, *error("x", "y"), DOUBT, "SourceBadAnswer"),
    ("unknown", 418, *error("x", "y"), DOUBT, "QueryRefused"),
    ("error with 200", 200, *error("execution", "y"), DOUBT, "QueryRefused"),
]


def refused(status, content_type, body):
    text = body if isinstance(body, str) else json.dumps(body)
    with pytest.raises((SourceTrouble, QueryTrouble)) as caught:
        read_payload(status, content_type, "", text.encode())
    return caught.value


@pytest.mark.parametrize(
    ("status", "content_type", "body", "about", "reason"),
    [example[1:] for example in EXAMPLES],
    ids=[f"{example[0]}: {example[1]}" for example in EXAMPLES],
)
def test_scope_of_a_refusal(status, content_type, body, about, reason):
    trouble = refused(status, content_type, body)
    assert trouble.reason == reason
    assert isinstance(trouble, SourceTrouble) == (about == SOURCE)
    # A rejected expression of one tenant must not be taken for the source, nor the source's trouble for 400 queries'.
    assert trouble.ambiguous == (about == DOUBT) or status in (413, 414) or reason == "SourceTimeout"
    assert trouble.reason != "QueryRefused" or trouble.ambiguous


def test_every_row_of_refusals_has_an_example():
    met = set()
    for _, status, content_type, body, *_ in EXAMPLES:
        kind, words = "", body if content_type == TEXT else ""
        if isinstance(body, dict) and body.get("status") == "error":
            kind = str(body["errorType"]) if isinstance(body["errorType"], str | int) else "none"
        elif isinstance(body, dict):
            kind = body["error"]["status"] if "error" in body else body.get("__type", "").rpartition("#")[2]
        met.add(refusal_of(status, kind, words))
    assert [row for row in REFUSALS if row not in met] == []


def test_message_says_what_to_do():
    assert "X-Scope-OrgID" in str(refused(401, TEXT, "no org id"))
    assert "too many outstanding requests" in str(refused(429, TEXT, "too many outstanding requests"))
    assert "Missing Authentication Token" in str(refused(403, JSON, {"message": "Missing Authentication Token"}))


@pytest.mark.parametrize("words", ["no org id", "no StoreAPIs available", "ThrottlingException", "vmstorage"])
@pytest.mark.parametrize(("status", "kind"), [(400, "bad_data"), (422, "execution"), (422, "422")])
def test_text_of_a_tenant_never_marks_the_source_as_down(status, kind, words):
    assert isinstance(refused(status, *error(kind, f'many-to-many: {{a="{words}"}}')), QueryTrouble)


NOTES = [
    (
        'PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "x" (1:6)',
        WarningKind.HINT,
    ),
    ("PromQL info: input to histogram_quantile needed to be fixed for monotonicity", WarningKind.HINT),
    ("7 more info annotations omitted", WarningKind.HINT),
    ("PromQL warning: quantile value should be between 0 and 1, got 7 (1:10)", WarningKind.ABOUT_ONE),
    ("3 more warning annotations omitted", WarningKind.ABOUT_ONE),
    ("3 more annotations omitted", WarningKind.ABOUT_ONE),
    ("results truncated due to limit", WarningKind.PARTIAL),
    ("No StoreAPIs matched for this query", WarningKind.PARTIAL),
    ("receive series from Addr: 10.0.0.1:10901: rpc error: code = Unavailable", WarningKind.PARTIAL),
    ("query processed partial data", WarningKind.PARTIAL),
    ("remote_read: remote server returned 503", WarningKind.PARTIAL),
    ("anything else", WarningKind.PARTIAL),
]


@pytest.mark.parametrize(("text", "note"), NOTES, ids=[each[0][:30] for each in NOTES])
def test_meaning_of_a_warning(text, note):
    assert note_of(text) is note


def test_every_row_of_warnings_has_an_example():
    for row in REMARKS:
        assert any(text.startswith(row.start) and text.endswith(row.end) for text, _ in NOTES)


def answered(**more):
    document = {"status": "success", "data": {"resultType": "vector", "result": []}, **more}
    return read_payload(200, JSON, "", json.dumps(document).encode())


@pytest.mark.parametrize(
    ("more", "warnings"),
    [
        ({}, ()),
        ({"warnings": None}, ()),
        ({"warnings": []}, ()),
        ({"warnings": ["PromQL info: x"]}, ()),
        ({"infos": ["PromQL info: x"]}, ()),
        ({"infos": 7}, ()),
        ({"warnings": ["PromQL info: x", "store down"]}, ("store down",)),
        ({"warnings": "store down"}, ("store down",)),
        ({"warnings": {"a": 1}}, ("{'a': 1}",)),
        ({"warnings": [7, None]}, ("7", "None")),
        ({"isPartial": False}, ()),
        ({"isPartial": None}, ()),
        ({"isPartial": True}, (IS_PARTIAL,)),
        ({"isPartial": "true"}, (IS_PARTIAL,)),
        ({"isPartial": True, "warnings": ["x"]}, (IS_PARTIAL, "x")),
    ],
)
def test_partial_answer_has_a_warning(more, warnings):
    assert answered(**more).warnings == warnings


def test_many_or_long_warnings_are_cut():
    told = answered(warnings=[f"{n} " + "x" * 10_000 for n in range(5000)]).warnings
    assert len(told) == 11
    assert sum(map(len, told)) < 6000


def of(kind, result):
    return {"status": "success", "data": {"resultType": kind, "result": result}}


@pytest.mark.parametrize(
    "document",
    [
        *({}, {"status": "success"}, {"status": "success", "data": 5}, {"status": ["success"], "data": {"result": []}}),
        *(of("scalar", []), of("string", []), of(5, []), of(None, []), of([], [])),
        *(of("vector", None), of("vector", {}), of("vector", "x"), of("vector", 5)),
    ],
)
def test_invalid_response_is_a_bad_answer(document):
    with pytest.raises(SourceTrouble) as caught:
        read_payload(200, JSON, "", json.dumps(document).encode())
    assert caught.value.reason == "SourceBadAnswer"


def test_far_more_series_than_requested_are_refused_before_parsing():
    """Kind: no share per namespace. Sources that ignore `limit` return half a million series in 32 MiB."""
    some = b'{"metric":{"metric":"x"},"value":[1,"1"]}'
    check_count(b",".join([some] * 500), 500)  # a label has that name
    with pytest.raises(QueryTrouble, match="more than 500 series") as caught:
        check_count(b",".join([some] * 1001), 500)
    assert caught.value.reason == "TooManySeries"
