"""One namespace overloads a source and the cycle. Is the breach of another namespace still seen, and acted on in time?

Each attack comes from its own namespace, beside a victim and a namespace with 22 objectives that are always at risk. A
run without an attack measures the normal time first.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.safety.environment import ACCOUNT, API, OPERATOR, Body, SafetyEnvironment, Signals, until
from benchmarks.safety.leaders import objective
from benchmarks.safety.probe_monitor import OperatorFigures, ProbeMonitor
from benchmarks.safety.slow_source import DEAR, SlowSource
from benchmarks.safety.trials import deployment
from benchmarks.safety.watch_recorder import WatchRecorder

from forestall.adapters.kubernetes import Access, Api, KubernetesCluster, Recorder

VICTIM, STORMY = "starved-victim", "starved-storm"
IN_TIME_S = 60.0
"""Time within which the operator acts on the victim. It is generous, for busy machines."""
CYCLES = 6
_FIGURES = 2
"""A status with only new figures is written in every second cycle."""
STORM = 22
SERIES = 8000
_TOLD = frozenset({"ShareExhausted", "SourceTimeout"})
"""Reasons of stale data in the attacking namespace: too much in total, or in a single query."""
_CAPACITY: Body = {"type": "Declared", "perReplica": 100, "headroom": 0}
_SCALE: Body = {"mode": "Auto", "actions": [{"scale": {"maxReplicas": 2, "capacity": _CAPACITY}}]}


@dataclass(frozen=True)
class Attack:
    """The queries of the attacking namespace."""

    objectives: int
    indicators: int = 1
    query: str = f'{DEAR}load{{i="%d"}}'
    """The query of each indicator, by its number."""
    seconds: float = 0.0
    """Time of the source for each query (s)."""
    per: str | None = None
    """Label of the series in the responses."""
    series: int = 0
    """Number of series of `many`."""


ATTACKS = {
    "slow": Attack(150, seconds=3.0),
    "many": Attack(18, 16, seconds=0.2),
    "large": Attack(4, query='many{i!="x%d"}', per="app", series=SERIES),
}


class Starvation:
    """A victim and attacking namespaces."""

    def __init__(self, environment: SafetyEnvironment, signals: Signals, interval: float, cycles: int = CYCLES) -> None:
        self._environment = environment
        self._signals = signals
        self._interval = interval
        self._cycles = cycles
        self._victims = 0

    async def run(self, *attacks: str) -> dict[str, Any]:
        """Run the attacks one after the other; `alone` is none."""
        access = await Access.find(str(self._environment.cluster.kubeconfig))
        async with AsyncExitStack() as stack:
            self._source = SlowSource(self._signals.url)
            await stack.enter_async_context(self._source.serve())
            async with Api(access) as api:
                self._port = KubernetesCluster(api, Recorder(api, "bench"), "default")
                await self._prepare(self._source.url)
                paths = [
                    f"/apis/{API}/namespaces/{VICTIM}/servicelevelobjectives",
                    f"/apis/apps/v1/namespaces/{VICTIM}/deployments",
                ]
                self._recorder = await stack.enter_async_context(WatchRecorder(access, *paths).watching())
                account = await asyncio.to_thread(self._environment.cluster.kubeconfig_for, OPERATOR, ACCOUNT)
                operator = self._environment.operate("starved", account, f"{self._interval:g}s")
                try:
                    await operator.until_ready()
                    self._monitor = await stack.enter_async_context(ProbeMonitor(operator).watching())
                    result: dict[str, Any] = {"interval": f"{self._interval:g}s"}
                    for name in attacks:
                        result[name] = await (self._attack(name) if name in ATTACKS else self._serve())
                finally:
                    await asyncio.to_thread(operator.stop)
        return result | {"holds": all(result[name]["holds"] for name in attacks)}

    async def _prepare(self, url: str) -> None:
        spec = {"url": url, "enforceLabel": "namespace", "maxSeries": 10000}
        await asyncio.to_thread(self._environment.apply, "MetricSource", "default", spec)
        bodies = [_policy(VICTIM), _policy(STORMY), _at(STORMY, deployment("storm", 1))]
        for number in range(STORM):
            name = f"storm-{number}"
            self._signals.set_later("load", name, 300.0, namespace=STORMY)
            self._signals.set_later("errors", name, 0.0, namespace=STORMY)
            bodies.append(_watched(STORMY, name, objective(name) | {"target": {"name": "storm"}}))
        await self._create(bodies)

    async def _create(self, bodies: list[Body]) -> None:
        at_once = asyncio.Semaphore(8)

        async def create(body: Body) -> None:
            async with at_once:
                await self._port.create(body)

        await asyncio.gather(*map(create, bodies))

    async def _attack(self, name: str) -> dict[str, Any]:
        greedy, attack = f"starved-{name}", ATTACKS[name]
        self._source.seconds = attack.seconds
        with _namespace(self._environment, greedy):
            bodies = [_at(greedy, deployment("greedy", 1))]
            for number in range(attack.objectives):
                own = f"greedy-{number}"
                self._signals.set_later("errors", own, 0.0, namespace=greedy)
                spec = objective(own) | {"target": {"name": "greedy"}}
                first = number * attack.indicators
                spec["leadingIndicators"] = [
                    {"name": f"i-{n}", "query": attack.query % n, "limit": 100, "horizon": "5m", "per": attack.per}
                    for n in range(first, first + attack.indicators)
                ]
                bodies.append(_watched(greedy, own, spec))
            for number in range(attack.series):
                self._signals.set_later("many", f"a{number}", 1.0, namespace=greedy)
            await self._create(bodies)
            figures = await self._serve()
            reasons = await self._reasons(greedy)
            for number in range(attack.series):
                self._signals.remove("many", f"a{number}", namespace=greedy)
        observation = self._monitor.observation
        figures |= {"overShare": int(observation.over_share.get(greedy, 0)), "dataFreshOfTheGreedy": dict(reasons)}
        figures["holds"] = figures["holds"] and 0 < reasons.total() == sum(reasons[reason] for reason in _TOLD)
        return figures

    async def _serve(self) -> dict[str, Any]:
        """Let a workload of the victim get at risk; return how the operator serves it."""
        self._victims += 1
        name = f"victim-{self._victims}"
        key = f"ServiceLevelObjective/{VICTIM}/{name}"
        self._signals.set("load", name, 10.0, namespace=VICTIM)
        self._signals.set("errors", name, 0.0, namespace=VICTIM)
        await self._create([_at(VICTIM, deployment(name, 1)), _watched(VICTIM, name, objective(name))])
        first = await until(lambda: self._fresh(key) == "True", 4 * IN_TIME_S, f"{name} is watched")
        self._monitor.reset()
        first = len(self._recorder.states[key])

        def has_cycles() -> bool:
            self._signals.set_later(
                "load", name, 10.0 + self._monitor.observation.cycles, namespace=VICTIM
            )  # news in each cycle
            return self._monitor.observation.cycles >= self._cycles

        await until(has_cycles, self._cycles * 40.0, "some cycles")
        self._signals.set("load", name, 300.0, namespace=VICTIM)
        acted = await until(lambda: self._acted(name), 4 * IN_TIME_S, f"{name} is scaled")
        await self._recorder.settle()
        observation: OperatorFigures = self._monitor.observation
        statuses = self._recorder.states[key][first:]
        unfresh = sum(_condition(body, "DataFresh") != "True" for body in statuses)
        return {
            "watchedAfterS": round(first, 1),
            "actedAfterS": round(acted, 1),
            "cycles": observation.cycles,
            "statusesOfTheVictim": len(statuses),
            "ofTheseWithoutData": unfresh,
            "cyclesGivenUp": observation.given_up,
            "readyzFailed": observation.not_ready,
            "livezFailed": observation.dead,
            "longestWaitOfAProbeS": round(observation.longest_wait, 2),
            "residentMiB": observation.resident >> 20,
            "holds": acted <= IN_TIME_S
            and len(statuses) >= self._cycles // _FIGURES
            and unfresh == observation.given_up == observation.failed == observation.not_ready == observation.dead == 0,
        }

    async def _reasons(self, namespace: str) -> Counter[str]:
        listing = ("get", "servicelevelobjectives", "-n", namespace, "-o", "json")
        listed = await asyncio.to_thread(self._environment.cluster.kubectl, *listing)
        return Counter(_condition(body, "DataFresh", "reason") for body in json.loads(listed.stdout)["items"])

    def _fresh(self, key: str) -> str:
        states = self._recorder.states[key]
        return _condition(states[-1], "DataFresh") if states else ""

    def _acted(self, name: str) -> bool:
        return len(self._recorder.changes(f"Deployment/{VICTIM}/{name}", lambda body: body["spec"]["replicas"])) > 1


def _condition(body: Body, kind: str, field: str = "status") -> str:
    conditions = body.get("status", {}).get("conditions", [])
    return next((str(condition[field]) for condition in conditions if condition["type"] == kind), "")


def _at(namespace: str, body: Body) -> Body:
    return body | {"metadata": body["metadata"] | {"namespace": namespace}}


def _watched(namespace: str, name: str, spec: Body) -> Body:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": API, "kind": "ServiceLevelObjective", "metadata": metadata, "spec": spec}


def _policy(namespace: str) -> Body:
    metadata = {"name": "scale", "namespace": namespace}
    return {"apiVersion": API, "kind": "RemediationPolicy", "metadata": metadata, "spec": _SCALE}


@contextmanager
def _namespace(environment: SafetyEnvironment, name: str) -> Iterator[None]:
    with environment.namespace(name):
        yield
        environment.cluster.kubectl("delete", "servicelevelobjectives", "--all", "-n", name)


async def measure(environment: SafetyEnvironment, *, quick: bool) -> dict[str, Any]:
    """Overload with one namespace and measure another."""
    with environment.namespace(VICTIM), environment.namespace(STORMY), Signals(environment).live() as signals:
        if quick:
            return await Starvation(environment, signals, 2.0, cycles=3).run("slow")
        return await Starvation(environment, signals, 10.0).run("alone", *ATTACKS)
