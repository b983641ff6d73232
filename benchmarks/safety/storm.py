"""A thousand objectives at risk at once: are there more actions than the Guardrails allow?

The workloads are custom resources with a /scale subresource, so they cost no pods. First the storm breaker holds all
actions; then only the budgets of the cluster and of each namespace are left.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.safety.environment import ACCOUNT, API, OPERATOR, Body, SafetyEnvironment, Signals, until
from benchmarks.safety.leaders import objective
from benchmarks.safety.pools import POOLS, pool
from benchmarks.safety.watch_recorder import WatchRecorder

from forestall.adapters.kubernetes import Access, Api, KubernetesCluster, Recorder

INTERVAL = 10.0
NAMESPACES = 4
CYCLES = 5
"""Number of cycles with the storm breaker, and without it."""
_CAPACITY: Body = {"type": "Declared", "perReplica": 100, "headroom": 0}
_POLICY: Body = {"mode": "Auto", "actions": [{"scale": {"maxReplicas": 2, "capacity": _CAPACITY}}]}


class Storm:
    """Workloads in a few namespaces, all at risk at once."""

    def __init__(self, environment: SafetyEnvironment, signals: Signals, size: int, budget: int) -> None:
        self._environment = environment
        self._signals = signals
        self._size = size
        self._budget = budget
        self._per_namespace = budget // 2
        self._apps = {f"app-{number}": f"storm-{number % NAMESPACES}" for number in range(size)}

    async def run(self) -> dict[str, Any]:
        """Put all objectives at risk at once."""
        access = await Access.find(str(self._environment.cluster.kubeconfig))
        await self._prepare(access)
        account = await asyncio.to_thread(self._environment.cluster.kubeconfig_for, OPERATOR, ACCOUNT)
        async with WatchRecorder(
            access, f"/apis/{API}/remediations", f"/apis/{API}/servicelevelobjectives"
        ).watching() as recorder:
            operator = self._environment.operate("storm", account, f"{INTERVAL:g}s")
            try:
                await until(lambda: self._count(recorder, "DataFresh") >= self._size, 400, "all data is fresh")
                for app in self._apps:
                    self._signals.set_later("load", app, 300.0)
                began = time.monotonic()
                await until(lambda: self._count(recorder, "AtRisk") >= self._size, 400, "all are at risk")
                all_at_risk = time.monotonic() - began
                await asyncio.sleep(CYCLES * INTERVAL)
                with_breaker = len(self._acts(recorder))
                await asyncio.to_thread(self._guard, {"objectives": 1000000})
                await until(lambda: bool(self._acts(recorder)), 60, "something is done without the breaker")
                await asyncio.sleep(CYCLES * INTERVAL)
                await recorder.settle()
            finally:
                await asyncio.to_thread(operator.stop)
        acts = self._acts(recorder)
        max_by_namespace = max(Counter(namespace for namespace, _ in acts).values())
        raised = len({name for _, name in acts})
        return {
            "objectives": self._size,
            "atRiskWithinS": round(all_at_risk, 1),
            "actsWithTheStormBreaker": with_breaker,
            "budget": self._budget,
            "acts": len(acts),
            "budgetOfANamespace": self._per_namespace,
            "mostInANamespace": max_by_namespace,
            "holds": with_breaker == 0
            and 0 < len(acts) <= self._budget
            and max_by_namespace <= self._per_namespace
            and raised == len(acts),
        }

    async def _prepare(self, access: Access) -> None:
        cluster = self._environment.cluster
        for name in self._apps:
            self._signals.set_later("load", name, 10.0)
            self._signals.set_later("errors", name, 0.0)
        self._environment.apply("MetricSource", "default", {"url": self._signals.url})
        policy = {"apiVersion": API, "kind": "RemediationPolicy", "metadata": {"name": "scale"}, "spec": _POLICY}
        for namespace in sorted(set(self._apps.values())):
            cluster.apply(policy, namespace=namespace)
        self._guard({"objectives": max(3, self._size // 10), "share": 0.1, "within": "10m"})
        bodies = [pool(app, namespace) for app, namespace in self._apps.items()]
        bodies += [_watched(app, namespace) for app, namespace in self._apps.items()]
        at_once = asyncio.Semaphore(8)
        async with Api(access) as api:
            port = KubernetesCluster(api, Recorder(api, "bench"), "default")

            async def create(body: Body) -> None:
                async with at_once:
                    await port.create(body)

            await asyncio.gather(*map(create, bodies))

    def _guard(self, storm: Body) -> None:
        spec: Body = {
            "budget": {"actions": self._budget, "per": "24h"},
            "namespaceBudget": {"actions": self._per_namespace, "per": "24h"},
        }
        self._environment.apply("Guardrail", "storm", spec | {"storm": storm})

    def _count(self, recorder: WatchRecorder, condition: str) -> int:
        return sum(
            any(entry["type"] == condition and entry["status"] == "True" for entry in _conditions(states[-1]))
            for key, states in recorder.states.items()
            if key.startswith("ServiceLevelObjective/storm-")
        )

    def _acts(self, recorder: WatchRecorder) -> list[tuple[str, str]]:
        """Return namespace and target of every Remediation."""
        targets = (
            states[-1]["spec"]["intent"]["target"]
            for key, states in recorder.states.items()
            if "Remediation/storm-" in key
        )
        return [(target["namespace"], target["name"]) for target in targets]


def _conditions(body: Body) -> list[Body]:
    conditions: list[Body] = body.get("status", {}).get("conditions", [])
    return conditions


def _watched(app: str, namespace: str) -> Body:
    spec = objective(app) | {"target": {"apiVersion": "example.com/v1", "kind": "Pool", "name": app}}
    metadata = {"name": app, "namespace": namespace}
    return {"apiVersion": API, "kind": "ServiceLevelObjective", "metadata": metadata, "spec": spec}


@contextmanager
def _namespaces(environment: SafetyEnvironment) -> Iterator[None]:
    names = [f"storm-{number}" for number in range(NAMESPACES)]
    for name in names:
        environment.cluster.kubectl("create", "namespace", name)
    environment.cluster.apply(POOLS)
    environment.cluster.kubectl("wait", "--for=condition=Established", "crd/pools.example.com", "--timeout=30s")
    try:
        yield
    finally:
        environment.cluster.kubectl("delete", "guardrail", "storm", "--ignore-not-found")
        environment.cluster.kubectl("delete", "namespace", *names, "--wait=false")


async def measure(environment: SafetyEnvironment, *, quick: bool) -> dict[str, Any]:
    """Run a storm."""
    size, budget = (60, 6) if quick else (1000, 20)
    with _namespaces(environment), Signals(environment).live() as signals:
        return await Storm(environment, signals, size, budget).run()
