"""An engine on a real API server, with a metric source whose answers a test sets.

The load is past its limit from the start, so that every case would act at once: tests check what holds the action.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from tests.support.control_plane import PooledCluster
from tests.support.settings import PatientSettings

from forestall.adapters.kubernetes import Access, Api, KubernetesCluster, Recorder
from forestall.api import Guardrail, Remediation, ServiceLevelObjective
from forestall.api.meta import Condition, Resource, condition
from forestall.devcluster.kwok import KwokCluster
from forestall.engine import Engine
from forestall.ports import Answer, QueryFailure, RangeSeries, Sample
from forestall.registry import WATCHED, Registry

API = "forestall.dev/v1alpha1"
START = 1_800_000_000.0
INTERVAL = 10.0
OBJECTIVE = {
    "target": {"name": "checkout"},
    "indicator": {"ratio": {"bad": 'errors_total{app="checkout"}', "total": 'requests_total{app="checkout"}'}},
    "objective": 99.0,
    "leadingIndicators": [{"name": "load", "query": "sum(load)", "limit": 100, "horizon": "5m"}],
}
SCALE = {
    "scale": {"maxReplicas": 8, "capacity": {"type": "Declared", "perReplica": 50, "headroom": 0, "confidence": 0.95}}
}


def _zero(at: float) -> Answer:
    return Answer((Sample((), 0.0),), at)


@dataclass
class Script:
    """Implements the `Metrics` port: answers by the indicator's name."""

    says: dict[str, Callable[[float], Answer | QueryFailure]] = field(default_factory=dict)
    past: dict[str, Callable[[float], float]] = field(default_factory=dict)

    async def instant(self, source, queries, at):
        return {query.key: self.says.get(query.key[1], _zero)(at) for query in queries}

    async def range(self, source, queries, start, end, step):
        times = tuple(start + n * step for n in range(int((end - start) / step) + 1))
        return {query.key: self._past(query.key[1], times) for query in queries}

    def _past(self, name, times):
        past = self.past.get(name)
        return () if past is None else (RangeSeries((), times, tuple(map(past, times))),)


@dataclass
class Field:
    """An engine, its cluster and its clock."""

    control: KwokCluster
    namespace: str
    cluster: KubernetesCluster
    registry: Registry = field(default_factory=Registry)
    script: Script = field(default_factory=Script)
    now: float = START

    def __post_init__(self) -> None:
        self.engine = Engine(self.script, self.cluster, self.registry, PatientSettings(interval=INTERVAL))

    async def cycle(self, count: int = 1, *, leading: bool = True) -> None:
        for _ in range(count):
            await self._read()
            await self.engine.cycle(self.now, leading=leading)
            self.now += INTERVAL
        await self._read()

    async def _read(self) -> None:
        """Update the registry with the objects of this test's namespace, as the watches do."""
        for model in WATCHED:
            version = "v1" if model.KIND == "Namespace" else API
            mine = set()
            for body in await self.cluster.find(version, model.KIND):
                meta = body["metadata"]
                if (
                    meta["name"] if model.KIND == "Namespace" else meta.get("namespace", self.namespace)
                ) == self.namespace:
                    self.registry.put(model.KIND, body)
                    mine.add(meta["uid"])
            if model is not Guardrail:  # those of a test are in its registry alone
                self.registry.prune(model.KIND, self.registry.uids(model.KIND) - mine)
            self.registry.mark_synced(model.KIND)

    def apply(self, kind: str, name: str, spec: object, **metadata: object) -> None:
        self.control.apply(
            {"apiVersion": API, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec},
            namespace=self.namespace,
        )

    def policy(self, **changes: object) -> None:
        """Apply a policy: at a breach probability of 80 %, scale out to at most 8 replicas with a capacity of 50
        each.
        """
        usual = {"mode": "Auto", "actions": [SCALE], "when": {"probability": 0.8}}
        self.apply("RemediationPolicy", "early", usual | changes)

    def guard(self, **spec: object) -> None:
        """Apply a Guardrail that only this test's engine sees."""
        metadata = {"name": "all", "uid": "g-1", "generation": 1}
        self.registry.put(Guardrail.KIND, {"metadata": metadata, "spec": spec})

    def say(self, indicator: str, value: float, **labels: str) -> None:
        """Set the single value of an indicator."""
        self.script.says[indicator] = lambda at: Answer((Sample(tuple(labels.items()), value),), at)

    @property
    def scale(self) -> dict[str, object]:
        """Return the policy's scale action."""
        return dict(SCALE)

    @property
    def source(self) -> str:
        return f"source-{self.namespace}"

    def spec(self) -> dict[str, object]:
        return {**OBJECTIVE, "source": self.source}

    @property
    def slo(self) -> ServiceLevelObjective:
        found = self.registry.get(ServiceLevelObjective, "checkout", self.namespace)
        assert found is not None
        return found

    def condition(self, kind: str, of: Resource | None = None) -> Condition:
        found = condition((of or self.slo).status.conditions, kind)  # type: ignore[attr-defined]  # each kind has them
        assert found is not None
        return found

    def reason(self, kind: str) -> str:
        return self.condition(kind).reason

    @property
    def decision(self) -> str:
        decisions = self.slo.status.decisions
        assert decisions
        return decisions[0].reason

    @property
    def episode(self) -> int:
        return self.slo.status.episode.number if self.slo.status.episode else 0

    @property
    def remediations(self) -> list[Remediation]:
        return self.registry.all(Remediation, self.namespace)

    @property
    def ended(self) -> list[Remediation]:
        return [one for one in self.remediations if one.ended]

    async def until_ended(self) -> list[int]:
        """Run a cycle every two minutes until every remediation has ended; return the replicas after each cycle."""
        seen = []
        for _ in range(40):
            await self.cycle()
            self.now += 120 - INTERVAL
            seen.append(self.replicas)
            if len(self.ended) == len(self.remediations):
                return seen
        raise AssertionError(f"it does not end: {[one.status for one in self.remediations]}")

    async def is_only_reverted(self) -> None:
        """Check that six replicas are not raised while the risk grows, and are reduced to two when it ends."""
        self.say("load", 390.0)
        await self.cycle(3)
        assert self.replicas == 6, "neither more, nor less while it is at risk"
        self.say("load", 10.0)
        seen = await self.until_ended()
        assert seen == sorted(seen, reverse=True)
        assert (self.replicas, len(self.remediations)) == (2, 1)

    @property
    def replicas(self) -> int:
        return int(self.control.get("deployment", "checkout", self.namespace)["spec"]["replicas"])


@pytest.fixture
async def world(cluster: PooledCluster, namespace: str) -> AsyncIterator[Field]:
    """The Deployment `checkout` with two replicas, an objective, a source, and a load of 300 with the limit 100."""
    labels = {"app": "checkout"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "x", "image": "x"}]}}
    deployment = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    checkout = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "checkout", "labels": labels}}
    cluster.apply({**checkout, "spec": deployment}, namespace=namespace)
    access = await Access.find(str(cluster.kubeconfig))
    async with Api(access) as api, Recorder(api, "test") as recorder:
        made = Field(cluster, namespace, KubernetesCluster(api, recorder, "default"))
        made.apply("MetricSource", made.source, {"url": "http://127.0.0.1:9", "trustedLabels": ["node"]})
        made.apply("ServiceLevelObjective", "checkout", made.spec(), labels={"team": "shop"})
        made.say("load", 300.0)
        yield made
    cluster.delete("MetricSource", made.source)
