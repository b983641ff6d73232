"""PromQL as the real Prometheus understands it.

Rendered queries mean the same as parsed ones, no tenant sees another's series, and indicators have the values of their
definitions.
"""

import math
import re
import time

import numpy as np
import pytest
import requests

from forestall.core import promql
from forestall.core.promql.syntax import parse, render
from forestall.devcluster.remote_write import HistogramSeries, NativeHistogram, Series
from forestall.ports import Query, QueryFailure

STEP = 15.0
TIMES = 241

QUERIES = [
    "up # the end",
    'up{a=\'b\',c=`d\\n"`,e="f\\"\\\\\\n\\x41\\u00e9"}',
    '{"a.b","x y"="z"}',
    '{__name__=~".+",a!~"b|c",d!=""}',
    "x[5m:] @ end() offset -1h",
    "rate(x[1s500ms] offset 90m)",
    "rate(x[5m] @ 10.5 offset 1d)",
    "x @ start() - x offset -5m",
    "-x ^ 2 ^ y % 3 - -1 * -Inf",
    "-2 ^ 2 + vector(-1 ^ 2) * 1e-3",
    "a or b and c unless d or e",
    "a + on() group_left(b) c * ignoring(d) group_right() e",
    "a >= bool on(b) c != d",
    "a atan2 b / (c - d)",
    'sum by ("a.b", c) (x) / sum(x) without ()',
    "topk by (a) (scalar(y) + 1, x)",
    'count_values("v\\"", x)',
    "quantile(0.9, max_over_time(rate(x[5m])[1h:30s] @ 1000 offset 1w))",
    'label_replace(x, "a", "$1-b", "c", "(.*)\\\\d")',
    'label_join(x, "a", ", ", "b", "c")',
    "histogram_quantile(0.9, sum by (le) (rate(x_bucket[5m])))",
    "histogram_fraction(-Inf, 0.5, x)",
    'absent(x{a="b"}) or absent_over_time(x[1d])',
    "sum{} + by + start",
    "time() - 0x1F + NaN",
    "predict_linear(x[1h], 4 * 3600)",
    "x{a=~`\\d+`,b=~'[\\\\w-]{1,253}',c!~\"\\\\Q42\\\\E\",d=~'[a[b]|\\\\07'}",
    r'x{a="caf\xc3\xa9",b="\303\251\a\v",c="\u00e9\U0001F600",d=`\xc3"`}',
    "x{a='#',b=`#\n}`, # }\n} # '",
    "x offset 0s + rate(x[5m] offset -0h) or offset offset 5m - offset",
    "x + 010 + 08 + 1_000 + 0x_1F - .5e-1_0 + 1h30m",
    "x[010:1_0] @ 1_000 offset 0x10",
    '{"http.server.request.duration", "k8s.pod"="a", b="0", "1"="2"}',
    'sum by ("k8s.pod", "0") (x{a="1"}) + on("2") group_left("0") y{b="3"}',
    'label_replace(x{b="4"}, "3", "2", "1", "0")',
    'count({__name__!=""}) + {a!~".*"} + {"b" != # c\n ""} != 3',
]
REGEXES = [
    *("", "(", "a)", "(?P<n>a", "[a", "[]", "[^]", "a\\", "*", "a|*", "(+)", "(?i)?", "(?=a)", "(?<!a)", "(?>a)"),
    *("\\1", "\\8", "a{1001}", "a{2,99999}", "a{1000}", "a{,5}", "{", "{2", "a|b|", "(|a)", "[]a]", "[^]]"),
    *("[[:alpha:]]", "[a[b]", "[(]", r"\Q(\E", r"\Q[(", r"\)", r"[\]]", r"\07", r"\123", r"\pL", r"\p{Greek}"),
    *(r"\x{10FFFF}", "(?i)a", "(?i:a)", "(?P<n>a)", "(?<n>a)", "^*", "a??", "[[:alpha]", "[[:]", r"[\Q]", r"(?i-s)a"),
]


def read(prometheus, text):
    """Return Prometheus's own syntax tree of `text`, with matchers in a fixed order."""
    answer = requests.get(f"{prometheus.url}/api/v1/parse_query", params={"query": text}, timeout=10).json()
    assert answer["status"] == "success", (text, answer)
    return sort(answer["data"])


def sort(tree):
    """Sort the matchers of each selector."""
    if isinstance(tree, list):
        return [sort(each) for each in tree]
    if isinstance(tree, dict):
        tree = {name: sort(each) for name, each in tree.items()}
        if "matchers" in tree:
            tree["matchers"].sort(key=repr)
        return tree
    return tree


def selectors(tree):
    """Yield the selectors of a syntax tree."""
    if isinstance(tree, dict):
        if "matchers" in tree:
            yield tree
        tree = list(tree.values())
    if isinstance(tree, list):
        for each in tree:
            yield from selectors(each)


