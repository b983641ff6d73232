"""Modelled services, side by side: replicas that start, warm up, leak and crash, and a queue before them.

A fluid model in steps of a few seconds: within a step arrivals and capacity are constant, and what happens to the queue
is worked out exactly. All services of a fleet are worked on at once; an array's last axis is the service, or the
replica of a service. A service's replicas are a stack: a new one is put on top, and the newest is taken away first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from forestall.errors import InvalidInput
from forestall.sim.nodes import Nodes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

EVICTION: Final = 300.0
"""How long (s) the pods of a dead node are waited for: the default toleration of `not-ready` and `unreachable`."""


@dataclass(frozen=True, slots=True)
class ServiceTerms:
    """How one service behaves. Times in seconds, rates in requests a second."""

    capacity: float = 20.0
    """What a warm replica answers in a second."""
    start_up: float = 60.0
    """From being asked for to serving."""
    warm_up: float = 0.0
    """After that, until it answers at its full capacity."""
    cold_share: float = 0.5
    """The share of its capacity that a replica has when it begins to serve."""
    patience: float = 0.5
    """A request that waits longer is bad."""
    queue: float = 1.0
    """A request that would wait longer is shed, which is bad too."""
    base: float = 0.0
    """The share of the memory limit that a fresh replica uses."""
    work: float = 0.0
    """What a replica uses on top when it is busy all the time."""
    leak: float = 0.0
    """The share of the memory limit that is lost with each request."""
    restart: float = 60.0
    """From a crash, or a start that failed, to serving again."""
    nodes: int = 0
    """How many nodes of its own the replicas are spread over; 0: they are not modelled."""

    def __post_init__(self) -> None:
        for name in ("capacity", "patience", "queue"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise InvalidInput(f"{name.replace('_', '-')} must be above zero, not {getattr(self, name):g}")
        for name in ("start_up", "warm_up", "base", "work", "leak", "restart", "nodes"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise InvalidInput(f"{name.replace('_', '-')} must not be below zero, but is {getattr(self, name):g}")
        if not 0 < self.cold_share <= 1:
            raise InvalidInput(f"cold-share must be above 0 and at most 1, not {self.cold_share:g}")


@dataclass(frozen=True, slots=True)
class Step:
    """What happened in one step, a number for each service; requests unless said otherwise."""

    arrived: Floats
    good: Floats
    """Answered, or sure to be, within the patience."""
    served: Floats
    shed: Floats
    queued: Floats
    """Waiting at the end."""
    replicas: Floats
    """Asked for, which is what is paid for, whether they serve or not; with those that a rollout has on top."""
    ready: Floats
    """Serving."""
    busy: Floats
    """The share of the capacity of those that served which was used."""
    memory: Floats
    """The fullest replica's share of its memory limit."""
    crashes: Floats
    """Replicas that ran out of memory."""
    failed: Floats
    """Replicas that could not start as their node's disk was full; each counts once, however often it tries."""


