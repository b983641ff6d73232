"""A pause on a real API server: it stops a cycle under way within a second, and everything after it."""

import asyncio
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.support.control_plane import PooledCluster

from forestall import handlers
from forestall.adapters.kubernetes import Access, Api, KubernetesCluster, Recorder
from forestall.api import API_VERSION, Remediation
from forestall.api.remediation import ObjectRef
from forestall.engine import Engine, Settings
from forestall.engine.pause_checker import PauseChecker
from forestall.ports import Answer, Sample, ScaleSubresource
from forestall.pruner import Pruner
from forestall.registry import Registry

API = "forestall.dev/v1alpha1"
WORKLOADS = 18
"""Fewer workloads than a storm, which would hold them as well."""
INTERVAL = 10.0
BUSY_S = 0.2
"""The delay (s) of each write, as with a busy API server, so that the cycle lasts for some seconds."""
DEADLINE_S = 300.0
SOON_S = 1.0
"""The time (s) after which nothing may be changed any more."""


class SlowCluster(KubernetesCluster):
    """Delays each change of a workload, and records when it was sent."""

    sent: list[float]

    async def write_scale(self, ref: ObjectRef, replicas: int, resource_version: str) -> ScaleSubresource:
        self.sent.append(time.monotonic())
        answer = await super().write_scale(ref, replicas, resource_version)
        await asyncio.sleep(BUSY_S)
        return answer


class Overload:
    """A metric source that reports every workload as overloaded."""

    async def instant(self, source: str, queries: Sequence[Any], at: float) -> dict[Any, Answer]:
        return {query.key: Answer((Sample((), 300.0 if query.key[1] == "load" else 0.0),), at) for query in queries}

    async def range(self, source: str, queries: Sequence[Any], start: float, end: float, step: float) -> dict[Any, Any]:
        return {query.key: () for query in queries}


