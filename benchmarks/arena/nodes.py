"""Nodes whose disks fill up: averted failed starts and wasted cordons of forestall and of alerts.

Each service runs for some days under an HPA on nodes of its own. One of them may fill up, with what the requests write;
the others' disks rise and fall, by logs that are rotated and images that are pulled and collected. Nothing that a pod
does, or a cordon, changes them. On a full disk running pods continue and new ones fail, until the disk is cleaned up.
A cordon is wasted where the disk would not have been full at any time in the day after it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Any

import numpy as np
from benchmarks.arena import prevention, traces
from benchmarks.arena.controller_runs import WARM_UP_MINUTES
from benchmarks.arena.prevention import ALERTS, OBJECTIVE

from forestall.sim.controllers.base import Cordoner
from forestall.sim.controllers.cordons import DiskAlert
from forestall.sim.controllers.hpa import Hpa
from forestall.sim.figures import compute_figures
from forestall.sim.metrics import DISK
from forestall.sim.operator import OperatorSetup
from forestall.sim.run import RunResult, SimulatedService, run
from forestall.sim.service import ServiceParameters

DAYS = 3.0
CAPACITY, PEAK = 20.0, 24.0
"""Requests a second of a replica, and replicas that the busiest minute needs."""
MIN_REPLICAS, MAX_REPLICAS, TARGET = 3, 48, 0.7
"""Of the HPA."""
START_UP = 180.0
NODES = 3
FILLS_IN = (0.5, 1.0, 3.0, 8.0, 18.0, 30.0)
"""Hours until the disk of a service's first node is full, at the mean of the traffic: one service each."""
HONEST = 2
"""Services without a disk that fills up."""
EMPTY = 0.3
"""Used share of a disk after a clean-up."""
CLEANED = 180
"""Minutes until a full disk is cleaned up."""
QUIET = 360
"""Minutes until it starts to fill up again."""
ROTATED = ((0.40, 0.93, 24.0), (0.50, 0.78, 6.0), (0.35, 0.88, 2.0))
"""Disks that do not fill up: used share after and before log rotation, and hours between rotations."""
COLLECTED = (0.80, 0.85)
"""Used share after image garbage collection, and its threshold: the kubelet's defaults."""
HORIZONS = ("10m", "30m")
"""Horizons of forestall: a cordon works at once, so a start-up and a few cycles are enough."""
NO_ACTION, NIGHTLY = "nobody", "clean up every night"
_DAY, _NIGHT = 1440, 180
"""Minutes of a day, and the minute of its clean-up."""

Floats = np.ndarray


@dataclass(frozen=True, slots=True)
class Score:
    """The result of one way to handle full disks, over all services."""

    name: str
    failed: int
    """Failed starts of pods."""
    averted: float
    """The averted share of the failed starts without any action."""
    cordons: int
    wasted: int
    bad_minutes: int


def services(days: float = DAYS, *, nightly: bool = False) -> list[SimulatedService]:
    """Return services with and without a node that fills up. `nightly`: disks are cleaned up every night."""
    traffic = traces.generated("seasonal", traces.SHAPES["seasonal"], days + 1, 1).part(days + 1, traces.PAST)
    scaled = traffic.part(days, traces.PAST).scaled(PEAK * CAPACITY)
    flow = traffic.simulated / traffic.simulated.mean()
    random = np.random.default_rng(1)
    parameters = ServiceParameters(capacity=CAPACITY, start_up=START_UP, nodes=NODES)
    replicas = max(MIN_REPLICAS, math.ceil(scaled.simulated[0] / CAPACITY / TARGET))
    result = []
    for number in range(len(FILLS_IN) + HONEST):
        disks = [honest(flow.size, number + node, random) for node in range(NODES)]
        if number < len(FILLS_IN):
            disks[0] = filling(flow, FILLS_IN[number], random, nightly=nightly)
        result.append(
            SimulatedService(parameters, scaled, replicas, MIN_REPLICAS, MAX_REPLICAS, disks=np.stack(disks, axis=1))
        )
    return result