@pytest.mark.parametrize("text", QUERIES, ids=range(len(QUERIES)))
def test_rendered_query_has_the_syntax_tree_of_the_parsed_one(prometheus, text):
    assert read(prometheus, render(parse(text))) == read(prometheus, text)


@pytest.mark.parametrize("text", QUERIES, ids=range(len(QUERIES)))
def test_prometheus_sees_the_enforced_label_on_each_selector(prometheus, text):
    value = 'm"i\\ne\n}'
    before = list(selectors(read(prometheus, text)))
    after = list(selectors(read(prometheus, promql.enforce_label(text, "namespace", value))))
    assert len(before) == len(after)
    assert all({"name": "namespace", "type": "=", "value": value} in each["matchers"] for each in after)


@pytest.mark.parametrize("pattern", REGEXES)
def test_every_regular_expression_of_prometheus_is_accepted(prometheus, pattern):
    """The kind: valid PromQL is refused, because a library has other rules."""
    text = f"x{{a=~{promql.quote(pattern)}}}"
    answer = requests.get(f"{prometheus.url}/api/v1/parse_query", params={"query": text}, timeout=10).json()
    if answer["status"] == "success":
        assert sort(answer["data"]) == read(prometheus, render(parse(text)))


@pytest.fixture(scope="module")
def now(prometheus):
    """The newest time of an hour of series of two tenants, and of counters and histograms with known ratios."""
    now = round(time.time() - 10, 3)
    times = now - STEP * np.arange(TIMES - 1, -1, -1)
    steps = np.arange(TIMES, dtype=float)

    def series(name, values, **labels):
        return Series({"__name__": name, **labels}, times, np.broadcast_to(values, times.shape))

    def native(name, low, high):
        """Return so many observations a step in the buckets up to 1 and up to 2."""
        counts = [(int(low * n), int(high * n)) for n in range(TIMES)]
        return HistogramSeries(
            {"__name__": name, "app": "a"},
            [NativeHistogram(t, 0, each, 1.5 * sum(each), 0) for t, each in zip(times, counts, strict=True)],
        )

    prometheus.write(
        [
            series("secret", 42.0, namespace="theirs", pod="p"),
            series("secret", 1.0, namespace="mine", pod="p"),
            series("secret", 43.0, pod="nobody's"),
            *(series("requests_total", steps * 30, app="a", code="200", instance=str(i)) for i in range(2)),
            *(series("requests_total", steps * 10, app="a", code="500", instance=str(i)) for i in range(2)),
            series("requests_total", steps * 5, app="flawless", code="200"),
            series("requests_total", steps * 5, app="dead", code="500"),
            series("requests_total", 7.0, app="idle", code="200"),
            *(series("latency_bucket", steps * n, app="a", le=le) for n, le in ((6, "0.25"), (8, "1.0"), (10, "+Inf"))),
            series("latency_count", steps * 10, app="a"),
            *(series("old_bucket", steps * n, app="a", le=le) for n, le in ((6, "0.250"), (8, "1"), (10, "+Inf"))),
            series("old_count", steps * 10, app="a"),
            *(
                series("http.server.duration_bucket", steps * n, app="a", le=le)
                for n, le in ((6, "0.25"), (10, "+Inf"))
            ),
            series("http.server.duration_count", steps * 10, app="a"),
            *(series("big_bucket", steps * n, app="a", le=le) for n, le in ((6, "1e+06"), (10, "+Inf"))),
            series("big_count", steps * 10, app="a"),
            *(series("idle_bucket", 3.0, app="a", le=le) for le in ("1.0", "+Inf")),
            series("idle_count", 3.0, app="a"),
            native("native_latency", 3, 1),
            native("native_idle", 0, 0),
            series("queue", np.where(steps % 4 == 3, 10.0, 1.0)),
            series("holes", np.where(steps % 4 == 3, math.nan, 1.0)),
            series("flat", 10.0),
        ]
    )
    return now


async def ask(real, now, *exprs):
    """Return the answers of some queries."""
    answers = await real.instant("real", [Query(n, expr) for n, expr in enumerate(exprs)], now)
    assert not [answer for answer in answers.values() if isinstance(answer, QueryFailure)]
    return [answers[n] for n in range(len(exprs))]


ATTACKS = [
    "secret",
    'secret{namespace="theirs"}',
    'secret{namespace=~".*"}',
    'secret{namespace!="mine"}',
    'secret{namespace=""}',
    '{__name__=~".+",namespace=~"theirs|mine"}',
    '{"secret","namespace"="theirs"}',
    "secret # {",
    'secret{pod="p"} or secret{namespace="theirs"}',
    "secret offset 1m or secret @ end()",
    'max_over_time(secret[10m:]) or sum_over_time((secret or secret{namespace!~"mine"})[5m:1m])',
    "sum by (namespace) (secret)",
    'label_replace(secret{namespace="theirs"}, "namespace", "mine", "", "")',
    'vector(scalar(secret{namespace="theirs"}))',
    "topk(scalar(count(secret)), secret)",
    'count_values("namespace", secret)',
    'secret{pod="\\"} or secret{namespace=\\"theirs"} or secret',
    'secret{pod=`"} or secret{namespace="theirs`} or secret',
    "secret{namespace='theirs'} == 42 or secret",
    'absent(secret{namespace="theirs"})',
    r"secret{pod=~`\\`} or secret{pod=~`p`}",
    'secret{pod="0"} or secret{pod=~"1"} or secret{"pod"="p","namespace"="theirs"}',
    r'secret{pod="\x22} or secret{namespace=\x22theirs"} or secret',
    r'secret{"name\x73pace"="theirs"} or {"secr\145t"}',
    "secret # `\n or secret # `",
    "secret{pod=`#`} or secret{pod!=`# } or x`} offset 0s",
]


