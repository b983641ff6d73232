"""What an objective reads from a real Prometheus while series come and go.

The kinds: an absent series counts as zero only where its absence is certain; a ratio is of events that belong together,
or unknown.
"""

import re
import time
from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from forestall.api import MetricSource, ServiceLevelObjective
from forestall.core.promql.syntax import parse, selectors
from forestall.core.risk import SLI
from forestall.core.series import SeriesMatrix
from forestall.devcluster.remote_write import HistogramSeries, NativeHistogram, Series
from forestall.engine.indicator_queries import plan_queries
from forestall.engine.observe import Observer

STEP = 15.0
AGO = 600.0
"""How long ago (s) the rollout was: earlier samples are beyond the lookback and the short window of the burn rate."""
NUMBER = count()


@pytest.fixture(scope="module")
def now():
    """The time of all queries."""
    return round(time.time() - 10, 3)


class World:
    """Series of a namespace that no other test uses, and an objective's readings of them."""

    def __init__(self, prometheus, real, now):
        self.prometheus, self.real, self.now = prometheus, real, now
        self.source = "real"
        self.namespace = f"evidence-{next(NUMBER)}"

    def write(self, name, values, first=3600.0, last=0.0, every=STEP, **labels):
        """Write a gauge, or with (start, rate) a counter, scraped from `first` to `last` seconds ago."""
        times = np.arange(self.now - first, self.now - last + 1e-3, every)
        if isinstance(values, tuple):
            values = values[0] + values[1] * (times - times[0])
        labels = {"namespace": self.namespace, "job": "shop", **labels}
        self.prometheus.write([Series({"__name__": name, **labels}, times, np.broadcast_to(values, times.shape))])

    def counter(self, name, rate=10.0, start=0.0, **more):
        """Write a counter."""
        self.write(name, (start, rate), **more)

    async def read(self, indicator=None, *, stale_after="2m", **leading):
        """Return the reading of the SLI, or of a leading indicator."""
        some = [{"name": "load", "limit": 10, "horizon": "10m", **leading}] if leading else []
        spec = {
            "target": {"name": "shop"},
            "indicator": indicator or {"raw": {"errorRatio": "x"}},
            "objective": 99.0,
            "leadingIndicators": some,
        }
        metadata = {"name": "shop", "namespace": self.namespace, "uid": self.namespace, "generation": 1}
        slo = ServiceLevelObjective.read({"metadata": metadata, "spec": spec})
        terms = {"url": self.prometheus.url, "enforceLabel": "namespace", "staleAfter": stale_after}
        source = MetricSource.read({"metadata": {"name": "real", "uid": "s"}, "spec": terms})
        asked = {"slo": replace(plan_queries(slo, source, 30.0), source=self.source)}
        observer = Observer(self.real, SeriesMatrix(30.0, 20))
        readings, _ = await observer.observe(asked, lambda _: max(source.spec.stale_after.seconds, 60.0), self.now)
        wanted = "load" if leading else SLI
        return next(reading for reading in readings["slo"] if reading.watched.indicator == wanted)

    async def value(self, *args, **more):
        """Return the only value that is read, or the reason why there is none."""
        reading = await self.read(*args, **more)
        if not reading.fresh:
            assert reading.problem is not None
            return reading.problem.reason
        (value,) = reading.values.values()
        return pytest.approx(value, abs=0.02)


@pytest.fixture
def world(prometheus, real, now):
    return World(prometheus, real, now)


def good(selector='requests_total{code="200"}', total="requests_total"):
    return {"ratio": {"good": selector, "total": total}}


def bad(selector='requests_total{code="500"}', total="requests_total"):
    return {"ratio": {"bad": selector, "total": total}}


GOOD = [good(), good('requests_total{code!~"5.."}'), good('requests_total{code=~"2..|3.."}')]


def rollout(world, before="200", after="500", name="requests_total"):
    """Replace the pod that counts one code by one that counts another."""
    world.counter(name, code=before, pod="old", last=AGO)
    world.counter(name, code=after, pod="new", first=AGO)


@pytest.mark.parametrize("indicator", GOOD, ids=range(len(GOOD)))
async def test_good_counter_is_zero_after_a_rollout_in_which_all_requests_fail(world, indicator):
    rollout(world)
    assert await world.value(indicator) == 1.0


async def test_bad_counter_is_zero_after_a_rollout_that_fixes_all_errors(world):
    rollout(world, "500", "200")
    assert await world.value(bad()) == 0.0
    assert await world.value(good()) == 0.0


