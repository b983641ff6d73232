"""When a restart waits for a quiet hour."""

import math
from dataclasses import replace

import pytest

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
    """Implements the `Metrics` port: a service that is quiet from 14 to 15 o'clock."""

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


async def test_a_breach_that_is_hours_away_leaves_time_for_the_quiet_hour(traffic, slo, cause):
    hold = await traffic.too_busy(objective(slo, RATIO), cause(4 * 3600), RESERVE, NOW)
    assert hold is not None
    assert hold.reason == "WaitingForLowTraffic"
    assert f"until {clock(NOW + 2 * 3600)}, when past days had 10% of the traffic" in hold.message


@pytest.mark.parametrize("earliest", [0.0, 1800.0, 2.4 * 3600, math.inf])
async def test_what_is_near_or_unknown_is_not_waited_for(traffic, slo, cause, earliest):
    assert await traffic.too_busy(objective(slo, RATIO), cause(earliest), RESERVE, NOW) is None


async def test_the_quiet_hour_is_used_when_it_has_come(traffic, slo, cause):
    assert await traffic.too_busy(objective(slo, RATIO), cause(4 * 3600), RESERVE, NOW + 2 * 3600) is None


async def test_it_is_asked_once_an_hour_with_the_label_enforced(traffic, source, slo, cause):
    for minutes in (0, 1, 59, 61):
        await traffic.too_busy(objective(slo, RATIO), cause(4 * 3600), RESERVE, NOW + minutes * 60)
    assert source.asked == ['sum(rate(requests_total{namespace="shop"}[15m]))'] * 2
    traffic.retain(())
    await traffic.too_busy(objective(slo, RATIO), cause(4 * 3600), RESERVE, NOW + 62 * 60)
    assert len(source.asked) == 3


async def test_a_source_that_fails_and_an_indicator_without_events_let_it_go_ahead(traffic, source, slo, cause):
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
async def test_the_observations_of_a_histogram_are_traffic_too(traffic, source, slo, cause, kind, expected):
    indicator = {"latency": {"histogram": "latency_seconds", "threshold": "250ms", "type": kind}}
    assert await traffic.too_busy(objective(slo, indicator), cause(4 * 3600), RESERVE, NOW) is not None
    assert source.asked == [expected]
    assert STEP == 900
