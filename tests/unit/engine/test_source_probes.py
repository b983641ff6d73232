"""A metric source that is applied says soon whether it answers, although nobody uses it yet."""

from typing import Any

import pytest

from forestall.api import MetricSource
from forestall.core.risk import ObjectiveState, Risk
from forestall.engine.objective_status import Findings
from forestall.engine.readings import Reading
from forestall.engine.source_probes import SourceProbes, answering
from forestall.isolation import Isolation
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
async def test_what_came_of_it(failure, status, reason, said):
    """Kind: a wrong URL that nobody is told of until an objective is there."""
    probes = SourceProbes(Metrics(failure), Isolation())
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
def test_what_a_few_ask_is_no_trouble_of_the_source_where_others_are_answered(slo, reasons, status, reason):
    """Kind: what one namespace does is told as everybody's: its slow queries made the source of all not ready."""
    users = [Findings(slo, Risk(ObjectiveState.UNKNOWN, 0.0, None), readings=(reading(each),)) for each in reasons]
    ready = answering(users)
    assert (ready.status, ready.reason) == (status, reason)
    assert ("2 of 3" in ready.message) == (reasons.count("SourceTimeout") == 2 and len(reasons) == 3)


async def test_each_generation_is_asked_once_and_a_failure_now_and_then():
    metrics = Metrics()
    probes = SourceProbes(metrics, Isolation())
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