async def test_bad_counter_may_never_have_existed(world):
    world.counter("requests_total", code="200")
    assert await world.value(bad()) == 0.0
    assert await world.value(bad("errors_total")) == 0.0


@pytest.mark.parametrize("selector", ['requests_total{code="2OO"}', "request_total"])
async def test_good_counter_that_never_existed_is_an_error(world, selector):
    rollout(world)
    reading = await world.read(good(selector))
    assert (reading.fresh, reading.problem.reason) == (False, "NoData")
    assert selector.partition("{")[0] in reading.problem.message


@pytest.mark.parametrize("make", [good, bad])
async def test_part_that_is_not_scraped_is_not_zero(world, make):
    """Its job is not that of the total, and is down or removed: the series disappear, and the reason is unknown."""
    world.counter("all_total", job="gateway")
    world.counter("part_total", job="app", last=AGO)
    assert await world.value(make("part_total", "all_total")) == "NoData"
    world.write("up", 0.0, job="app", instance="a")
    world.write("up", 1.0, job="gateway", instance="g")
    assert await world.value(make("part_total", "all_total")) == "NoData"


@pytest.mark.parametrize(("make", "ratio"), [(good, 1.0), (bad, 0.0)])
async def test_absent_part_of_another_metric_is_zero_where_its_targets_are_scraped(world, make, ratio):
    world.counter("all_total", job="gateway")
    world.counter("part_total", job="app", last=AGO)
    world.write("up", 1.0, job="app", instance="a")
    assert await world.value(make("part_total", "all_total")) == ratio
    world.counter("here_total", job="gateway", last=AGO)
    assert await world.value(make("here_total", "all_total")) == ratio


async def test_ratio_without_a_fresh_total_is_unknown(world):
    world.counter("requests_total", code="200", last=AGO)
    world.write("up", 1.0, instance="a")
    assert await world.value(good()) == "NoData"
    assert await world.value(bad()) == "NoData"


OR_ZERO = [
    "sum(rate(errors_total[5m])) or vector(0)",
    "(sum(errors_total) or on() vector(0)) * 2",
    'sum by (app) (errors_total{job="shop"}) or vector(0)',
    "sum(errors_total / requests_total) or vector(0)",
]


@pytest.mark.parametrize("query", OR_ZERO, ids=range(len(OR_ZERO)))
async def test_or_zero_is_zero_while_the_targets_are_scraped(world, query):
    """A counter that appears with the first error, in the query that the documentation recommends."""
    assert await world.value(query=query) == "NoData"
    world.write("up", 1.0, instance="a")
    assert await world.value(query=query) == 0.0
    world.counter("errors_total", last=AGO)
    assert await world.value(query=query) == 0.0


@pytest.mark.parametrize("up", [{"values": 0.0}, {"values": 1.0, "last": 200.0}, {"values": 1.0, "last": AGO}])
async def test_or_zero_is_not_zero_where_the_targets_are_not_scraped(world, up):
    """The target is down, the source stopped, or the target was removed."""
    world.write("up", instance="a", **up)
    assert await world.value(query=OR_ZERO[0]) == "NoData"
    world.counter("failures_total", last=AGO)
    world.write("up", 1.0, job="another", instance="b")
    query = OR_ZERO[0].replace("errors", "failures")
    assert await world.value(query=query) == "NoData"
    assert await world.value(query=OR_ZERO[2]) == "NoData"


async def test_or_zero_returns_existing_series(world):
    world.counter("errors_total", 2.0)
    assert await world.value(query=OR_ZERO[0]) == pytest.approx(2.0)


async def test_or_zero_is_used_where_another_selector_of_the_query_is_fresh(world):
    world.counter("requests_total")
    assert await world.value(query="(sum(errors_total) or vector(0)) / sum(requests_total)") == 0.0


async def test_series_that_disappeared_is_not_one_that_never_existed(world):
    """That a counter never existed is cached until it appears."""
    query = "(sum(errors_total) or vector(0)) / sum(requests_total)"
    world.counter("requests_total")
    assert await world.value(query=query) == 0.0
    world.counter("errors_total", job="app", last=150.0)
    assert await world.value(query=query) == "StaleData"
    world.now += 300.0
    world.counter("requests_total", start=36000.0, first=285.0)
    assert await world.value(query=query) == "NoData"


