"""Run a simulation: services with their traffic, under controllers and the operator."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from forestall.api import Remediation
from forestall.errors import InvalidInput
from forestall.sim.controllers.base import Controller, Cordoner, Restarter
from forestall.sim.model_state import ModelState
from forestall.sim.operator import OperatorSetup, SimulatedOperator
from forestall.sim.run_record import RunRecord
from forestall.sim.scales import Scales
from forestall.sim.service import ServiceFleet, ServiceParameters
from forestall.sim.traffic import Arrivals, TrafficTrace

EPOCH = 1_767_225_600.0
"""Default start of a run: a midnight (s since the epoch)."""
STEP = 15.0


@dataclass(frozen=True, slots=True)
class SimulatedService:
    """One service of a run."""

    parameters: ServiceParameters
    traffic: TrafficTrace
    replicas: int
    """Initial replicas."""
    min_replicas: int = 1
    max_replicas: int = 100
    """The bounds of its controllers."""
    outages: Sequence[tuple[float, int]] = ()
    """Time (s after the start) and node of each node failure."""
    disks: NDArray[np.float64] | None = None
    """Used share of each node's disk, shape (minutes, nodes). Nothing starts on a full disk."""

    def __post_init__(self) -> None:
        if not 0 < self.min_replicas <= self.max_replicas:
            raise InvalidInput(
                f"{self.traffic.name}: at least {self.min_replicas} and at most {self.max_replicas} replicas"
            )
        if self.parameters.start_up >= self.traffic.minutes * 60.0:
            raise InvalidInput(
                f"{self.traffic.name}: a replica takes {self.parameters.start_up:g} s to start, longer than the "
                f"{self.traffic.minutes * 60} s of traffic to simulate"
            )
        if self.disks is not None and (self.disks.shape[1] != self.parameters.nodes or self.parameters.start_up <= 0):
            raise InvalidInput(f"{self.traffic.name}: disks need one node each, and a start-up above zero")


@dataclass(slots=True)
class RunResult:
    """The result of a run."""

    record: RunRecord
    remediations: list[Remediation] = field(default_factory=list)
    restarts: list[tuple[float, int]] = field(default_factory=list)
    """Time (s after the start) and service of each restart."""
    cordons: list[tuple[float, int, int]] = field(default_factory=list)
    """Time (s after the start), service and node of each cordon."""
    changes: Mapping[int, int] = field(default_factory=dict)
    """Number of the operator's changes by service."""


async def run(
    services: Sequence[SimulatedService],
    controller: Controller,
    setup: OperatorSetup | None = None,
    restarter: Restarter | None = None,
    cordoner: Cordoner | None = None,
    epoch: float = EPOCH,
    progress: Callable[[int, int], None] = lambda completed, total: None,  # noqa: ARG005 -- ignores its arguments
) -> RunResult:
    """Simulate `services` under `controller`, and under the operator where there is a `setup`.

    `restarter` and `cordoner` restart services and cordon nodes beside the operator. `progress` is called with the
    number of completed steps and of all steps.
    """
    state = _initial_state(services, epoch)
    operator = None if setup is None else SimulatedOperator(setup, state)
    outages = sorted((at, n, node) for n, service in enumerate(services) for at, node in service.outages)
    restarts: list[tuple[float, int]] = []
    for number in range(state.arrivals.steps):
        state.step = number
        if operator is not None:
            await operator.run_if_due()
        state.scales.set_all(controller.desired_replicas(state.observation))
        for service in () if restarter is None else restarter.services_to_restart(state.observation):
            if not state.fleet.is_rolling_out(service):
                state.fleet.roll_out(service)
                restarts.append((number * STEP, service))
        if cordoner is not None:
            _cordon(state, cordoner.desired_cordons(state.observation))
        while outages and outages[0][0] <= number * STEP:
            _, service, node = outages.pop(0)
            state.fleet.fail_node(service, node)
        state.fleet.scale(state.scales.replicas)
        state.record.add(state.fleet.advance(state.arrivals.rate_at(number)))
        progress(number + 1, state.arrivals.steps)
    cordons = state.fleet.nodes.cordons
    if operator is None:
        return RunResult(state.record, restarts=restarts, cordons=cordons)
    restarts += [(at - epoch, service) for at, service in operator.cluster.restarts]
    return RunResult(state.record, operator.cluster.remediations, restarts, cordons, operator.cluster.changes)


def _cordon(state: ModelState, desired: NDArray[np.bool_]) -> None:
    nodes = state.fleet.nodes
    changed = desired != nodes.cordoned
    for on in (False, True):  # uncordon first, so that the nodes to cordon are not the last ones
        for service, node in np.argwhere(changed & (desired == on)).tolist():
            nodes.cordon(service, node, state.fleet.now, on=on)


def _initial_state(services: Sequence[SimulatedService], epoch: float) -> ModelState:
    arrivals = Arrivals([service.traffic for service in services], STEP)
    replicas = _column(service.replicas for service in services)
    max_replicas = _column(service.max_replicas for service in services)
    fleet = ServiceFleet(
        [service.parameters for service in services],
        replicas,
        STEP,
        int(max_replicas.max()),
        [service.disks for service in services],
    )
    scales = Scales(replicas.copy(), _column(service.min_replicas for service in services), max_replicas)
    return ModelState(fleet, arrivals, RunRecord(STEP, arrivals.steps, len(services)), scales, epoch)


def _column(values: Iterable[int]) -> NDArray[np.int64]:
    return np.array(list(values), dtype=np.int64)
