"""A real Prometheus, started once for all adapter tests, which fill it with generated series."""

from collections.abc import Iterator

import pytest

from forestall.devcluster.programs import Programs
from forestall.devcluster.prometheus import PrometheusServer
from forestall.devcluster.provider import local_programs
from forestall.devcluster.workspace import Workspace


@pytest.fixture(scope="session")
def programs() -> Programs:
    """Nothing but Prometheus: these tests take no control plane."""
    return local_programs(purpose="adapters")


@pytest.fixture(scope="session")
def prometheus(programs: Programs) -> Iterator[PrometheusServer]:
    """A Prometheus that scrapes nothing; tests write series of names, or with a label, that only they use."""
    with Workspace("adapters") as workspace, PrometheusServer(workspace, programs) as server:
        yield server
