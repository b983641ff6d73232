"""The interfaces of controllers: what they observe, and what they decide."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from forestall.sim.nodes import Bools, ModelNodes
from forestall.sim.run_record import RunRecord
from forestall.sim.scales import Scales
from forestall.sim.traffic import Arrivals

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RATE_WINDOW = 60.0
"""Range (s) of a measured rate, as in `rate(...[1m])` of counters that are scraped every 15 s."""
RULE_INTERVAL = 60.0
"""Evaluation interval of alerting rules (s)."""
ROUNDING = 1e-9
"""Tolerance for rounding up to whole replicas."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What controllers observe at the start of step `step`, by service."""

    step: int
    arrivals: Arrivals
    record: RunRecord
    scales: Scales
    ready: Ints
    """Serving replicas."""
    capacity: Floats
    """Capacity of one replica (requests a second)."""
    nodes: ModelNodes

    @property
    def step_s(self) -> float:
        """Length of a step (s)."""
        return self.arrivals.step_s

    @property
    def now(self) -> float:
        """Seconds since the start of the run."""
        return self.step * self.step_s

    @property
    def rate(self) -> Floats:
        """Measured requests a second."""
        return self.arrivals.mean(self.step, RATE_WINDOW)


class Controller(Protocol):
    """Decides the replicas of each service at every step; the caller applies the bounds."""

    def desired_replicas(self, observation: Observation) -> Ints:
        """Return the desired replicas by service."""
        ...


class Restarter(Protocol):
    """Decides at every step which services to restart; services with a rollout in progress are skipped."""

    def services_to_restart(self, observation: Observation) -> Iterable[int]:
        """Return the numbers of the services."""
        ...


class Cordoner(Protocol):
    """Decides at every step which nodes are cordoned: never all of a service."""

    def desired_cordons(self, observation: Observation) -> Bools:
        """Return the cordoned nodes, shape (services, nodes)."""
        ...


class FixedReplicas:
    """Keeps the replicas as they are."""

    def desired_replicas(self, observation: Observation) -> Ints:
        """Return the current replicas."""
        return observation.scales.replicas


def replicas_for(load: Floats, per_replica: Floats) -> Ints:
    """Return the replicas for `load` at `per_replica` each, at least one."""
    return np.maximum(np.ceil(load / per_replica - ROUNDING), 1.0).astype(np.int64)


def active_since(before: Floats, state: Bools, now: float) -> Floats:
    """Return since when each state is true, inf where it is false; `before` is the last result."""
    return np.where(state, np.minimum(before, now), np.inf)


def is_due(observation: Observation, seconds: float) -> bool:
    """Return whether a task with a period of `seconds` is due."""
    return observation.step % max(1, round(seconds / observation.step_s)) == 0