def filling(flow: Floats, hours: float, random: np.random.Generator, *, nightly: bool = False) -> Floats:
    """Return the used share by minute of a disk that is full after `hours` at the mean `flow`."""
    used = np.empty(flow.size)
    now, full, begins = EMPTY, 0, int(random.integers(0, QUIET))
    for minute, share in enumerate(flow * (1 - EMPTY) / (hours * 60)):
        now = min(now + share * (minute >= begins), 1.0)
        full = full + 1 if now == 1.0 else 0
        if full > CLEANED:
            now, full, begins = EMPTY, 0, minute + QUIET
        elif nightly and minute % _DAY == _NIGHT:
            now, full = EMPTY, 0
        used[minute] = now
    return _noisy(used, random)


def honest(minutes: int, kind: int, random: np.random.Generator) -> Floats:
    """Return the used share by minute of a disk that is never full."""
    kind %= len(ROTATED) + 1
    if kind < len(ROTATED):
        low, high, hours = ROTATED[kind]
        passed = (np.arange(minutes) + random.integers(0, _DAY)) % (hours * 60) / (hours * 60)
        return _noisy(low + (high - low) * passed, random)
    used = np.empty(minutes)
    now = 0.6
    for minute, pulls in enumerate(random.random(minutes) < 6 / _DAY):
        now = COLLECTED[0] if now > COLLECTED[1] else now + pulls * random.uniform(0.02, 0.06)
        used[minute] = now
    return _noisy(used, random)


def _noisy(used: Floats, random: np.random.Generator) -> Floats:
    """Add noise; a disk that is not full stays below 1."""
    return np.where(used < 1.0, np.minimum(used + np.abs(random.normal(0, 0.003, used.size)), 0.999), 1.0)


def compare(interval: float, days: float = DAYS) -> list[Score]:
    """Run all ways to handle full disks on the same nodes."""
    simulated = services(days)
    unhandled = _simulate(simulated)
    results: list[tuple[str, RunResult]] = [(NO_ACTION, unhandled), (NIGHTLY, _simulate(services(days, nightly=True)))]
    results += [(f"alert at {limit:.0%}", _simulate(simulated, DiskAlert(limit))) for limit in ALERTS]
    results += [
        (f"forestall, in {horizon}", _simulate(simulated, setup=setup(len(simulated), interval, horizon)))
        for horizon in HORIZONS
    ]
    all_failures = int(unhandled.record.failed.sum())
    return [_score(name, outcome, simulated, all_failures) for name, outcome in results]


def _simulate(
    simulated: Sequence[SimulatedService], cordoner: Cordoner | None = None, setup: OperatorSetup | None = None
) -> RunResult:
    return asyncio.run(run(simulated, Hpa(np.full(len(simulated), TARGET)), setup, cordoner=cordoner))


def _score(name: str, outcome: RunResult, simulated: Sequence[SimulatedService], all_failures: int) -> Score:
    failed = int(outcome.record.failed.sum())
    wasted = sum(not _needed(simulated[service], at, node) for at, service, node in outcome.cordons)
    bad = sum(figures.bad_minutes for figures in compute_figures(outcome.record, OBJECTIVE, WARM_UP_MINUTES))
    return Score(name, failed, 1 - failed / all_failures, len(outcome.cordons), wasted, bad)


def _needed(service: SimulatedService, at: float, node: int) -> bool:
    """Return whether the disk of `node` is full at some time in the day after `at` (s)."""
    minute = int(at // 60)
    return service.disks is not None and bool((service.disks[minute : minute + _DAY, node] >= 1.0).any())


def setup(count: int, interval: float, horizon: str) -> OperatorSetup:
    """Return forestall's objects: as in examples/shop/node.yaml, with times of real nodes."""
    indicator = {
        "name": DISK,
        "query": "1 - max by (node) (node_filesystem_avail_bytes / node_filesystem_size_bytes)",
        "per": "node",
        "horizon": horizon,
    }
    policy = {
        "when": {"probability": 0.5, "for": "2m"},
        # A cordon frees no disk: its success shows after the clean-up.
        "actions": [{"indicators": [DISK], "cordon": {"healthyFor": "30m"}}],
        "verification": {"within": "12h"},
        "cooldown": "15m",
        "deadline": "1d",
    }
    return prevention.setup(count, interval, indicator, policy)


def lines(scores: Sequence[Score]) -> list[str]:
    """Return the table."""
    return prevention.table("failed", "cordons", [astuple(score) for score in scores])


def data(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """Return the scores as JSON data."""
    return [asdict(score) for score in scores]


def main() -> None:
    """Print the table."""
    print("\n".join(lines(compare(60.0))))


if __name__ == "__main__":
    main()
