"""What `forestall validate` finds in the data of an objective, over a source of a few series in memory."""

import re

import pytest

from forestall.api import MetricSource, ServiceLevelObjective
from forestall.core.promql import NOT_COMPARABLE
from forestall.core.promql.syntax import metric_name, query_tree, selectors
from forestall.engine.objective_check import ObjectiveChecker
from forestall.errors import MetricsError
from forestall.ports import Answer, QueryFailure, RangeSeries, Sample

NOW = 1_000_000.0
SOURCE = MetricSource.read({"metadata": {"name": "main", "uid": "s"}, "spec": {"url": "http://x"}})
RATIO = {"ratio": {"bad": 'requests_total{code="500"}', "total": "requests_total"}}
LATENCY = {"histogram": "wait_seconds", "threshold": "250ms"}
BUSY = {"name": "busy", "query": "max by (pod) (busy_ratio)", "limit": 0.8, "per": "pod"}
ABSENT = Answer((), None)
"""Of a query whose series do not exist."""
INDICATOR = ("spec", "indicator", "ratio")
QUERY = ("spec", "leadingIndicators", 0, "query")
MATCHES = {
    "=": lambda value, wanted: value == wanted,
    "!=": lambda value, wanted: value != wanted,
    "=~": lambda value, wanted: re.fullmatch(wanted, value) is not None,
    "!~": lambda value, wanted: re.fullmatch(wanted, value) is None,
}


class Series:
    """Implements the `Metrics` port: what there is, and what the queries of the objective answer."""

    def __init__(self, *series, answers=None, past=(), failure=None):
        self.series, self.answers, self.past, self.failure = series, answers or {}, past, failure
        self.ranges, self.texts, self.limits, self.times = [], [], set(), set()

    async def instant(self, source, queries, at):
        self.times.add((source, at))
        return {query.key: self._answer(query, at) for query in queries}

    async def range(self, source, queries, start, end, step):
        self.ranges.append((source, start, end, step, [query.key for query in queries]))
        past = self.failure or tuple(RangeSeries((), tuple(map(float, range(len(v)))), tuple(v)) for v in self.past)
        return {query.key: past for query in queries}

    def _answer(self, query, at):
        if isinstance(query.key, tuple):
            return self.answers.get(query.key[1], Answer((Sample((("pod", "a"),), 0.5),), at))
        self.texts.append(query.expr)
        self.limits.add(query.max_series)
        if query.expr in self.answers:
            return self.answers[query.expr]
        (selector,) = selectors(query_tree(query.expr))
        found = [labels for labels in self.series if _selects(selector, labels)]
        if query.expr.startswith("count("):
            return Answer((Sample((), float(len(found))),) if found else (), at)
        label = "__name__" if "label_replace" in query.expr else re.findall(r"by \((\w+)\)", query.expr)[0]
        answered = "forestall_name" if label == "__name__" else label
        values = sorted({labels.get(label, "") for labels in found})
        return Answer(tuple(Sample(((answered, value),) if value else (), 1.0) for value in values), at)


def _selects(selector, labels):
    name = metric_name(selector)
    others = [matcher for matcher in selector.matchers.matchers if matcher.op != "=" or matcher.name != "__name__"]
    return (name is None or labels["__name__"] == name) and all(
        MATCHES[str(getattr(matcher.op, "value", matcher.op))](labels.get(matcher.name, ""), matcher.value)
        for matcher in others
    )


def named(name, **labels):
    return {"__name__": name, **labels}


def objective(indicator=RATIO, *leading, **spec):
    return ServiceLevelObjective.read({
        "metadata": {"name": "checkout", "namespace": "shop", "uid": "o-1", "generation": 1},
        "spec": {
            "source": "main",
            "target": {"name": "checkout"},
            "indicator": indicator,
            "objective": 99.0,
            "leadingIndicators": list(leading),
            **spec,
        },
    })  # fmt: skip


async def findings(metrics, slo):
    return [(f.level, f.path, f.message) for f in await ObjectiveChecker(metrics, NOW, 30.0).check(slo, SOURCE)]


