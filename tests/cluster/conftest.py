"""A real control plane, started once for all cluster tests, and a namespace of its own for each test.

While working on a test, start one with `make cluster` and name its kubeconfig in FORESTALL_TEST_KUBECONFIG: then the
tests use that one, and leave it running.
"""

import os
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest
from tests.support.control_plane import QUICK_AUTOSCALERS, PooledCluster

from forestall.devcluster.kwok import KwokCluster
from forestall.devcluster.programs import Programs
from forestall.devcluster.provider import local_cluster


@pytest.fixture(scope="session")
def cluster(programs: Programs, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PooledCluster]:
    """A control plane with three nodes and forestall's CRDs."""
    if kubeconfig := os.environ.get("FORESTALL_TEST_KUBECONFIG"):
        with closing(PooledCluster(Path(kubeconfig), programs, tmp_path_factory.mktemp("cluster"))) as running:
            running.scale_nodes(3)
            _define(running, root)
            yield running
    else:
        with (
            local_cluster(programs, nodes=3, arguments=QUICK_AUTOSCALERS) as started,
            closing(PooledCluster(started.kubeconfig, programs, started.workspace.path)) as running,
        ):
            _define(running, root)
            yield running


def _define(cluster: KwokCluster, root: Path) -> None:
    """Apply the CRDs, and return when the API serves them."""
    crds = root / "crds"
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", crds)
    cluster.kubectl("wait", "--for=condition=Established", "-f", crds, "--timeout=180s")


@pytest.fixture
def namespace(cluster: PooledCluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace that no other test uses, and that is deleted after the test with its content."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    name = f"{words[:40].strip('-')}-{uuid4().hex[:6]}"
    cluster.create_namespace(name)
    yield name
    cluster.delete("Namespace", name)
