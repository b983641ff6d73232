"""How targets are read and how often, and what is reported of those that can't be used."""

import asyncio
from typing import Any, cast

import pytest
from structlog.testing import capture_logs
from tests.support.memory_cluster import MemoryCluster
from tests.support.virtual_time import run

from forestall.api import ServiceLevelObjective
from forestall.core.plan import TargetScale
from forestall.engine.objective_status import Problem
from forestall.engine.target_resolver import TargetResolver
from forestall.errors import Forbidden, NotFound, Unavailable
from forestall.ports import Cluster

INTERVAL = 30.0


class Read:
    """Implements `read` of the `Cluster` port: no workload exists."""

    def __init__(self):
        self.names = []

    async def read(self, ref):
        self.names.append(ref.name)
        raise NotFound(ref.name)


def objectives(slo, count):
    spec = slo.spec.dump()
    return [
        ServiceLevelObjective.read(
            {
                "metadata": {**slo.metadata.dump(), "uid": f"u-{number}"},
                "spec": {**spec, "target": {"name": f"w-{number}"}},
            }
        )
        for number in range(count)
    ]


async def test_many_targets_are_read_over_several_cycles_and_then_rarely(slo):
    cluster = Read()
    targets = TargetResolver(cast("Cluster", cluster), INTERVAL, 16)
    every = objectives(slo, 250)
    assert len(await targets.check(every, 0.0)) == 200
    assert len(await targets.check(every, INTERVAL)) == 250
    assert len(cluster.names) == len(set(cluster.names)) == 250
    await targets.check(every, 2 * INTERVAL)
    assert len(cluster.names) == 250
    await targets.check(every, 10 * INTERVAL)
    assert cluster.names[250:] == cluster.names[:200]


def deployment(cluster, name="checkout", namespace="shop", replicas=3, ready=2, uid="d-1"):
    body = cluster.insert({
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "uid": uid},
        "spec": {"replicas": replicas, "template": {"metadata": {"labels": {"app": name}}}},
    })  # fmt: skip
    body["status"] = {"readyReplicas": ready, "replicas": replicas}


@pytest.fixture
def cluster():
    return MemoryCluster()


async def test_a_target_is_read_with_its_scale_where_that_is_asked_for(cluster, slo):
    deployment(cluster)
    targets = TargetResolver(cluster, INTERVAL, 16)
    plain: Any = await targets.read(slo, with_scale=False)
    assert (plain.ref.uid, plain.ref.kind, plain.size, plain.floor) == (
        "d-1",
        "Deployment",
        TargetScale(None, 2),
        None,
    )
    assert (plain.workload.labels, plain.obstacle) == ({"app": "checkout"}, None)
    assert {request.kind for request in cluster.requests} == {"Deployment"}
    scaled: Any = await targets.read(slo, with_scale=True)
    assert (scaled.size, scaled.floor.level, scaled.obstacle) == (TargetScale(3, 2), 3, None)


async def test_target_is_read_from_the_given_cluster(cluster, slo):
    deployment(cluster, uid="there")
    targets = TargetResolver(MemoryCluster(), INTERVAL, 16)
    found: list[Any] = [await targets.read(slo, with_scale=False, cluster=reader) for reader in (None, cluster)]
    assert (found[0].reason, found[1].ref.uid) == ("TargetMissing", "there")


async def test_what_keeps_a_target_from_being_scaled_is_its_obstacle(cluster, slo):
    deployment(cluster)
    for name in ("a", "b"):
        spec = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"}, "maxReplicas": 9}
        cluster.insert(
            {"kind": "HorizontalPodAutoscaler", "metadata": {"name": name, "namespace": "shop"}, "spec": spec}
        )
    found: Any = await TargetResolver(cluster, INTERVAL, 16).read(slo, with_scale=True)
    assert (found.size, found.floor, found.obstacle.reason) == (TargetScale(None, 2), None, "AmbiguousAutoscaler")


