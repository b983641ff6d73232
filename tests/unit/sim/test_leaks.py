"""Restarts against memory leaks."""

import numpy as np
import pytest
from benchmarks.arena import leaks

from forestall.sim.controllers.base import FixedReplicas
from forestall.sim.controllers.restarts import MemoryAlert, NightlyRestart
from forestall.sim.figures import compute_figures
from forestall.sim.run import run
from forestall.sim.service import ServiceFleet, ServiceParameters

HOURS = 4
EACH = 5.0
"""Requests a second of each replica, a quarter of its capacity."""


@pytest.fixture
def leaky(make_service):
    """Four replicas whose memory is full after `hours`."""

    def make(hours):
        rates = 4 * EACH * (1 + 0.05 * np.random.default_rng(1).normal(0, 1, HOURS * 60))
        terms = {"base": 0.3, "work": 0.1, "leak": 0.675 / (hours * 3600 * EACH), "start_up": 60.0}
        return make_service(rates, 4, min_replicas=4, max_replicas=4, past=[4 * EACH] * 60, **terms)

    return make


def test_memory_is_the_sum_of_base_work_and_leaks():
    terms = ServiceParameters(capacity=10, base=0.2, work=0.4, leak=0.001)
    fleet = ServiceFleet([terms], [2], 15.0, 4)
    step = fleet.advance(np.array([10.0]))
    assert float(step.memory[0]) == pytest.approx(0.2 + 0.4 * 0.5 + 5 * 15 * 0.001)
    assert list(fleet.memory(0).values()) == [pytest.approx(float(step.memory[0]))] * 2


def test_a_replaced_replica_has_a_new_name():
    fleet = ServiceFleet([ServiceParameters(capacity=10, leak=1e-6, start_up=15)], [4], 15.0, 8)
    before = set(fleet.memory(0))
    fleet.roll_out(0)
    for _ in range(8):
        fleet.advance(np.array([1.0]))
    assert not before & set(fleet.memory(0))


async def test_leaks_crash_without_restarts_and_not_with_an_alert(leaky):
    unscaled = await run([leaky(1.0)], FixedReplicas())
    alert = await run([leaky(1.0)], FixedReplicas(), restarter=MemoryAlert(np.array([0.7])))
    assert compute_figures(unscaled.record, 99.0)[0].crashes == 12, "four replicas in each of three hours"
    assert compute_figures(alert.record, 99.0)[0].crashes == 0
    assert len(alert.restarts) > HOURS


async def test_the_nightly_restart_runs_once_a_day(make_service):
    service = make_service([10.0] * 60 * 49, 2, start_up=30.0)
    outcome = await run([service, service], FixedReplicas(), restarter=NightlyRestart(3.0))
    assert [(at / 3600, number) for at, number in outcome.restarts] == [(3, 0), (3, 1), (27, 0), (27, 1)]


async def test_forestall_restarts_only_services_that_leak(leaky, make_service):
    steady = make_service(
        [4 * EACH] * HOURS * 60, 4, min_replicas=4, max_replicas=4, base=0.85, work=0.05, start_up=60.0
    )
    services = [leaky(2.5), steady]
    outcome = await run(services, FixedReplicas(), leaks.setup(len(services), 120.0))
    assert {number for _, number in outcome.restarts} == {0}
    assert 1 <= len(outcome.restarts) <= 2
    assert compute_figures(outcome.record, 99.0)[0].crashes == 0
