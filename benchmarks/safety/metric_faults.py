"""Metric source faults: is there an action without good data, and how soon does an objective report it?

Each fault has its own metric source: a proxy for one real Prometheus. While the sources fail, all loads pass their
limits. After the recovery the operator must act on each objective; otherwise the benchmark would prove nothing.
"""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from benchmarks.safety.environment import ACCOUNT, API, OPERATOR, Body, SafetyEnvironment, Signals, until
from benchmarks.safety.leaders import objective
from benchmarks.safety.proxy import Fault, Proxy
from benchmarks.safety.trials import deployment
from benchmarks.safety.watch_recorder import WatchRecorder

from forestall.adapters.kubernetes import Access

INTERVAL = 10.0
INTERVALS = 2
_NAMESPACE = "metric-faults"
_FAILING_S = 6 * INTERVAL
_STALE_AFTER = 2 * INTERVAL
_CAPACITY: Body = {"type": "Declared", "perReplica": 100, "headroom": 0}


@dataclass(frozen=True)
class MetricFault:
    """One kind of fault."""

    fault: Fault | None = None
    change: Callable[[Body], Any] | None = None
    silent: bool = False
    """The source responds, but its series get no new samples."""


def _of_each(alter: Callable[[Body], Body]) -> Callable[[Body], Body]:
    def change(answer: Body) -> Body:
        data = answer["data"]
        return {**answer, "data": {**data, "result": [alter(series) for series in data["result"]]}}

    return change


def _with_value(value: str) -> Callable[[Body], Body]:
    return _of_each(lambda series: {**series, "value": [series["value"][0], value]} if "value" in series else series)


FAULTS = {
    "down": MetricFault("reset"),
    "error": MetricFault("error"),
    "throttled": MetricFault("throttle"),
    "slow": MetricFault("hang"),
    "empty": MetricFault(change=lambda answer: {**answer, "data": {**answer["data"], "result": []}}),
    "not-a-number": MetricFault(change=_with_value("NaN")),
    "infinite": MetricFault(change=_with_value("+Inf")),
    "partial": MetricFault(change=lambda answer: {**answer, "warnings": ["a store did not answer"]}),
    "not-prometheus": MetricFault(change=lambda _: {"hello": "world"}),
    "stale": MetricFault(silent=True),
}


class Sources:
    """A metric source and an objective for each fault."""

    def __init__(self, environment: SafetyEnvironment, signals: Signals) -> None:
        self._environment = environment
        self._signals = signals

    async def run(self) -> dict[str, Any]:
        """Fail all sources at once."""
        access = await Access.find(str(self._environment.cluster.kubeconfig))
        paths = (
            f"/apis/{API}/namespaces/{_NAMESPACE}/servicelevelobjectives",
            f"/apis/{API}/namespaces/{_NAMESPACE}/remediations",
            f"/apis/apps/v1/namespaces/{_NAMESPACE}/deployments",
        )
        async with AsyncExitStack() as stack:
            proxies = {name: await stack.enter_async_context(Proxy(self._signals.url).serve()) for name in FAULTS}
            await asyncio.to_thread(self._prepare, proxies)
            self._recorder = await stack.enter_async_context(WatchRecorder(access, *paths).watching())
            account = await asyncio.to_thread(self._environment.cluster.kubeconfig_for, OPERATOR, ACCOUNT)
            operator = self._environment.operate("metric-faults", account, f"{INTERVAL:g}s")
            try:
                await until(lambda: all(self._fresh(name) == "True" for name in FAULTS), 90, "all data is fresh")
                blind = await self._fail(proxies)
                acts = sum(self._acted(name) for name in FAULTS)
                for proxy in proxies.values():
                    _break(proxy, MetricFault())
                self._signals.set("load", "stale", 300.0)
                recovered = await until(lambda: all(map(self._acted, FAULTS)), 180, "each is acted on when all is well")
            finally:
                await asyncio.to_thread(operator.stop)
        slowest = max(blind.values())
        return {
            "interval": f"{INTERVAL:g}s",
            "failingS": _FAILING_S,
            "actions": acts,
            "intervalsUntilDataFreshIsFalse": {name: round(intervals, 1) for name, intervals in blind.items()},
            "actedOnAllAfterS": round(recovered, 1),
            "holds": acts == 0 and slowest <= INTERVALS,
        }

    def _prepare(self, proxies: dict[str, Proxy]) -> None:
        self._environment.cluster.apply(*(deployment(name, 1) for name in FAULTS), namespace=_NAMESPACE)
        scale = {"scale": {"maxReplicas": 2, "capacity": _CAPACITY}}
        policy = {"mode": "Auto", "actions": [scale], "objectives": {"matchLabels": {"way": "loud"}}}
        # What was written before the samples ended is fresh for a while, and may be acted on; longer it may not.
        late = policy | {"when": {"for": "1m"}, "objectives": {"matchLabels": {"way": "silent"}}}
        self._environment.apply("RemediationPolicy", "scale", policy, _NAMESPACE)
        self._environment.apply("RemediationPolicy", "late", late, _NAMESPACE)
        for name, fault in FAULTS.items():
            self._signals.set("load", name, 10.0)
            self._signals.set("errors", name, 0.0)
            source = {"url": proxies[name].url, "timeout": "3s", "staleAfter": f"{_STALE_AFTER:g}s"}
            self._environment.apply("MetricSource", name, source)
            labels = {"way": "silent" if fault.silent else "loud"}
            self._environment.apply("ServiceLevelObjective", name, objective(name, name), _NAMESPACE, labels=labels)

    async def _fail(self, proxies: dict[str, Proxy]) -> dict[str, float]:
        """Fail for a while; return the number of intervals until each objective reports it."""
        began, blind = time.monotonic(), dict.fromkeys(FAULTS, float("inf"))
        for name, fault in FAULTS.items():
            _break(proxies[name], fault)
            self._signals.set("load", name, 300.0)
            if fault.silent:
                self._signals.remove("load", name)
        while time.monotonic() - began < _FAILING_S:
            for name, fault in FAULTS.items():
                if blind[name] == float("inf") and self._fresh(name) == "False":
                    # Samples are stale when they are older than the source allows, not as soon as they end.
                    since = began + (_STALE_AFTER if fault.silent else 0.0)
                    blind[name] = max(0.0, time.monotonic() - since) / INTERVAL
            await asyncio.sleep(0.1)
        return blind

    def _fresh(self, name: str) -> str:
        states = self._recorder.states[f"ServiceLevelObjective/{_NAMESPACE}/{name}"]
        conditions = states[-1].get("status", {}).get("conditions", []) if states else []
        return next((str(condition["status"]) for condition in conditions if condition["type"] == "DataFresh"), "")

    def _acted(self, name: str) -> bool:
        sizes = self._recorder.changes(f"Deployment/{_NAMESPACE}/{name}", lambda body: body["spec"]["replicas"])
        return len(sizes) > 1


def _break(proxy: Proxy, fault: MetricFault) -> None:
    proxy.fault = lambda _: fault.fault
    change = fault.change
    proxy.change = lambda _, answer: answer if change is None else json.dumps(change(json.loads(answer))).encode()


async def measure(environment: SafetyEnvironment, *, quick: bool) -> dict[str, Any]:
    """Fail every source; the benchmark is small and has no quick size."""
    del quick
    with environment.namespace(_NAMESPACE), Signals(environment).live() as signals:
        return await Sources(environment, signals).run()
