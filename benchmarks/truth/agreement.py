"""The agreement of the simulated autoscalers with recordings of the real ones, on the same requests."""

import asyncio
from collections.abc import Mapping
from typing import Any

import numpy as np
from benchmarks.truth.stand import CAPACITY, SPEED, Recording
from numpy.typing import NDArray

from forestall.sim.controllers.base import Controller
from forestall.sim.run import STEP, SimulatedService, run
from forestall.sim.service import ServiceParameters
from forestall.sim.traffic import TrafficTrace

PAST_MINUTES = 5
REQUIRED_AGREEMENT = 0.95
"""Lowest share of the time in which the replicas differ by at most one."""


def simulate(
    recording: Recording, controller: Controller, start_up_s: float, bounds: tuple[int, int]
) -> NDArray[np.int64]:
    """Return the desired replicas of the simulated autoscaler in each 15 s of the hour, on the same requests."""
    rate = _rate(recording)
    traffic = TrafficTrace("shop", np.concatenate((np.full(PAST_MINUTES, rate[0]), rate)), PAST_MINUTES)
    parameters = ServiceParameters(capacity=CAPACITY, start_up=start_up_s, patience=0.5 * SPEED, queue=3.0 * SPEED)
    service = SimulatedService(parameters, traffic, recording.replicas[0][1], *bounds)
    outcome = asyncio.run(run([service], controller))
    return np.asarray(outcome.record.replicas[:, 0], dtype=np.int64)


def compare(recording: Recording, simulated: NDArray[np.int64]) -> Mapping[str, Any]:
    """Return the share of the time in which both differ by at most one replica, and both series."""
    times = np.array([at for at, _ in recording.replicas])
    counts = np.array([count for _, count in recording.replicas])
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


def _rate(recording: Recording) -> NDArray[np.float64]:
    """Return the requests a second in each minute of the hour."""
    minute_s = 60 // SPEED
    arrived = np.array(recording.arrived)
    finite = np.isfinite(arrived)
    filled = np.interp(np.arange(len(arrived)), np.flatnonzero(finite), arrived[finite])
    return np.asarray(np.diff(filled[::minute_s]) / minute_s)