@pytest.mark.parametrize("query", ["absent(leader)", "(absent_over_time(leader[2m]))"])
async def test_absence_can_be_an_indicator(world, query):
    """1 where the series is absent although its target is scraped, 0 where it exists."""
    assert await world.value(query=query) == "NoData"
    world.write("leader", 1.0, first=3600, last=AGO)
    world.write("up", 0.0, instance="a", first=3600, last=STEP)
    assert await world.value(query=query) == "NoData"
    world.write("up", 1.0, instance="a", first=STEP / 2)
    assert await world.value(query=query) == 1.0
    world.write("leader", 1.0, first=STEP)
    assert await world.value(query=query) == 0.0


async def test_absence_can_be_an_objective(world):
    """The share of time in which the series was absent, also where it always existed."""
    threshold = {"threshold": {"query": "absent(leader)", "operator": "lt", "value": 1}}
    world.write("up", 1.0)
    assert await world.value(threshold) == 1.0
    world.write("leader", 1.0)
    assert await world.value(threshold) == 0.0


async def test_absence_of_up_is_used_where_any_target_is_scraped(world):
    query = 'absent(up{job="shop"})'
    assert await world.value(query=query) == "NoData"
    world.write("up", 1.0, job="another")
    assert await world.value(query=query) == 1.0
    world.write("up", 0.0)
    assert await world.value(query=query) == 0.0


async def test_samples_beyond_the_lookback_count_up_to_stale_after(world):
    """A series that is scraped every ten minutes exists, and is seven minutes old."""
    world.write("slow", 4.0, every=600.0, last=420.0)
    assert await world.value(query="last_over_time(slow[15m])") == "NoData"
    assert await world.value(query="last_over_time(slow[15m])", stale_after="15m") == 4.0
    assert await world.value(query="last_over_time(slow[15m])", stale_after="6m") in ("NoData", "StaleData")
    reading = await world.read(query="slow", stale_after="15m")
    assert reading.problem.message.startswith("the newest sample of slow{")
    assert "Ask for last_over_time(" in reading.problem.message


async def test_or_zero_is_not_zero_between_two_scrapes(world):
    world.write("slow", 4.0, every=600.0, last=420.0)
    world.write("up", 1.0, every=600.0, last=420.0)
    assert await world.value(query="sum(slow) or vector(0)", stale_after="15m") == "NoData"


@pytest.mark.parametrize("names", ['__name__=~"queue_a|queue_b"', '__name__=~"queue_.+"'])
async def test_selector_may_match_several_metrics(world, names):
    world.write("queue_a", 1.0)
    world.write("queue_b", 2.0)
    assert await world.value(query=f"sum({{{names}}})") == 3.0
    assert await world.value(query='sum({__name__=~"queue_x|queue_y"})') == "NoData"


async def test_selector_of_several_metrics_has_their_age(world):
    world.write("queue_a", 1.0, last=200)
    world.write("queue_b", 2.0, last=250)
    query = 'sum({__name__=~"queue_.+"})'
    assert await world.value(query=query) == "StaleData"
    assert await world.value(query=query, stale_after="4m") == 3.0


LATENCY = {"latency": {"histogram": "latency_seconds", "threshold": "1s"}}


def histogram(world, pod, bounds, slow=0.0, rate=10.0, **more):
    """Write a classic histogram of which the share `slow` is above 1 s."""
    for le in bounds:
        share = 1.0 if le == "+Inf" or float(le) > 1 else 1 - slow
        world.counter("latency_seconds_bucket", rate * share, pod=pod, le=le, **more)
    world.counter("latency_seconds_count", rate, pod=pod, **more)


WITH, WITHOUT = ("1", "5", "+Inf"), ("0.5", "5", "+Inf")


async def test_latency_is_unknown_while_versions_with_different_buckets_mix(world):
    """No request is slow, but half of them can't be classified."""
    histogram(world, "old", WITHOUT)
    histogram(world, "new", WITH)
    assert await world.value(LATENCY) == "NotComparable"


@pytest.mark.parametrize(("before", "after"), [(WITH, ("1.0", "5.0", "+Inf")), (WITHOUT, WITH)])
async def test_latency_is_known_when_the_other_buckets_are_gone(world, before, after):
    histogram(world, "old", before, slow=0.5, last=AGO)
    histogram(world, "new", after, slow=0.25, first=AGO)
    assert await world.value(LATENCY) == 0.25


async def test_bucket_bound_may_have_two_spellings_at_once(world):
    histogram(world, "old", ("1", "+Inf"), slow=0.5)
    histogram(world, "new", ("1.0", "+Inf"))
    assert await world.value(LATENCY) == 0.25


