"""Notifications by the engine on a real API server, to a real HTTP server on loopback."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from tests.support.settings import PatientSettings

from forestall.adapters.kubernetes import Access, Api, KubernetesCluster, Recorder
from forestall.adapters.notifiers import Channels
from forestall.api import NotificationChannel, Remediation, ServiceLevelObjective
from forestall.api.meta import condition
from forestall.devcluster.kwok import KwokCluster
from forestall.engine import Engine
from forestall.errors import Unavailable
from forestall.ports import Answer, Sample
from forestall.registry import WATCHED, Registry

API = "forestall.dev/v1alpha1"
START = 1_800_000_000.0
INTERVAL = 10.0
SCALE = {"scale": {"maxReplicas": 8, "capacity": {"type": "Declared", "perReplica": 50, "headroom": 0}}}


class Pager:
    """Records requests, and responds with `status`."""

    def __init__(self) -> None:
        self.status = 200
        self.got: list[dict[str, Any]] = []

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        self.got.append(json.loads(await request.read()))
        return web.Response(status=self.status)


class Script:
    """A metric source that reports a load."""

    load = 300.0

    async def instant(self, source: str, queries: Any, at: float) -> dict[Any, Answer]:
        return {query.key: Answer((Sample((), self.load if query.key[1] == "load" else 0.0),), at) for query in queries}

    async def range(self, source: str, queries: Any, start: float, end: float, step: float) -> dict[Any, Any]:
        return {query.key: () for query in queries}


class Field:
    """An engine with a notifier, its cluster and its clock."""

    def __init__(self, plane: KwokCluster, namespace: str, cluster: KubernetesCluster, pager: Pager, url: str) -> None:
        self.plane = plane
        self.namespace = namespace
        self.cluster = cluster
        self.pager = pager
        self.channel = f"pager-{namespace}"[:63].rstrip("-")
        self.source = f"source-{namespace}"[:63].rstrip("-")
        self.script = Script()
        self.now = START
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pager"}, "stringData": {"url": url}}
        plane.apply(secret, namespace=namespace)
        spec = {"type": "CloudEvents", "urlFrom": {"name": "pager", "key": "url"}, "timeout": "2s"}
        self.apply("NotificationChannel", self.channel, spec)
        self.apply("MetricSource", self.source, {"url": "http://127.0.0.1:9"})
        objective = {
            "source": self.source,
            "target": {"name": "checkout"},
            "indicator": {"raw": {"errorRatio": "errors"}},
            "objective": 99.0,
            "leadingIndicators": [{"name": "load", "query": "load", "limit": 100, "horizon": "5m"}],
        }
        self.apply("ServiceLevelObjective", "checkout", objective)
        self.lead()

    def lead(self) -> None:
        """Start a new engine, as another leader."""
        self.registry = Registry()
        channels = Channels(self.registry, self.cluster.read_secret)
        self.engine = Engine(self.script, self.cluster, self.registry, PatientSettings(interval=INTERVAL), channels)

    def apply(self, kind: str, name: str, spec: Any) -> None:
        body = {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}
        self.plane.apply(body, namespace=self.namespace)

    async def cycle(self, count: int = 1) -> None:
        for _ in range(count):
            await self.read()
            await self.engine.cycle(self.now, leading=True)
            self.now += INTERVAL
        await self.read()

    async def read(self) -> None:
        """Update the registry with this test's objects, as the watches do."""
        mine = {self.namespace, self.channel, self.source}
        for model in WATCHED:
            version = "v1" if model.KIND == "Namespace" else API
            for body in await self.cluster.find(version, model.KIND):
                if body["metadata"].get("namespace", body["metadata"]["name"]) in mine:
                    self.registry.put(model.KIND, body)

    @property
    def remediations(self) -> list[Remediation]:
        return self.registry.all(Remediation, self.namespace)

    @property
    def decision(self) -> str:
        slo = self.registry.get(ServiceLevelObjective, "checkout", self.namespace)
        assert slo is not None
        assert slo.status.decisions
        return slo.status.decisions[0].reason

    def ready(self) -> tuple[str, str]:
        channel = self.registry.get(NotificationChannel, self.channel)
        assert channel is not None
        found = condition(channel.status.conditions, "Ready")
        assert found is not None
        return found.status, found.reason


