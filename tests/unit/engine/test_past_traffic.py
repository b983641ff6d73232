"""When a restart waits for low traffic."""

import asyncio
import math
from dataclasses import replace

import pytest
from tests.support.virtual_time import run

from forestall.api import MetricSource, ServiceLevelObjective
from forestall.api.meta import Duration
from forestall.api.times import clock
from forestall.core.low_traffic import DAY
from forestall.engine.past_traffic import STEP, PastTraffic
from forestall.ports import QueryFailure, RangeSeries
from forestall.registry import Registry

NOW = 20_000 * DAY + 12 * 3600
RESERVE = Duration("30m")
RATIO = {"ratio": {"bad": 'requests_total{code="500"}', "total": "requests_total"}}


class Source:
    """Implements the `Metrics` port: a service with low traffic from 14 to 15 o'clock."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failure: QueryFailure | None = None

    async def range(self, source, queries, start, end, step):
        self.asked += [query.expr for query in queries]
        times = tuple(start + n * step for n in range(int((end - start) / step) + 1))
        values = tuple(10.0 if 14 <= at % DAY / 3600 < 15 else 100.0 for at in times)
        series = RangeSeries((), times, values)
        return {query.key: self.failure or (series,) for query in queries}


@pytest.fixture
def source():
    return Source()


@pytest.fixture
def traffic(source):
    registry = Registry()
    spec = {"url": "http://prometheus:9090", "enforceLabel": "namespace"}
    registry.put(MetricSource.KIND, {"metadata": {"name": "default", "uid": "s-1"}, "spec": spec})
    return PastTraffic(source, registry)


@pytest.fixture
def cause(make_signal):
    def in_(seconds):
        signal = make_signal()
        return replace(signal, forecast=replace(signal.forecast, earliest_breach=seconds, time_to_breach=seconds * 2))

    return in_


def objective(slo, indicator):
    spec = {**slo.spec.dump(), "indicator": indicator}
    metadata = {"name": slo.name, "namespace": slo.namespace, "uid": slo.uid, "generation": 1}
    return ServiceLevelObjective.read({"metadata": metadata, "spec": spec})


async def test_distant_breach_leaves_time_to_wait_for_low_traffic(traffic, slo, cause):
    hold = await traffic.too_busy(objective(slo, RATIO), cause(4 * 3600), RESERVE, NOW)
    assert hold is not None
    assert hold.reason == "WaitingForLowTraffic"
    assert f"until {clock(NOW + 2 * 3600)}, when past days had 10% of the traffic" in hold.message


@pytest.mark.parametrize("earliest", [0.0, 1800.0, 2.4 * 3600, math.inf])
async def test_near_or_unknown_breach_does_not_wait(traffic, slo, cause, earliest):
    assert await traffic.too_busy(objective(slo, RATIO), cause(earliest), RESERVE, NOW) is None


async def test_restart_does_not_wait_during_low_traffic(traffic, slo, cause):
    assert await traffic.too_busy(objective(slo, RATIO), cause(4 * 3600), RESERVE, NOW + 2 * 3600) is None


async def test_traffic_is_queried_once_an_hour_with_the_enforced_label(traffic, source, slo, cause):
    for minutes in (0, 1, 59, 61):
        await traffic.too_busy(objective(slo, RATIO), cause(4 * 3600), RESERVE, NOW + minutes * 60)
    assert source.asked == ['sum(rate(requests_total{namespace="shop"}[15m]))'] * 2
    traffic.retain(())
    await traffic.too_busy(objective(slo, RATIO), cause(4 * 3600), RESERVE, NOW + 62 * 60)
    assert len(source.asked) == 3


async def test_failed_source_and_indicator_without_events_do_not_delay_the_restart(traffic, source, slo, cause):
    assert await traffic.too_busy(slo, cause(4 * 3600), RESERVE, NOW) is None
    assert source.asked == []
    source.failure = QueryFailure("SourceDown", "connection refused")
    assert await traffic.too_busy(objective(slo, RATIO), cause(4 * 3600), RESERVE, NOW) is None


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("Classic", 'sum(rate(latency_seconds_count{namespace="shop"}[15m]))'),
        ("Native", 'histogram_count(sum(rate(latency_seconds{namespace="shop"}[15m])))'),
    ],
)
async def test_observations_of_a_histogram_count_as_traffic(traffic, source, slo, cause, kind, expected):
    indicator = {"latency": {"histogram": "latency_seconds", "threshold": "250ms", "type": kind}}
    assert await traffic.too_busy(objective(slo, indicator), cause(4 * 3600), RESERVE, NOW) is not None
    assert source.asked == [expected]
    assert STEP == 900


async def test_a_week_is_asked_for_in_steps_of_a_quarter_of_an_hour(traffic, source, slo, monkeypatch):
    spans = []
    ask = source.range

    async def noted(name, queries, start, end, step):
        spans.append((name, end - start, end, step))
        return await ask(name, queries, start, end, step)

    monkeypatch.setattr(source, "range", noted)
    history = await traffic.of(objective(slo, RATIO), NOW)
    assert spans == [("default", 7 * DAY + STEP, NOW, STEP)]
    assert (history.step, len(history.times), len(history.values)) == (STEP, 7 * 96 + 2, 7 * 96 + 2)


@pytest.mark.parametrize(("later", "asked"), [(3599.0, 1), (3600.0, 2), (-1.0, 2)])
async def test_what_was_asked_lasts_an_hour(traffic, source, slo, later, asked):
    await traffic.of(objective(slo, RATIO), NOW)
    await traffic.of(objective(slo, RATIO), NOW + later)
    assert len(source.asked) == asked


async def test_a_failure_is_remembered_as_long_and_a_new_generation_is_asked_anew(traffic, source, slo):
    source.failure = QueryFailure("SourceDown", "connection refused")
    assert await traffic.of(objective(slo, RATIO), NOW) is None
    source.failure = None
    assert await traffic.of(objective(slo, RATIO), NOW + 1) is None
    changed = objective(slo, RATIO)
    changed = changed.model_copy(update={"metadata": changed.metadata.model_copy(update={"generation": 2})})
    assert await traffic.of(changed, NOW + 1) is not None
    traffic.retain({slo.uid})
    await traffic.of(changed, NOW + 2)
    assert len(source.asked) == 2


@pytest.mark.parametrize("series", [0, 2])
async def test_a_traffic_that_is_not_one_series_is_not_known(traffic, source, slo, monkeypatch, series):
    async def several(name, queries, start, end, step):
        return {query.key: (RangeSeries((), (start,), (1.0,)),) * series for query in queries}

    monkeypatch.setattr(source, "range", several)
    assert await traffic.of(objective(slo, RATIO), NOW) is None


async def test_a_source_that_is_gone_and_a_query_that_is_wrong_are_not_asked(traffic, source, slo):
    wrong = {"ratio": {"bad": 'requests_total{code=~"("}', "total": "requests_total"}}
    for indicator, name in ((RATIO, "gone"), (wrong, "default")):
        body = objective(slo, indicator).dump()
        body["spec"]["source"] = name
        assert await traffic.of(ServiceLevelObjective.read(body), NOW) is None
    assert source.asked == []


@pytest.mark.parametrize(("seconds", "is_known"), [(1.9, True), (2.1, False)])
def test_a_source_has_two_seconds_to_answer(traffic, source, slo, monkeypatch, seconds, is_known):
    ask = source.range

    async def slow(*args):
        await asyncio.sleep(seconds)
        return await ask(*args)

    monkeypatch.setattr(source, "range", slow)
    assert (run(traffic.of(objective(slo, RATIO), NOW)) is not None) is is_known


@pytest.mark.parametrize(("left", "waits"), [(7200.0, True), (7199.0, False)])
async def test_the_restart_must_be_over_before_the_earliest_breach(traffic, slo, cause, left, waits):
    """The quiet hour is two hours away, and half an hour is kept in reserve."""
    hold = await traffic.too_busy(objective(slo, RATIO), cause(left + 1800.0), RESERVE, NOW)
    assert (hold is not None) is waits
