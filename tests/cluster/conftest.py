"""A real control plane, started once for all cluster tests, and a namespace of its own for each test.

While working on a test, start one with `make cluster` and name its kubeconfig in FORESTALL_TEST_KUBECONFIG: then the
tests use that one, and leave it running.
"""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from kubernetes import config
from kubernetes.client import ApiException, CoreV1Api, V1Namespace, V1ObjectMeta
from tests.support.control_plane import QUICK_AUTOSCALERS

from forestall.devcluster.kwok import KwokCluster
from forestall.devcluster.programs import Programs
from forestall.devcluster.provider import local_cluster


@pytest.fixture(scope="session")
def cluster(programs: Programs, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KwokCluster]:
    """A control plane with three nodes and forestall's CRDs."""
    if kubeconfig := os.environ.get("FORESTALL_TEST_KUBECONFIG"):
        running = KwokCluster(Path(kubeconfig), programs, tmp_path_factory.mktemp("cluster"))
        running.scale_nodes(3)
        _define(running, root)
        yield running
    else:
        with local_cluster(programs, nodes=3, arguments=QUICK_AUTOSCALERS) as started:
            _define(started, root)
            yield started


def _define(cluster: KwokCluster, root: Path) -> None:
    """Apply the CRDs, and return when the API serves them."""
    crds = root / "crds"
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", crds)
    cluster.kubectl("wait", "--for=condition=Established", "-f", crds, "--timeout=180s")


@pytest.fixture(scope="session")
def core(cluster: KwokCluster) -> Iterator[CoreV1Api]:
    """The API of namespaces: hundreds of tests need one, and a kubectl for each takes many times as long."""
    client: Any = config.new_client_from_config(str(cluster.kubeconfig))
    yield CoreV1Api(client)
    client.rest_client.pool_manager.clear()


@pytest.fixture
def namespace(core: CoreV1Api, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace that nobody else uses, and that goes after the test with all that is in it."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    name = f"{words[:40].strip('-')}-{uuid4().hex[:6]}"
    core.create_namespace(V1Namespace(metadata=V1ObjectMeta(name=name)))
    _wait_for_service_account(core, name)
    yield name
    core.delete_namespace(name)


def _wait_for_service_account(core: CoreV1Api, namespace: str) -> None:
    """Return when pods can be made in the namespace."""
    end = time.monotonic() + 180
    while True:
        try:
            core.read_namespaced_service_account("default", namespace)
        except ApiException as error:
            if error.status != 404 or time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return
