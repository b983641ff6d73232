"""How far the simulated autoscalers go along with what was recorded of the real ones, on the same requests."""

import asyncio
from collections.abc import Mapping
from typing import Any

import numpy as np
from benchmarks.truth.stand import CARRIES, SPEED, Seen
from numpy.typing import NDArray

from forestall.sim.controllers.base import Controller
from forestall.sim.run import STEP, SimulatedService, run
from forestall.sim.service import ServiceParameters
from forestall.sim.traffic import TrafficTrace

PAST_MINUTES = 5
WANTED = 0.95
"""The share of the time that replicas may not differ by more than one."""


def simulate(seen: Seen, controller: Controller, start_up_s: float, bounds: tuple[int, int]) -> NDArray[np.int64]:
    """Return the replicas that the simulated autoscaler asks for in each 15 s of the hour, given the same requests."""
    rate = _rate(seen)
    traffic = TrafficTrace("shop", np.concatenate((np.full(PAST_MINUTES, rate[0]), rate)), PAST_MINUTES)
    terms = ServiceParameters(capacity=CARRIES, start_up=start_up_s, patience=0.5 * SPEED, queue=3.0 * SPEED)
    service = SimulatedService(terms, traffic, seen.replicas[0][1], *bounds)
    outcome = asyncio.run(run([service], controller))
    return np.asarray(outcome.record.replicas[:, 0], dtype=np.int64)


def compare(seen: Seen, simulated: NDArray[np.int64]) -> Mapping[str, Any]:
    """Return how much of the time both are within one replica, and both courses."""
    times = np.array([at for at, _ in seen.replicas])
    counts = np.array([count for _, count in seen.replicas])
    middles = (np.arange(len(simulated)) + 0.5) * STEP / SPEED
    real = counts[np.clip(np.searchsorted(times, middles, side="right") - 1, 0, None)]
    difference = np.abs(real - simulated)
    return {
        "withinOneReplica": round(float((difference <= 1).mean()), 4),
        "equal": round(float((difference == 0).mean()), 4),
        "mostDifferent": int(difference.max()),
        "replicaHours": {"real": round(float(real.mean()), 3), "simulated": round(float(simulated.mean()), 3)},
        "real": real.tolist(),
        "simulated": simulated.tolist(),
    }


def _rate(seen: Seen) -> NDArray[np.float64]:
    """Return the requests a second that arrived in each of the hour's minutes."""
    every = 60 // SPEED
    arrived = np.array(seen.arrived)
    known = np.isfinite(arrived)
    filled = np.interp(np.arange(len(arrived)), np.flatnonzero(known), arrived[known])
    return np.asarray(np.diff(filled[::every]) / every)
