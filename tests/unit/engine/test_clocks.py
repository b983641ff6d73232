"""A cycle of an engine whose clock differs from that of its sources or of the API server.

Kind: the time of a decision differs from the time of its data.
"""

import asyncio

import pytest
from tests.support.memory_cluster import MemoryCluster
from tests.support.settings import UnhurriedSettings

from forestall.api import MetricSource, RemediationPolicy, ServiceLevelObjective
from forestall.core.clock_skew import ClockOffset
from forestall.engine import Engine
from forestall.engine.indicator_queries import IndicatorQuery
from forestall.engine.pause_checker import PauseChecker
from forestall.engine.readings import read
from forestall.ports import Answer, Query, Sample
from forestall.registry import WATCHED, Registry

NOW = 1_800_000_000.0


class Metrics:
    """A source that reports its clock, and a load past its limit."""

    def __init__(self, ahead):
        self.ahead = ahead

    async def instant(self, source, queries, at):
        clock = None
        if self.ahead is not None:
            offset = NOW + self.ahead - asyncio.get_running_loop().time()
            clock = ClockOffset(offset - 0.5, offset + 0.5)
        return {query.key: Answer((Sample((), 300.0),), at, clock=clock) for query in queries}

    async def range(self, source, queries, start, end, step):
        return {query.key: () for query in queries}


def meta(name, uid, namespace="shop"):
    return {"name": name, "namespace": namespace, "uid": uid, "generation": 1, "resourceVersion": "1"}


@pytest.fixture
def registry():
    registry = Registry()
    source = {"url": "http://x", "namespaces": {}}
    registry.put(MetricSource.KIND, {"metadata": {**meta("main", "s"), "namespace": ""}, "spec": source})
    spec = {
        "source": "main",
        "target": {"name": "checkout"},
        "indicator": {"raw": {"errorRatio": "sum(rate(x[$window]))"}},
        "objective": 99.0,
        "leadingIndicators": [{"name": "load", "query": "sum(load)", "limit": 100, "horizon": "5m"}],
    }
    registry.put(ServiceLevelObjective.KIND, {"metadata": meta("checkout", "o"), "spec": spec})
    rung = {"scale": {"maxReplicas": 8, "capacity": {"type": "Declared", "perReplica": 50}}}
    policy = {"mode": "Auto", "when": {"probability": 0.8}, "actions": [rung]}
    registry.put(RemediationPolicy.KIND, {"metadata": meta("early", "p"), "spec": policy})
    registry.put("Namespace", {"apiVersion": "v1", "metadata": {**meta("shop", "n"), "namespace": ""}})
    for model in WATCHED:
        registry.mark_synced(model.KIND)
    return registry


async def one_cycle(registry, *, source, api):
    """Run a cycle with the clocks of the source and of the API server ahead by so many seconds; None: unknown."""

    def api_clock():
        if api is None:
            return None
        offset = NOW + api - asyncio.get_running_loop().time()
        return ClockOffset(offset - 0.5, offset + 0.5)

    engine = Engine(Metrics(source), MemoryCluster(), registry, UnhurriedSettings(interval=10.0), None, api_clock)
    return await engine.cycle(NOW, leading=True)


@pytest.mark.parametrize(
    ("source", "api", "whose"),
    [
        (3600, 3600, "this process's clock is 1h behind"),
        (-3600, -3600, "this process's clock is 1h ahead of"),
        (3600, None, "metric source main"),
        (-3600, 0, "the clock of metric source main is"),
        (0, 3600, "the clock of the API server is"),
        (None, -60, "the clock of the API server is"),
        (10, 10, "this process's clock"),
    ],
)
async def test_every_action_is_held_while_clocks_differ(registry, source, api, whose):
    report = await one_cycle(registry, source=source, api=api)
    (found,) = report.findings.values()
    assert [(each.verdict, each.reason) for each in found.decisions] == [("Hold", "ClockSkew")]
    assert whose in found.decisions[0].message
    assert {reading.problem and reading.problem.reason for reading in found.readings} == {"ClockSkew"}
    assert not any(reading.fresh for reading in found.readings)
    assert whose in (report.clocks.global_reason or report.clocks.source_reasons["main"])


@pytest.mark.parametrize(("source", "api"), [(None, None), (0, 0), (2, -2), (4, 4)])
async def test_no_action_is_held_while_clocks_agree(registry, source, api):
    report = await one_cycle(registry, source=source, api=api)
    (found,) = report.findings.values()
    assert [each.reason for each in found.decisions] != ["ClockSkew"]
    assert all(reading.fresh for reading in found.readings)


async def test_nothing_is_changed_or_reverted_while_the_clock_is_wrong(registry):
    pause_checker = PauseChecker(registry, MemoryCluster())
    pause_checker.skewed = "this process's clock is 1h behind"
    hold = await pause_checker.check("shop", "checkout", "early", NOW)
    assert hold is not None
    assert hold.reason == "ClockSkew"


@pytest.mark.parametrize("newest", [NOW + 3600, NOW + 6, float("nan"), float("inf"), float("-inf")])
def test_sample_from_the_future_is_not_fresh(newest):
    """Kind: a negative age."""
    watched = IndicatorQuery("o", "load", Query("q", "x"), 1.0, True, 300.0, None, False)
    reading = read(watched, Answer((Sample((), 1.0),), newest), NOW - 120, NOW + 5)
    assert not reading.fresh
    assert reading.problem is not None
    assert reading.problem.reason in ("ClockSkew", "StaleData")
