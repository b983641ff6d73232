"""A status is written over what others write beside it, and not over what they write in it."""

import pytest
from tests.support.memory_cluster import MemoryCluster

from forestall.api.remediation import ObjectRef
from forestall.api.service_level_objective import ServiceLevelObjectiveStatus
from forestall.engine.status_versions import ATTEMPTS, StatusVersions
from forestall.errors import Conflict, Unavailable

KNOWN = ServiceLevelObjectiveStatus(sli="99%")
REF = ObjectRef(
    api_version="forestall.dev/v1alpha1",
    kind="ServiceLevelObjective",
    namespace="shop",
    name="checkout",
    uid="o-1",
)


@pytest.fixture
def cluster():
    cluster = MemoryCluster()
    cluster.insert({
        "kind": "ServiceLevelObjective",
        "metadata": {"name": "checkout", "namespace": "shop", "uid": "o-1"},
        "spec": {},
        "status": {"sli": "99%"},
    })  # fmt: skip
    return cluster


def version(cluster):
    return cluster.objects["ServiceLevelObjective", "shop", "checkout"]["metadata"]["resourceVersion"]


def sli(cluster):
    return cluster.objects["ServiceLevelObjective", "shop", "checkout"]["status"]["sli"]


async def test_status_is_written_for_the_version_of_the_last_write(cluster):
    versions, seen = StatusVersions(cluster), version(cluster)
    await versions.put(REF, {"sli": "98%"}, seen)
    await versions.put(REF, {"sli": "97%"}, seen)
    await versions.put(REF, {"sli": "96%"}, seen)
    assert (sli(cluster), [request.verb for request in cluster.requests]) == ("96%", ["apply_status"] * 3)
    await versions.put(REF, {"sli": "95%"}, version(cluster))
    assert sli(cluster) == "95%"


async def test_version_of_the_last_write_is_forgotten_with_its_object(cluster):
    versions, seen = StatusVersions(cluster), version(cluster)
    await versions.put(REF, {"sli": "98%"}, seen)
    versions.retain({"o-1"})
    await versions.put(REF, {"sli": "97%"}, seen)
    versions.retain({"o-2"})
    with pytest.raises(Conflict):
        await versions.put(REF, {"sli": "96%"}, seen)
    assert sli(cluster) == "97%"


async def test_status_is_written_although_others_changed_another_part_of_the_object(cluster):
    seen = version(cluster)
    cluster.change("ServiceLevelObjective", "checkout", {"metadata": {"annotations": {"a": "b"}}})
    await StatusVersions(cluster).put(REF, {"sli": "98%"}, seen, KNOWN)
    assert sli(cluster) == "98%"
    body = cluster.objects["ServiceLevelObjective", "shop", "checkout"]
    assert body["metadata"]["annotations"] == {"a": "b"}


@pytest.mark.parametrize(
    ("change", "current"),
    [
        ({"status": {"sli": "50%"}}, KNOWN),
        ({"status": {"episode": "no map"}}, KNOWN),
        ({"status": None}, KNOWN),
        ({"metadata": {"annotations": {"a": "b"}}}, None),
    ],
)
async def test_another_status_than_the_known_one_is_a_conflict(cluster, change, current):
    seen = version(cluster)
    cluster.change("ServiceLevelObjective", "checkout", change)
    with pytest.raises(Conflict):
        await StatusVersions(cluster).put(REF, {"sli": "98%"}, seen, current)
    assert len([request for request in cluster.requests if request.verb == "apply_status"]) == 1


async def test_an_empty_status_is_known_where_there_was_none(cluster):
    seen = version(cluster)
    cluster.change("ServiceLevelObjective", "checkout", {"status": None})
    await StatusVersions(cluster).put(REF, {"sli": "98%"}, seen, ServiceLevelObjectiveStatus())
    assert sli(cluster) == "98%"


@pytest.mark.parametrize(("times", "written"), [(ATTEMPTS - 1, True), (ATTEMPTS, False)])
async def test_status_is_tried_40_times_at_the_most(cluster, times, written):
    cluster.fail("apply_status", Conflict("changed"), times=times)
    writing = StatusVersions(cluster).put(REF, {"sli": "98%"}, version(cluster), KNOWN)
    if written:
        await writing
    else:
        with pytest.raises(Conflict):
            await writing
    assert (ATTEMPTS, sli(cluster)) == (40, "98%" if written else "99%")
    assert len([request for request in cluster.requests if request.verb == "apply_status"]) == 40


async def test_another_error_is_not_tried_again(cluster):
    cluster.fail("apply_status", Unavailable("no answer"), times=1)
    with pytest.raises(Unavailable):
        await StatusVersions(cluster).put(REF, {"sli": "98%"}, version(cluster), KNOWN)
    assert sli(cluster) == "99%"
