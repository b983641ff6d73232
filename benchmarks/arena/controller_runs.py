"""The controllers of the comparison, their settings, and their runs."""

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
"""Replicas that the busiest minute needs."""
MIN_REPLICAS, MAX_REPLICAS = 3, 100
WARM_UP_MINUTES = 60
"""Minutes at the start that do not count."""
LOOKAHEAD_S = 60.0
"""Time (s) beyond the start-up that controllers look ahead: for measuring and deciding."""
OVER_HPA, OVER_KEDA, ALONE = "forestall + HPA", "forestall + KEDA", "forestall"

Floats = np.ndarray
MakeController = Callable[[Floats, Floats], Controller]


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

CONTROLLERS: dict[str, tuple[MakeController, Sequence[float]]] = {
    "HPA": (lambda target, _: Hpa(target), TARGETS),
    "KEDA": (lambda target, _: Keda(target), TARGETS),
    "Predictive HPA, linear": (lambda target, delay: LinearPredictive(target, delay + LOOKAHEAD_S), TARGETS),
    "Predictive HPA, Holt-Winters": (lambda target, delay: HoltWinters(target, delay + LOOKAHEAD_S), TARGETS),
    "Crane": (lambda target, delay: Crane(target, delay + LOOKAHEAD_S), TARGETS),
    "scheduled": (lambda target, delay: ScheduledFloor(target, delay + LOOKAHEAD_S), TARGETS),
    "predict_linear alert": (lambda target, delay: PredictLinearAlert(target, delay + LOOKAHEAD_S, delay), TARGETS),
    "burn-rate alert": (lambda step, delay: BurnRateAlert(step, OBJECTIVE, delay), (0.1, 0.25, 0.5, 1.0, 2.0)),
}
"""By name: a constructor from target and start-up delay, and the targets of the sweep."""

AUTOSCALERS: dict[str, Callable[[Floats], Controller]] = {
    OVER_HPA: Hpa,
    OVER_KEDA: Keda,
    ALONE: lambda _: FixedReplicas(),
}
"""By name of the setup: a constructor of the autoscaler from its targets."""
FLOORS = (
    *((0.9, headroom) for headroom in (0.05, 0.1, 0.2, 0.3, 0.4)),
    *((target, 0.0) for target in TARGETS if target < 0.9),
)
"""Target of the autoscaler, and headroom of the policy over it: one of them keeps the margin."""
HEADROOMS = (0.1, 0.3)
"""Headrooms of forestall alone."""
SETTINGS = {OVER_HPA: FLOORS, OVER_KEDA: FLOORS, ALONE: tuple((0.0, headroom) for headroom in HEADROOMS)}


def service(traffic: TrafficTrace, start_up: float) -> SimulatedService:
    """Return the service of the comparison; its traffic needs `PEAK` replicas in the busiest minute."""
    scaled = traffic.scaled(PEAK * CAPACITY)
    replicas = max(MIN_REPLICAS, math.ceil(scaled.simulated[0] / CAPACITY / 0.7))
    return SimulatedService(
        ServiceParameters(capacity=CAPACITY, start_up=start_up), scaled, replicas, MIN_REPLICAS, MAX_REPLICAS
    )


def run_controller(name: str, traffic: TrafficTrace, delays: Sequence[float]) -> list[Point]:
    """Run one controller with all settings and all start-up delays."""
    make, targets = CONTROLLERS[name]
    combinations = [(delay, target) for delay in delays for target in targets]
    service_by_delay = {delay: service(traffic, delay) for delay in delays}
    controller = make(np.array([target for _, target in combinations]), np.array([delay for delay, _ in combinations]))
    outcome = asyncio.run(run([service_by_delay[delay] for delay, _ in combinations], controller))
    return [
        Point(name, traffic.name, delay, f"{target:g}", result, traffic.minutes / 1440)
        for (delay, target), result in zip(
            combinations, compute_figures(outcome.record, OBJECTIVE, WARM_UP_MINUTES), strict=True
        )
    ]


def run_forestall(name: str, traffic: TrafficTrace, delays: Sequence[float], interval: float) -> list[Point]:
    """Run the operator in one setup with all settings and all start-up delays."""
    combinations = [(delay, target, headroom) for delay in delays for target, headroom in SETTINGS[name]]
    service_by_delay = {delay: service(traffic, delay) for delay in delays}
    services = [service_by_delay[delay] for delay, _, _ in combinations]
    tunings = [PolicyTuning(headroom=headroom, objective=OBJECTIVE, lead=interval) for _, _, headroom in combinations]
    autoscaler = AUTOSCALERS[name](np.array([target for _, target, _ in combinations]))
    setup = recommended_setup(services, tunings, autoscalers=name != ALONE, interval=interval)
    outcome = asyncio.run(run(services, autoscaler, setup))
    return [
        Point(
            name,
            traffic.name,
            delay,
            f"{headroom:g}" if name == ALONE else f"{target:g}/{headroom:g}",
            result,
            traffic.minutes / 1440,
        )
        for (delay, target, headroom), result in zip(
            combinations, compute_figures(outcome.record, OBJECTIVE, WARM_UP_MINUTES), strict=True
        )
    ]


def least_replica_hours(traffic: TrafficTrace, delay: float) -> float:
    """Return the least possible replica-hours."""
    return lower_bound(service(traffic, delay), OBJECTIVE, WARM_UP_MINUTES).replica_hours