@dataclass
class Operator:
    """An engine whose registry is updated by real watches."""

    plane: PooledCluster
    namespace: str
    cluster: SlowCluster
    registry: Registry
    engine: Engine
    watches: list[asyncio.Task[None]]
    now: float = field(default_factory=time.time)

    async def cycle(self) -> None:
        self.now = max(self.now + INTERVAL, time.time())
        await self.engine.cycle(self.now, leading=True)

    async def cycle_until(self, condition: Callable[[], bool]) -> None:
        """Run cycles until the condition holds: on a busy machine a cycle may be cancelled before it ends."""
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                await self.cycle()

    async def blind(self) -> None:
        """Stop all updates of the registry by watches and lists."""
        for task in self.watches:
            task.cancel()
        await asyncio.wait(self.watches, timeout=180)

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():  # noqa: ASYNC110 -- it polls what others change
                await asyncio.sleep(0.02)

    async def command(self, *words: str) -> str:
        """Run `forestall` as a separate process, which shares only the API server."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "forestall", *words),
            env={**os.environ, "KUBECONFIG": str(self.plane.kubeconfig), "NO_COLOR": "1"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await asyncio.wait_for(process.communicate(), DEADLINE_S)
        assert process.returncode == 0, out.decode()
        return out.decode()

    def stopped(self, objective: str) -> str | None:
        """Return why an objective is paused, as far as the watches have delivered."""
        return PauseChecker(self.registry, self.cluster).paused_by(self.namespace, objective, "early", self.now)

    @property
    def remediations(self) -> list[Remediation]:
        return self.registry.all(Remediation, self.namespace)

    def replicas(self) -> list[int]:
        return [each["spec"]["replicas"] for each in self.plane.find("Deployment", self.namespace)]


@pytest.fixture
async def operator(cluster: PooledCluster, namespace: str) -> AsyncIterator[Operator]:
    source = f"source-{namespace}"
    names = [f"web-{number}" for number in range(WORKLOADS)]
    cluster.apply(
        {"apiVersion": API, "kind": "MetricSource", "metadata": {"name": source}, "spec": {"url": "http://127.0.0.1:9"}}
    )
    cluster.apply(policy(), *(each for name in names for each in workload(name, source)), namespace=namespace)
    access = await Access.find(str(cluster.kubeconfig))
    registry = Registry()
    async with Api(access) as api, Recorder(api, "test") as recorder:
        world = SlowCluster(api, recorder, "default")
        world.sent = []
        watches = [
            asyncio.create_task(Pruner(registry, world).run()),
            asyncio.create_task(handlers.watch(registry, access, "test")),
        ]
        engine = Engine(Overload(), world, registry, Settings(interval=INTERVAL, concurrency=1))
        made = Operator(cluster, namespace, world, registry, engine, watches)
        await made.until(lambda: registry.synced)
        yield made
        await made.blind()
    cluster.kubectl("delete", "metricsource", source)
    cluster.kubectl("delete", "guardrail", "pause", "--ignore-not-found")


def workload(name: str, source: str) -> list[dict[str, Any]]:
    labels = {"app": name}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "x", "image": "x"}]}}
    deployment = {"replicas": 2, "selector": {"matchLabels": labels}, "template": pod}
    objective = {
        "source": source,
        "target": {"name": name},
        "indicator": {"raw": {"errorRatio": "errors"}},
        "objective": 99.0,
        "leadingIndicators": [{"name": "load", "query": "load", "limit": 100, "horizon": "5m"}],
    }
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": deployment},
        {"apiVersion": API, "kind": "ServiceLevelObjective", "metadata": {"name": name}, "spec": objective},
    ]


def policy() -> dict[str, Any]:
    scale = {"maxReplicas": 8, "capacity": {"type": "Declared", "perReplica": 50, "headroom": 0}}
    spec = {"mode": "Auto", "actions": [{"scale": scale}]}
    return {"apiVersion": API, "kind": "RemediationPolicy", "metadata": {"name": "early"}, "spec": spec}


def pause(namespace: str) -> dict[str, Any]:
    """Return what `forestall pause` writes."""
    if namespace:
        metadata, spec = {"name": "all", "namespace": namespace}, {"by": "jo", "reason": "an incident"}
        return {"apiVersion": API, "kind": "Pause", "metadata": metadata, "spec": spec}
    told = {"paused": True, "pausedBy": "jo", "pauseReason": "an incident"}
    return {"apiVersion": API, "kind": "Guardrail", "metadata": {"name": "pause"}, "spec": told}


EVERYWHERE_OR_HERE = pytest.mark.parametrize("everywhere", [True, False], ids=["cluster", "namespace"])


async def pause_in_the_middle(operator: Operator, *, everywhere: bool) -> None:
    """Pause while a cycle is under way, and check that it changes nothing more."""
    cycle = asyncio.create_task(operator.cycle())
    await operator.until(lambda: len(operator.cluster.sent) >= 3)
    await operator.cluster.create(pause("" if everywhere else operator.namespace))
    paused = time.monotonic()
    assert not cycle.done(), "the cycle must be under way"
    await cycle

    late = [at - paused for at in operator.cluster.sent if at > paused]
    assert max(late, default=0.0) <= SOON_S, "something was changed after the pause"
    untouched = operator.replicas().count(2)
    assert untouched >= WORKLOADS // 3, "most were still to be done"
    assert untouched + len(operator.cluster.sent) == WORKLOADS


@EVERYWHERE_OR_HERE
async def test_pause_stops_a_cycle_under_way_within_a_second(operator: Operator, everywhere: bool) -> None:
    await pause_in_the_middle(operator, everywhere=everywhere)

    # It holds what was written down already as well as what would be decided anew, and says so.
    await operator.until(lambda: len(operator.remediations) >= len(operator.cluster.sent))
    before = len(operator.cluster.sent)
    await operator.cycle_until(lambda: any(one.status.reason == "Paused" for one in operator.remediations))
    assert len(operator.cluster.sent) == before
    held = next(one for one in operator.remediations if one.status.reason == "Paused")
    assert "by jo: an incident" in held.status.message
    assert "PAUSED: " in await operator.command("status", "-n", operator.namespace)

    assert "goes on" in await operator.command("resume", *([] if everywhere else ["-n", operator.namespace]))
    await operator.until(lambda: operator.stopped("web-0") is None)
    await operator.cycle_until(lambda: operator.replicas().count(6) == WORKLOADS)
    assert len(operator.cluster.sent) == WORKLOADS, "nothing was done twice"


@EVERYWHERE_OR_HERE
async def test_pause_that_no_watch_delivers_stops_the_cycle(operator: Operator, everywhere: bool) -> None:
    await operator.blind()
    await pause_in_the_middle(operator, everywhere=everywhere)


async def test_pause_expires(operator: Operator) -> None:
    await operator.command("pause", "-n", operator.namespace, "slo/web-0", "--for", "1h")
    other = {"apiVersion": API_VERSION, "kind": "Pause", "metadata": {"name": "other"}, "spec": {"policy": "other"}}
    operator.plane.apply(other, namespace=operator.namespace)  # the command refuses to pause what does not exist
    await operator.until(lambda: operator.stopped("web-0"))
    await operator.cycle_until(lambda: operator.replicas().count(6) == WORKLOADS - 1)
    await operator.cycle()
    assert sorted(operator.replicas()) == [2] + [6] * (WORKLOADS - 1), "the others were done"
    operator.now += 3600
    await operator.cycle_until(lambda: operator.replicas().count(6) == WORKLOADS)
    pause = operator.plane.get("pause", "objective-web-0", operator.namespace)
    assert [each["reason"] for each in pause["status"]["conditions"]] == ["Expired"]
    assert re.search(r"objective-web-0 .*\bExpired\b", operator.plane.kubectl("get", "pauses", "-A").stdout)