async def message(metrics, slo):
    """Return the message of the only finding, an error."""
    ((level, _, text),) = await findings(metrics, slo)
    assert level == "error"
    return text


async def test_an_objective_that_suits_its_data_has_no_findings():
    metrics = Series(past=[(0.2, 0.7)])
    assert await findings(metrics, objective(RATIO, BUSY)) == []
    assert metrics.texts == []
    # The last day, every five minutes, of the leading indicator alone: an error ratio has no limit of its own.
    assert metrics.ranges == [("main", NOW - 86_400, NOW, 300.0, [("o-1", "busy")])]
    assert metrics.times == {("main", NOW)}


@pytest.mark.parametrize("reason", ["SourceDown", "SourceTimeout", "SourceUnauthorized"])
async def test_a_source_that_can_not_be_asked_is_no_finding(reason):
    metrics = Series(answers={"sli": QueryFailure(reason, "no route to host")})
    with pytest.raises(MetricsError, match="no route to host") as raised:
        await ObjectiveChecker(metrics, NOW, 30.0).check(objective(), SOURCE)
    assert raised.value.reason == reason


@pytest.mark.parametrize(
    ("answer", "finding"),
    [
        (
            QueryFailure("QueryRefused", "parse error"),
            ("error", QUERY, "parse error; sent was max by (pod) (busy_ratio)"),
        ),
        (
            Answer((Sample((("node", "n1"),), 0.5),), NOW),
            (
                "error",
                (*QUERY[:-1], "per"),
                "1 of 1 series has no label 'pod', which `per` names; there are the labels node",
            ),
        ),
        (
            Answer((Sample((("pod", "a"),), 0.5),), NOW - 120.5),
            (
                "error",
                QUERY,
                "the newest sample is older than the source's staleAfter; sent was max by (pod) (busy_ratio)",
            ),
        ),
        # What is there and says nothing now is no fault.
        (
            Answer((), NOW),
            ("warning", QUERY, "the query returns nothing; sent was max by (pod) (busy_ratio)"),
        ),
    ],
)
async def test_what_a_query_answers_is_told_at_its_field(answer, finding):
    metrics = Series(named("busy_ratio", pod="a"), answers={"busy": answer})
    assert await findings(metrics, objective(RATIO, BUSY)) == [finding]


async def test_data_is_stale_only_past_stale_after():
    answer = Answer((Sample((("pod", "a"),), 0.5),), NOW - 119.5)
    assert await findings(Series(answers={"busy": answer}), objective(RATIO, BUSY)) == []


async def test_events_that_can_not_be_told_apart_are_a_warning_where_their_series_exist():
    metrics = Series(named("requests_total", code="500"), answers={"sli": Answer((Sample((), NOT_COMPARABLE),), NOW)})
    ((level, at, text),) = await findings(metrics, objective())
    assert (level, at) == ("warning", INDICATOR)
    assert text.startswith("events that can't be told good or bad are mixed in")


@pytest.mark.parametrize(
    ("indicator", "path"),
    [
        (RATIO, INDICATOR),
        ({"latency": LATENCY}, ("spec", "indicator", "latency")),
        ({"threshold": {"query": "queue", "operator": "lt", "value": 5}}, ("spec", "indicator", "threshold")),
        ({"raw": {"errorRatio": "errors[$window]"}}, ("spec", "indicator", "raw")),
    ],
)
async def test_a_finding_of_the_sli_is_at_its_kind(indicator, path):
    metrics = Series(answers={"sli": QueryFailure("QueryRefused", "no")})
    if "raw" in indicator:
        indicator = {"raw": {"errorRatio": "sum(rate(errors[$window]))"}}
    ((level, at, _),) = await findings(metrics, objective(indicator))
    assert (level, at) == ("error", path)


async def test_a_finding_of_a_leading_indicator_has_its_number():
    first = {**BUSY, "name": "first"}
    metrics = Series(answers={"busy": QueryFailure("QueryRefused", "no")})
    ((_, at, _),) = await findings(metrics, objective(RATIO, first, BUSY))
    assert at == ("spec", "leadingIndicators", 1, "query")


# What of a selector finds nothing

