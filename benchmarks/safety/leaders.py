"""Changes of the leader: terminated, killed, or stopped and resumed later. Who writes, and how soon?

Three operators run, each behind a proxy that records its writes. At each change a workload gets at risk just before the
signal to the leader, so that its successor has something to do.
"""

import asyncio
import json
import signal
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Literal

from benchmarks.safety.environment import API, OPERATOR, Body, Operator, SafetyEnvironment, Signals, until
from benchmarks.safety.proxy import Call, Proxy
from benchmarks.safety.trials import deployment
from benchmarks.safety.watch_recorder import WatchRecorder

from forestall.adapters.kubernetes import Access

How = Literal["terminated", "killed", "stopped"]
WITHIN_S = 30.0
INTERVAL = "30s"
LONGEST_S = 1800.0
"""Time after which no further change starts; the figures have the number of changes."""
_LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{OPERATOR}/leases/forestall"
_NAMESPACE = "leaders"
_POLICY: Body = {
    "mode": "Auto",
    "actions": [{"scale": {"maxReplicas": 2, "capacity": {"type": "Declared", "perReplica": 100, "headroom": 0}}}],
}


@dataclass
class OperatorReplica:
    """One replica of the operator, which is restarted after each failure."""

    name: str
    proxy: Proxy
    operator: Operator
    incarnation: int = 1

    def leads_since(self) -> float:
        """Return the last renewal of the lease (s since the epoch); 0 without one."""
        mine = [call.at for call in self.proxy.writes if call.path == _LEASE and call.status == 200]
        return mine[-1] if mine else 0.0

    def effective(self, since: float) -> list[Call]:
        """Return its successful writes from then on, except of the lease and of Events."""
        return [
            call
            for call in self.proxy.writes
            if call.at >= since and call.status < 300 and "/leases" not in call.path and "/events" not in call.path
        ]


@dataclass
class Tally:
    """The results of all changes."""

    how: Counter[str] = field(default_factory=Counter)
    waits: dict[str, list[float]] = field(default_factory=lambda: {"terminated": [], "killed": [], "stopped": []})
    late_writes: int = 0
    """Writes of a leader after the first write of its successor."""
    never: int = 0
    """Changes without an action in time."""