@pytest.mark.parametrize(
    ("error", "reason", "message", "told"),
    [
        (
            NotFound("x"),
            "TargetMissing",
            "Deployment checkout does not exist in namespace shop: create it, or mend spec.target",
            True,
        ),
        (
            Forbidden("not yours"),
            "TargetForbidden",
            "not yours; bind the operator's workload role in this namespace",
            True,
        ),
        (Unavailable("no answer"), "TargetUnknown", "Deployment checkout could not be read: no answer", False),
    ],
)
async def test_a_target_that_can_not_be_used_is_told_unless_it_is_only_unknown_now(
    cluster, slo, error, reason, message, told
):
    deployment(cluster)
    targets = TargetResolver(cluster, INTERVAL, 16)
    assert await targets.check([slo], 0.0) == {}
    assert targets.ready("o-1") == 2
    cluster.fail("read", error, "Deployment")
    assert await targets.read(slo, with_scale=False) == Problem(reason, message)
    assert await targets.check([slo], 300.0) == ({"o-1": Problem(reason, message)} if told else {})
    assert targets.ready("o-1") is None


class Hanging(MemoryCluster):
    """Never answers a read."""

    async def read(self, ref):
        await asyncio.Event().wait()


@pytest.mark.parametrize(("interval", "seconds"), [(30.0, 5), (5.5, 5), (3.0, 3), (0.5, 1)])
def test_a_target_is_waited_for_an_interval_at_the_most(slo, interval, seconds):
    targets = TargetResolver(Hanging(), interval, 16)
    problem = run(targets.read(slo, with_scale=False))
    assert problem == Problem("TargetUnknown", f"Deployment checkout could not be read within {seconds} s")


def test_what_is_not_read_in_time_keeps_what_was_known(cluster, slo):
    targets = TargetResolver(cluster, INTERVAL, 16)
    missing = asyncio.run(targets.check([slo], 0.0))
    targets._cluster = Hanging()
    assert run(targets.check([slo], 300.0, 1.0)) == missing
    assert missing["o-1"].reason == "TargetMissing"


@pytest.mark.parametrize(
    ("now", "generation", "again"), [(299.5, 1, False), (300.0, 1, True), (-0.5, 1, True), (0.0, 2, True)]
)
async def test_a_target_is_looked_at_every_ten_intervals_and_when_the_objective_changes(
    cluster, slo, now, generation, again
):
    deployment(cluster)
    targets = TargetResolver(cluster, INTERVAL, 16)
    await targets.check([slo], 0.0)
    slo = slo.model_copy(update={"metadata": slo.metadata.model_copy(update={"generation": generation})})
    await targets.check([slo], now)
    assert len(cluster.requests) == 1 + again


async def test_what_was_read_longest_ago_or_is_new_comes_first_and_every_namespace_in_turn(slo):
    cluster = Read()
    targets = TargetResolver(cast("Cluster", cluster), INTERVAL, 16)
    first = objectives(slo, 3)
    await targets.check(first[:1], 10.0)
    await targets.check(first[:2], 20.0)
    cluster.names.clear()
    await targets.check(first, 400.0)
    assert cluster.names == ["w-2", "w-0", "w-1"]
    cluster.names.clear()
    other = first[1].model_copy(
        update={"metadata": first[1].metadata.model_copy(update={"namespace": "bank", "generation": 2})}
    )
    await targets.check([first[0], first[2], other], 800.0)
    assert cluster.names == ["w-1", "w-0", "w-2"]


async def test_what_is_gone_is_forgotten(cluster, slo):
    deployment(cluster)
    targets = TargetResolver(cluster, INTERVAL, 16)
    await targets.check([slo], 0.0)
    assert (await targets.check([], 0.0), targets.ready("o-1")) == ({}, None)
    cluster.requests.clear()
    await targets.check([slo], 0.0)
    assert len(cluster.requests) == 1


async def test_an_error_is_the_problem_of_its_objective(cluster, slo, monkeypatch):
    deployment(cluster)
    monkeypatch.setattr("forestall.engine.target_resolver.workload_of", None)
    with capture_logs():
        problems = await TargetResolver(cluster, INTERVAL, 16).check([slo], 0.0)
    assert problems["o-1"].reason == "InternalError"
    assert "looking at the target" in problems["o-1"].message
