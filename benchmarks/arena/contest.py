"""Who takes part, with which settings, and the runs."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from forestall.sim.controllers.alerts import BurnRateAlert, PredictLinearAlert
from forestall.sim.controllers.base import Controller, FixedReplicas
from forestall.sim.controllers.crane import Crane
from forestall.sim.controllers.hpa import Hpa
from forestall.sim.controllers.keda import Keda
from forestall.sim.controllers.predictive_hpa import HoltWinters, LinearPredictive
from forestall.sim.controllers.scheduled import ScheduledFloor
from forestall.sim.figures import ServiceFigures, compute_figures
from forestall.sim.lower_bound import lower_bound
from forestall.sim.recommend import PolicyTuning, recommended_setup
from forestall.sim.run import SimulatedService, run
from forestall.sim.service import ServiceParameters
from forestall.sim.traffic import TrafficTrace

OBJECTIVE = 99.0
CAPACITY = 20.0
PEAK = 50
"""Replicas that carry the fullest minute."""
LEAST, MOST = 3, 100
WARM_IN = 60
"""Minutes at the beginning that do not count."""
SYNC = 60.0
"""Seconds beyond the start-up that peers look ahead: for measuring and deciding."""
FLOOR, ALONE = "forestall + HPA", "forestall"

Floats = np.ndarray
Make = Callable[[Floats, Floats], Controller]


@dataclass(frozen=True, slots=True)
class Point:
    """One setting of one controller on one traffic with one start-up delay."""

    controller: str
    traffic: str
    start_up: float
    setting: str
    figures: ServiceFigures
    days: float


TARGETS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

PEERS: dict[str, tuple[Make, Sequence[float]]] = {
    "HPA": (lambda target, _: Hpa(target), TARGETS),
    "KEDA": (lambda target, _: Keda(target), TARGETS),
    "Predictive HPA, linear": (lambda target, delay: LinearPredictive(target, delay + SYNC), TARGETS),
    "Predictive HPA, Holt-Winters": (lambda target, delay: HoltWinters(target, delay + SYNC), TARGETS),
    "Crane": (lambda target, delay: Crane(target, delay + SYNC), TARGETS),
    "scheduled": (lambda target, delay: ScheduledFloor(target, delay + SYNC), TARGETS),
    "predict_linear alert": (lambda target, delay: PredictLinearAlert(target, delay + SYNC, delay), TARGETS),
    "burn-rate alert": (lambda step, delay: BurnRateAlert(step, OBJECTIVE, delay), (0.1, 0.25, 0.5, 1.0, 2.0)),
}
"""By name: how it is made of its target and the start-up delay, and the targets of the sweep."""

FLOORS = (
    *((0.9, headroom) for headroom in (0.05, 0.1, 0.2, 0.3, 0.4)),
    *((target, 0.0) for target in TARGETS if target < 0.9),
)
"""Target of the HPA under the floor, and headroom of the floor: one of them keeps the margin."""
HEADROOMS = (0.1, 0.3)
"""Of forestall alone."""


def service(traffic: TrafficTrace, start_up: float) -> SimulatedService:
    """Return the service of the contest, with traffic that needs `PEAK` replicas in its fullest minute."""
    scaled = traffic.scaled(PEAK * CAPACITY)
    replicas = max(LEAST, math.ceil(scaled.simulated[0] / CAPACITY / 0.7))
    return SimulatedService(ServiceParameters(capacity=CAPACITY, start_up=start_up), scaled, replicas, LEAST, MOST)


def peer(name: str, traffic: TrafficTrace, delays: Sequence[float]) -> list[Point]:
    """Run one peer with all its settings and all start-up delays side by side."""
    make, targets = PEERS[name]
    lanes = [(delay, target) for delay in delays for target in targets]
    known = {delay: service(traffic, delay) for delay in delays}
    controller = make(np.array([target for _, target in lanes]), np.array([delay for delay, _ in lanes]))
    outcome = asyncio.run(run([known[delay] for delay, _ in lanes], controller))
    return [
        Point(name, traffic.name, delay, f"{target:g}", result, traffic.minutes / 1440)
        for (delay, target), result in zip(lanes, compute_figures(outcome.record, OBJECTIVE, WARM_IN), strict=True)
    ]


def forestall(
    traffic: TrafficTrace,
    delays: Sequence[float],
    settings: Sequence[tuple[float, float]],
    interval: float,
    *,
    autoscalers: bool,
) -> list[Point]:
    """Run the operator with all settings and all start-up delays side by side."""
    lanes = [(delay, target, headroom) for delay in delays for target, headroom in settings]
    known = {delay: service(traffic, delay) for delay in delays}
    services = [known[delay] for delay, _, _ in lanes]
    tunings = [PolicyTuning(headroom=headroom, objective=OBJECTIVE, lead=interval) for _, _, headroom in lanes]
    controller: Controller = Hpa(np.array([target for _, target, _ in lanes])) if autoscalers else FixedReplicas()
    outcome = asyncio.run(
        run(services, controller, recommended_setup(services, tunings, autoscalers=autoscalers, interval=interval))
    )
    return [
        Point(
            FLOOR if autoscalers else ALONE,
            traffic.name,
            delay,
            f"{target:g}/{headroom:g}" if autoscalers else f"{headroom:g}",
            result,
            traffic.minutes / 1440,
        )
        for (delay, target, headroom), result in zip(
            lanes, compute_figures(outcome.record, OBJECTIVE, WARM_IN), strict=True
        )
    ]


def least(traffic: TrafficTrace, delay: float) -> float:
    """Return the replica-hours of the limit."""
    return lower_bound(service(traffic, delay), OBJECTIVE, WARM_IN).replica_hours