class LeaderChanges:
    """Changes the leader of three operators."""

    def __init__(self, environment: SafetyEnvironment, signals: Signals) -> None:
        self._environment = environment
        self._signals = signals
        self._tally = Tally()

    async def run(self, changes: int) -> dict[str, Any]:
        """Change the leader `changes` times."""
        config = (await Access.find(str(self._environment.cluster.kubeconfig))).rest_config()
        await asyncio.to_thread(self._prepare, changes)
        async with AsyncExitStack() as stack:
            self._replicas = [
                await self._seat(name, await stack.enter_async_context(Proxy(config.server, config.ca_path).serve()))
                for name in ("one", "two", "three")
            ]
            for replica in self._replicas:
                await replica.operator.until_ready()
            paths = (
                f"/apis/apps/v1/namespaces/{_NAMESPACE}/deployments",
                f"/apis/{API}/namespaces/{_NAMESPACE}/remediations",
            )
            access = await Access.find(str(self._environment.cluster.kubeconfig))
            self._recorder = await stack.enter_async_context(WatchRecorder(access, *paths).watching())
            try:
                began = time.monotonic()
                for number in range(changes):
                    hows: tuple[How, ...] = ("stopped", "killed", "terminated")
                    await self._change(number, hows[number % 3])
                    if time.monotonic() - began > LONGEST_S:
                        break
                await self._recorder.settle()
                return self._figures()
            finally:
                self._environment.cluster.kubectl("delete", "guardrail", "no-storm")
                for replica in self._replicas:
                    replica.operator.process.send_signal(signal.SIGCONT)
                    await asyncio.to_thread(replica.operator.stop)

    async def _seat(self, name: str, proxy: Proxy) -> OperatorReplica:
        self._kubeconfigs = getattr(self, "_kubeconfigs", {})
        self._kubeconfigs[name] = await asyncio.to_thread(self._environment.kubeconfig, proxy.url, name)
        return OperatorReplica(name, proxy, self._environment.operate(f"{name}-1", self._kubeconfigs[name], INTERVAL))

    def _prepare(self, changes: int) -> None:
        apps = [f"app-{number}" for number in range(changes)]
        for app in apps:
            self._signals.set("load", app, 10.0)
        self._environment.apply("MetricSource", "default", {"url": self._signals.url})
        # Without this, the objectives at risk would count as a storm.
        self._environment.apply("Guardrail", "no-storm", {"storm": {"objectives": 1000000}})
        policy = {"apiVersion": API, "kind": "RemediationPolicy", "metadata": {"name": "scale"}, "spec": _POLICY}
        deployments = [deployment(app, 1) for app in apps]
        self._environment.cluster.apply(*deployments, policy, *map(watched, apps), namespace=_NAMESPACE)

    async def _change(self, number: int, how: How) -> None:
        old, *followers = sorted(self._replicas, key=OperatorReplica.leads_since, reverse=True)
        await until(lambda: any_ready(followers), 90, "another stands by")
        app = f"app-{number}"
        # Past its limit just before the signal: the old leader is between two cycles and does not see it.
        self._signals.set("load", app, 150.0)
        failed_at = time.time()
        old.operator.process.send_signal(
            {"stopped": signal.SIGSTOP, "killed": signal.SIGKILL, "terminated": signal.SIGTERM}[how]
        )
        self._tally.how[how] += 1
        try:
            await until(lambda: self._acted(app), 2 * WITHIN_S + 20, f"{app} is scaled")
        except TimeoutError:
            self._tally.never += 1
            raise
        self._tally.waits[how].append(time.time() - failed_at)
        first = min((call for replica in followers for call in replica.effective(failed_at)), key=lambda call: call.at)
        if how == "stopped":
            resumed_at = time.time()
            old.operator.process.send_signal(signal.SIGCONT)
            await until(lambda: old.operator.ends, 30, f"{old.name} ends when it is woken")
            self._tally.late_writes += len(old.effective(resumed_at))
        self._tally.late_writes += sum(call.version > first.version for call in old.effective(first.at))
        await asyncio.to_thread(old.operator.stop)
        old.incarnation += 1
        old.operator = self._environment.operate(f"{old.name}-{old.incarnation}", self._kubeconfigs[old.name], INTERVAL)
        print(f"{number + 1}: {how}, {self._tally.waits[how][-1]:.1f} s", file=sys.stderr, flush=True)

    def _acted(self, app: str) -> bool:
        replicas = self._recorder.changes(f"Deployment/{_NAMESPACE}/{app}", lambda body: body["spec"]["replicas"])
        return bool(replicas[-1] > 1)

    def _figures(self) -> dict[str, Any]:
        tally, twice = self._tally, 0
        for number in range(tally.how.total()):
            key = f"Deployment/{_NAMESPACE}/app-{number}"
            twice += len(self._recorder.changes(key, lambda body: body["spec"]["replicas"])) - 2
        lives = Counter(
            json.dumps(states[-1]["spec"]["intent"]["target"]["name"])
            for key, states in self._recorder.states.items()
            if key.startswith("Remediation/")
        )
        slowest = {how: round(max(waits), 1) for how, waits in tally.waits.items() if waits}
        return {
            "changes": sum(tally.how.values()),
            "how": dict(tally.how),
            "doubleActs": twice + sum(count - 1 for count in lives.values()),
            "writesByTheOldLeaderAfterTheNewOnesFirst": tally.late_writes,
            "slowestActS": slowest,
            "interval": INTERVAL,
            "holds": twice == 0
            and not tally.late_writes
            and max(slowest.values()) <= WITHIN_S
            and all(count == 1 for count in lives.values()),
        }


async def any_ready(replicas: list[OperatorReplica]) -> bool:
    """Return whether one of the operators is ready."""
    return any([await asyncio.to_thread(replica.operator.ready) for replica in replicas])


def objective(app: str, source: str = "default") -> Body:
    """Return an objective of a Deployment whose leading indicator is the series `load{app=…}`."""
    return {
        "source": source,
        "target": {"name": app},
        "indicator": {"raw": {"errorRatio": f'errors{{app="{app}"}}'}},
        "objective": 99.0,
        "leadingIndicators": [{"name": "load", "query": f'load{{app="{app}"}}', "limit": 100, "horizon": "5m"}],
    }


def watched(app: str) -> Body:
    """Return a Deployment's objective as an object of its name."""
    return {"apiVersion": API, "kind": "ServiceLevelObjective", "metadata": {"name": app}, "spec": objective(app)}


async def measure(environment: SafetyEnvironment, *, quick: bool) -> dict[str, Any]:
    """Change the leader repeatedly."""
    with environment.namespace(_NAMESPACE), Signals(environment).live() as signals:
        return await LeaderChanges(environment, signals).run(3 if quick else 50)
