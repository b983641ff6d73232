"""Nodes and pods are listed at most once a cycle, and only when somebody asks."""

import asyncio
from typing import cast

import pytest

from forestall.engine.survey import Survey
from forestall.errors import Forbidden
from forestall.ports import Cluster


class Listing:
    """Implements the part of the `Cluster` port that lists."""

    def __init__(self):
        self.asked = []
        self.refuse = False

    async def find(self, api_version, kind, namespace="", label_selector="", field_selector=""):
        self.asked.append((kind, field_selector.partition(",")[0]))
        await asyncio.sleep(0)
        if self.refuse:
            raise Forbidden(kind)
        return [{"kind": kind}]


@pytest.fixture
def cluster():
    return Listing()


@pytest.fixture
def survey(cluster):
    return Survey(cast("Cluster", cluster))


async def test_nodes_are_listed_once_a_cycle(cluster, survey):
    assert cluster.asked == []
    assert list(await asyncio.gather(survey.nodes(), survey.nodes())) == [[{"kind": "Node"}]] * 2
    assert cluster.asked == [("Node", "")]
    survey.forget()
    await survey.nodes()
    assert len(cluster.asked) == 2


async def test_pods_are_listed_once_for_each_node_that_is_asked_for(cluster, survey):
    found = await survey.pods(["a", "b"])
    assert found is not None
    assert set(found) == {"a", "b"}
    await survey.pods(["b", "c"])
    assert cluster.asked == [("Pod", f"spec.nodeName={name}") for name in ("a", "b", "c")]


async def test_what_could_not_be_listed_is_unknown_until_the_next_cycle(cluster, survey):
    cluster.refuse = True
    assert await survey.nodes() is None
    assert await survey.pods(["a"]) is None
    cluster.refuse = False
    assert await survey.nodes() is None
    survey.forget()
    assert await survey.nodes() is not None
