"""A whole engine on a cluster in memory, with a metric source whose answers a test sets.

The load is past its limit from the start, so that every case would act at once: tests check what holds the action.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.support.memory_cluster import MemoryCluster, Request
from tests.support.settings import UnhurriedSettings

from forestall.api import Remediation, ServiceLevelObjective
from forestall.api.service_level_objective import Decision, Episode
from forestall.core.clock_skew import ClockOffset
from forestall.engine import Engine, Settings
from forestall.engine.cycle_report import CycleReport
from forestall.ports import Answer, Notice, Query, QueryFailure, RangeSeries, Sample
from forestall.registry import WATCHED, Registry

START = 1_800_000_000.0
INTERVAL = 10.0
NAMESPACE = "shop"
SCALE: dict[str, Any] = {
    "scale": {"maxReplicas": 8, "capacity": {"type": "Declared", "perReplica": 50, "headroom": 0, "confidence": 0.95}}
}
"""An action that sizes a load of 300 to six replicas."""
COUNTS = ("replicas", "readyReplicas", "updatedReplicas", "availableReplicas")
OWN = ("ServiceLevelObjective", "RemediationPolicy", "Guardrail", "MetricSource", "NotificationChannel", "Pause")


class Script:
    """Implements the `Metrics` port: answers by the indicator's name, or by objective and name."""

    def __init__(self) -> None:
        self.says: dict[Any, Callable[[float], Answer | QueryFailure]] = {}
        self.past: dict[str, float] = {}
        """The constant past value of an indicator; other indicators have no history."""

    def say(self, indicator: Any, value: float, *, age: float = 0.0, **labels: str) -> None:
        """Let an indicator have one series of this value, sampled `age` s ago."""
        self.says[indicator] = lambda at: Answer((Sample(tuple(sorted(labels.items())), value),), at - age)

    def say_each(self, indicator: Any, label: str, values: Mapping[str, float]) -> None:
        """Let an indicator have a series for each of these values of a label."""
        series = tuple(Sample(((label, name),), value) for name, value in values.items())
        self.says[indicator] = lambda at: Answer(series, at)

    async def instant(self, source: str, queries: Sequence[Query], at: float) -> Mapping[Any, Answer | QueryFailure]:
        """Answer each query by its indicator; indicators without an entry are healthy."""
        return {query.key: self._answer(query.key, at) for query in queries}

    async def range(
        self, source: str, queries: Sequence[Query], start: float, end: float, step: float
    ) -> Mapping[Any, tuple[RangeSeries, ...] | QueryFailure]:
        """Answer with the constant past value."""
        times = tuple(start + number * step for number in range(int((end - start) / step) + 1))
        return {query.key: self._past(query.key, times) for query in queries}

    def _past(self, key: Any, times: tuple[float, ...]) -> tuple[RangeSeries, ...]:
        name = key[1]
        return (RangeSeries((), times, (self.past[name],) * len(times)),) if name in self.past else ()

    def _answer(self, key: Any, at: float) -> Answer | QueryFailure:
        uid, name = key[0], key[1]
        says = self.says.get((uid, name)) or self.says.get(name)
        return says(at) if says else Answer((Sample((), 0.0),), at)


