"""Invariants of the modeled service."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.examples import examples

from forestall.errors import InvalidInput
from forestall.sim.service import EVICTION, ServiceFleet, ServiceParameters

RATES = st.lists(st.floats(0, 500), min_size=1, max_size=40)
TERMS = st.builds(
    ServiceParameters,
    capacity=st.floats(1, 50),
    start_up=st.sampled_from([0.0, 15.0, 60.0]),
    warm_up=st.sampled_from([0.0, 60.0]),
    patience=st.floats(0.1, 3),
    queue=st.floats(0.1, 3),
)


def simulate(parameters, replicas, rates, max_replicas=60):
    fleet = ServiceFleet([parameters], [replicas], 15.0, max_replicas)
    return [fleet.advance(np.array([rate])) for rate in rates]


@given(TERMS, st.integers(0, 20), RATES)
@settings(max_examples=examples(40), deadline=None)
def test_requests_are_conserved(parameters, replicas, rates):
    before = 0.0
    for step in simulate(parameters, replicas, rates):
        arrived, served, shed, queued = (float(x[0]) for x in (step.arrived, step.served, step.shed, step.queued))
        assert arrived + before == pytest.approx(served + shed + queued, abs=1e-6)
        assert min(served, shed, queued) >= -1e-9
        assert served <= replicas * parameters.capacity * 15.0 + 1e-6
        assert -1e-9 <= float(step.good[0]) <= arrived + 1e-6
        before = queued


@given(TERMS, st.integers(0, 20), st.integers(1, 10), RATES)
@settings(max_examples=examples(40), deadline=None)
def test_more_replicas_are_never_worse(parameters, replicas, added, rates):
    before, after = simulate(parameters, replicas, rates), simulate(parameters, replicas + added, rates)
    for a, b in zip(before, after, strict=True):
        assert float(b.shed[0]) <= float(a.shed[0]) + 1e-6
        assert float(b.good[0]) >= float(a.good[0]) - 1e-6


def test_a_replica_costs_from_its_request_and_serves_after_its_start_up():
    fleet = ServiceFleet([ServiceParameters(capacity=10, start_up=60)], [1], 15.0, 10)
    fleet.scale(np.array([3]))
    steps = [fleet.advance(np.array([30.0])) for _ in range(6)]
    assert [int(step.ready[0]) for step in steps] == [1, 1, 1, 1, 3, 3]
    assert [int(step.replicas[0]) for step in steps] == [3] * 6
    assert float(steps[0].good[0]) < float(steps[0].arrived[0])
    assert float(steps[5].good[0]) == pytest.approx(float(steps[5].arrived[0]))


def test_a_cold_replica_carries_less():
    fleet = ServiceFleet([ServiceParameters(capacity=10, start_up=0, warm_up=60, cold_share=0.5)], [0], 15.0, 10)
    fleet.scale(np.array([4]))
    shed = [float(fleet.advance(np.array([40.0])).shed[0]) for _ in range(6)]
    assert shed[0] > shed[2] > shed[4] == 0


def test_the_newest_replicas_are_removed_first():
    fleet = ServiceFleet([ServiceParameters(start_up=600)], [2], 15.0, 10)
    fleet.scale(np.array([6]))
    fleet.advance(np.array([0.0]))
    fleet.scale(np.array([3]))
    assert int(fleet.ready[0]) == 2


def test_a_leak_crashes_and_a_rollout_prevents_it_at_full_capacity():
    parameters = ServiceParameters(capacity=10, start_up=30, leak=1 / 1500, restart=60)
    crashing, restarted = ServiceFleet([parameters], [4], 15.0, 10), ServiceFleet([parameters], [4], 15.0, 10)
    crashes, min_ready = 0.0, 4.0
    for number in range(24):
        crashes += float(crashing.advance(np.array([20.0])).crashes[0])
        if number == 8:
            restarted.roll_out(0)
        step = restarted.advance(np.array([20.0]))
        min_ready = min(min_ready, float(step.ready[0]))
        assert not step.crashes[0]
    assert crashes == 4
    assert min_ready == 4
    assert max(restarted.memory(0).values()) < 1


def test_replicas_of_a_failed_node_restart_on_another():
    fleet = ServiceFleet([ServiceParameters(start_up=60, nodes=2)], [4], 15.0, 10)
    fleet.fail_node(0, 1)
    assert int(fleet.ready[0]) == 2
    for _ in range(round((EVICTION + 60) / 15)):
        fleet.advance(np.array([0.0]))
    assert int(fleet.ready[0]) == 4


@pytest.mark.parametrize("wrong", [{"capacity": 0}, {"start_up": -1}, {"patience": float("nan")}, {"cold_share": 0}])
def test_invalid_service_parameters_are_refused(wrong):
    with pytest.raises(InvalidInput, match=next(iter(wrong)).replace("_", "-")):
        ServiceParameters(**wrong)
