"""The cluster in memory does what the API server does, as far as unit tests rest on it, and fails as they say."""

import pytest
from tests.support.conformance import ClusterConformance, flags, ref_to, version_of
from tests.support.memory_cluster import MemoryCluster

from forestall.api.remediation import ObjectRef
from forestall.errors import Conflict, NotFound, Throttled, Unavailable

POD = {"kind": "Pod", "metadata": {"namespace": "shop", "name": "web-1", "uid": "p-1", "labels": {"app": "web"}}}


@pytest.fixture
def port():
    return MemoryCluster()


@pytest.fixture
def namespace():
    return "shop"


class TestMemoryCluster(ClusterConformance):
    """Holds what the real API server is held to in `tests/cluster/test_conformance.py`."""


async def test_a_pod_is_evicted_as_its_budget_allows_and_no_other_of_its_name(port):
    port.insert(POD)
    budget = {"namespace": "shop", "name": "web"}
    allows = {"spec": {"selector": {"matchLabels": {"app": "web"}}}, "status": {"disruptionsAllowed": 0}}
    port.insert({"kind": "PodDisruptionBudget", "metadata": budget, **allows})
    pod = ObjectRef(api_version="v1", kind="Pod", namespace="shop", name="web-1", uid="p-1")
    with pytest.raises(Throttled):
        await port.evict(pod)
    port.change("PodDisruptionBudget", "web", {"status": {"disruptionsAllowed": 1}})
    with pytest.raises(Conflict):
        await port.evict(pod.model_copy(update={"uid": "p-0"}))
    await port.evict(pod)
    with pytest.raises(NotFound):
        await port.evict(pod)


async def test_what_has_a_finalizer_is_deleted_later(port):
    body = await port.create(flags("shop"))
    port.change("ConfigMap", "flags", {"metadata": {"finalizers": ["example.com/x"]}})
    await port.delete(ref_to(body), "")
    assert (await port.read(ref_to(body)))["metadata"]["deletionTimestamp"]


async def test_who_holds_an_answer_holds_no_part_of_the_cluster(port):
    body = await port.create(flags("shop", flag="on"))
    body["data"]["flag"] = "off"
    assert (await port.read(ref_to(body)))["data"] == {"flag": "on"}


async def test_requests_fail_as_often_as_a_test_says_and_are_all_kept(port):
    body = await port.create(flags("shop", flag="on"))
    port.fail("patch", Unavailable("connection refused"), "ConfigMap", times=1)
    port.fail("patch", Unavailable("connection reset"), times=1, done=True)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await port.patch(ref_to(body), {"data": {"flag": "off"}}, version_of(body))
    assert (await port.read(ref_to(body)))["data"] == {"flag": "off"}, "the second was done, and its answer lost"
    port.fail("read", Unavailable("no answer"), "Secret")
    await port.read(ref_to(body))
    assert [request.verb for request in port.written] == ["create", "patch", "patch"]


async def test_what_others_add_is_served_where_a_test_says_so(port):
    with pytest.raises(NotFound):
        await port.find("keda.sh/v1alpha1", "ScaledObject")
    assert await MemoryCluster(extensions={"ScaledObject"}).find("keda.sh/v1alpha1", "ScaledObject") == []
