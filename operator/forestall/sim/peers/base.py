"""What a controller sees, and what it answers."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from forestall.sim.nodes import Bools, Nodes
from forestall.sim.record import Record
from forestall.sim.scales import Scales
from forestall.sim.traffic import Loads

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RATE_WINDOW = 60.0
"""Seconds that a measured rate is taken over, as `rate(...[1m])` of counters that are scraped every 15 s."""
LOOK = 60.0
"""Seconds between two evaluations of an alerting rule."""
HEADS = 1e-9
"""A hair above a whole number of replicas is that number."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known at the beginning of step `step`, for each service."""

    step: int
    loads: Loads
    record: Record
    scales: Scales
    ready: Ints
    """Replicas that serve."""
    capacity: Floats
    """Requests a second that one replica answers."""
    nodes: Nodes

    @property
    def step_s(self) -> float:
        """Seconds of a step."""
        return self.loads.step_s

    @property
    def now(self) -> float:
        """Seconds since the run began."""
        return self.step * self.step_s

    @property
    def rate(self) -> Floats:
        """Requests a second, as measured."""
        return self.loads.mean(self.step, RATE_WINDOW)


class Controller(Protocol):
    """Says, at every step, how many replicas each service should have; the bounds are kept by who asks."""

    def wanted(self, seen: Seen) -> Ints:
        """Return the replicas, for each service."""
        ...


class Restarter(Protocol):
    """Says, at every step, which services are to be restarted; one that is being restarted is left alone."""

    def due(self, seen: Seen) -> Iterable[int]:
        """Return the numbers of the services."""
        ...


class Cordoner(Protocol):
    """Says, at every step, which nodes are to take no new replicas: never all of a service."""

    def cordoned(self, seen: Seen) -> Bools:
        """Return them: (services, nodes)."""
        ...


class Fixed:
    """Nobody does anything: the replicas stay as they are."""

    def wanted(self, seen: Seen) -> Ints:
        """Return the replicas as they are."""
        return seen.scales.replicas


def carrying(load: Floats, each: Floats) -> Ints:
    """Return how many replicas carry `load` at `each`, at least one."""
    return np.maximum(np.ceil(load / each - HEADS), 1.0).astype(np.int64)


def since(before: Floats, state: Bools, now: float) -> Floats:
    """Return since when each state has held, inf where it does not; `before` is what this returned the last time."""
    return np.where(state, np.minimum(before, now), np.inf)


def every(seen: Seen, seconds: float) -> bool:
    """Say whether it is time for what is done every so many seconds."""
    return seen.step % max(1, round(seconds / seen.step_s)) == 0
