"""The kind: one slow thing in a cycle delays all.

One source, channel, review, read or write hangs forever. The cycle still ends within its limit, other namespaces are
remediated in it, and the slow part is named. Time is virtual, so no test waits.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.support.harness import Harness
from tests.support.memory_cluster import MemoryCluster, Request
from tests.support.virtual_time import run

from forestall.engine import Settings
from forestall.engine.cycle_report import CycleReport
from forestall.ports import Right

SLOW, WELL = "slow", "shop"
INTERVAL = 2.0


class HangingCluster(MemoryCluster):
    """A cluster in which some requests never return."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.hangs: Callable[[Request], bool] = lambda _: False
        self.hung: list[Request] = []

    async def _serve(self, request: Request, effect: Callable[[], Any]) -> Any:
        if self.hangs(request):
            self.hung.append(request)
            await asyncio.Event().wait()
        return await super()._serve(request, effect)

    async def refusal(self, right: Right) -> str | None:
        """Return why the operator lacks the permission; hang for some namespaces."""
        request = Request("review", right.kind, right.namespace, right.name)
        refusal: str | None = await self._serve(request, lambda: self.refusals.get(right.kind))
        return refusal


class HangingSources:
    """Implements the `Metrics` port: some calls to some sources never return."""

    def __init__(self, script: Any) -> None:
        self.script = script
        self.hangs: set[tuple[str, str]] = set()
        self.calls: list[tuple[str, str]] = []

    async def _ask(self, call: str, source: str, *args: Any) -> Any:
        self.calls.append((call, source))
        if (call, source) in self.hangs:
            await asyncio.Event().wait()
        return await getattr(self.script, call)(source, *args)

    async def instant(self, source: str, queries: Any, at: float) -> Any:
        """Answer, or hang."""
        return await self._ask("instant", source, queries, at)

    async def range(self, source: str, queries: Any, start: float, end: float, step: float) -> Any:
        """Answer, or hang."""
        return await self._ask("range", source, queries, start, end, step)


