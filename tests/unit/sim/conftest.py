"""Traffic and services for tests of the model."""

import asyncio

import numpy as np
import pytest

from forestall.sim.run import Service, run
from forestall.sim.service import ServiceTerms
from forestall.sim.traffic import Traffic


@pytest.fixture(scope="session")
def make_traffic():
    def make(rates, past=(), name="made"):
        return Traffic(name, np.array([*past, *rates], dtype=float), len(past))

    return make


@pytest.fixture(scope="session")
def make_service(make_traffic):
    def make(rates, replicas=3, *, past=(), least=1, most=40, **terms):
        return Service(ServiceTerms(**{"capacity": 20.0, **terms}), make_traffic(rates, past), replicas, least, most)

    return make


@pytest.fixture(scope="session")
def run_sync():
    """Run without an event loop of the test's own, as Hypothesis needs it."""
    return lambda *args: asyncio.run(run(*args))
