"""API server faults: some calls or all fail by errors, throttling, resets and hangs. Are there wrong actions?

The operator runs behind a proxy that fails its calls, and is started anew when it ends, as the kubelet does. Some
workloads are at risk and some are not. Meanwhile and afterwards the watch of the API server itself shows what happened.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from typing import Any

from aiohttp import web
from benchmarks.safety.environment import API, Body, Operator, SafetyEnvironment, Signals, until
from benchmarks.safety.leaders import watched
from benchmarks.safety.proxy import Fault, Proxy
from benchmarks.safety.trials import deployment
from benchmarks.safety.watch_recorder import WatchRecorder

from forestall.adapters.kubernetes import Access

INTERVAL = "10s"
WITHIN_S = 60.0
APPS = 8
"""Workloads of each phase; half of them get at risk."""
_NAMESPACE = "api-faults"
_FAULTS: tuple[Fault, ...] = ("error", "throttle", "reset", "hang", "lose")
_POLICY: Body = {
    "mode": "Auto",
    "cooldown": "0s",
    "deadline": "30m",
    "actions": [{"scale": {"maxReplicas": 2, "capacity": {"type": "Declared", "perReplica": 100, "headroom": 0}}}],
}


class OperatorRestarter:
    """Restarts the operator when it ends, like a kubelet."""

    def __init__(self, start: Callable[[int], Operator]) -> None:
        self._start = start
        self.starts = 1
        self.operator = start(1)

    async def run(self) -> None:
        """Restart it until cancelled."""
        while True:
            await asyncio.sleep(0.5)
            if self.operator.ends:
                self.starts += 1
                self.operator = await asyncio.to_thread(self._start, self.starts)


class ApiFaults:
    """One operator behind a proxy that fails its calls."""

    def __init__(self, environment: SafetyEnvironment, signals: Signals) -> None:
        self._environment = environment
        self._signals = signals
        self._dice = random.Random(7)
        self._risky: set[str] = set()

    async def run(self, seconds: float) -> dict[str, Any]:
        """Fail 30 % and then all of the calls for `seconds`, and measure each recovery."""
        access = await Access.find(str(self._environment.cluster.kubeconfig))
        config = access.rest_config()
        phases = {"30%": 0.3, "100%": 1.0}
        apps = [f"{name.rstrip('%')}-{number}" for name in phases for number in range(APPS)]
        async with AsyncExitStack() as stack:
            self._proxy = await stack.enter_async_context(Proxy(config.server, config.ca_path).serve())
            await asyncio.to_thread(self._prepare, apps)
            paths = (f"/apis/apps/v1/namespaces/{_NAMESPACE}/deployments",)
            remediations = f"/apis/{API}/namespaces/{_NAMESPACE}/remediations"
            self._recorder = await stack.enter_async_context(WatchRecorder(access, *paths, remediations).watching())
            kubeconfig = await asyncio.to_thread(self._environment.kubeconfig, self._proxy.url, "faulty")
            kubelet = OperatorRestarter(
                lambda number: self._environment.operate(f"faulty-{number}", kubeconfig, INTERVAL)
            )
            watching = asyncio.create_task(kubelet.run())
            try:
                await kubelet.operator.until_ready()
                results = {name: await self._phase(name, share, seconds) for name, share in phases.items()}
                await self._recorder.settle()
                wrong = self._wrong(apps)
            finally:
                watching.cancel()
                with suppress(asyncio.CancelledError):
                    await watching
                await asyncio.to_thread(kubelet.operator.stop)
        slowest = max(phase["recoveredS"] for phase in results.values())
        return {
            "secondsEach": seconds,
            "interval": INTERVAL,
            "phases": results,
            "starts": kubelet.starts,
            "wrongActs": len(wrong),
            "wrong": wrong,
            "holds": not wrong and slowest <= WITHIN_S,
        }

    def _prepare(self, apps: list[str]) -> None:
        for app in apps:
            self._signals.set("load", app, 10.0)
        self._environment.apply("MetricSource", "default", {"url": self._signals.url})
        self._environment.apply("RemediationPolicy", "scale", _POLICY, _NAMESPACE)
        deployments = [deployment(app, 1) for app in apps]
        self._environment.cluster.apply(*deployments, *map(watched, apps), namespace=_NAMESPACE)

    async def _phase(self, name: str, share: float, seconds: float) -> dict[str, Any]:
        """Fail calls; workloads get at risk before, during and at the end of it."""
        prefix, began = name.rstrip("%"), time.monotonic()
        how: Counter[str] = Counter()

        def fault(_: web.BaseRequest) -> Fault | None:
            if self._dice.random() >= share:
                return None
            chosen = self._dice.choice(_FAULTS if share < 1 else _FAULTS[:-1])
            how[chosen] += 1
            return chosen

        late = [self._endanger(f"{prefix}-0")]
        self._proxy.fault = fault
        for number, part in ((1, 0.2), (2, 0.6), (3, 0.95)):
            await asyncio.sleep(max(0.0, seconds * part - (time.monotonic() - began)))
            late.append(self._endanger(f"{prefix}-{number}"))
        await asyncio.sleep(max(0.0, seconds - (time.monotonic() - began)))
        acted = sum(self._replicas(app)[-1] > 1 for app in late)
        self._proxy.fault = lambda _: None
        await until(lambda: all(self._replicas(app)[-1] > 1 for app in late), 3 * WITHIN_S, f"{name} is over")
        recovered = time.monotonic() - began - seconds
        return {"faults": dict(how), "actedMeanwhile": acted, "atRisk": len(late), "recoveredS": round(recovered, 1)}

    def _endanger(self, app: str) -> str:
        self._risky.add(app)
        self._signals.set("load", app, 150.0)
        return app

    def _replicas(self, app: str) -> list[int]:
        return self._recorder.changes(f"Deployment/{_NAMESPACE}/{app}", lambda body: body["spec"]["replicas"])

    def _wrong(self, apps: list[str]) -> list[str]:
        """Return the wrong actions: repeated, to another size, or on a healthy workload."""
        lives = Counter(
            states[-1]["spec"]["intent"]["target"]["name"]
            for key, states in self._recorder.states.items()
            if key.startswith("Remediation/")
        )
        expected = {app: [1, 2] if app in self._risky else [1] for app in apps}
        sizes = [f"{app}: {self._replicas(app)}" for app in apps if self._replicas(app) != expected[app]]
        return sizes + [f"{app}: {count} Remediations" for app, count in lives.items() if count != (app in self._risky)]


async def measure(environment: SafetyEnvironment, *, quick: bool) -> dict[str, Any]:
    """Fail calls for five minutes each, or shorter with `quick`."""
    with environment.namespace(_NAMESPACE), Signals(environment).live() as signals:
        return await ApiFaults(environment, signals).run(25.0 if quick else 300.0)
