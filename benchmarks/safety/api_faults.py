"""An API server that fails: some calls or all, by errors, throttling, resets and silence. Is anything done wrongly?

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
from benchmarks.safety.arena import API, Arena, Body, Operator, Signals, until
from benchmarks.safety.leaders import watched
from benchmarks.safety.proxy import Fault, Proxy
from benchmarks.safety.trials import deployment
from benchmarks.safety.witness import Witness

from forestall.adapters.kubernetes import Access

INTERVAL = "10s"
WITHIN_S = 60.0
APPS = 8
"""Workloads of each phase: half of them come to be at risk in it."""
_NAMESPACE = "api-faults"
_FAULTS: tuple[Fault, ...] = ("error", "throttle", "reset", "hang", "lose")
_POLICY: Body = {
    "mode": "Auto",
    "cooldown": "0s",
    "deadline": "30m",
    "actions": [{"scale": {"maxReplicas": 2, "capacity": {"type": "Declared", "perReplica": 100, "headroom": 0}}}],
}


class Kubelet:
    """Starts the operator anew when it ends."""

    def __init__(self, start: Callable[[int], Operator]) -> None:
        self._start = start
        self.starts = 1
        self.operator = start(1)

    async def run(self) -> None:
        """Look after it until cancelled."""
        while True:
            await asyncio.sleep(0.5)
            if self.operator.ends:
                self.starts += 1
                self.operator = await asyncio.to_thread(self._start, self.starts)


class Faults:
    """One operator behind a proxy, and what befalls its calls."""

    def __init__(self, arena: Arena, signals: Signals) -> None:
        self._arena = arena
        self._signals = signals
        self._dice = random.Random(7)
        self._risky: set[str] = set()

    async def run(self, seconds: float) -> dict[str, Any]:
        """Let 30 % and then all calls fail for so long, and look how it recovers each time."""
        access = await Access.find(str(self._arena.cluster.kubeconfig))
        config = access.rest_config()
        phases = {"30%": 0.3, "100%": 1.0}
        apps = [f"{name.rstrip('%')}-{number}" for name in phases for number in range(APPS)]
        async with AsyncExitStack() as stack:
            self._proxy = await stack.enter_async_context(Proxy(config.server, config.ca_path).serve())
            await asyncio.to_thread(self._prepare, apps)
            paths = (f"/apis/apps/v1/namespaces/{_NAMESPACE}/deployments",)
            journal = f"/apis/{API}/namespaces/{_NAMESPACE}/remediations"
            self._witness = await stack.enter_async_context(Witness(access, *paths, journal).watching())
            kubeconfig = await asyncio.to_thread(self._arena.kubeconfig, self._proxy.url, "faulty")
            kubelet = Kubelet(lambda number: self._arena.operate(f"faulty-{number}", kubeconfig, INTERVAL))
            watching = asyncio.create_task(kubelet.run())
            try:
                await kubelet.operator.until_ready()
                results = {name: await self._phase(name, share, seconds) for name, share in phases.items()}
                await self._witness.settle()
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
        self._arena.apply("MetricSource", "default", {"url": self._signals.url})
        self._arena.apply("RemediationPolicy", "scale", _POLICY, _NAMESPACE)
        deployments = [deployment(app, 1) for app in apps]
        self._arena.cluster.apply(*deployments, *map(watched, apps), namespace=_NAMESPACE)

    async def _phase(self, name: str, share: float, seconds: float) -> dict[str, Any]:
        """Let calls fail; a workload comes to be at risk before, in and at the end of it."""
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
        return self._witness.changes(f"Deployment/{_NAMESPACE}/{app}", lambda body: body["spec"]["replicas"])

    def _wrong(self, apps: list[str]) -> list[str]:
        """Name what was not to be done: anything twice, to another size, or to a workload that is well."""
        lives = Counter(
            states[-1]["spec"]["intent"]["target"]["name"]
            for key, states in self._witness.states.items()
            if key.startswith("Remediation/")
        )
        expected = {app: [1, 2] if app in self._risky else [1] for app in apps}
        sizes = [f"{app}: {self._replicas(app)}" for app in apps if self._replicas(app) != expected[app]]
        return sizes + [f"{app}: {count} Remediations" for app, count in lives.items() if count != (app in self._risky)]


async def measure(arena: Arena, *, quick: bool) -> dict[str, Any]:
    """Let calls fail for five minutes each, or in a small way."""
    with arena.namespace(_NAMESPACE), Signals(arena).live() as signals:
        return await Faults(arena, signals).run(25.0 if quick else 300.0)