class Fleet:
    """The state of some services. Deterministic: nothing in it is by chance."""

    def __init__(
        self,
        terms: Sequence[ServiceTerms],
        replicas: Sequence[int] | Ints,
        step: float,
        most: int,
        disks: Sequence[Floats | None] = (),
    ) -> None:
        """`step`: its length (s); `most`: replicas of any service; `disks`: those of its nodes, as `Nodes` has them."""

        def column(name: str) -> Floats:
            return np.array([getattr(one, name) for one in terms], dtype=np.float64)

        self.step_s, self.most, self.now = step, most, 0.0
        self.capacity, self._start, self._warm = column("capacity"), column("start_up"), column("warm_up")
        self._cold, self._patience, self._limit = column("cold_share"), column("patience"), column("queue")
        self._leak, self._restart = column("leak"), column("restart")
        self._base, self._work = column("base"), column("work")
        self.nodes = Nodes([one.nodes for one in terms], disks, most)
        self._fills = bool((self._leak + self._base + self._work).any())
        self._warms = bool(self._warm.any())
        self.replicas: Ints = np.clip(np.asarray(replicas, dtype=np.int64), 0, most)
        self._place = np.arange(most)
        self._there = self._place < self.replicas[:, None]
        self._ready_at = np.where(self._there, -np.inf, np.inf)
        self._leaked, self._born = np.zeros((len(terms), most)), np.zeros((len(terms), most), dtype=np.int64)
        self._failed = np.zeros((len(terms), most), dtype=np.bool_)
        self._busy = np.zeros(len(terms))
        self._queued = np.zeros(len(terms))
        self._surge = np.zeros(len(terms))
        self._rollouts: dict[int, list[tuple[float, NDArray[np.intp]]]] = {}
        self._known: tuple[float, Ints] | None = None  # how many serve, and when that was

    @property
    def size(self) -> int:
        """How many services there are."""
        return len(self.replicas)

    @property
    def ready(self) -> Ints:
        """How many replicas of each serve now."""
        if self._known is None or self._known[0] != self.now:
            self._known = (self.now, self._serving().sum(axis=1))
        return self._known[1]

    def _serving(self) -> NDArray[np.bool_]:
        return np.asarray(self._there & (self._ready_at <= self.now))

    def scale(self, wanted: Ints) -> None:
        """Ask for so many replicas of each service from now on."""
        wanted = np.minimum(np.maximum(wanted, 0), self.most)
        if np.array_equal(wanted, self.replicas):
            return
        self._known = None
        there = self._place < wanted[:, None]
        added, removed = there & ~self._there, self._there & ~there
        self._ready_at = np.where(added, (self.now + self._start)[:, None], self._ready_at)
        self._ready_at[removed] = np.inf
        self._leaked[added] = 0.0
        self._born[added] += 1
        self._failed[added] = False
        self.replicas, self._there = wanted, there
        if self.nodes.fill:
            self.nodes.place(added, there)

    def roll_out(self, service: int) -> None:
        """Replace the replicas of one service: a quarter at a time, and none before its successor serves."""
        count = int(self.replicas[service])
        batch = max(1, -(-count // 4))
        parts = [self._place[n : min(n + batch, count)] for n in range(0, count, batch)]
        duration = self._start[service]
        self._rollouts[service] = [(self.now + (n + 1) * duration, part) for n, part in enumerate(parts)]

    def rolling(self, service: int) -> bool:
        """Say whether a rollout is under way."""
        return service in self._rollouts

    def fail_node(self, service: int, node: int) -> None:
        """Let a node die: its replicas serve again when they have been given up and started elsewhere."""
        if self.nodes.counts[service]:
            hit = self._there[service] & (self.nodes.host[service] == node)
            self._ready_at[service, hit] = self.now + EVICTION + self._start[service]
            self._leaked[service, hit] = 0.0
            self._born[service, hit] += 1
            self._known = None

    def memory(self, service: int) -> dict[str, float]:
        """Return the share of its memory limit that each replica of a service uses, by the replica's name."""
        count = int(self.replicas[service])
        names = [f"{place}-{born}" for place, born in enumerate(self._born[service, :count].tolist())]
        return dict(zip(names, self._memory()[service, :count].tolist(), strict=True))

    def _memory(self) -> Floats:
        return np.asarray(self._leaked + (self._base + self._work * self._busy)[:, None])

    def advance(self, rate: Floats) -> Step:
        """Let one step pass in which requests arrive at `rate` a second."""
        if self._rollouts:
            self._roll()
        ready = self.ready.astype(np.float64)
        share = self._warmth() if self._warms else ready
        can = self.capacity * share
        arrived = rate * self.step_s
        good, shed, queued = _queue(self._queued, rate, can, self._patience, self._limit, self.step_s)
        served = np.maximum(self._queued + arrived - shed - queued, 0.0)
        self._queued = queued
        most = can * self.step_s
        busy = self._busy = np.minimum(np.divide(served, most, out=np.zeros_like(most), where=most > 0), 1.0)
        crashes, peak = self._fill(served, ready) if self._fills else (np.zeros_like(ready), np.zeros_like(ready))
        self.now += self.step_s
        failed = self._refuse() if self.nodes.fill else np.zeros_like(ready)
        replicas = self.replicas + self._surge
        return Step(arrived, good, served, shed, queued, replicas, ready, busy, peak, crashes, failed)

    def _warmth(self) -> Floats:
        serving = self._serving()
        age = np.where(serving, self.now - self._ready_at, 0.0)
        grown = np.clip(age / np.maximum(self._warm, 1e-9)[:, None], 0.0, 1.0)
        cold = self._cold[:, None]
        return np.asarray(((cold + (1 - cold) * grown) * serving).sum(axis=1))

    def _fill(self, served: Floats, ready: Floats) -> tuple[Floats, Floats]:
        """Let the step's requests leak; return how many replicas crash, and what the fullest of the others uses."""
        each = np.divide(served, ready, out=np.zeros_like(served), where=ready > 0)
        self._leaked += self._serving() * (each * self._leak)[:, None]
        full = self._there & (self._memory() >= 1.0)
        crashes: Floats = full.sum(axis=1).astype(np.float64)
        if crashes.any():
            self._leaked[full] = 0.0
            back = np.broadcast_to((self.now + self.step_s + self._restart)[:, None], full.shape)
            self._ready_at[full] = back[full]
            self._known = None
        return crashes, np.where(self._there, self._memory(), 0.0).max(axis=1)

    def _refuse(self) -> Floats:
        """Let what would serve from now on fail on a full disk, and try again later; return how many are new."""
        begins = self._there & (self._ready_at <= self.now) & (self._ready_at > self.now - self.step_s)
        failing = begins & self.nodes.on_full(self.now)
        new: Floats = (failing & ~self._failed).sum(axis=1).astype(np.float64)
        if failing.any():
            self._failed |= failing
            self._ready_at = np.where(failing, (self.now + self._restart)[:, None], self._ready_at)
            self._known = None
        return new

    def _roll(self) -> None:
        self._known = None
        for service, parts in list(self._rollouts.items()):
            while parts and parts[0][0] <= self.now:
                place = parts.pop(0)[1]
                place = place[self._there[service, place]]
                self._leaked[service, place] = 0.0
                self._born[service, place] += 1
                self._ready_at[service, place] = np.minimum(self._ready_at[service, place], self.now)
            self._surge[service] = len(parts[0][1]) if parts else 0.0
            if not parts:
                del self._rollouts[service]


def _queue(
    before: Floats, rate: Floats, can: Floats, patience: Floats, limit: Floats, length: float
) -> tuple[Floats, Floats, Floats]:
    """Return what of a step's arrivals is answered in time, what is shed, and what waits at its end.

    The queue grows or falls evenly; who comes while it is longer than the patience allows is answered late, and who
    comes while it is full is shed.
    """
    grow = rate - can
    if not before.any() and (grow <= 0).all():  # nobody waits anywhere, as most of the time
        none = np.zeros_like(rate)
        return rate * length, none, none
    full, fine = limit * can, np.minimum(patience, limit) * can
    start = np.minimum(before, full)
    end = np.minimum(np.maximum(start + grow * length, 0.0), full)
    shed = (before - start) + np.maximum(start + grow * length - full, 0.0)
    apart = np.where(grow > 0, fine - start, start - fine)
    reach = np.divide(apart, np.abs(grow), out=np.zeros_like(apart), where=grow != 0)
    reach = np.minimum(np.maximum(reach, 0.0), length)
    # While it grows, those in time are the first ones, and where all that is queued is in time, all that is let in.
    rising = rate * reach + np.where(fine >= full, np.minimum(rate, can) * (length - reach), 0.0)
    good = np.where(grow > 0, rising, np.where(start > fine, rate * (length - reach), rate * length))
    steady = (grow == 0) & (start > fine)
    return np.where(can > 0, np.where(steady, 0.0, good), 0.0), shed, end