@pytest.fixture
async def field(cluster: KwokCluster, namespace: str) -> AsyncIterator[Field]:
    cluster.kubectl("create", "deployment", "checkout", "--image=x", "--replicas=2", "-n", namespace)
    cluster.kubectl("rollout", "status", "deployment/checkout", "-n", namespace, "--timeout=240s")
    pager = Pager()
    runner = web.ServerRunner(web.Server(pager, access_log=None), shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    async with Api(await Access.find(str(cluster.kubeconfig))) as api, Recorder(api, "test") as recorder:
        # Secrets are read in the operator's own namespace, which is the test's here.
        made = Field(cluster, namespace, KubernetesCluster(api, recorder, namespace), pager, url)
        yield made
    await runner.cleanup()
    cluster.kubectl("delete", "metricsource", made.source)
    cluster.kubectl("delete", "notificationchannel", made.channel)
    # A namespace takes its time to go, and whoever resumes everything is told of what is paused still.
    cluster.kubectl("delete", "pauses.forestall.dev", "--all", "-n", namespace)


async def test_requested_approval_is_notified_once_across_leaders(field):
    field.apply(
        "RemediationPolicy", "early", {"mode": "Approve", "actions": [SCALE], "notify": [{"channel": field.channel}]}
    )
    await field.cycle(3)
    (event,) = field.pager.got
    (remediation,) = field.remediations
    assert event["id"] == f"{remediation.uid}.ApprovalRequired"
    assert f"approve -n {field.namespace} {remediation.name}" in event["data"]["commands"]["approve"]
    assert "load" in event["data"]["reason"]
    field.lead()
    await field.cycle(2)
    assert len(field.pager.got) == 1
    assert field.ready() == ("True", "Delivering")


async def test_failed_notification_is_reported_by_the_channel_and_retried(field):
    field.apply(
        "RemediationPolicy", "early", {"mode": "Approve", "actions": [SCALE], "notify": [{"channel": field.channel}]}
    )
    field.pager.status = 404
    await field.cycle(3)
    assert field.ready() == ("False", "ChannelRefused")
    tries = len(field.pager.got)
    field.pager.status = 200
    await field.cycle(2)
    assert len(field.pager.got) == tries + 1
    assert len({each["id"] for each in field.pager.got}) == 1
    assert field.ready() == ("True", "Delivering")


async def test_last_rung_notifies_and_then_the_ladder_is_exhausted(field):
    verification = {"within": "10s"}
    rungs = [{"restart": {}}, {"notify": {"channel": field.channel, "message": "the runbook is on the wall"}}]
    subscription = {"channel": field.channel, "topics": ["LadderExhausted"]}
    policy = {"mode": "Auto", "actions": rungs, "verification": verification, "notify": [subscription]}
    field.apply("RemediationPolicy", "early", policy)
    for _ in range(60):
        await field.cycle()
        if len(field.pager.got) == 2:
            break
        field.plane.kubectl("rollout", "status", "deployment/checkout", "-n", field.namespace, "--timeout=240s")
    page, exhausted = field.pager.got
    restart, notify = sorted(field.remediations, key=lambda one: one.spec.intent.rung)
    assert (restart.status.phase, restart.status.reason) == ("Failed", "NotHelped")
    assert (notify.status.phase, notify.status.reason) == ("Succeeded", "Notified")
    assert page["id"] == notify.uid
    assert page["data"]["message"] == "the runbook is on the wall"
    assert exhausted["id"] == f"{restart.uid}.LadderExhausted"
    assert field.decision == "LadderExhausted"
    await field.cycle(3)
    assert len(field.pager.got) == 2, "nobody is told again"


async def test_notify_action_needs_no_approval_and_no_budget(field):
    field.apply(
        "RemediationPolicy", "early", {"mode": "Approve", "actions": [{"notify": {"channel": field.channel}}, SCALE]}
    )
    await field.cycle(4)
    assert [each["type"] for each in field.pager.got] == ["dev.forestall.notify.v1"]
    waiting = [one.spec.intent.action.name for one in field.remediations if one.status.phase == "AwaitingApproval"]
    assert waiting == ["Scale"], "the next rung follows without a cooldown"


async def test_notification_with_a_lost_response_is_sent_again_with_the_same_id(field, monkeypatch):
    field.apply("RemediationPolicy", "early", {"mode": "Auto", "actions": [{"notify": {"channel": field.channel}}]})
    replace_status, failing = field.cluster.replace_status, True

    async def lose(ref: Any, status: Any, version: str) -> Any:
        if failing and any(step["done"] for step in status.get("steps", ())):
            raise Unavailable("connection reset")
        return await replace_status(ref, status, version)

    monkeypatch.setattr(field.cluster, "replace_status", lose)
    await field.cycle()
    assert len(field.pager.got) == 1
    failing = False
    field.lead()
    await field.cycle(2)
    assert [each["id"] for each in field.pager.got] == [field.remediations[0].uid] * 2
    assert field.remediations[0].status.phase == "Succeeded"


async def test_undeliverable_notification_ends_at_its_deadline(field):
    policy = {"mode": "Auto", "actions": [{"notify": {"channel": field.channel}}], "deadline": "30s"}
    field.apply("RemediationPolicy", "early", policy)
    field.pager.status = 403
    await field.cycle(2)
    (remediation,) = field.remediations
    assert remediation.status.reason == "ChannelRefused"
    await field.cycle(5)
    (remediation,) = field.remediations
    assert (remediation.status.phase, remediation.status.reason) == ("Aborted", "DeadlineExceeded")
    assert "answered 403" in remediation.status.message


async def test_missing_channel_is_reported_and_the_ladder_continues(field):
    field.apply("RemediationPolicy", "early", {"mode": "Auto", "actions": [{"notify": {"channel": "fax"}}]})
    await field.cycle(2)
    assert (field.decision, field.remediations) == ("ChannelMissing", [])
    field.apply("RemediationPolicy", "early", {"mode": "Auto", "actions": [{"notify": {"channel": "fax"}}, SCALE]})
    await field.cycle(2)
    assert field.plane.get("deployment", "checkout", field.namespace)["spec"]["replicas"] == 6


async def test_pause_holds_notify_actions_too(field):
    field.apply("Pause", "all", {"reason": "maintenance"})
    field.apply("RemediationPolicy", "early", {"mode": "Auto", "actions": [{"notify": {"channel": field.channel}}]})
    await field.cycle(2)
    assert (field.decision, field.pager.got) == ("Paused", [])
