"""The real API server passes the same tests as the cluster in memory that unit tests use."""

from collections.abc import AsyncIterator

import pytest
from tests.support.conformance import ClusterConformance

from forestall.adapters.kubernetes import Access, Api, KubernetesCluster, Recorder
from forestall.devcluster.kwok import KwokCluster


@pytest.fixture
async def port(cluster: KwokCluster, namespace: str) -> AsyncIterator[KubernetesCluster]:
    async with Api(await Access.find(str(cluster.kubeconfig))) as api:
        yield KubernetesCluster(api, Recorder(api, "test"), namespace)


class TestKubernetesCluster(ClusterConformance):
    """The conformance tests that the cluster in memory passes in `tests/unit/support`."""
