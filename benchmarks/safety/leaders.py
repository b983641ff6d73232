"""Changes of the leader: sent home, killed, or stopped and woken when another leads. Who writes, and how soon?

Three operators run, each behind a proxy that keeps its writes. At each change a workload comes to be at risk just after
the leader was struck, so that its successor has something to do.
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

from benchmarks.safety.arena import API, OPERATOR, Arena, Body, Operator, Signals, until
from benchmarks.safety.proxy import Call, Proxy
from benchmarks.safety.trials import deployment
from benchmarks.safety.witness import Witness

from forestall.adapters.kubernetes import Access

How = Literal["terminated", "killed", "stopped"]
WITHIN_S = 30.0
INTERVAL = "30s"
LONGEST_S = 1800.0
"""No further change is begun after so long; the figures tell how many there were."""
_LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{OPERATOR}/leases/forestall"
_NAMESPACE = "leaders"
_POLICY: Body = {
    "mode": "Auto",
    "actions": [{"scale": {"maxReplicas": 2, "capacity": {"type": "Declared", "perReplica": 100, "headroom": 0}}}],
}


@dataclass
class Seat:
    """One of the places for an operator; processes come and go."""

    name: str
    proxy: Proxy
    operator: Operator
    born: int = 1

    def leads_since(self) -> float:
        """Return when it last renewed the lease (s since the epoch); 0 if it never did."""
        mine = [call.at for call in self.proxy.writes if call.path == _LEASE and call.status == 200]
        return mine[-1] if mine else 0.0

    def effective(self, since: float) -> list[Call]:
        """Return its writes from then on that changed anything, but for the lease and Events."""
        return [
            call
            for call in self.proxy.writes
            if call.at >= since and call.status < 300 and "/leases" not in call.path and "/events" not in call.path
        ]


@dataclass
class Tally:
    """What came of all changes."""

    how: Counter[str] = field(default_factory=Counter)
    waits: dict[str, list[float]] = field(default_factory=lambda: {"terminated": [], "killed": [], "stopped": []})
    late_writes: int = 0
    """Writes that a leader made after its successor's first."""
    never: int = 0
    """Changes after which nobody acted in time."""


class Leaders:
    """The operators, and what is done to them."""

    def __init__(self, arena: Arena, signals: Signals) -> None:
        self._arena = arena
        self._signals = signals
        self._tally = Tally()

    async def run(self, changes: int) -> dict[str, Any]:
        """Change the leader so many times."""
        config = (await Access.find(str(self._arena.cluster.kubeconfig))).rest_config()
        await asyncio.to_thread(self._prepare, changes)
        async with AsyncExitStack() as stack:
            self._seats = [
                await self._seat(name, await stack.enter_async_context(Proxy(config.server, config.ca_path).serve()))
                for name in ("one", "two", "three")
            ]
            for seat in self._seats:
                await seat.operator.until_ready()
            paths = (
                f"/apis/apps/v1/namespaces/{_NAMESPACE}/deployments",
                f"/apis/{API}/namespaces/{_NAMESPACE}/remediations",
            )
            access = await Access.find(str(self._arena.cluster.kubeconfig))
            self._witness = await stack.enter_async_context(Witness(access, *paths).watching())
            try:
                began = time.monotonic()
                for number in range(changes):
                    hows: tuple[How, ...] = ("stopped", "killed", "terminated")
                    await self._change(number, hows[number % 3])
                    if time.monotonic() - began > LONGEST_S:
                        break
                await self._witness.settle()
                return self._figures()
            finally:
                self._arena.cluster.kubectl("delete", "guardrail", "no-storm")
                for seat in self._seats:
                    seat.operator.process.send_signal(signal.SIGCONT)
                    await asyncio.to_thread(seat.operator.stop)

    async def _seat(self, name: str, proxy: Proxy) -> Seat:
        self._kubeconfigs = getattr(self, "_kubeconfigs", {})
        self._kubeconfigs[name] = await asyncio.to_thread(self._arena.kubeconfig, proxy.url, name)
        return Seat(name, proxy, self._arena.operate(f"{name}-1", self._kubeconfigs[name], INTERVAL))

    def _prepare(self, changes: int) -> None:
        apps = [f"app-{number}" for number in range(changes)]
        for app in apps:
            self._signals.set("load", app, 10.0)
        self._arena.apply("MetricSource", "default", {"url": self._signals.url})
        # What comes at risk here one after the other would else be held as a storm.
        self._arena.apply("Guardrail", "no-storm", {"storm": {"objectives": 1000000}})
        policy = {"apiVersion": API, "kind": "RemediationPolicy", "metadata": {"name": "scale"}, "spec": _POLICY}
        deployments = [deployment(app, 1) for app in apps]
        self._arena.cluster.apply(*deployments, policy, *map(watched, apps), namespace=_NAMESPACE)

    async def _change(self, number: int, how: How) -> None:
        old, *followers = sorted(self._seats, key=Seat.leads_since, reverse=True)
        await until(lambda: any_ready(followers), 90, "another stands by")
        app = f"app-{number}"
        # Past its limit just before the strike: the old leader is between two cycles, and will not see it.
        self._signals.set("load", app, 150.0)
        struck = time.time()
        old.operator.process.send_signal(
            {"stopped": signal.SIGSTOP, "killed": signal.SIGKILL, "terminated": signal.SIGTERM}[how]
        )
        self._tally.how[how] += 1
        try:
            await until(lambda: self._acted(app), 2 * WITHIN_S + 20, f"{app} is scaled")
        except TimeoutError:
            self._tally.never += 1
            raise
        self._tally.waits[how].append(time.time() - struck)
        first = min((call for seat in followers for call in seat.effective(struck)), key=lambda call: call.at)
        if how == "stopped":
            woken = time.time()
            old.operator.process.send_signal(signal.SIGCONT)
            await until(lambda: old.operator.ends, 30, f"{old.name} ends when it is woken")
            self._tally.late_writes += len(old.effective(woken))
        self._tally.late_writes += sum(call.version > first.version for call in old.effective(first.at))
        await asyncio.to_thread(old.operator.stop)
        old.born += 1
        old.operator = self._arena.operate(f"{old.name}-{old.born}", self._kubeconfigs[old.name], INTERVAL)
        print(f"{number + 1}: {how}, {self._tally.waits[how][-1]:.1f} s", file=sys.stderr, flush=True)

    def _acted(self, app: str) -> bool:
        replicas = self._witness.changes(f"Deployment/{_NAMESPACE}/{app}", lambda body: body["spec"]["replicas"])
        return bool(replicas[-1] > 1)

    def _figures(self) -> dict[str, Any]:
        tally, twice = self._tally, 0
        for number in range(tally.how.total()):
            key = f"Deployment/{_NAMESPACE}/app-{number}"
            twice += len(self._witness.changes(key, lambda body: body["spec"]["replicas"])) - 2
        lives = Counter(
            json.dumps(states[-1]["spec"]["intent"]["target"]["name"])
            for key, states in self._witness.states.items()
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


async def any_ready(seats: list[Seat]) -> bool:
    """Say whether one of the operators has read everything and has finished a cycle."""
    return any([await asyncio.to_thread(seat.operator.ready) for seat in seats])


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


async def measure(arena: Arena, *, quick: bool) -> dict[str, Any]:
    """Change the leader again and again."""
    with arena.namespace(_NAMESPACE), Signals(arena).live() as signals:
        return await Leaders(arena, signals).run(3 if quick else 50)