async def test_series_with_a_new_spelling_of_its_bound_is_unknown_for_a_window(world):
    """The total has the same labels and continues, while the bucket is a new series, whose first value is not
    counted.
    """
    histogram(world, "same", ("1",), last=150)
    world.counter("latency_seconds_bucket", start=3000.0, pod="same", le="1.0", first=135)
    world.counter("latency_seconds_count", pod="same", first=135, start=3000.0)
    assert await world.value(LATENCY) == "NotComparable"


async def test_latency_without_its_bucket_is_no_breach(world):
    histogram(world, "old", WITH, last=AGO)
    histogram(world, "new", WITHOUT, first=AGO)
    assert await world.value(LATENCY) == "NoData"


async def test_ratio_is_unknown_while_versions_with_different_labels_mix(world):
    """Half of the requests have a `status` and no `code`: neither good nor bad."""
    world.counter("requests_total", pod="old", code="200")
    world.counter("requests_total", pod="new", status="200")
    assert await world.value(good()) == "NotComparable"


@pytest.mark.parametrize("labels", [{"status": "200"}, {}])
async def test_ratio_whose_label_was_renamed_or_dropped_is_no_breach(world, labels):
    world.counter("requests_total", pod="old", code="200", last=AGO)
    world.counter("requests_total", pod="new", first=AGO, **labels)
    assert await world.value(good()) == "NotComparable"


@pytest.mark.parametrize("make", [good, bad])
async def test_part_greater_than_the_total_is_unknown(world, make):
    world.counter("part_total", 10.0)
    world.counter("all_total", 5.0)
    assert await world.value(make("part_total", "all_total")) == "NoData"


async def test_restart_and_scrape_gap_change_no_ratio(world):
    for code, rate in (("200", 9.0), ("500", 1.0)):
        world.counter("requests_total", rate, pod="a", code=code, last=200)
        world.counter("requests_total", rate, pod="a", code=code, first=120)
        world.counter("requests_total", rate, pod="b", code=code)
    assert await world.value(good()) == 0.1
    assert await world.value(bad()) == 0.1


async def test_series_without_the_label_does_not_hide_the_others(world):
    """A pod that is not scheduled has no label `node` yet."""
    world.write("node_busy", 3.0, node="n1")
    world.write("node_busy", 4.0)
    reading = await world.read(query="max by (node) (node_busy)", per="node")
    assert reading.fresh
    assert reading.values == {(("node", "n1"),): 3.0}
    assert reading.problem.reason == "LabelMissing"


async def test_targets_of_a_sum_are_counted(world):
    """A sum that lost targets differs from a load that fell, also before Prometheus drops stale series."""
    for pod in "abcd":
        world.write("node_sessions", 5.0, pod=pod, instance=pod, last=0.0 if pod == "a" else 150.0)
        world.write("node_sessions", 5.0, pod=pod, instance=pod, container="sidecar", last=0.0 if pod == "a" else 150.0)
    reading = await world.read(query="sum(node_sessions)")
    assert [number for _, number in reading.members] == [1]
    reading = await world.read(query="avg(node_sessions)", stale_after="4m")
    assert [number for _, number in reading.members] == [4]


async def test_native_histogram_among_numbers_does_not_hide_them(world):
    world.write("node_mixed", 3.0, node="a")
    labels = {"__name__": "node_mixed", "node": "b", "namespace": world.namespace}
    world.prometheus.write([HistogramSeries(labels, [NativeHistogram(world.now, first=0, counts=[1, 2], total=2.0)])])
    reading = await world.read(query="{__name__=~'node_mixed'}", per="node")
    assert list(reading.values.values()) == [3.0]
    assert reading.problem.reason == "NotFinite"


ASKED = [
    {"indicator": good()},
    {"indicator": bad("errors_total")},
    {"indicator": good("ok_total{instance='a'}", "all_total")},
    {"indicator": LATENCY},
    *({"query": query} for query in (*OR_ZERO, "absent(up{job='a'})", "sum({__name__=~'a|b', pod='c'}) or vector(0)")),
]


