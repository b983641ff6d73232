"""From an objective and its source to what is asked, with what shows that an answer can be believed."""

import math

import pytest

from forestall.api import MetricSource, ServiceLevelObjective
from forestall.api.metric_source import NamespaceShare
from forestall.core.risk import SLI
from forestall.core.slo import burn_windows, fast_burn_limit
from forestall.engine.chunked_window import ChunkedWindow
from forestall.engine.indicator_queries import LONG, TRAFFIC, WHOLE, plan_queries, traffic_query
from forestall.errors import InvalidQuery

RAW = {"raw": {"errorRatio": "sum(rate(errors[$window]))"}}
RATIO = {"ratio": {"bad": 'requests_total{code="500"}', "total": "requests_total"}}
TWO_COUNTERS = {"ratio": {"good": "served_total", "total": "requests_total"}}
LATENCY = {"latency": {"histogram": "wait_seconds", "threshold": "250ms"}}
THRESHOLD = {"threshold": {"query": "queue", "operator": "lt", "value": 5}}
LOAD = {"name": "load", "query": "sum(load)", "limit": 100, "horizon": "5m"}


def objective(indicator, *leading, **spec):
    return ServiceLevelObjective.read({
        "metadata": {"name": "checkout", "namespace": "shop", "uid": "o-1"},
        "spec": {
            "source": "main",
            "target": {"name": "checkout"},
            "indicator": indicator,
            "objective": 99.0,
            "leadingIndicators": list(leading),
            **spec,
        },
    })  # fmt: skip


def source(**spec):
    return MetricSource.read({"metadata": {"name": "main", "uid": "s"}, "spec": {"url": "http://x", **spec}})


def plan(indicator, *leading, interval=30.0, limits=None, **spec):
    return plan_queries(objective(indicator, *leading, **spec), source(**(limits or {})), interval)


def test_an_objective_is_asked_for_its_windows_and_its_leading_indicators():
    second = {
        **LOAD, "name": "free", "query": "min by (pod) (free)", "direction": "Below", "per": "pod",
        "trend": "Saturation", "horizon": "20m",
    }  # fmt: skip
    queries = plan(RAW, LOAD, second)
    sli, load, free = queries.watched
    windows = burn_windows(30 * 86_400.0, 120.0)
    assert (windows.short, windows.long) == (300.0, 3600.0)
    assert [sli.query.expr, queries.long.expr, queries.window_query.expr] == [
        "sum(rate(errors{}[5m]))",
        "sum(rate(errors{}[1h]))",
        "sum(rate(errors{}[30d]))",
    ]
    assert [q.key for q in (sli.query, queries.long, queries.window_query)] == [
        ("o-1", SLI),
        ("o-1", LONG),
        ("o-1", WHOLE),
    ]
    assert (sli.limit, sli.above, sli.per, sli.long_trend) == (fast_burn_limit(99.0), True, None, False)
    assert (load.limit, load.above, load.per, load.long_trend, load.horizon) == (100.0, True, None, False, 300.0)
    assert (free.above, free.per, free.long_trend, free.horizon) == (False, "pod", True, 1200.0)
    assert (load.query.expr, load.query.key, load.query.owner) == ("sum(load)", ("o-1", "load"), "shop")
    assert (queries.source, queries.namespace, queries.long_window) == ("main", "shop", 3600)
    assert load.key((("pod", "a"),)) == ("o-1", "load", (("pod", "a"),))


@pytest.mark.parametrize(
    ("leading", "horizon"), [((), 600.0), ((LOAD,), 300.0), ((LOAD, {**LOAD, "name": "b", "horizon": "1h"}), 3600.0)]
)
def test_horizon_of_the_sli_is_the_longest_of_the_leading_indicators(leading, horizon):
    assert plan(RAW, *leading).watched[0].horizon == horizon


@pytest.mark.parametrize(
    ("window", "interval", "short", "long", "seconds"),
    [
        ("30d", 30.0, "5m", "1h", 1800.0),
        ("1d", 30.0, "2m", "2m", 120.0),
        ("1d", 100.0, "400s", "400s", 400.0),
        ("7d", 30.0, "2m", "14m", 840.0),
        ("1h", 2.0, "8s", "8s", 8.0),
    ],
)
def test_a_window_is_never_shorter_than_four_intervals_nor_the_whole_asked_for_too_seldom(
    window, interval, short, long, seconds
):
    queries = plan(RAW, interval=interval, window=window)
    assert queries.watched[0].query.expr == f"sum(rate(errors{{}}[{short}]))"
    assert queries.long.expr == f"sum(rate(errors{{}}[{long}]))"
    assert queries.window_interval == seconds


def test_queries_have_the_limits_of_their_source():
    queries = plan(RAW, LOAD, limits={"maxSeries": 7, "perNamespace": {"series": 70}})
    assert {query.query.max_series for query in queries.watched} == {7}
    assert (queries.share, queries.long.max_series) == (NamespaceShare(series=70), 7)


