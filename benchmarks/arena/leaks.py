"""Leaks: crashes averted and restarts wasted, by forestall and by what people do instead.

Each service runs for some days with as many replicas as it needs. Some leak, at different speeds; others use much of
their memory and leak nothing. A restart is wasted where no replica would have crashed in the day after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Any

import numpy as np
from benchmarks.arena import care, traces
from benchmarks.arena.care import ALERTS, OBJECTIVE

from forestall.sim.controllers.base import FixedReplicas, Restarter
from forestall.sim.controllers.restarts import MemoryAlert, NightlyRestart
from forestall.sim.figures import compute_figures
from forestall.sim.metrics import MEMORY
from forestall.sim.operator import OperatorSetup
from forestall.sim.run import RunResult, SimulatedService, run
from forestall.sim.service import ServiceParameters

DAYS = 2.0
REPLICAS, PEAK = 4, 2.5
"""There, and needed in the fullest minute."""
CAPACITY = 20.0
START_UP = 180.0
FILLS_IN = (2.0, 3.0, 5.0, 8.0, 12.0, 18.0, 30.0, 48.0)
"""Hours until a replica's memory is full, at the mean of the traffic: one service each."""
HONEST = ((0.5, 0.4), (0.6, 0.35), (0.85, 0.05), (0.3, 0.3))
"""Of services that do not leak: what a fresh replica uses of its memory, and what work adds."""
NOBODY, NIGHTLY, FORESTALL = "nobody", "restart every night", "forestall"
_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Score:
    """What came of one way to restart, over all services."""

    name: str
    crashes: int
    averted: float
    """The share of the crashes that nobody would have averted."""
    restarts: int
    wasted: int
    bad_minutes: int


def services(days: float = DAYS) -> list[SimulatedService]:
    """Return those that leak, and those that do not."""
    traffic = (
        traces.made("seasonal", traces.SHAPES["seasonal"], days, 1).part(days, traces.PAST).scaled(PEAK * CAPACITY)
    )
    each = float(traffic.simulated.mean()) / REPLICAS
    terms = [_terms(0.3, 0.1, 0.6 / (hours * 3600 * each)) for hours in FILLS_IN]
    terms += [_terms(base, work, 0.0) for base, work in HONEST]
    return [SimulatedService(one, traffic, REPLICAS, REPLICAS, REPLICAS) for one in terms]


def _terms(base: float, work: float, leak: float) -> ServiceParameters:
    return ServiceParameters(capacity=CAPACITY, start_up=START_UP, base=base, work=work, leak=leak)


def contest(interval: float, days: float = DAYS) -> list[Score]:
    """Let everybody restart the same services."""
    some = services(days)
    nobody = _play(some)
    ways: list[tuple[str, RunResult]] = [(NOBODY, nobody), (NIGHTLY, _play(some, NightlyRestart()))]
    ways += [(f"alert at {limit:.0%}", _play(some, MemoryAlert(np.full(len(some), limit)))) for limit in ALERTS]
    ways.append((FORESTALL, _play(some, setup=setup(len(some), interval))))
    most = int(nobody.record.crashes.sum())
    return [_score(name, outcome, some, most) for name, outcome in ways]


def _play(
    some: Sequence[SimulatedService], restarter: Restarter | None = None, setup: OperatorSetup | None = None
) -> RunResult:
    return asyncio.run(run(some, FixedReplicas(), setup, restarter))


def _score(name: str, outcome: RunResult, some: Sequence[SimulatedService], most: int) -> Score:
    found = compute_figures(outcome.record, OBJECTIVE)
    crashes = sum(one.crashes for one in found)
    wasted = sum(not _needed(outcome, some[service], at, service) for at, service in outcome.restarts)
    bad = sum(one.bad_minutes for one in found)
    return Score(name, crashes, 1 - crashes / most, len(outcome.restarts), wasted, bad)


def _needed(outcome: RunResult, service: SimulatedService, at: float, number: int) -> bool:
    """Say whether a replica would have crashed in the day after `at` (s) without a restart."""
    record, terms = outcome.record, service.parameters
    leaked = float(record.memory[round(at / record.step_s) - 1, number]) - terms.base
    day = float(service.traffic.simulated.mean()) / REPLICAS * _DAY * terms.leak
    return terms.base + leaked + day >= 1.0


def setup(count: int, interval: float) -> OperatorSetup:
    """Return the objects of the contest: as in examples/shop/leak.yaml, with times of a real service."""
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
    return care.setup(count, interval, indicator, policy)


def lines(found: Sequence[Score]) -> list[str]:
    """Return the table."""
    return care.table("crashes", "restarts", [astuple(one) for one in found])


def data(found: Sequence[Score]) -> list[dict[str, Any]]:
    """Return the same for programs."""
    return [asdict(one) for one in found]


def main() -> None:
    """Print the table."""
    print("\n".join(lines(contest(60.0))))


if __name__ == "__main__":
    main()
