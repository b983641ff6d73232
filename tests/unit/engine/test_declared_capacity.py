"""Load that the declared capacity of the replicas covers. The kind: after a right scale-out the limit of the old size
still reports a risk.
"""

from dataclasses import replace

import pytest
from structlog.testing import capture_logs
from tests.support.harness import shop

from forestall.actions.base import condition_of
from forestall.api import ServiceLevelObjective
from forestall.core.plan import TargetScale, Trigger, below_trigger
from forestall.core.risk import SLI, ObjectiveState, assess
from forestall.engine.declared_capacity import DeclaredCapacityChecker, declared
from forestall.engine.indicator_queries import IndicatorQuery
from forestall.engine.objective_status import Findings, Problem, status_of
from forestall.engine.readings import Reading
from forestall.engine.snapshot import Snapshot
from forestall.engine.target_resolver import ResolvedTarget
from forestall.isolation import ErrorIsolation
from forestall.ports import Query, QueryFailure

QUERY = {"query": "sum(load)", "limit": 100, "horizon": "10m"}


def capacity(**fields):
    return {"scale": {"maxReplicas": 20, "capacity": {"type": "Declared", "perReplica": 25, "headroom": 0.2, **fields}}}


@pytest.fixture
def watched(slo):
    def make(*names):
        leading = [{"name": name, **QUERY} for name in names]
        return ServiceLevelObjective.read({**slo.dump(), "spec": {**slo.spec.dump(), "leadingIndicators": leading}})

    return make


@pytest.mark.parametrize(
    ("rungs", "names", "expected"),
    [
        ([capacity()], ["load"], {"load": 20.0}),
        ([capacity()], ["load", "queue"], {}),
        ([capacity(indicator="queue")], ["load", "queue"], {"queue": 20.0}),
        ([{**capacity(), "indicators": ["load"]}], ["load", "queue"], {"load": 20.0}),
        ([{**capacity(), "indicators": [SLI]}], ["load"], {}),
        ([capacity(), capacity(perReplica=10)], ["load"], {"load": 8.0}),
        ([{"scale": {"maxReplicas": 20}}], ["load"], {}),
        ([{"restart": {}}], ["load"], {}),
    ],
)
def test_capacity_is_declared_where_it_is_for_a_single_indicator(watched, make_policy, rungs, names, expected):
    assert declared(watched(*names), [make_policy(actions=rungs)]) == expected


class Targets:
    """A workload with so many ready replicas."""

    def __init__(self, ready):
        self.ready, self.asked = ready, 0

    async def read(self, slo, *, with_scale):
        self.asked += 1
        if self.ready is None:
            return Problem("TargetMissing", "gone")
        return ResolvedTarget(None, TargetScale(None, self.ready), None)  # type: ignore[arg-type]  # nothing else is looked at


@pytest.mark.parametrize(
    ("ready", "value", "upper", "state"),
    [
        (4, 150.0, 180.0, ObjectiveState.AT_RISK),
        (8, 150.0, 155.0, ObjectiveState.HEALTHY),
        (8, 150.0, 400.0, ObjectiveState.HEALTHY),
        (8, 165.0, 170.0, ObjectiveState.AT_RISK),
        (0, 150.0, 155.0, ObjectiveState.AT_RISK),
        (None, 150.0, 155.0, ObjectiveState.AT_RISK),
        (8, 50.0, 120.0, ObjectiveState.HEALTHY),
    ],
)
async def test_objective_is_not_at_risk_while_its_replicas_carry_the_load(
    watched, make_policy, make_signal, ready, value, upper, state
):
    slo, policy = watched("load"), make_policy(actions=[capacity()])
    signals = (make_signal(value, probability=0.9 if value > 50 else 0.1, upper=upper),)
    scene = Snapshot({slo.uid: slo}, {slo.uid: [policy]}, [], [])
    targets = Targets(ready)
    coverage = DeclaredCapacityChecker(targets, ErrorIsolation())  # type: ignore[arg-type]
    found = Findings(slo, assess(signals, 0.8), signals=signals)
    after = (await coverage.applied(scene, {slo.uid: found}, {slo.uid: 0.8}))[slo.uid]
    assert after.risk.state == state
    assert targets.asked == (value > 50), "nothing is asked of the cluster while there is no risk"


