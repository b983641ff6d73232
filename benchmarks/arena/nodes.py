"""Nodes whose disks fill up: pods that fail to start averted and cordons wasted, by forestall and by what people do.

Each service runs for some days under an HPA on nodes of its own. One of them may fill up, with what the requests write;
the others' disks rise and fall, by logs that are rotated and images that are pulled and collected. Nothing that a pod
does, or a cordon, changes them. On a full disk what runs goes on, and what starts fails, until somebody has made room.
A cordon is wasted where the disk would not have been full at any time in the day after it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Any

import numpy as np
from benchmarks.arena import care, traces
from benchmarks.arena.care import ALERTS, OBJECTIVE
from benchmarks.arena.contest import WARM_IN

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
"""Requests a second of a replica, and how many replicas the fullest minute needs."""
LEAST, MOST, TARGET = 3, 48, 0.7
"""Of the HPA."""
START_UP = 180.0
NODES = 3
FILLS_IN = (0.5, 1.0, 3.0, 8.0, 18.0, 30.0)
"""Hours until the disk of a service's first node is full, at the mean of the traffic: one service each."""
HONEST = 2
"""Services all whose nodes are honest."""
EMPTY = 0.3
"""What is used of a disk that was cleaned up."""
CLEANED = 180
"""Minutes that a disk is full until somebody has made room."""
QUIET = 360
"""Minutes until it begins to fill up again."""
ROTATED = ((0.40, 0.93, 24.0), (0.50, 0.78, 6.0), (0.35, 0.88, 2.0))
"""Honest disks: used after and before the logs are rotated, and how many hours lie between."""
COLLECTED = (0.80, 0.85)
"""Used after images were collected, and from when on they are: the kubelet's defaults."""
HORIZONS = ("10m", "30m")
"""How far forestall looks ahead: a cordon works at once, so that a start-up and a few cycles are enough."""
NOBODY, NIGHTLY = "nobody", "clean up every night"
_DAY, _NIGHT = 1440, 180
"""Minutes of a day, and when in it is cleaned up."""

Floats = np.ndarray


@dataclass(frozen=True, slots=True)
class Score:
    """What came of one way to look after nodes, over all services."""

    name: str
    failed: int
    """Pods that did not start."""
    averted: float
    """The share of them that nobody would have averted."""
    cordons: int
    wasted: int
    bad_minutes: int


def services(days: float = DAYS, *, nightly: bool = False) -> list[SimulatedService]:
    """Return those with a node that fills up, and those without. `nightly`: full disks are cleaned up every night."""
    traffic = traces.made("seasonal", traces.SHAPES["seasonal"], days + 1, 1).part(days + 1, traces.PAST)
    scaled = traffic.part(days, traces.PAST).scaled(PEAK * CAPACITY)
    flow = traffic.simulated / traffic.simulated.mean()
    random = np.random.default_rng(1)
    terms = ServiceParameters(capacity=CAPACITY, start_up=START_UP, nodes=NODES)
    replicas = max(LEAST, math.ceil(scaled.simulated[0] / CAPACITY / TARGET))
    found = []
    for number in range(len(FILLS_IN) + HONEST):
        disks = [honest(flow.size, number + node, random) for node in range(NODES)]
        if number < len(FILLS_IN):
            disks[0] = filling(flow, FILLS_IN[number], random, nightly=nightly)
        found.append(SimulatedService(terms, scaled, replicas, LEAST, MOST, disks=np.stack(disks, axis=1)))
    return found


def filling(flow: Floats, hours: float, random: np.random.Generator, *, nightly: bool = False) -> Floats:
    """Return what is used in each minute of a disk that is full after `hours` at the mean `flow`."""
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
    """Return what is used in each minute of a disk that is never full."""
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
    """Add what is written for a moment; only a disk that is full is full."""
    return np.where(used < 1.0, np.minimum(used + np.abs(random.normal(0, 0.003, used.size)), 0.999), 1.0)


def contest(interval: float, days: float = DAYS) -> list[Score]:
    """Let everybody look after the same nodes."""
    some = services(days)
    nobody = _play(some)
    ways: list[tuple[str, RunResult]] = [(NOBODY, nobody), (NIGHTLY, _play(services(days, nightly=True)))]
    ways += [(f"alert at {limit:.0%}", _play(some, DiskAlert(limit))) for limit in ALERTS]
    ways += [
        (f"forestall, in {horizon}", _play(some, setup=setup(len(some), interval, horizon))) for horizon in HORIZONS
    ]
    most = int(nobody.record.failed.sum())
    return [_score(name, outcome, some, most) for name, outcome in ways]


def _play(
    some: Sequence[SimulatedService], cordoner: Cordoner | None = None, setup: OperatorSetup | None = None
) -> RunResult:
    return asyncio.run(run(some, Hpa(np.full(len(some), TARGET)), setup, cordoner=cordoner))


def _score(name: str, outcome: RunResult, some: Sequence[SimulatedService], most: int) -> Score:
    failed = int(outcome.record.failed.sum())
    wasted = sum(not _needed(some[service], at, node) for at, service, node in outcome.cordons)
    bad = sum(one.bad_minutes for one in compute_figures(outcome.record, OBJECTIVE, WARM_IN))
    return Score(name, failed, 1 - failed / most, len(outcome.cordons), wasted, bad)


def _needed(service: SimulatedService, at: float, node: int) -> bool:
    """Say whether the disk of `node` is full at some time in the day after `at` (s)."""
    minute = int(at // 60)
    return service.disks is not None and bool((service.disks[minute : minute + _DAY, node] >= 1.0).any())


def setup(count: int, interval: float, horizon: str) -> OperatorSetup:
    """Return the objects of the contest: as in examples/shop/node.yaml, with times of real nodes."""
    indicator = {
        "name": DISK,
        "query": "1 - max by (node) (node_filesystem_avail_bytes / node_filesystem_size_bytes)",
        "per": "node",
        "horizon": horizon,
    }
    policy = {
        "when": {"probability": 0.5, "for": "2m"},
        # A cordon frees no disk: that it helped is seen when somebody has made room.
        "actions": [{"indicators": [DISK], "cordon": {"healthyFor": "30m"}}],
        "verification": {"within": "12h"},
        "cooldown": "15m",
        "deadline": "1d",
    }
    return care.setup(count, interval, indicator, policy)


def lines(found: Sequence[Score]) -> list[str]:
    """Return the table."""
    return care.table("failed", "cordons", [astuple(one) for one in found])


def data(found: Sequence[Score]) -> list[dict[str, Any]]:
    """Return the same for programs."""
    return [asdict(one) for one in found]


def main() -> None:
    """Print the table."""
    print("\n".join(lines(contest(60.0))))


if __name__ == "__main__":
    main()