PODS = [named("busy_ratio", pod="checkout-a", zone="eu"), named("busy_ratio", pod="checkout-b", zone="us")]
MANY = [named("busy_ratio", pod=f"web-{number:02}") for number in range(13)]


@pytest.mark.parametrize(
    ("series", "query", "text"),
    [
        pytest.param(
            PODS,
            'busy_ratio{pod="checkout-c"}',
            "no series of busy_ratio has pod='checkout-c'; there pod is checkout-a, checkout-b."
            " Did you mean checkout-b?",
            id="a value of a label that is none",
        ),
        pytest.param(
            PODS,
            'busy_ratio{pod="xyz"}',
            "no series of busy_ratio has pod='xyz'; there pod is checkout-a, checkout-b",
            id="a value that resembles none",
        ),
        pytest.param(
            PODS,
            'busy_ratio{node="n1"}',
            "the series of busy_ratio have no label node: leave the matcher out, or name another label",
            id="a label that the series lack",
        ),
        pytest.param(
            PODS,
            '{__name__=~"busy.*",node="n1"}',
            "the series of what it selects have no label node: leave the matcher out, or name another label",
            id="no name",
        ),
        pytest.param(
            PODS,
            'busy_ratio{zone="asia",pod="checkout-a"}',
            "no series of busy_ratio has zone='asia'; there zone is eu",
            id="only the values that the other matchers leave",
        ),
        pytest.param(
            PODS,
            'busy_ratio{pod="none",zone="asia"}',
            "no series of busy_ratio has pod='none'; there pod is checkout-a, checkout-b",
            id="two matchers that find nothing, the first of them",
        ),
        pytest.param(
            [named("busy_ratio", a="1"), named("busy_ratio", b="2"), named("busy_ratio", c="3")],
            'busy_ratio{a="1",b="2",c="3"}',
            'no series is found by busy_ratio{a="1",b="2",c="3"}: each of its matchers finds some, not all together',
            id="matchers that do not go together",
        ),
        pytest.param(
            [named("busy_ratio", a="1"), named("busy_ratio", b="2"), named("busy_ratio", c="3")],
            '{a="1",b="2",c="3"}',
            'no series is found by {a="1",b="2",c="3"}: each of its matchers finds some, not all together',
            id="matchers that do not go together, without a name",
        ),
        pytest.param(
            MANY,
            'busy_ratio{pod="none"}',
            "no series of busy_ratio has pod='none'; there pod is "
            + ", ".join(f"web-{number:02}" for number in range(12))
            + ", …",
            id="more values than are shown",
        ),
        pytest.param(
            MANY[:12],
            'busy_ratio{pod="none"}',
            "no series of busy_ratio has pod='none'; there pod is "
            + ", ".join(f"web-{number:02}" for number in range(12)),
            id="as many values as are shown",
        ),
    ],
)
async def test_what_of_a_selector_finds_nothing_is_named(series, query, text):
    metrics = Series(*series, answers={"busy": ABSENT})
    assert await message(metrics, objective(RATIO, {**BUSY, "query": f"max by (pod) ({query})"})) == text
    assert metrics.limits == {48}
    assert all("topk(48, " in asked for asked in metrics.texts if "topk" in asked)


async def test_each_selector_that_finds_nothing_is_named_once():
    query = 'sum(busy_ratio{pod="x"} + busy_ratio{pod="x"} offset 5m + busy_ratio{pod="checkout-a"} + idle{pod="x"})'
    metrics = Series(*PODS, answers={"busy": ABSENT})
    assert await findings(metrics, objective(RATIO, {**BUSY, "query": query, "per": None})) == [
        ("error", QUERY, "no series of busy_ratio has pod='x'; there pod is checkout-a, checkout-b"),
        ("error", QUERY, "there is no metric idle. Is it the right Prometheus?"),
    ]


async def test_a_question_about_the_data_that_fails_counts_as_no_series():
    failure = QueryFailure("QueryRefused", "too dear")
    metrics = Series(*PODS, answers={"busy": ABSENT, "topk(48, count by (pod) (busy_ratio{}))": failure})
    text = await message(metrics, objective(RATIO, {**BUSY, "query": 'max by (pod) (busy_ratio{pod="x"})'}))
    assert text == 'no series is found by busy_ratio{pod="x"}: each of its matchers finds some, not all together'