class People:
    """Implements the `Notifier` port: records notifications by channel."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Notice]] = []

    async def send(self, channel: str, notice: Notice) -> None:
        """Record the notification."""
        self.told.append((channel, notice))


class Harness:
    """An engine, its cluster, its sources and its clock."""

    def __init__(self, settings: Settings | None = None, cluster: MemoryCluster | None = None) -> None:
        self.cluster = cluster or MemoryCluster()
        self.registry = Registry()
        self.script = Script()
        self.people = People()
        self.now = START
        self.settings = settings or UnhurriedSettings(interval=INTERVAL, threads=False)
        self.api_clock: ClockOffset | None = None
        self.restart()

    def restart(self) -> None:
        """Start a new engine, as another process does."""
        self.registry = Registry()
        self.engine = Engine(
            self.script, self.cluster, self.registry, self.settings, self.people, lambda: self.api_clock
        )

    # What there is

    def apply(
        self, kind: str, name: str, spec: Any = None, namespace: str = NAMESPACE, **metadata: Any
    ) -> dict[str, Any]:
        """Add an object, with a UID made of its kind and name."""
        where = (
            {}
            if kind in ("Guardrail", "MetricSource", "NotificationChannel", "Namespace", "Node")
            else {"namespace": namespace}
        )
        identity = {"name": name, "uid": f"{kind}-{name}", **where, **metadata}
        return self.cluster.insert({"kind": kind, "metadata": identity, "spec": spec or {}})

    def deployment(self, name: str = "checkout", replicas: int = 2, namespace: str = NAMESPACE) -> None:
        """Add a Deployment whose replicas are all ready."""
        labels = {"app": name}
        self.apply("Deployment", name, namespace=namespace, spec={
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main"}]}},
        })  # fmt: skip

    def objective(self, name: str = "checkout", namespace: str = NAMESPACE, *, labels: Any = None, **spec: Any) -> None:
        """Add an objective whose load has the limit 100; its target has the same name."""
        usual = {
            "source": "main",
            "target": {"name": name},
            "indicator": {"raw": {"errorRatio": "sum(rate(errors[$window]))"}},
            "objective": 99.0,
            "leadingIndicators": [{"name": "load", "query": "sum(load)", "limit": 100, "horizon": "5m"}],
        }
        self.apply("ServiceLevelObjective", name, {**usual, **spec}, namespace, labels=labels or {})

    def policy(self, name: str = "early", namespace: str = NAMESPACE, **spec: Any) -> None:
        """Add a policy that scales every objective out at a breach probability of 80 %."""
        usual = {"mode": "Auto", "actions": [SCALE], "when": {"probability": 0.8}}
        self.apply("RemediationPolicy", name, {**usual, **spec}, namespace)

    def pod(self, name: str, of: str = "checkout", node: str = "n1", **status: Any) -> None:
        """Add a pod of a Deployment."""
        owner = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": of,
            "uid": f"Deployment-{of}",
            "controller": True,
        }
        body = self.apply(
            "Pod", name, {"nodeName": node, "containers": [{"name": "main"}]},
            labels={"app": of}, ownerReferences=[owner],
        )  # fmt: skip
        body["status"] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}], **status}

    def node(self, name: str, **labels: str) -> None:
        """Add a node with capacity for many pods."""
        body = self.apply("Node", name, labels=labels)
        body["status"] = {
            "conditions": [{"type": "Ready", "status": "True"}],
            "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"},
        }

    # What happens

    async def cycle(self, count: int = 1, *, leading: bool = True) -> CycleReport:
        """Run cycles, each with an up-to-date registry; return the report of the last."""
        self.control()
        self.watch()
        report = await self.engine.cycle(self.now, leading=leading)
        self.now += INTERVAL
        self.watch()
        return report if count == 1 else await self.cycle(count - 1, leading=leading)

    def control(self) -> None:
        """Make all replicas of every Deployment ready, as its controller does."""
        for (kind, namespace, name), body in list(self.cluster.objects.items()):
            if kind == "Deployment" and isinstance(body["spec"].get("replicas"), int):
                counts = dict.fromkeys(COUNTS, body["spec"]["replicas"])
                seen = {"observedGeneration": body["metadata"]["generation"]}
                self.cluster.change(kind, name, {"status": {**counts, **seen}}, namespace)

    def watch(self) -> None:
        """Update the registry with all objects, including deletions."""
        kinds = {model.KIND for model in WATCHED}
        for (kind, _, _), body in list(self.cluster.objects.items()):
            if kind in kinds:
                self.registry.put(kind, body)
        for kind in kinds:
            there = {body["metadata"]["uid"] for key, body in self.cluster.objects.items() if key[0] == kind}
            self.registry.prune(kind, self.registry.uids(kind) - there)
            self.registry.mark_synced(kind)

    # What came of it

    def slo(self, name: str = "checkout", namespace: str = NAMESPACE) -> ServiceLevelObjective:
        """Return an objective as it is stored."""
        return ServiceLevelObjective.read(self.cluster.objects["ServiceLevelObjective", namespace, name])

    def decisions(self, name: str = "checkout", namespace: str = NAMESPACE) -> list[Decision]:
        """Return the decisions in an objective's status."""
        return list(self.slo(name, namespace).status.decisions or [])

    @property
    def episode(self) -> Episode:
        """The episode in the objective's status; number 0 where there is none."""
        return self.slo().status.episode or Episode()

    @property
    def remediations(self) -> list[Remediation]:
        """The Remediations as they are stored, by name."""
        return [Remediation.read(body) for key, body in sorted(self.cluster.objects.items()) if key[0] == "Remediation"]

    def replicas(self, name: str = "checkout") -> int:
        """Return the desired replicas of a Deployment."""
        return int(self.cluster.objects["Deployment", NAMESPACE, name]["spec"]["replicas"])

    @property
    def requests(self) -> list[str]:
        """The writing requests, each as verb and kind; without statuses of objectives."""
        return [_told(request) for request in self.cluster.written if request.kind not in OWN]

    def condition(self, kind: str, name: str = "checkout") -> str:
        """Return the reason of a condition of an objective."""
        return next(one.reason for one in self.slo(name).status.conditions if one.type == kind)


def _told(request: Request) -> str:
    return f"{request.verb} {request.kind}"


def shop(**more: Any) -> Harness:
    """Return a harness with the Deployment `checkout` of two replicas and its objective, whose load is 300."""
    made = Harness(**more)
    made.apply("Namespace", NAMESPACE)
    made.apply("MetricSource", "main", {"url": "http://x", "namespaces": {}, "trustedLabels": ["node"]})
    made.deployment()
    made.objective(labels={"team": "shop"})
    made.script.say("load", 300.0)
    return made