@pytest.mark.parametrize(
    ("ready", "value", "sli", "told"),
    [
        (8, 150.0, 0.0, (ObjectiveState.HEALTHY, "CapacitySufficient")),
        (8, 160.0, None, (ObjectiveState.HEALTHY, "CapacitySufficient")),
        (4, 150.0, 0.0, (ObjectiveState.AT_RISK, "LimitPassed")),
        (8, 161.0, 0.0, (ObjectiveState.AT_RISK, "LimitPassed")),
        (8, 150.0, 0.5, (ObjectiveState.BREACHED, "Breached")),
        (8, 150.0, "blind", (ObjectiveState.UNKNOWN, "NoDataToForecast")),
    ],
)
async def test_load_without_forecast_is_judged_by_its_present_value(
    watched, make_policy, make_signal, ready, value, sli, told
):
    """Right after a scale-out and without history there is no forecast, and the load is past the limit of the old
    size.
    """
    slo, policy = watched("load"), make_policy(actions=[capacity()])
    signals = [replace(make_signal(value), forecast=None)]
    readings = [Reading(watched_as("load"), {(): value}, 1.0, fresh=True)]
    if sli == "blind":
        readings.append(Reading(watched_as(SLI), problem=QueryFailure("SourceDown", "away")))
    elif sli is not None:
        signals.append(replace(make_signal(sli), indicator=SLI, limit=0.1, forecast=None))
    scene = Snapshot({slo.uid: slo}, {slo.uid: [policy]}, [], [])
    found = Findings(slo, assess(signals, 0.8), signals=tuple(signals), readings=tuple(readings))
    coverage = DeclaredCapacityChecker(Targets(ready), ErrorIsolation())  # type: ignore[arg-type]
    after = (await coverage.applied(scene, {slo.uid: found}, {slo.uid: 0.8}))[slo.uid]
    at_risk = next(each for each in status_of(after, now=1.0).conditions if each.type == "AtRisk")
    assert (after.risk.state, at_risk.reason) == told
    if at_risk.reason == "CapacitySufficient":
        assert at_risk.message.startswith(f"the ready replicas carry load of {value:g}, and up to 160")
        assert below_trigger(Trigger(0.8, None, 0.0), after.signals).reason == "CapacitySufficient"


def watched_as(name):
    return IndicatorQuery("o-1", name, Query(("o-1", name), "x"), 100.0, True, 600.0, None, False)


def test_breach_probability_for_another_limit_agrees_with_the_quantiles(make_signal):
    forecast = make_signal(60.0, upper=150.0).forecast
    for share in (0.1, 0.5, 0.8, 0.95):
        limit = forecast.quantile(600.0, share)
        assert forecast.against(limit).probability[-1] == pytest.approx(1 - share)
    assert forecast.against(1e9).time_to_breach == float("inf")
    assert forecast.against(1e-9).time_to_breach < 600


def test_an_indicator_that_hurts_from_below_has_no_capacity(watched, make_policy):
    body = watched("load").dump()
    body["spec"]["leadingIndicators"][0]["direction"] = "Below"
    assert declared(ServiceLevelObjective.read(body), [make_policy(actions=[capacity()])]) == {}


async def applied(slo, policy, signals, targets, **more):
    scene = Snapshot({slo.uid: slo}, {slo.uid: [policy]}, [], [])
    found = Findings(slo, assess(signals, 0.8), signals=tuple(signals), **more)
    checker = DeclaredCapacityChecker(targets, ErrorIsolation())
    return found, (await checker.applied(scene, {slo.uid: found}, {slo.uid: 0.8}))[slo.uid]


@pytest.mark.parametrize(("probability", "asked"), [(0.79, 0), (0.8, 1)])
async def test_replicas_are_asked_for_from_the_probability_of_a_risk(
    watched, make_policy, make_signal, probability, asked
):
    targets = Targets(8)
    signals = [make_signal(90.0, probability=probability)]
    await applied(watched("load"), make_policy(actions=[capacity()]), signals, targets)
    assert targets.asked == asked


async def test_only_what_is_declared_is_carried(watched, make_policy, make_signal):
    policy = make_policy(actions=[capacity(indicator="load")])
    other = replace(make_signal(3.0), indicator="queue", limit=2.0, forecast=None)
    _, after = await applied(watched("load", "queue"), policy, [make_signal(150.0), other], Targets(8))
    assert [signal.is_carried for signal in after.signals] == [True, False]
    assert after.signals[1] == other
    targets = Targets(8)
    found, after = await applied(watched("load", "queue"), policy, [other], targets)
    assert (after, targets.asked) == (found, 0)


async def test_an_error_leaves_the_objectives_own_limit(watched, make_policy, make_signal):
    class Broken(Targets):
        async def read(self, slo, *, with_scale):
            raise RuntimeError("bug")

    with capture_logs():
        found, after = await applied(
            watched("load"), make_policy(actions=[capacity()]), [make_signal(150.0)], Broken(8)
        )
    assert after is found


async def test_a_scale_out_without_history_is_verified_by_what_the_ready_replicas_carry():
    """Kind: the objective is healthy, and the verdict on the same values is that the action did not help."""
    h = shop()
    h.policy(verification={"within": "20s"})
    await h.cycle(8)
    (remediation,) = h.remediations
    verified = condition_of(remediation, "Verified")
    assert (h.replicas(), h.slo().status.state) == (6, "Healthy")
    assert verified is not None
    assert (verified.status, verified.reason) == ("True", "RiskFell")
