"""Models of services: replicas that start, warm up, leak and crash, and a queue before them.

A fluid model in steps of a few seconds: within a step arrivals and capacity are constant, and the queue is computed
exactly. All services are computed at once; an array's last axis is the service, or the replica of a service. The newest
replica is removed first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from forestall.errors import InvalidInput
from forestall.sim.nodes import ModelNodes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

EVICTION: Final = 300.0
"""Time (s) until pods of a failed node are evicted: the default toleration of `not-ready` and `unreachable`."""


@dataclass(frozen=True, slots=True)
class ServiceParameters:
    """The parameters of a service. Times in seconds, rates in requests a second."""

    capacity: float = 20.0
    """Capacity of a warm replica."""
    start_up: float = 60.0
    """Time from the request of a replica until it serves."""
    warm_up: float = 0.0
    """Time after the start-up until it has its full capacity."""
    cold_share: float = 0.5
    """Share of its capacity that a replica has after its start-up."""
    patience: float = 0.5
    """A request that waits longer is bad."""
    queue: float = 1.0
    """A request that would wait longer is shed, which is bad too."""
    base: float = 0.0
    """Share of the memory limit that a new replica uses."""
    work: float = 0.0
    """Additional share of a fully busy replica."""
    leak: float = 0.0
    """Share of the memory limit that each request leaks."""
    restart: float = 60.0
    """Time from a crash, or from a failed start, until it serves again."""
    nodes: int = 0
    """Number of its nodes; 0 models no nodes."""

    def __post_init__(self) -> None:
        for name in ("capacity", "patience", "queue"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise InvalidInput(f"{name.replace('_', '-')} must be above zero, not {getattr(self, name):g}")
        for name in ("start_up", "warm_up", "base", "work", "leak", "restart", "nodes"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise InvalidInput(f"{name.replace('_', '-')} must not be below zero, not {getattr(self, name):g}")
        if not 0 < self.cold_share <= 1:
            raise InvalidInput(f"cold-share must be above 0 and at most 1, not {self.cold_share:g}")


@dataclass(frozen=True, slots=True)
class ServiceStep:
    """The result of one step by service; in requests unless stated otherwise."""

    arrived: Floats
    good: Floats
    """Answered, or certain to be answered, within the patience."""
    served: Floats
    shed: Floats
    queued: Floats
    """Waiting at the end of the step."""
    replicas: Floats
    """Desired replicas, which count as cost whether they serve or not, with the surge of a rollout."""
    ready: Floats
    """Serving."""
    busy: Floats
    """Used share of the capacity of the serving replicas."""
    memory: Floats
    """Highest share of the memory limit of any replica."""
    crashes: Floats
    """Replicas that ran out of memory."""
    failed: Floats
    """Replicas that could not start because their node's disk is full; each counts once, however often it tries."""


