"""A run: services, their traffic, who scales them, and what came of it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from forestall.api import Remediation
from forestall.errors import InvalidInput
from forestall.sim.operator import Operator, Setup
from forestall.sim.peers.base import Controller, Cordoner, Restarter
from forestall.sim.record import Record
from forestall.sim.scales import Scales
from forestall.sim.service import Fleet, ServiceTerms
from forestall.sim.state import State
from forestall.sim.traffic import Loads, Traffic

EPOCH = 1_767_225_600.0
"""When a run begins where nothing else is said: a midnight (s since the epoch)."""
STEP = 15.0


@dataclass(frozen=True, slots=True)
class Service:
    """One service of a run."""

    terms: ServiceTerms
    traffic: Traffic
    replicas: int
    """At the beginning."""
    least: int = 1
    most: int = 100
    """The bounds of whoever scales it."""
    outages: Sequence[tuple[float, int]] = ()
    """When (s after the beginning) which node dies."""
    disks: NDArray[np.float64] | None = None
    """The share of each node's disk that is used in each minute: (minutes, nodes). On a full one nothing starts."""

    def __post_init__(self) -> None:
        if not 0 < self.least <= self.most:
            raise InvalidInput(f"{self.traffic.name}: at least {self.least} and at most {self.most} replicas")
        if self.terms.start_up >= self.traffic.minutes * 60.0:
            raise InvalidInput(
                f"{self.traffic.name}: a replica takes {self.terms.start_up:g} s to start, which is longer than the "
                f"{self.traffic.minutes * 60} s of traffic to simulate"
            )
        if self.disks is not None and (self.disks.shape[1] != self.terms.nodes or self.terms.start_up <= 0):
            raise InvalidInput(f"{self.traffic.name}: disks need a node each, and replicas that take time to start")


@dataclass(slots=True)
class Outcome:
    """What came of a run."""

    record: Record
    remediations: list[Remediation] = field(default_factory=list)
    restarts: list[tuple[float, int]] = field(default_factory=list)
    """When (s after the beginning) which service was restarted."""
    cordons: list[tuple[float, int, int]] = field(default_factory=list)
    """When (s after the beginning) which node of which service was cordoned."""
    changes: Mapping[int, int] = field(default_factory=dict)
    """How often the operator changed each service."""


async def run(
    services: Sequence[Service],
    controller: Controller,
    setup: Setup | None = None,
    restarter: Restarter | None = None,
    cordoner: Cordoner | None = None,
    epoch: float = EPOCH,
    progress: Callable[[int, int], None] = lambda done, total: None,  # noqa: ARG005 -- told to nobody
) -> Outcome:
    """Let the traffic of `services` arrive while `controller` scales them, and the operator where it is set up.

    `restarter` and `cordoner`: who restarts them, and cordons their nodes, beside the operator.

    `progress` is told the steps that are done, and how many there are.
    """
    state = _state(services, epoch)
    operator = None if setup is None else Operator(setup, state)
    outages = sorted((at, n, node) for n, one in enumerate(services) for at, node in one.outages)
    restarts: list[tuple[float, int]] = []
    for number in range(state.loads.steps):
        state.step = number
        if operator is not None:
            await operator.act()
        state.scales.set_all(controller.wanted(state.seen))
        for service in () if restarter is None else restarter.due(state.seen):
            if not state.fleet.rolling(service):
                state.fleet.roll_out(service)
                restarts.append((number * STEP, service))
        if cordoner is not None:
            _cordon(state, cordoner.cordoned(state.seen))
        while outages and outages[0][0] <= number * STEP:
            _, service, node = outages.pop(0)
            state.fleet.fail_node(service, node)
        state.fleet.scale(state.scales.replicas)
        state.record.add(state.fleet.advance(state.loads.arriving(number)))
        progress(number + 1, state.loads.steps)
    cordons = state.fleet.nodes.cordons
    if operator is None:
        return Outcome(state.record, restarts=restarts, cordons=cordons)
    restarts += [(at - epoch, service) for at, service in operator.cluster.restarts]
    return Outcome(state.record, operator.cluster.remediations, restarts, cordons, operator.cluster.changes)


def _cordon(state: State, wanted: NDArray[np.bool_]) -> None:
    nodes = state.fleet.nodes
    changed = wanted != nodes.cordoned
    for on in (False, True):  # what is given back makes room for what is cordoned
        for service, node in np.argwhere(changed & (wanted == on)).tolist():
            nodes.cordon(service, node, state.fleet.now, on=on)


def _state(services: Sequence[Service], epoch: float) -> State:
    loads = Loads([one.traffic for one in services], STEP)
    replicas = _column(one.replicas for one in services)
    most = _column(one.most for one in services)
    fleet = Fleet([one.terms for one in services], replicas, STEP, int(most.max()), [one.disks for one in services])
    scales = Scales(replicas.copy(), _column(one.least for one in services), most)
    return State(fleet, loads, Record(STEP, loads.steps, len(services)), scales, epoch)


def _column(values: Iterable[int]) -> NDArray[np.int64]:
    return np.array(list(values), dtype=np.int64)
