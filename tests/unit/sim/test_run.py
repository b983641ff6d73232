"""Runs: the lower bound, the operator's engine, determinism."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.examples import examples

from forestall.api import Remediation
from forestall.errors import InvalidInput
from forestall.sim.controllers.base import FixedReplicas
from forestall.sim.controllers.keda import Keda
from forestall.sim.figures import ServiceFigures, compute_figures
from forestall.sim.lower_bound import lower_bound
from forestall.sim.recommend import PolicyTuning, recommended_setup
from forestall.sim.run import run
from forestall.sim.run_record import RunRecord
from forestall.sim.traffic import Arrivals

SURGE = [*[50.0] * 20, *np.linspace(50, 500, 40), *[500.0] * 20, *np.linspace(500, 50, 30), *[50.0] * 60]


PAST = [50.0] * 120 + SURGE


def recommended(services, *, autoscalers, interval=120.0):
    tunings = [PolicyTuning(headroom=0.2)] * len(services)
    return recommended_setup(services, tunings, autoscalers=autoscalers, interval=interval)


@given(st.integers(0, 10_000), st.sampled_from([15.0, 180.0, 600.0]), st.floats(0.2, 0.9))
@settings(max_examples=examples(10), deadline=None)
def test_no_controller_is_below_the_lower_bound(make_service, run_sync, seed, start_up, target):
    pytest.importorskip("scipy")
    random = np.random.default_rng(seed)
    rates = np.abs(np.cumsum(random.normal(0, 20, 90)) + 150)
    service = make_service(rates, int(np.ceil(rates[0] / 20 / target)) + 1, start_up=start_up)
    result = compute_figures(run_sync([service], Keda(np.array([target]))).record, 99.0)[0]
    if result.bad_minutes == 0:
        assert result.replica_hours >= lower_bound(service, 99.0).replica_hours - 1e-6


def test_the_lower_bound_of_a_constant_load_is_its_replicas(make_service):
    pytest.importorskip("scipy")
    bound = lower_bound(make_service([200.0] * 60), 99.0)
    assert 9.5 <= bound.replica_hours <= 10.0


def test_the_lower_bound_keeps_replicas_over_a_short_gap(make_service):
    pytest.importorskip("scipy")
    gap = [200.0] * 20 + [20.0] * 5 + [200.0] * 20
    quick, slow = (lower_bound(make_service(gap, start_up=d), 99.0).replica_hours for d in (15.0, 600.0))
    assert slow > quick
    assert slow <= lower_bound(make_service([200.0] * 45), 99.0).replica_hours + 1e-6


@pytest.fixture(scope="module")
def slow_service(make_service):
    """A service whose replicas take five minutes to start, and a surge."""
    return make_service(SURGE, 4, past=PAST, min_replicas=3, start_up=300.0)


@pytest.fixture(scope="module")
def with_forestall(run_sync, slow_service):
    """The outcome of a run with an autoscaler and forestall."""
    return run_sync([slow_service], Keda(np.array([0.9])), recommended([slow_service], autoscalers=True))


def test_forestall_raises_min_replicas_before_the_surge_and_reverts_them(run_sync, slow_service, with_forestall):
    alone = run_sync([slow_service], Keda(np.array([0.9])))
    late, early = (compute_figures(result.record, 99.0)[0] for result in (alone, with_forestall))
    assert early.bad_minutes < late.bad_minutes / 2
    assert early.undone <= late.undone
    assert with_forestall.record.replicas[-1, 0] == 4, (
        "what was added has been given back: 50 at 20 a replica, four fifths full"
    )


async def test_forestall_alone_scales_the_workload(make_service):
    service = make_service(SURGE, 4, past=PAST, min_replicas=3, start_up=120.0)
    unscaled = compute_figures((await run([service], FixedReplicas())).record, 99.0)[0]
    acting = await run([service], FixedReplicas(), recommended([service], autoscalers=False))
    assert compute_figures(acting.record, 99.0)[0].bad_minutes < unscaled.bad_minutes / 4


async def test_the_steps_are_consistent_for_many_services_that_come_at_risk_together(make_service):
    count = 21  # more than a cluster's storm breaker lets act
    services = [make_service(SURGE[:70], 4, past=PAST, min_replicas=3, start_up=120.0)] * count
    outcome = await run(services, Keda(np.full(count, 0.9)), recommended(services, autoscalers=True))
    assert len({outcome.changes[n] for n in range(count)}) == 1, "what is alike fares alike"
    assert outcome.remediations
    for remediation in outcome.remediations:
        steps = remediation.status.steps
        assert all(step.done for step in steps[:-1])
        assert all(a.to == b.from_ for a, b in itertools.pairwise(steps)), "each step begins at the last"
        initial = remediation.spec.intent.from_
        assert initial is not None
        assert all(step.to is not None and step.to >= initial for step in steps), "never below what was found"
        assert remediation.status.phase in ("Verifying", "Succeeded", "RollingBack", "RolledBack", "Aborted")
    by_target: dict[str, list[Remediation]] = {}
    for remediation in outcome.remediations:
        by_target.setdefault(remediation.spec.intent.target.uid, []).append(remediation)
    assert all(sum(not remediation.ended for remediation in group) <= 1 for group in by_target.values()), (
        "one at a time on a target"
    )


def test_runs_are_deterministic(run_sync, slow_service, with_forestall):
    again = run_sync([slow_service], Keda(np.array([0.9])), recommended([slow_service], autoscalers=True))
    assert np.array_equal(again.record.replicas, with_forestall.record.replicas)
    assert np.array_equal(again.record.good, with_forestall.record.good)


async def test_services_of_a_run_are_independent(make_service):
    services = [make_service(SURGE, 4, start_up=d) for d in (15.0, 600.0)]
    combined = await run(services, Keda(np.array([0.7, 0.7])))
    for n, service in enumerate(services):
        alone = await run([service], Keda(np.array([0.7])))
        assert np.array_equal(combined.record.good[:, n], alone.record.good[:, 0])


def test_a_start_up_that_is_longer_than_the_traffic_is_refused(make_service):
    with pytest.raises(InvalidInput, match="longer than the 600 s of traffic"):
        make_service([10.0] * 10, start_up=600.0)


def test_measured_rates_use_only_the_past(make_traffic):
    arrivals = Arrivals([make_traffic([100.0, 200.0], past=[50.0])], 15.0)
    assert arrivals.mean(0, 60.0)[0] == 50.0
    assert arrivals.mean(1, 60.0)[0] == pytest.approx(62.5)
    assert arrivals.mean(4, 60.0)[0] == 100.0
    assert arrivals.rate_at(4)[0] == 200.0


@pytest.mark.parametrize(
    ("used", "text"), [(0.5, "50%"), (1.0, "100%"), (1.004, "100.4%"), (0.9996, ">99%"), (0.0, "0%")]
)
def test_an_overdrawn_budget_is_not_rounded_to_all_of_it(used, text):
    """Kind: the displayed number differs from the named one."""
    assert ServiceFigures(60, 0, 1.0, used, 1.0, 1, 0, 0, 0, 0).budget_text == text


def test_an_exactly_used_budget_is_not_overdrawn():
    """Kind: touching is not passing. 1 - 0.999 is more than 0.001."""
    record = RunRecord(60.0, 1000, 1)
    record.completed_steps = 1000
    record.arrived[:], record.good[:] = 1000.0, 999.0
    assert compute_figures(record, 99.9)[0].budget_used == 1.0
