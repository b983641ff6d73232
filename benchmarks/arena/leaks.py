"""Memory leaks: averted crashes and wasted restarts of forestall and of alerts.

Each service runs for some days with as many replicas as it needs. Some leak, at different speeds; others use much of
their memory and leak nothing. A restart is wasted where no replica would have crashed in the day after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Any

import numpy as np
from benchmarks.arena import prevention, traces
from benchmarks.arena.prevention import ALERTS, OBJECTIVE

from forestall.sim.controllers.base import FixedReplicas, Restarter
from forestall.sim.controllers.restarts import MemoryAlert, NightlyRestart
from forestall.sim.figures import compute_figures
from forestall.sim.metrics import MEMORY
from forestall.sim.operator import OperatorSetup
from forestall.sim.run import RunResult, SimulatedService, run
from forestall.sim.service import ServiceParameters

DAYS = 2.0
REPLICAS, PEAK = 4, 2.5
"""Replicas, and those that the busiest minute needs."""
CAPACITY = 20.0
START_UP = 180.0
FILLS_IN = (2.0, 3.0, 5.0, 8.0, 12.0, 18.0, 30.0, 48.0)
"""Hours until a replica's memory is full, at the mean of the traffic: one service each."""
HONEST = ((0.5, 0.4), (0.6, 0.35), (0.85, 0.05), (0.3, 0.3))
"""Services without leaks: memory share of a new replica, and the share that work adds."""
NO_ACTION, NIGHTLY, FORESTALL = "nobody", "restart every night", "forestall"
_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Score:
    """The result of one way to restart, over all services."""

    name: str
    crashes: int
    averted: float
    """The averted share of the crashes without any restart."""
    restarts: int
    wasted: int
    bad_minutes: int


def services(days: float = DAYS) -> list[SimulatedService]:
    """Return services with and without leaks."""
    traffic = (
        traces.generated("seasonal", traces.SHAPES["seasonal"], days, 1).part(days, traces.PAST).scaled(PEAK * CAPACITY)
    )
    rate_per_replica = float(traffic.simulated.mean()) / REPLICAS
    all_parameters = [_parameters(0.3, 0.1, 0.6 / (hours * 3600 * rate_per_replica)) for hours in FILLS_IN]
    all_parameters += [_parameters(base, work, 0.0) for base, work in HONEST]
    return [SimulatedService(parameters, traffic, REPLICAS, REPLICAS, REPLICAS) for parameters in all_parameters]


def _parameters(base: float, work: float, leak: float) -> ServiceParameters:
    return ServiceParameters(capacity=CAPACITY, start_up=START_UP, base=base, work=work, leak=leak)


def compare(interval: float, days: float = DAYS) -> list[Score]:
    """Run all ways to restart on the same services."""
    simulated = services(days)
    unscaled = _simulate(simulated)
    results: list[tuple[str, RunResult]] = [(NO_ACTION, unscaled), (NIGHTLY, _simulate(simulated, NightlyRestart()))]
    results += [
        (f"alert at {limit:.0%}", _simulate(simulated, MemoryAlert(np.full(len(simulated), limit)))) for limit in ALERTS
    ]
    results.append((FORESTALL, _simulate(simulated, setup=setup(len(simulated), interval))))
    all_crashes = int(unscaled.record.crashes.sum())
    return [_score(name, outcome, simulated, all_crashes) for name, outcome in results]


def _simulate(
    simulated: Sequence[SimulatedService], restarter: Restarter | None = None, setup: OperatorSetup | None = None
) -> RunResult:
    return asyncio.run(run(simulated, FixedReplicas(), setup, restarter))


def _score(name: str, outcome: RunResult, simulated: Sequence[SimulatedService], all_crashes: int) -> Score:
    figures = compute_figures(outcome.record, OBJECTIVE)
    crashes = sum(service_figures.crashes for service_figures in figures)
    wasted = sum(not _needed(outcome, simulated[service], at, service) for at, service in outcome.restarts)
    bad = sum(service_figures.bad_minutes for service_figures in figures)
    return Score(name, crashes, 1 - crashes / all_crashes, len(outcome.restarts), wasted, bad)


def _needed(outcome: RunResult, service: SimulatedService, at: float, number: int) -> bool:
    """Return whether a replica would have crashed in the day after `at` (s) without a restart."""
    record, parameters = outcome.record, service.parameters
    leaked = float(record.memory[round(at / record.step_s) - 1, number]) - parameters.base
    day = float(service.traffic.simulated.mean()) / REPLICAS * _DAY * parameters.leak
    return parameters.base + leaked + day >= 1.0


def setup(count: int, interval: float) -> OperatorSetup:
    """Return forestall's objects: as in examples/shop/leak.yaml, with times of a real service."""
    indicator = {
        "name": MEMORY,
        "query": "max by (pod) (container_memory_working_set_bytes / container_spec_memory_limit_bytes)",
        "per": "pod",
        "horizon": "30m",
    }
    policy = {
        "when": {"probability": 0.7, "for": "3m"},
        "actions": [{"indicators": [MEMORY], "restart": {}}],
        "verification": {"within": "15m"},
        "cooldown": "15m",
        "deadline": "30m",
    }
    return prevention.setup(count, interval, indicator, policy)


def lines(scores: Sequence[Score]) -> list[str]:
    """Return the table."""
    return prevention.table("crashes", "restarts", [astuple(score) for score in scores])


def data(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """Return the scores as JSON data."""
    return [asdict(score) for score in scores]


def main() -> None:
    """Print the table."""
    print("\n".join(lines(compare(60.0))))


if __name__ == "__main__":
    main()