@pytest.mark.parametrize("asked", ASKED, ids=range(len(ASKED)))
async def test_no_query_reads_series_of_another_tenant(world, broken, faulty, asked):
    """Including the further queries: about names, the past, and scraped targets."""
    world.real, world.source = broken, "faulty"
    name = "past_total"

    def nothing_now(request):
        query = request.params["query"]
        numbers = re.findall(r'"__forestall_query", "(\d+)"', query) or [None]
        past = [n for n in numbers if n is None and "max_over_time(timestamp" in query]
        series = [{"metric": {"job": "a", "__name__": name}, "value": [world.now, str(world.now)]} for _ in past]
        request.answer({"status": "success", "data": {"resultType": "vector", "result": series}})

    faulty.behave = nothing_now
    await world.value(**asked)
    texts = [request.params["query"] for request in faulty.requests]
    assert len(texts) > 1
    for text in texts:
        for selector in selectors(parse(text)):
            matchers = {(m.name, m.op.value, m.value) for m in selector.matchers.matchers}
            assert ("namespace", "=", world.namespace) in matchers, text


async def test_threshold_and_raw_queries_are_judged_by_their_selectors(world):
    threshold = {"threshold": {"query": "sum(rate(errors_total[5m])) or vector(0)", "operator": "lt", "value": 5}}
    raw = {
        "raw": {"errorRatio": "(sum(rate(errors_total[$window])) or vector(0)) / sum(rate(requests_total[$window]))"}
    }
    assert await world.value(threshold) == "NoData"
    assert await world.value(raw) == "NoData"
    world.counter("requests_total")
    world.write("up", 1.0)
    assert await world.value(threshold) == 0.0
    assert await world.value(raw) == 0.0


async def test_error_ratio_is_unknown_when_the_errors_are_not_scraped_any_more(world):
    raw = {
        "raw": {"errorRatio": "(sum(rate(errors_total[$window])) or vector(0)) / sum(rate(requests_total[$window]))"}
    }
    world.counter("requests_total")
    world.counter("errors_total", last=AGO, job="app")
    assert await world.value(raw) == "NoData"


@pytest.mark.parametrize("labels", [{"status": "500"}, {}])
@pytest.mark.parametrize(
    "indicator",
    [
        bad(),
        bad('requests_total{code=~"5.."}'),
        bad('requests_total{code!~"2.."}'),
        good('requests_total{code!~"5.."}'),
    ],
    ids=range(4),
)
@pytest.mark.parametrize("mixed", [False, True])
async def test_missing_label_that_all_events_had_makes_none_good_or_bad(world, indicator, labels, mixed):
    """The kind: absent is not zero. The label was renamed or dropped in a rollout, and some series may still have
    it.
    """
    world.counter("requests_total", pod="old", code="200", last=0 if mixed else AGO)
    world.counter("requests_total", pod="new", first=AGO, **labels)
    assert await world.value(indicator) == "NotComparable"


@pytest.mark.parametrize("broken", [1, 2])
async def test_label_that_only_bad_events_have_may_be_absent(world, broken):
    """Also where the first errors ever come from targets without any other events."""
    world.counter("requests_total", pod="old")
    for number in range(broken):
        world.counter("requests_total", pod=f"new-{number}", first=AGO, error="true")
    assert await world.value(bad('requests_total{error="true"}')) == broken / (1 + broken)


async def test_label_of_bad_events_may_have_existed_first(world):
    world.counter("requests_total", pod="a", error="true")
    world.counter("requests_total", pod="a", first=3000)
    assert await world.value(bad('requests_total{error="true"}')) == 0.5
    world.counter("requests_total", pod="b", first=AGO)
    assert await world.value(bad('requests_total{error="true"}')) == pytest.approx(1 / 3, abs=0.02)


@pytest.mark.parametrize("query", ["max by (pod) (memory)", "topk(5, memory) / 1", "memory * on (pod) group_left size"])
async def test_last_sample_of_a_deleted_pod_is_not_used(world, query):
    """The kubelet's samples have their own timestamps and so no staleness markers: they stay visible for minutes."""
    for name, value in (("memory", 90.0), ("size", 1.0)):
        world.write(name, value, pod="gone", last=100.0)
        world.write(name, value / 9, pod="here")
    reading = await world.read(query=query, per="pod", stale_after="1m")
    assert {dict(labels)["pod"] for labels in reading.values} == {"here"}
    later = await world.read(query=query, per="pod", stale_after="2m")
    assert {dict(labels)["pod"] for labels in later.values} == {"gone", "here"}


async def test_aggregate_does_not_count_deleted_pods(world):
    world.write("memory", 90.0, pod="gone", last=100.0)
    world.write("memory", 10.0, pod="here")
    assert await world.value(query="max(memory)", stale_after="1m") == 10.0
    assert await world.value(query="max(memory)", stale_after="2m") == 90.0