# A metric that does not exist

QUEUES = [named(name) for name in ("shop_queue_length", "shop_workers", "web_queue_len", "up")]


@pytest.mark.parametrize(
    ("series", "name", "hint"),
    [
        pytest.param(QUEUES, "shop_queue_lenght", " Did you mean shop_queue_length?", id="resembles one"),
        pytest.param(QUEUES, "acme:queue", " There are shop_queue_length, web_queue_len", id="shares a word with some"),
        pytest.param(
            QUEUES,
            "queue_of_very_many_workers_at_work",
            " There are shop_workers, shop_queue_length, web_queue_len",
            id="the longest of its words first",
        ),
        pytest.param(QUEUES, "len_upp", " Is it the right Prometheus?", id="words too short to say anything"),
        pytest.param(QUEUES, "shop", " There are shop_queue_length, shop_workers", id="a word of four letters"),
        pytest.param(
            [named(f"queue_{number:02}_of_something_else") for number in range(13)],
            "queue",
            " There are " + ", ".join(f"queue_{number:02}_of_something_else" for number in range(12)),
            id="no more than can be read",
        ),
        pytest.param([], "shop_queue", " Is it the right Prometheus?", id="nothing resembles it"),
    ],
)
async def test_a_metric_that_does_not_exist_is_told_with_those_that_do(series, name, hint):
    metrics = Series(*series, answers={"busy": ABSENT})
    text = await message(metrics, objective(RATIO, {**BUSY, "query": f'max by (pod) ({name}{{pod="a"}})'}))
    assert text == f"there is no metric {name}.{hint}"


@pytest.mark.parametrize(
    ("kind", "series", "text"),
    [
        pytest.param(
            "Classic",
            ["wait_seconds"],
            "there is no wait_seconds_bucket, but wait_seconds: is it a native histogram? Write type: Native",
            id="native, not classic",
        ),
        pytest.param(
            "Native",
            ["wait_seconds_bucket", "wait_seconds_count"],
            "there is no wait_seconds, but wait_seconds_bucket: it is a classic histogram; write type: Classic",
            id="classic, not native",
        ),
        pytest.param(
            "Classic",
            ["wait_milliseconds_bucket"],
            "there is no metric wait_seconds_bucket. Did you mean wait_milliseconds_bucket?",
            id="another name",
        ),
        pytest.param(
            "Native",
            ["wait_milliseconds"],
            "there is no metric wait_seconds. Did you mean wait_milliseconds?",
            id="another name of a native one",
        ),
    ],
)
async def test_a_histogram_of_the_other_type_is_told(kind, series, text):
    metrics = Series(*map(named, series), answers={"sli": ABSENT})
    found = await findings(metrics, objective({"latency": {**LATENCY, "type": kind}}))
    assert found[0] == ("error", ("spec", "indicator", "latency"), text)


# A threshold that is no bucket's bound


def buckets(*bounds):
    return [
        named(f"wait_seconds_{end}", **({"le": le} if end == "bucket" else {}))
        for le in bounds
        for end in ("bucket", "count")
    ]


TWELVE = " ".join(map(str, range(1, 13)))


