"""What goes wrong in the shop: memory that leaks, and a node whose disk fills up."""

import asyncio
import random
from dataclasses import dataclass

from shop.pool import Pod, Pool

MIB = 1024.0 * 1024.0


@dataclass(frozen=True, slots=True)
class LeakSettings:
    """Memory in MiB; `per_request` is 0 for a shop that does not leak."""

    base: float = 96.0
    limit: float = 512.0
    per_request: float = 0.0
    restart_seconds: float = 8.0


class Memory:
    """The memory of each pod.

    Real pods that leak would be killed by the kernel at their limit (OOMKilled) and restarted by the kubelet. The
    demonstration's pods are objects without processes, so the shop itself does to their slots what the kernel would.
    """

    def __init__(self, pool: Pool, settings: LeakSettings, rng: random.Random) -> None:
        self._pool = pool
        self._settings = settings
        self._rng = rng
        self._used: dict[Pod, float] = {}
        self.kills = 0

    def start(self, pod: Pod) -> None:
        """A fresh process. Pods differ a little, as they do in life."""
        self._used[pod] = self._settings.base * self._rng.uniform(0.95, 1.05)

    def forget(self, pod: Pod) -> None:
        """The pod is gone."""
        self._used.pop(pod, None)

    def used(self) -> dict[Pod, float]:
        """Return the bytes that each pod uses."""
        return {pod: mib * MIB for pod, mib in self._used.items()}

    def served(self, pod: Pod) -> None:
        """Account for one request that `pod` served; kill the pod when that was one too many."""
        if not self._settings.per_request or pod.dead or pod not in self._used:
            return
        self._used[pod] += self._settings.per_request * self._rng.uniform(0.5, 1.5)
        if self._used[pod] >= self._settings.limit:
            self.kills += 1
            self._pool.kill(pod)
            asyncio.get_running_loop().call_later(self._settings.restart_seconds, self._restarted, pod)

    def _restarted(self, pod: Pod) -> None:
        if pod in self._used:
            self.start(pod)
            self._pool.revive(pod)


@dataclass(frozen=True, slots=True)
class DiskSettings:
    """The disk of `node` fills evenly from `start` to full in `fills_in` seconds, and is cleaned up at `cleaned_at`."""

    node: str = ""
    start: float = 0.35
    fills_in: float = 60.0
    cleaned_at: float = 1e9


class Disks:
    """How full the disk of each node is.

    A container that starts on a full disk cannot write its cache and fails every request; one that runs already goes
    on. Nothing runs on the demonstration's nodes, so the shop keeps account of their disks.
    """

    def __init__(self, settings: DiskSettings, began: float) -> None:
        """`began`: the loop's time at which the disk begins to fill."""
        self._settings = settings
        self._began = began

    def used(self, node: str, now: float) -> float:
        """Return the share of the node's disk that is used at the loop's time `now`."""
        settings = self._settings
        age = now - self._began
        if node != settings.node or age >= settings.cleaned_at:
            return settings.start
        return min(1.0, settings.start + (1.0 - settings.start) * max(age, 0.0) / settings.fills_in)

    def full(self, node: str, now: float) -> bool:
        """Say whether a container that starts on the node now is broken."""
        return self.used(node, now) >= 1.0
