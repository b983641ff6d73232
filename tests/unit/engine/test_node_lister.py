"""Nodes and pods are listed at most once a cycle, and only on demand."""

import asyncio
from typing import Any, cast

import pytest

from forestall.engine.node_lister import NodeLister
from forestall.errors import Forbidden
from forestall.ports import Cluster


class Listing:
    """Implements the part of the `Cluster` port that lists."""

    def __init__(self):
        self.asked = []
        self.refuse = False
        self.pods: list[dict[str, Any]] = []
        self.protected: set[str] = set()

    async def find(self, api_version, kind, namespace="", label_selector="", field_selector=""):
        self.asked.append((kind, field_selector.partition(",")[0]))
        await asyncio.sleep(0)
        if self.refuse:
            raise Forbidden(kind)
        return self.pods or [{"kind": kind}]

    async def read(self, ref):
        self.asked.append((ref.kind, ref.name))
        if self.refuse:
            raise Forbidden(ref.name)
        protected = {"annotations": {"forestall.dev/protected": "true"}} if ref.name in self.protected else {}
        return {"metadata": {"name": ref.name, "namespace": ref.namespace, **protected}}


@pytest.fixture
def cluster():
    return Listing()


@pytest.fixture
def survey(cluster):
    return NodeLister(cast("Cluster", cluster))


async def test_nodes_are_listed_once_a_cycle(cluster, survey):
    assert cluster.asked == []
    assert list(await asyncio.gather(survey.nodes(), survey.nodes())) == [[{"kind": "Node"}]] * 2
    assert cluster.asked == [("Node", "")]
    survey.forget()
    await survey.nodes()
    assert len(cluster.asked) == 2


async def test_pods_are_listed_once_for_each_requested_node(cluster, survey):
    found = await survey.pods(["a", "b"])
    assert found is not None
    assert set(found) == {"a", "b"}
    await survey.pods(["b", "c"])
    assert cluster.asked == [("Pod", f"spec.nodeName={name}") for name in ("a", "b", "c")]


async def test_failed_list_is_unknown_until_the_next_cycle(cluster, survey):
    cluster.refuse = True
    assert await survey.nodes() is None
    assert await survey.pods(["a"]) is None
    cluster.refuse = False
    assert await survey.nodes() is None
    survey.forget()
    assert await survey.nodes() is not None


async def test_unscheduled_pods_that_may_be_scheduled_count_as_waiting(cluster, survey):
    def unbound(name, **spec):
        return {"metadata": {"name": name, "namespace": "shop"}, "spec": spec}

    going = {**unbound("going"), "metadata": {"name": "going", "deletionTimestamp": "2026-01-31T18:00:00Z"}}
    cluster.pods = [unbound("waits"), unbound("gated", schedulingGates=[{"name": "quota"}]), going]
    waiting = await survey.waiting()
    assert waiting is not None
    assert [each["metadata"]["name"] for each in waiting] == ["waits"]
    assert cluster.asked == [("Pod", "spec.nodeName=")]
    survey.forget()
    cluster.refuse = True
    assert await survey.waiting() is None


def pod(name, owner, kind="ReplicaSet"):
    owners = [{"apiVersion": "apps/v1", "kind": kind, "name": owner, "uid": owner, "controller": True}]
    return {"metadata": {"name": name, "namespace": "shop", "uid": name, "ownerReferences": owners}}


async def test_pods_that_stay_on_a_drained_node_do_not_move_and_owners_are_read_once(cluster, survey):
    cluster.pods = [pod("a", "web"), pod("b", "web"), pod("c", "db"), pod("d", "agent", "DaemonSet")]
    cluster.protected = {"db"}
    for _ in range(2):
        moving = await survey.moving(["n1"])
        assert moving is not None
        assert [each["metadata"]["name"] for each in moving] == ["a", "b"]
    assert [asked for asked in cluster.asked if asked[0] != "Pod"] == [
        ("Namespace", "shop"),
        ("ReplicaSet", "web"),
        ("ReplicaSet", "db"),
    ]


async def test_moving_pods_are_unknown_when_protection_cannot_be_read(cluster, survey):
    cluster.pods = [pod("a", "web")]
    assert await survey.pods(["n1"]) is not None
    cluster.refuse = True
    assert await survey.moving(["n1"]) is None


async def test_no_more_than_eight_lists_are_asked_for_at_once(cluster, survey):
    now = most = 0
    find = cluster.find

    async def counted(*args, **kwargs):
        nonlocal now, most
        now += 1
        most = max(most, now)
        found = await find(*args, **kwargs)
        now -= 1
        return found

    cluster.find = counted
    assert await survey.pods(f"n{number}" for number in range(20)) is not None
    assert (most, len(cluster.asked)) == (8, 20)


async def test_one_node_that_can_not_be_listed_leaves_all_unknown(cluster, survey):
    find = cluster.find

    async def failing(*args, field_selector="", **kwargs):
        if field_selector.startswith("spec.nodeName=b"):
            raise Forbidden("no")
        return await find(*args, field_selector=field_selector, **kwargs)

    cluster.find = failing
    assert await survey.pods(["a", "b"]) is None
    assert await survey.pods(["a", "a"]) is not None
    assert await survey.moving(["a", "b"]) is None