class ServiceFleet:
    """The state of some services. Deterministic: it has no randomness."""

    def __init__(
        self,
        parameters: Sequence[ServiceParameters],
        replicas: Sequence[int] | Ints,
        step: float,
        max_replicas: int,
        disks: Sequence[Floats | None] = (),
    ) -> None:
        """`step`: length of a step (s); `max_replicas`: of any service; `disks`: as for `ModelNodes`."""

        def column(name: str) -> Floats:
            return np.array([getattr(service, name) for service in parameters], dtype=np.float64)

        self.step_s, self.max_replicas, self.now = step, max_replicas, 0.0
        self.capacity, self._start, self._warm = column("capacity"), column("start_up"), column("warm_up")
        self._cold, self._patience, self._limit = column("cold_share"), column("patience"), column("queue")
        self._leak, self._restart = column("leak"), column("restart")
        self._base, self._work = column("base"), column("work")
        self.nodes = ModelNodes([service.nodes for service in parameters], disks, max_replicas)
        self._fills = bool((self._leak + self._base + self._work).any())
        self._warms = bool(self._warm.any())
        self.replicas: Ints = np.clip(np.asarray(replicas, dtype=np.int64), 0, max_replicas)
        self._index = np.arange(max_replicas)
        self._running = self._index < self.replicas[:, None]
        self._ready_at = np.where(self._running, -np.inf, np.inf)
        self._leaked, self._generation = (
            np.zeros((len(parameters), max_replicas)),
            np.zeros((len(parameters), max_replicas), dtype=np.int64),
        )
        self._failed = np.zeros((len(parameters), max_replicas), dtype=np.bool_)
        self._busy = np.zeros(len(parameters))
        self._queued = np.zeros(len(parameters))
        self._surge = np.zeros(len(parameters))
        self._rollouts: dict[int, list[tuple[float, NDArray[np.intp]]]] = {}
        self._ready_cache: tuple[float, Ints] | None = None  # when, and the serving replicas

    @property
    def size(self) -> int:
        """Number of services."""
        return len(self.replicas)

    @property
    def ready(self) -> Ints:
        """Number of serving replicas by service."""
        if self._ready_cache is None or self._ready_cache[0] != self.now:
            self._ready_cache = (self.now, self._serving().sum(axis=1))
        return self._ready_cache[1]

    def _serving(self) -> NDArray[np.bool_]:
        return np.asarray(self._running & (self._ready_at <= self.now))

    def scale(self, wanted: Ints) -> None:
        """Set the desired replicas of each service."""
        wanted = np.minimum(np.maximum(wanted, 0), self.max_replicas)
        if np.array_equal(wanted, self.replicas):
            return
        self._ready_cache = None
        running = self._index < wanted[:, None]
        added, removed = running & ~self._running, self._running & ~running
        self._ready_at = np.where(added, (self.now + self._start)[:, None], self._ready_at)
        self._ready_at[removed] = np.inf
        self._leaked[added] = 0.0
        self._generation[added] += 1
        self._failed[added] = False
        self.replicas, self._running = wanted, running
        if self.nodes.has_disks:
            self.nodes.assign(added, running)

    def roll_out(self, service: int) -> None:
        """Replace the replicas of one service: a quarter at a time, each after its successor serves."""
        count = int(self.replicas[service])
        batch = max(1, -(-count // 4))
        parts = [self._index[n : min(n + batch, count)] for n in range(0, count, batch)]
        duration = self._start[service]
        self._rollouts[service] = [(self.now + (n + 1) * duration, part) for n, part in enumerate(parts)]

    def is_rolling_out(self, service: int) -> bool:
        """Return whether a rollout is in progress."""
        return service in self._rollouts

    def fail_node(self, service: int, node: int) -> None:
        """Fail a node: its replicas serve again after their eviction and a start on another node."""
        if self.nodes.counts[service]:
            affected = self._running[service] & (self.nodes.host[service] == node)
            self._ready_at[service, affected] = self.now + EVICTION + self._start[service]
            self._leaked[service, affected] = 0.0
            self._generation[service, affected] += 1
            self._ready_cache = None

    def memory(self, service: int) -> dict[str, float]:
        """Return the used share of the memory limit of each replica of a service, by replica name."""
        count = int(self.replicas[service])
        names = [f"{index}-{generation}" for index, generation in enumerate(self._generation[service, :count].tolist())]
        return dict(zip(names, self._memory()[service, :count].tolist(), strict=True))

    def _memory(self) -> Floats:
        return np.asarray(self._leaked + (self._base + self._work * self._busy)[:, None])

    def advance(self, rate: Floats) -> ServiceStep:
        """Advance by one step, in which requests arrive at `rate` a second."""
        if self._rollouts:
            self._advance_rollouts()
        ready = self.ready.astype(np.float64)
        share = self._warmth() if self._warms else ready
        capacity = self.capacity * share
        arrived = rate * self.step_s
        good, shed, queued = _queue(self._queued, rate, capacity, self._patience, self._limit, self.step_s)
        served = np.maximum(self._queued + arrived - shed - queued, 0.0)
        self._queued = queued
        maximum = capacity * self.step_s
        busy = self._busy = np.minimum(np.divide(served, maximum, out=np.zeros_like(maximum), where=maximum > 0), 1.0)
        crashes, peak = self._fill(served, ready) if self._fills else (np.zeros_like(ready), np.zeros_like(ready))
        self.now += self.step_s
        failed = self._fail_on_full_disks() if self.nodes.has_disks else np.zeros_like(ready)
        replicas = self.replicas + self._surge
        return ServiceStep(arrived, good, served, shed, queued, replicas, ready, busy, peak, crashes, failed)

    def _warmth(self) -> Floats:
        serving = self._serving()
        age = np.where(serving, self.now - self._ready_at, 0.0)
        grown = np.clip(age / np.maximum(self._warm, 1e-9)[:, None], 0.0, 1.0)
        cold = self._cold[:, None]
        return np.asarray(((cold + (1 - cold) * grown) * serving).sum(axis=1))

    def _fill(self, served: Floats, ready: Floats) -> tuple[Floats, Floats]:
        """Add the leaks of a step's requests; return the crashed replicas, and the highest memory of the others."""
        per_replica = np.divide(served, ready, out=np.zeros_like(served), where=ready > 0)
        self._leaked += self._serving() * (per_replica * self._leak)[:, None]
        full = self._running & (self._memory() >= 1.0)
        crashes: Floats = full.sum(axis=1).astype(np.float64)
        if crashes.any():
            self._leaked[full] = 0.0
            restart_at = np.broadcast_to((self.now + self.step_s + self._restart)[:, None], full.shape)
            self._ready_at[full] = restart_at[full]
            self._ready_cache = None
        return crashes, np.where(self._running, self._memory(), 0.0).max(axis=1)

    def _fail_on_full_disks(self) -> Floats:
        """Fail starting replicas on full disks, to be tried again later; return the number of new failures."""
        starting = self._running & (self._ready_at <= self.now) & (self._ready_at > self.now - self.step_s)
        failing = starting & self.nodes.is_on_full_disk(self.now)
        new: Floats = (failing & ~self._failed).sum(axis=1).astype(np.float64)
        if failing.any():
            self._failed |= failing
            self._ready_at = np.where(failing, (self.now + self._restart)[:, None], self._ready_at)
            self._ready_cache = None
        return new

    def _advance_rollouts(self) -> None:
        self._ready_cache = None
        for service, parts in list(self._rollouts.items()):
            while parts and parts[0][0] <= self.now:
                index = parts.pop(0)[1]
                index = index[self._running[service, index]]
                self._leaked[service, index] = 0.0
                self._generation[service, index] += 1
                self._ready_at[service, index] = np.minimum(self._ready_at[service, index], self.now)
            self._surge[service] = len(parts[0][1]) if parts else 0.0
            if not parts:
                del self._rollouts[service]


def _queue(
    before: Floats, rate: Floats, capacity: Floats, patience: Floats, limit: Floats, duration: float
) -> tuple[Floats, Floats, Floats]:
    """Return the requests of a step that are answered in time, that are shed, and that wait at its end.

    The queue grows or shrinks linearly. A request that arrives while the queue is longer than the patience allows is
    answered late; a request that arrives while it is full is shed.
    """
    growth = rate - capacity
    if not before.any() and (growth <= 0).all():  # no queue anywhere, the usual case
        zeros = np.zeros_like(rate)
        return rate * duration, zeros, zeros
    full, in_time = limit * capacity, np.minimum(patience, limit) * capacity
    start = np.minimum(before, full)
    end = np.minimum(np.maximum(start + growth * duration, 0.0), full)
    shed = (before - start) + np.maximum(start + growth * duration - full, 0.0)
    distance = np.where(growth > 0, in_time - start, start - in_time)
    crossing = np.divide(distance, np.abs(growth), out=np.zeros_like(distance), where=growth != 0)
    crossing = np.minimum(np.maximum(crossing, 0.0), duration)
    # While it grows, the first requests are in time; where all queued requests are in time, so are all accepted ones.
    rising = rate * crossing + np.where(in_time >= full, np.minimum(rate, capacity) * (duration - crossing), 0.0)
    good = np.where(growth > 0, rising, np.where(start > in_time, rate * (duration - crossing), rate * duration))
    steady = (growth == 0) & (start > in_time)
    return np.where(capacity > 0, np.where(steady, 0.0, good), 0.0), shed, end