@pytest.mark.parametrize(
    ("latency", "bounds", "shown", "advice"),
    [
        ({}, "0.1 0.3 1 +Inf", "0.1, 0.3, 1", "300ms"),
        ({}, "1 5 +Inf", "1, 5", "1s"),
        ({}, "0.1 x NaN", "0.1", "100ms"),
        ({"threshold": "90s"}, "60 120.5 600", "60, 120.5, 600", "1m"),
        ({"threshold": "110s"}, "60 120.5 600", "60, 120.5, 600", "120500ms"),
        ({}, TWELVE, TWELVE.replace(" ", ", "), "1s"),
        ({}, f"{TWELVE} 13", f"{TWELVE.replace(' ', ', ')}, …", "1s"),
        ({}, "2.5 5", "2.5, 5", "2500ms"),
        ({"unit": "Milliseconds"}, "100 300", "100, 300", "300ms"),
        ({"unit": "Milliseconds"}, "1 25", "1, 25", "25ms"),
        # In another unit
        ({}, "100 250 500", "100, 250, 500", "Milliseconds"),
        ({}, "0.01 250", "0.01, 250", "Milliseconds"),
        ({}, "2.6 5", "2.6, 5", "Milliseconds"),
        ({"unit": "Milliseconds"}, "0.25 400", "0.25, 400", "Seconds"),
        ({"unit": "Milliseconds"}, "1 24.9", "1, 24.9", "Seconds"),
    ],
)
async def test_a_threshold_that_is_no_bound_of_a_bucket_is_told_with_those_that_are(latency, bounds, shown, advice):
    metrics = Series(*buckets(*bounds.split()), answers={"sli": ABSENT})
    latency = {**LATENCY, **latency}
    wanted = {"250ms": "0.25", "90s": "90", "110s": "110"}[latency["threshold"]]
    wanted = "250" if latency.get("unit") == "Milliseconds" else wanted
    hint = f": {advice}? Then write unit: {advice}"
    hint = hint if "econds" in advice else f". Choose a bucket's bound, such as threshold: {advice}"
    assert await message(metrics, objective({"latency": latency})) == f"no bucket {wanted}; there are {shown}{hint}"


async def test_a_histogram_without_buckets_is_told():
    text = await message(Series(*buckets("+Inf"), answers={"sli": ABSENT}), objective({"latency": LATENCY}))
    assert text == "no bucket 0.25; there are none but that of all"


async def test_another_matcher_of_a_histogram_than_its_bucket_is_told_by_its_values():
    metrics = Series(*[{**labels, "app": "checkout"} for labels in buckets("0.25")], answers={"sli": ABSENT})
    found = await findings(metrics, objective({"latency": {**LATENCY, "histogram": 'wait_seconds{app="chekout"}'}}))
    assert [text for _, _, text in found] == [
        f"no series of wait_seconds_{suffix} has app='chekout'; there app is checkout. Did you mean checkout?"
        for suffix in ("bucket", "count")
    ]


async def test_a_bucket_of_a_query_that_is_no_histogram_of_the_objective_is_a_label_like_others():
    metrics = Series(*buckets("0.1", "0.3"), answers={"busy": ABSENT})
    text = await message(metrics, objective(RATIO, {**BUSY, "query": 'max by (pod) (wait_seconds_bucket{le="0.25"})'}))
    assert text.startswith("no series of wait_seconds_bucket has le='0.25'; there le is 0.1, 0.3")


# A limit in another unit


@pytest.mark.parametrize(
    ("past", "leading", "hint"),
    [
        pytest.param([(0.2, 0.7)], {"limit": 90}, "Write 0.9", id="a percentage for a share"),
        pytest.param([(0.1,), (0.3, 0.7)], {"limit": 90}, "0.1 to 0.7", id="over all series"),
        pytest.param([(20.0, float("nan"), 70.0)], {"limit": 0.9}, "20 to 70", id="without what is no number"),
        pytest.param([(60.0, 70.0)], {"limit": 0.9, "direction": "Below"}, "Write 90", id="a share for a percentage"),
        pytest.param([(0.2, 0.7)], {"limit": 0.8}, None, id="in one unit"),
        pytest.param([(float("nan"),)], {"limit": 90}, None, id="no numbers"),
        pytest.param([], {"limit": 90}, None, id="no past"),
    ],
)
async def test_a_limit_out_of_proportion_to_the_last_day_is_a_warning(past, leading, hint):
    found = await findings(Series(past=past), objective(RATIO, {**BUSY, **leading}))
    assert [(level, at) for level, at, _ in found] == [("warning", (*QUERY[:-1], "limit"))] * (hint is not None)
    assert all(hint in text for _, _, text in found)


async def test_a_past_that_can_not_be_asked_says_nothing_about_a_limit():
    metrics = Series(past=[(0.2, 0.7)], failure=QueryFailure("SourceTimeout", "late"))
    assert await findings(metrics, objective(RATIO, {**BUSY, "limit": 90})) == []
