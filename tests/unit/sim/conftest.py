"""Traffic and services for tests of the model."""

import asyncio

import numpy as np
import pytest

from forestall.sim.run import SimulatedService, run
from forestall.sim.service import ServiceParameters
from forestall.sim.traffic import TrafficTrace


@pytest.fixture(scope="session")
def make_traffic():
    def make(rates, past=(), name="made"):
        return TrafficTrace(name, np.array([*past, *rates], dtype=float), len(past))

    return make


@pytest.fixture(scope="session")
def make_service(make_traffic):
    def make(rates, replicas=3, *, past=(), min_replicas=1, max_replicas=40, **parameters):
        return SimulatedService(
            ServiceParameters(**{"capacity": 20.0, **parameters}),
            make_traffic(rates, past),
            replicas,
            min_replicas,
            max_replicas,
        )

    return make


@pytest.fixture(scope="session")
def run_sync():
    """Run without an event loop of the test's own, as Hypothesis needs it."""
    return lambda *args: asyncio.run(run(*args))