def test_a_tenant_is_asked_about_its_own_series_alone():
    queries = plan(RATIO, LOAD, limits={"enforceLabel": "namespace"})
    sli, load = queries.watched
    assert load.query.expr == 'sum(load{namespace="shop"})'
    assert load.query.freshness.scope == 'namespace="shop"'
    texts = [
        sli.query.expr,
        sli.query.freshness.past_selector,
        *(part for pair in sli.query.freshness.label_pairs for part in pair),
    ]
    assert all(text == "" or 'namespace="shop"' in text for text in texts)
    others = plan(TWO_COUNTERS, limits={"enforceLabel": "namespace"}).watched[0].query.freshness
    assert (others.evidence, others.past_selector) == (
        'requests_total{namespace="shop"} and (rate(served_total{namespace="shop"}[5m]) or vector(0))',
        'served_total{namespace="shop"}',
    )
    assert plan(RATIO, LOAD).watched[1].query.freshness.scope == ""
    assert plan(RATIO, LOAD).watched[1].query.expr == "sum(load)"


@pytest.mark.parametrize(
    ("stale", "interval", "seconds"), [("2m", 30.0, 120.0), ("10s", 30.0, 60.0), ("61s", 30.0, 61.0)]
)
def test_data_may_be_as_old_as_the_source_says_and_at_least_two_intervals(stale, interval, seconds):
    queries = plan(RAW, LOAD, interval=interval, limits={"staleAfter": stale}, window="7d")
    assert [query.query.freshness.stale_after for query in queries.watched] == [seconds, seconds]
    assert queries.watched[0].query.freshness.window == 7 * 86_400.0


def test_only_a_leading_indicator_leaves_out_single_series_that_are_stale():
    sli, load = plan(RAW, LOAD).watched
    assert (sli.query.freshness.each_series, load.query.freshness.each_series) == (False, True)
    assert (load.query.freshness.evidence, load.query.freshness.past_selector, load.query.freshness.label_pairs) == (
        "",
        "",
        (),
    )


def test_evidence_of_a_ratio_is_its_counters_and_labels_are_not_compared_over_the_whole_window():
    queries = plan(RATIO)
    sli = queries.watched[0].query
    assert (sli.freshness.evidence, sli.freshness.past_selector) == ("requests_total{}", "")
    assert plan(TWO_COUNTERS).watched[0].query.freshness.past_selector == "served_total{}"
    assert sli.freshness.label_pairs == (('requests_total{code=""}', 'requests_total{code!=""}'),)
    assert queries.long.freshness.label_pairs == sli.freshness.label_pairs
    assert queries.window_query.freshness.label_pairs == ()
    assert "[5m]" in sli.expr
    assert len(queries.window_query.expr) < len(queries.long.expr)


@pytest.mark.parametrize(
    ("latency", "text"),
    [
        ({}, r'wait_seconds_bucket{le=~"0\\.25|'),
        ({"unit": "Milliseconds"}, r'wait_seconds_bucket{le=~"250|'),
        ({"type": "Native"}, "histogram_fraction(-Inf, 0.25, "),
        ({"type": "Native", "unit": "Milliseconds"}, "histogram_fraction(-Inf, 250, "),
    ],
)
def test_a_threshold_of_a_histogram_is_in_the_unit_of_its_observations(latency, text):
    assert text in plan({"latency": {**LATENCY["latency"], **latency}}).watched[0].query.expr


def test_the_window_of_a_threshold_is_put_together_from_pieces():
    queries = plan(THRESHOLD, limits={"enforceLabel": "namespace"})
    pieces = queries.window_query
    assert isinstance(pieces, ChunkedWindow)
    assert (pieces.objective, pieces.owner, pieces.window, pieces.interval) == ("o-1", "shop", 30 * 86_400.0, 30.0)
    assert pieces.longest == queries.window_interval
    assert 'queue{namespace="shop"}' in pieces.bad
    assert [(query.key, query.max_series, query.owner) for query in pieces.samples] == [
        (("o-1", "sli:window:samples:0"), 1, "shop")
    ]
    assert 'queue{namespace="shop"}' in pieces.samples[0].expr
    assert "[5m:30s]" in queries.watched[0].query.expr


@pytest.mark.parametrize(
    ("indicator", "texts"),
    [
        (RATIO, ["requests_total", "[10m]"]),
        (LATENCY, ["wait_seconds_count", "[10m]"]),
        ({"latency": {**LATENCY["latency"], "type": "Native"}}, ["histogram_count", "[10m]"]),
    ],
)
def test_traffic_is_what_an_indicator_counts(indicator, texts):
    query = traffic_query(objective(indicator), source(), 599.5)
    assert query is not None
    assert (query.key, query.max_series, query.owner) == (("o-1", TRAFFIC), 1, "shop")
    assert all(text in query.expr for text in texts)
    assert "namespace" not in query.expr
    enforced = traffic_query(objective(indicator), source(enforceLabel="namespace"), 600.0)
    assert enforced is not None
    assert 'namespace="shop"' in enforced.expr


@pytest.mark.parametrize("indicator", [RAW, THRESHOLD])
def test_an_indicator_that_counts_nothing_has_no_traffic(indicator):
    assert traffic_query(objective(indicator), source(), 600.0) is None


def test_a_query_that_is_wrong_names_its_field():
    with pytest.raises(InvalidQuery, match=r"leadingIndicators\[0\]\.query"):
        plan(RAW, {**LOAD, "query": "sum(load"})


def test_windows_are_whole_seconds():
    queries = plan(RAW, interval=2.6, window="1h")
    assert queries.long.expr == f"sum(rate(errors{{}}[{math.ceil(4 * 2.6)}s]))"
    assert queries.long_window == math.ceil(4 * 2.6)
