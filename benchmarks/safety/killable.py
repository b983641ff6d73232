"""A program that reconciles many Remediations on a real API server and gets killed; `crashes.py` runs it.

It reads one order a line, as JSON: `kubeconfig`, `namespace`, the `intents` to carry out, the `moods` (how each risk
develops), a `clock` that runs faster than the wall clock, the `receiver` of notices, and `killed`: at which write, and
how. A fork carries out each order, so that the imports are paid once. It knows nothing of earlier forks: it finds their
objects at the API server, like a new leader. The answer is one line: the signal that ended the fork, or 0.
"""

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from forestall.actions import ACTIONS, Notify, RiskOutlook
from forestall.adapters.http import Endpoint
from forestall.adapters.kubernetes import Access, Api, KubernetesCluster, Recorder
from forestall.adapters.notifiers.formats import content_of
from forestall.adapters.notifiers.post import post
from forestall.api import API_VERSION, Remediation
from forestall.api.remediation import Intent
from forestall.errors import ClusterError
from forestall.ports import Notice, Notifier
from forestall.remediation import RemediationReconciler, name_of

LONGEST_S = 240
CYCLE = 10.0
"""Interval of cycles (s of the faster clock)."""
IN_FLIGHT_S = 0.012
"""Longest time between the start of the fatal write and the kill (s)."""


class KillPoint:
    """Kills the process before, during or after a given write."""

    def __init__(self, at: int, how: str) -> None:
        self._left = at
        self._how = how

    @contextmanager
    def write(self) -> Iterator[None]:
        """Run the body, which writes."""
        self._left -= 1
        fatal = self._left == 0
        if fatal and self._how == "before":
            _die()
        if fatal and self._how == "in flight":
            asyncio.get_running_loop().call_later(random.uniform(0, IN_FLIGHT_S), _die)
        yield
        if fatal and self._how == "after":
            _die()


class KillableCluster(KubernetesCluster):
    """A cluster that kills the process at one of its writes."""

    kill_point: KillPoint

    async def _request(self, method: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        if method == "GET":
            return await super()._request(method, *args, **kwargs)
        with self.kill_point.write():
            return await super()._request(method, *args, **kwargs)


class KillableNotifier:
    """Sends notices to the receiver, and kills the process there too."""

    def __init__(self, url: str, fate: KillPoint) -> None:
        self._url = url
        self._fate = fate

    async def send(self, channel: str, notice: Notice) -> None:
        """Send it as a webhook."""
        with self._fate.write():
            await post(channel, Endpoint(self._url), content_of("Webhook", notice))


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Leader:
    """Leads until it is killed."""

    def __init__(self, cluster: KillableCluster, notifier: Notifier, order: dict[str, Any]) -> None:
        self._cluster = cluster
        self._reconciler = RemediationReconciler(cluster, {**ACTIONS, Notify.traits.name: Notify(notifier)})
        self._namespace: str = order["namespace"]
        self._intents = {name_of(intent): intent for intent in map(Intent.model_validate, order["intents"])}
        self._moods: dict[str, str] = order["moods"]
        self._clock: dict[str, float] = order["clock"]

    async def lead(self) -> None:
        """Run cycles until every Remediation has ended."""
        while True:
            began = time.monotonic()
            if await self._cycle():
                return
            await asyncio.sleep(max(0.0, CYCLE / self._clock["speed"] - (time.monotonic() - began)))

    def _now(self) -> float:
        return self._clock["start"] + (time.time() - self._clock["start"]) * self._clock["speed"]

    async def _cycle(self) -> bool:
        try:
            bodies = await self._cluster.find(API_VERSION, Remediation.KIND, self._namespace)
        except ClusterError:
            return False
        remediations = {body["metadata"]["name"]: Remediation.read(body) for body in bodies}
        ended = await asyncio.gather(*(self._reconcile(name, remediations.get(name)) for name in self._intents))
        return all(ended)

    async def _reconcile(self, name: str, life: Remediation | None) -> bool:
        try:
            life = life or await self._reconciler.open(self._intents[name])
            if not life.ended:
                now = self._now()
                view = outlook(life, self._moods[life.spec.intent.target.name], now)
                life = await self._reconciler.reconcile(life, view, _allow, now)
        except ClusterError:
            return False
        return life.ended


async def _allow(_: Remediation) -> None:
    """Allow everything: guards are not tested here."""


def outlook(life: Remediation, mood: str, now: float) -> RiskOutlook:
    """Return the outlook of a risk that ends after the action, or lasts, or can't be measured."""
    has_effect = life.status.completed is None or mood == "lasts"
    if not has_effect and mood == "blind":
        return RiskOutlook(fresh=False, probability=float("nan"), breached=False, sampled_at=now - 3600)
    if has_effect:
        needed = 5 if life.spec.intent.action.name == "Scale" and life.status.completed is None else 6
        return RiskOutlook(
            fresh=True, probability=0.9, breached=False, sampled_at=now, replicas_forecast=needed, replicas_observed=4
        )
    return RiskOutlook(
        fresh=True, probability=0.0, breached=False, sampled_at=now, replicas_forecast=1, replicas_observed=1
    )


async def carry_out(order: dict[str, Any]) -> None:
    """Carry out one order."""
    async with Api(await Access.find(order["kubeconfig"])) as api:
        cluster = KillableCluster(api, Recorder(api, "bench"), order["namespace"])
        killed = order["killed"]
        random.seed(killed["seed"])
        cluster.kill_point = KillPoint(killed["at"], killed["how"])
        await Leader(cluster, KillableNotifier(order["receiver"], cluster.kill_point), order).lead()


def main() -> None:
    """Report that the imports are done, and answer each order."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # standard output has the answers
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            signal.alarm(LONGEST_S)
            asyncio.run(carry_out(json.loads(line)))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
