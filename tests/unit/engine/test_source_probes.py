"""A new metric source reports soon whether it answers, although no objective uses it yet."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.support.virtual_time import run

from forestall.api import MetricSource
from forestall.core.risk import ObjectiveState, Risk
from forestall.engine.objective_status import Findings
from forestall.engine.readings import Reading
from forestall.engine.source_probes import SourceProbes, answering
from forestall.isolation import ErrorIsolation
from forestall.ports import Answer, QueryFailure


class Metrics:
    def __init__(self, failure=None):
        self.failure = failure
        self.asked = 0

    async def instant(self, source, queries, at):
        self.asked += 1
        return {query.key: self.failure or Answer((), None) for query in queries}

    async def range(self, source, queries, start, end, step):
        raise AssertionError("the past is not asked for")


def source(generation=1):
    return MetricSource.read(
        {"metadata": {"name": "main", "uid": "m", "generation": generation}, "spec": {"url": "http://prometheus"}}
    )


DOWN = QueryFailure("SourceDown", "connection refused")


@pytest.mark.parametrize(
    ("failure", "status", "reason", "said"),
    [
        (None, "True", "Available", "the source answers; no objective uses it yet"),
        (DOWN, "False", "SourceDown", "connection refused; no objective uses this source yet"),
    ],
)
async def test_result_of_a_probe(failure, status, reason, said):
    """Kind: a wrong URL is not reported until an objective exists."""
    probes = SourceProbes(Metrics(failure), ErrorIsolation())
    assert probes.ready(source()).status == "Unknown"
    await probes.run([source()], 0.0)
    ready = probes.ready(source())
    assert (ready.status, ready.reason, ready.message) == (status, reason, said)
    assert probes.ready(source(generation=2)).status == "Unknown"


def reading(reason):
    watched: Any = None
    return Reading(watched, problem=QueryFailure(reason, "no answer in 10 s") if reason else None)


@pytest.mark.parametrize(
    ("reasons", "status", "reason"),
    [
        ((None, None), "True", "Available"),
        ((None, "NoData", "ShareExhausted"), "True", "Available"),
        (("SourceTimeout", None, "SourceTimeout"), "True", "PartiallyAvailable"),
        (("PartialAnswer", None), "True", "PartiallyAvailable"),
        (("SourceTimeout", "SourceTimeout"), "False", "SourceTimeout"),
        (("ShareExhausted", "SourceDown", "NoData"), "False", "SourceDown"),
    ],
)
def test_source_is_ready_where_only_the_queries_of_a_few_fail(slo, reasons, status, reason):
    """Kind: the trouble of one namespace is reported for all: its slow queries made the shared source not ready."""
    users = [Findings(slo, Risk(ObjectiveState.UNKNOWN, 0.0, None), readings=(reading(each),)) for each in reasons]
    ready = answering(users)
    assert (ready.status, ready.reason) == (status, reason)
    assert ("2 of 3" in ready.message) == (reasons.count("SourceTimeout") == 2 and len(reasons) == 3)


async def test_each_generation_is_probed_once_and_a_failing_source_periodically():
    metrics = Metrics()
    probes = SourceProbes(metrics, ErrorIsolation())
    for at in range(0, 3600, 30):
        await probes.run([source()], float(at))
    assert metrics.asked == 1
    await probes.run([source(generation=2)], 3600.0)
    assert metrics.asked == 2
    metrics.failure = DOWN
    await probes.run([source(generation=3)], 3630.0)
    for at in range(3630, 3630 + 900, 30):
        await probes.run([source(generation=3)], float(at))
    assert metrics.asked == 5


async def test_a_source_that_failed_is_asked_again_after_five_minutes():
    for now, again in ((299.5, False), (300.0, True), (-0.5, True)):
        metrics = Metrics(DOWN)
        probes = SourceProbes(metrics, ErrorIsolation())
        await probes.run([source()], 0.0)
        await probes.run([source()], now)
        assert metrics.asked == 1 + again


async def test_a_source_that_is_gone_is_forgotten_and_asked_for_a_metric_that_is_none():
    metrics = Metrics()
    probes = SourceProbes(metrics, ErrorIsolation())
    await probes.run([source()], 0.0)
    await probes.run([], 0.0)
    assert probes.ready(source()).message == "no objective uses this source, and it has not answered a probe yet"
    await probes.run([source()], 0.0)
    assert metrics.asked == 2


async def test_without_sources_to_ask_nothing_is_known():
    probes = SourceProbes(None, ErrorIsolation())
    await probes.run([source()], 0.0)
    assert (probes.ready(source()).status, probes._under_way) == ("Unknown", {})


class Slow(Metrics):
    """Takes some seconds for each answer."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    async def instant(self, source, queries, at):
        self.asked += 1
        self.query = (source, queries[0].key, queries[0].expr, at)
        await asyncio.sleep(self.seconds)
        return {query.key: Answer((), None) for query in queries}


@pytest.mark.parametrize(("seconds", "status"), [(0.9, "True"), (1.1, "Unknown")])
def test_a_probe_is_waited_for_a_second_and_told_when_it_comes(seconds, status):
    metrics = Slow(seconds)
    probes = SourceProbes(metrics, ErrorIsolation())

    async def twice():
        await probes.run([source()], 7.0)
        first = probes.ready(source()).status
        await probes.run([source(generation=2)], 7.0)  # one at a time
        asked = metrics.asked
        await asyncio.sleep(2.0)
        await probes.run([source()], 8.0)
        return first, asked, probes.ready(source()).status, len(probes._under_way)

    first, asked, last, under_way = run(twice())
    assert (first, last, under_way) == (status, "True", 0)
    assert asked == (1 if status == "Unknown" else 2)
    assert metrics.query[:3] == ("main", ("probe", "m"), "count(forestall_probe)")


def test_a_probe_under_way_is_cancelled_at_the_end():
    async def closed():
        probes = SourceProbes(Slow(100.0), ErrorIsolation())
        await probes.run([source()], 0.0)
        (task,) = probes._under_way.values()
        await probes.close()
        return task.cancelled()

    assert run(closed())


async def test_error_of_a_probe_affects_no_other_source():
    class Broken(Metrics):
        async def instant(self, source, queries, at):
            raise RuntimeError("no JSON")

    isolation = ErrorIsolation()
    probes = SourceProbes(Broken(), isolation)
    with capture_logs():
        await probes.run([source()], 0.0)
    assert (isolation.faults, probes.ready(source()).status) == ({"probing": 1}, "Unknown")


def test_what_a_source_does_not_answer_is_counted(slo):
    users = [
        Findings(slo, Risk(ObjectiveState.UNKNOWN, 0.0, None), readings=(reading("ClockSkew"), reading(None))),
        Findings(slo, Risk(ObjectiveState.UNKNOWN, 0.0, None), readings=(reading("SourceDown"), reading("NoData"))),
    ]
    assert answering(users).message == (
        "the source answers, but not for 2 of 4 indicators (ClockSkew): DataFresh of their objectives says why"
    )
    assert answering([]).message == "the source answers"