class HangingPeople:
    """Implements the `Notifier` port: some channels never respond."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.begun: list[tuple[str, str]] = []
        self.well = asyncio.Event()

    async def send(self, channel: str, notice: Any) -> None:
        """Record the notification, or hang."""
        self.begun.append((channel, notice.id))
        if channel == SLOW:
            await self.well.wait()
        self.told.append((channel, notice.id))


@dataclass
class World:
    """Two namespaces with a workload at risk in each, and what hangs in one of them."""

    h: Harness
    cluster: HangingCluster
    sources: HangingSources
    people: HangingPeople
    seconds: list[float] = field(default_factory=list)

    async def cycle(self, count: int = 1) -> CycleReport:
        """Run cycles as the process does; each must end within its limit."""
        loop = asyncio.get_running_loop()
        while True:
            began, count = loop.time(), count - 1
            self.h.control()
            self.h.watch()
            async with asyncio.timeout(self.h.settings.limit):
                report = await self.h.engine.cycle(self.h.now, leading=True)
            self.seconds.append(loop.time() - began)
            self.h.now += INTERVAL
            self.h.watch()
            if not count:
                return report

    def replicas(self, namespace: str) -> int:
        return int(self.cluster.objects["Deployment", namespace, "checkout"]["spec"]["replicas"])

    def reason(self, namespace: str, kind: str) -> str:
        status = self.h.slo("checkout", namespace).status
        return next((each.reason for each in status.conditions if each.type == kind), "")


def world(**settings: Any) -> World:
    cluster = HangingCluster()
    h = Harness(Settings(interval=INTERVAL, threads=False, **settings), cluster)
    sources, people = HangingSources(h.script), HangingPeople()
    h.script, h.people = sources, people  # type: ignore[assignment]
    h.restart()
    for namespace in (SLOW, WELL):
        h.apply("Namespace", namespace)
        h.apply("MetricSource", namespace, {"url": "http://x", "namespaces": {}})
        h.deployment(namespace=namespace)
        cluster.objects["Deployment", namespace, "checkout"]["metadata"]["uid"] = f"Deployment-{namespace}"
        _objective(h, namespace)
    sources.script.say("load", 300.0)
    return World(h, cluster, sources, people)


def _objective(h: Harness, namespace: str, name: str = "checkout") -> None:
    """Add an objective and its policy to the namespace; UIDs differ by namespace."""
    h.objective(name, namespace, source=namespace, target={"name": "checkout"})
    h.policy(f"early-{name}", namespace)
    for kind, called in (("ServiceLevelObjective", name), ("RemediationPolicy", f"early-{name}")):
        h.cluster.objects[kind, namespace, called]["metadata"]["uid"] = f"{kind}-{namespace}-{called}"


@pytest.mark.parametrize("calls", [["instant"], ["range"], ["instant", "range"]])
def test_hanging_source_neither_ends_the_cycle_nor_delays_another_source(calls):
    async def story():
        w = world()
        w.sources.hangs = {(call, SLOW) for call in calls}
        report = await w.cycle(3)
        assert w.replicas(WELL) == 6
        assert max(w.seconds) < w.h.settings.limit
        assert report.sources[WELL].up
        if "instant" in calls:
            assert w.reason(SLOW, "DataFresh") == "SourceTimeout"
            assert (report.sources[SLOW].up, report.sources[SLOW].late) == (False, True)
            assert ("range", SLOW) not in w.sources.calls, "its past is not asked for meanwhile"
        else:
            await w.cycle(8)
            assert w.seconds[-1] < INTERVAL, "what hung again and again is asked ever more seldom"
            assert w.replicas(SLOW) == 6, "the present is known without the past"
        assert w.reason(WELL, "DataFresh") == "Fresh"

    run(story())


def test_late_answer_is_never_stored_at_another_time():
    async def story():
        w = world()
        w.sources.hangs = {("instant", SLOW)}
        await w.cycle(2)
        assert {key[0] for key in w.h.engine._forecasting.matrix.rows} == {f"ServiceLevelObjective-{WELL}-checkout"}
        assert len(asyncio.all_tasks()) == 1, "nothing is left that could answer later"
        w.sources.hangs = set()
        await w.cycle(3)
        assert w.replicas(SLOW) == 6

    run(story())


def _of(namespace: str, *verbs: str, kind: str = "") -> Callable[[Request], bool]:
    return lambda request: (
        request.namespace == namespace and request.verb in verbs and (not kind or request.kind == kind)
    )


@pytest.mark.parametrize(
    "hangs",
    [
        pytest.param(_of(SLOW, "read", kind="Deployment"), id="reads of targets"),
        pytest.param(_of(SLOW, "read", "find", "read_scale"), id="all reads"),
        pytest.param(_of(SLOW, "review"), id="reviews"),
        pytest.param(_of(SLOW, "apply_status", "replace_status"), id="writes of statuses"),
        pytest.param(_of(SLOW, "create"), id="creation of a Remediation"),
        pytest.param(_of(SLOW, "write_scale", "patch"), id="changes"),
        pytest.param(lambda request: request.namespace == SLOW, id="everything"),
    ],
)
def test_hanging_request_of_one_namespace_leaves_others_their_cycle(hangs):
    async def story():
        w = world()
        for namespace, name in ((namespace, f"o-{number}") for number in range(20) for namespace in (SLOW, WELL)):
            _objective(w.h, namespace, name)
            w.sources.script.say((f"ServiceLevelObjective-{namespace}-{name}", "load"), 10.0)
        w.cluster.hangs = hangs
        await w.cycle()
        assert None not in {w.h.slo(f"o-{number}", WELL).status.state for number in range(20)}
        await w.cycle(2)
        assert w.cluster.hung, "the case shows nothing if nothing hung"
        assert w.replicas(WELL) == 6
        assert max(w.seconds) < w.h.settings.limit
        assert w.reason(WELL, "DataFresh") == "Fresh"

    run(story())


def test_hanging_channel_is_not_awaited_and_reported_once():
    async def story():
        w = world()
        for namespace in (SLOW, WELL):
            w.h.apply("NotificationChannel", namespace, {"type": "Slack", "url": "https://example.com/"})
            policy = w.cluster.objects["RemediationPolicy", namespace, "early-checkout"]
            policy["spec"] |= {"actions": [{"notify": {"channel": namespace}}]}
        await w.cycle(5)
        assert [channel for channel, _ in w.people.told] == [WELL]
        assert [channel for channel, _ in w.people.begun].count(SLOW) == 1
        assert sum(w.seconds) < INTERVAL, "five cycles together"
        (waiting,) = (one for one in w.h.remediations if one.namespace == SLOW)
        assert (waiting.status.phase, waiting.status.reason) == ("Executing", "Sending")
        w.people.well.set()
        await w.cycle(3)
        assert sorted(channel for channel, _ in w.people.told) == [WELL, SLOW]
        assert {one.status.phase for one in w.h.remediations} == {"Succeeded"}
        await w.h.engine.close()

    run(story())


def test_late_delivery_is_recorded_although_the_risk_has_ended():
    async def story():
        w = world()
        w.h.apply("NotificationChannel", SLOW, {"type": "Slack", "url": "https://example.com/"})
        w.cluster.objects["RemediationPolicy", SLOW, "early-checkout"]["spec"] |= {
            "actions": [{"notify": {"channel": SLOW}}]
        }
        await w.cycle(2)
        w.sources.script.say("load", 10.0)
        w.people.well.set()
        await w.cycle(3)
        (notification,) = (one for one in w.h.remediations if one.namespace == SLOW)
        assert notification.status.phase == "Succeeded"
        assert len(w.people.told) == 1

    run(story())


def test_deliveries_under_way_end_with_the_engine():
    async def story():
        w = world()
        w.h.apply("NotificationChannel", SLOW, {"type": "Slack", "url": "https://example.com/"})
        w.cluster.objects["RemediationPolicy", SLOW, "early-checkout"]["spec"] |= {
            "actions": [{"notify": {"channel": SLOW}}]
        }
        await w.cycle(2)
        assert len(asyncio.all_tasks()) == 2
        await w.h.engine.close()
        assert len(asyncio.all_tasks()) == 1

    run(story())
