"""A kind cluster whose pods are real; it needs Docker, and is there for whoever sets FORESTALL_CLUSTER=kind."""

import os
from collections.abc import Iterator

import pytest

from forestall.devcluster.kind import PROGRAMS, KindCluster, find_kind
from forestall.devcluster.programs import find_programs
from forestall.devcluster.provider import VARIABLE
from forestall.errors import MissingTool


@pytest.fixture(scope="session")
def kind() -> Iterator[KindCluster]:
    """A kind cluster without nodes that KWOK plays: pods run on its own."""
    if os.environ.get(VARIABLE) != "kind":
        pytest.skip(f"needs Docker and kind: set {VARIABLE}=kind to run it")
    try:
        find_kind()
    except MissingTool as missing:
        pytest.skip(str(missing))
    with KindCluster(find_programs(PROGRAMS), nodes=0) as cluster:
        yield cluster
