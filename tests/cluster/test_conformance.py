"""The real API server does what the cluster in memory does on which unit tests rest."""

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
    """Holds what the cluster in memory is held to in `tests/unit/support`."""
