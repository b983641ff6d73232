"""Faults of the shop: memory leaks, and a node whose disk fills up."""

import asyncio
import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from shop.pool import Pod, Pool

MIB = 1024.0 * 1024.0
_LEAK_STEP_S = 0.25


@dataclass(frozen=True, slots=True)
class LeakSettings:
    """Memory in MiB; `per_request` is 0 for a shop that does not leak."""

    base: float = 96.0
    limit: float = 512.0
    per_request: float = 0.0
    restart_seconds: float = 8.0
    is_real: bool = False
    """Whether the process really allocates the memory, in a real pod: the kernel kills it at its limit."""


class Memory:
    """The memory of each pod.

    Real pods that leak would be killed by the kernel at their limit (OOMKilled) and restarted by the kubelet. The
    demo's pods have no processes, so the shop itself removes their slots as the kernel would.
    """

    def __init__(self, pool: Pool, settings: LeakSettings, rng: random.Random) -> None:
        self._pool = pool
        self._settings = settings
        self._rng = rng
        self._used: dict[Pod, float] = {}
        self._allocations: list[bytearray] = []
        self.kills = 0

    def start(self, pod: Pod) -> None:
        """Start a new process. Pods differ a little, as real ones do."""
        self._used[pod] = self._settings.base * self._rng.uniform(0.95, 1.05)

    def forget(self, pod: Pod) -> None:
        """Forget a deleted pod."""
        self._used.pop(pod, None)

    def used(self) -> dict[Pod, float]:
        """Return the bytes that each pod uses."""
        if self._settings.is_real:
            return dict.fromkeys(self._used, _resident_bytes())
        return {pod: mib * MIB for pod, mib in self._used.items()}

    def served(self, pod: Pod) -> None:
        """Account for a request that `pod` served; kill the pod when it reaches its limit."""
        if not self._settings.per_request or pod.dead or pod not in self._used:
            return
        lost = self._settings.per_request * self._rng.uniform(0.5, 1.5)
        if self._settings.is_real:
            self._hold(lost)
            return
        self._used[pod] += lost
        if self._used[pod] >= self._settings.limit:
            self.kills += 1
            self._pool.kill(pod)
            asyncio.get_running_loop().call_later(self._settings.restart_seconds, self._restarted, pod)

    async def leak(self, mib_per_second: float) -> None:
        """Leak allocated memory evenly and forever, with or without requests."""
        while True:
            await asyncio.sleep(_LEAK_STEP_S)
            self._hold(mib_per_second * _LEAK_STEP_S)

    def _hold(self, mib: float) -> None:
        # Ones, not zeros: an unwritten page takes no memory.
        self._allocations.append(bytearray(b"\x01") * round(mib * MIB))

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
    """The used share of each node's disk.

    A container that starts on a full disk can't write its cache and fails every request; a running one continues.
    Nothing runs on the demo's nodes, so the shop models their disks.
    """

    def __init__(self, settings: DiskSettings, began: float) -> None:
        """`began`: the loop's time at which the disk starts to fill."""
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
        """Return whether a container that starts on the node now is broken."""
        return self.used(node, now) >= 1.0


async def fill(folder: Path, mib_per_second: float) -> None:
    """Write a file into `folder` evenly until the disk is full; a real disk, which the kubelet watches."""
    step = round(mib_per_second * _LEAK_STEP_S * MIB)
    with _new_file(folder) as file:
        while True:
            await asyncio.sleep(_LEAK_STEP_S)
            try:
                file.write(b"\x01" * step)
            except OSError as error:
                print(f"disk: {error}", flush=True)
                return


def _new_file(folder: Path) -> BinaryIO:
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / f"fill-{os.getpid()}").open("wb", buffering=0)


def _resident_bytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return float(pages * os.sysconf("SC_PAGE_SIZE"))