async def test_series_of_all_tenants_are_read_without_an_enforced_label(real, now):
    (answer,) = await ask(real, now, "secret")
    assert {sample.value for sample in answer.samples} == {1.0, 42.0, 43.0}


@pytest.mark.parametrize("attack", ATTACKS, ids=range(len(ATTACKS)))
async def test_no_tenant_reads_series_of_another(real, now, attack):
    (answer,) = await ask(real, now, promql.enforce_label(attack, "namespace", "mine"))
    assert not re.search("4[23]|nobody", repr(answer.samples))


def counters(**which):
    return promql.error_ratio_of_counters(window="5m", **which)


def histogram(name, threshold, *, native=False):
    return promql.error_ratio_of_histogram(f'{name}{{app="a"}}', threshold, native=native, window="5m")


def dotted(selector):
    return promql.error_ratio_of_histogram(selector, 0.25, native=False, window="5m")


def threshold(query, operator, value, resolution="15s"):
    return promql.error_ratio_of_threshold(query, operator, value, window="30m", resolution=resolution)


@pytest.mark.parametrize(
    ("expr", "ratio"),
    [
        (counters(bad='requests_total{app="a",code=~"5.."}', total='requests_total{app="a"}'), 0.25),
        (counters(good='requests_total{app="a",code="200"}', total='requests_total{app="a"}'), 0.25),
        (counters(bad='requests_total{app="flawless",code=~"5.."}', total='requests_total{app="flawless"}'), 0),
        (counters(good='requests_total{app="flawless"}', total='requests_total{app="flawless"}'), 0),
        (counters(bad='requests_total{app="dead"}', total='requests_total{app="dead"}'), 1),
        (counters(bad='requests_total{app="a"}', total='requests_total{app="a",code="200"}'), 1),
        (histogram("latency", 0.25), 0.4),
        (histogram("latency", 1), 0.2),
        (histogram("old", 0.25), 0.4),
        (histogram("old", 1), 0.2),
        (histogram("big", 1e6), 0.4),
        (dotted('{"http.server.duration",app="a"}'), 0.4),
        (dotted('{__name__="http.server.duration",app="a"}'), 0.4),
        (histogram("native_latency", 1, native=True), 0.25),
        (threshold("queue", "lt", 5), 0.25),
        (threshold("queue", "lte", 10), 0),
        (threshold("queue", "lt", 10), 0.25),
        (threshold("queue", "gt", 5), 0.75),
        (threshold("queue", "gte", 10), 0.75),
        (threshold("scalar(queue) * 2", "lt", 5), 0.25),
        (threshold("holes", "lt", 5), 0),
        (threshold("holes", "gt", 5), 1),
        (threshold("1 / (flat - 10)", "lt", 5), 1),
        (promql.error_ratio_of_query("avg_over_time(flat[$window]) / 100", window="5m"), 0.1),
    ],
)
async def test_error_ratio_equals_its_definition(real, now, expr, ratio):
    (answer,) = await ask(real, now, expr)
    assert [sample.value for sample in answer.samples] == [pytest.approx(ratio, abs=2e-2)]
    assert answer.samples[0].labels == ()
    assert answer.newest == pytest.approx(now)


@pytest.mark.parametrize(
    "expr",
    [
        counters(bad='requests_total{app="idle",code=~"5.."}', total='requests_total{app="idle"}'),
        counters(good='requests_total{app="idle"}', total='requests_total{app="idle"}'),
        histogram("idle", 1),
        histogram("native_idle", 1, native=True),
    ],
)
async def test_no_ratio_without_traffic_although_the_data_is_fresh(real, now, expr):
    (answer,) = await ask(real, now, expr)
    assert answer.samples == ()
    assert answer.newest == pytest.approx(now)


@pytest.mark.parametrize(
    "expr",
    [
        counters(bad='requests_total{app="none"}', total='requests_total{app="none"}'),
        counters(good='requests_total{app="none"}', total='requests_total{app="a"}'),
        histogram("latency", 0.5),
        histogram("no_such", 1),
        threshold("no_such", "lt", 1),
    ],
)
async def test_no_ratio_without_data(real, now, expr):
    (answer,) = await ask(real, now, expr)
    assert (answer.samples, answer.newest) == ((), None)
