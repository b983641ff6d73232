"""Compare one service without scaling, with an HPA, with KEDA, and with the operator over each: bad minutes and cost.

Every controller runs for an hour before the time that counts, as far as there is traffic, so that its start does not
count. A policy is recommended only where no target of an autoscaler alone is as good at the same cost, with a bootstrap
confidence of at least `CONFIDENCE_LEVEL`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from forestall.errors import MissingTool
from forestall.sim import recommend
from forestall.sim.bootstrap import CONFIDENCE_LEVEL, ConfidenceInterval, confidence_interval, resample
from forestall.sim.controllers.base import Controller, FixedReplicas, Floats
from forestall.sim.controllers.hpa import Hpa
from forestall.sim.controllers.keda import Keda
from forestall.sim.figures import ServiceFigures, compute_figures, is_bad
from forestall.sim.lower_bound import lower_bound
from forestall.sim.recommend import PolicyTuning
from forestall.sim.run import RunResult, SimulatedService, run
from forestall.sim.run_record import RunRecord
from forestall.sim.user_objects import UserObjects, user_setup

HEADROOMS: Final = (0.1, 0.2, 0.3)
"""Headrooms of the policies that are candidates for a recommendation."""
HIGH_TARGET: Final = 0.9
"""A target that leaves the margin to the headroom of a policy, tried beside the given one."""
WARM_UP_MINUTES: Final = 60
"""Minutes that run before the time that counts."""
TARGETS: Final = tuple(round(percent / 100, 2) for percent in range(20, 100, 5))
"""Targets of the autoscalers alone that a recommended policy must beat."""
_TOLERANCE: Final = 1e-6
"""Tolerance for equal sums."""
NO_ACTION, HPA, KEDA, YOUR_POLICY = "no action", "HPA", "KEDA", "HPA + forestall, your policy"
AUTOSCALERS: Final[Mapping[str, Callable[[Floats], Controller]]] = {HPA: Hpa, KEDA: Keda}
"""By name: a constructor from targets, the share of its capacity that each replica should use."""


@dataclass(frozen=True, slots=True)
class ControllerResult:
    """The result of one way to scale."""

    name: str
    figures: ServiceFigures
    actions: int
    """Number of changes by the operator."""
    replicas: Floats
    """Maximum in each minute."""
    bad: Floats
    """1 for each bad minute, else 0."""
    cost: Floats
    """Replica-hours in each minute."""
    bad_minutes_saved: ConfidenceInterval
    """Bad minutes fewer than with the HPA."""


@dataclass(frozen=True, slots=True)
class EquivalentAutoscaler:
    """The cheapest autoscaler alone with no more bad minutes than a policy."""

    name: str
    target: float
    replica_hours: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """All controllers on the same traffic."""

    service: SimulatedService
    """The service with the traffic that counts."""
    objective: float
    target: float
    """Target utilization of the autoscalers."""
    results: tuple[ControllerResult, ...]
    lower_bound: float | None
    """Least possible replica-hours; None without SciPy."""
    needed: Floats
    """Replicas that the traffic needs in each minute."""
    recommended: PolicyTuning | None
    """The recommended policy; None where an autoscaler alone is as good."""
    best: str | None
    """Name of the result with the recommended policy."""
    equivalent: EquivalentAutoscaler | None
    """As good as the best policy, or as the HPA where no policy is better; None where there is none."""
    confidence: float | None
    """Bootstrap confidence that the best policy is better than every autoscaler alone; None where none is better."""
    uncertain_policy: str | None = None
    """The policy that is better, but with too little confidence to recommend it."""

    def result_of(self, name: str) -> ControllerResult:
        """Return the result of this name."""
        return next(result for result in self.results if result.name == name)


async def compare(
    service: SimulatedService,
    objective: float,
    target: float,
    own: UserObjects | None,
    interval: float,
    progress: Callable[[int, int], None],
    autoscalers: Sequence[str] = tuple(AUTOSCALERS),
) -> Comparison:
    """Run all controllers. `own`: the user's own objects; `interval`: of the operator's cycle (s).

    `autoscalers`: which ones forestall may be used with; the HPA is always run, for comparison.
    """
    extended = replace(service, traffic=service.traffic.earlier(WARM_UP_MINUTES))
    skip = service.traffic.start - extended.traffic.start
    unscaled = await run([extended], FixedReplicas())
    (hpa,) = _results([HPA], await run([extended], Hpa(np.array([target]))), objective, skip)
    results = [*_results([NO_ACTION], unscaled, objective, skip, hpa), hpa]
    alone = [
        result
        for name in dict.fromkeys((HPA, *autoscalers))
        for result in await _alone(name, extended, target, objective, skip, hpa)
    ]
    results += [replace(result, name=used.name) for used, result in alone if used.name != HPA and used.target == target]
    if own is not None:
        own_run = await run(
            [extended],
            Hpa(np.array([target])),
            user_setup(own, 1, service.parameters.capacity, interval),
            progress=progress,
        )
        results += _results([YOUR_POLICY], own_run, objective, skip, hpa)
    targets = sorted({target, HIGH_TARGET})
    tunings = [PolicyTuning(headroom, objective=objective, lead=interval) for _ in targets for headroom in HEADROOMS]
    under = np.repeat(targets, len(HEADROOMS))
    candidates = []
    for number, name in enumerate(autoscalers):
        with_forestall = await run(
            [extended] * len(tunings),
            AUTOSCALERS[name](under),
            recommend.recommended_setup([extended] * len(tunings), tunings, autoscalers=True, interval=interval),
            progress=_Part(progress, number, len(autoscalers)),
        )
        names = [_tuning_name(name, used, tuning) for used, tuning in zip(under, tunings, strict=True)]
        candidates += _results(names, with_forestall, objective, skip, hpa)
    best = _choose(hpa.figures, candidates)
    reference = (hpa if best is None else candidates[best]).figures
    equivalent = _cheapest_equivalent(alone, reference.bad_minutes)
    if best is not None and equivalent is not None and equivalent.replica_hours <= reference.replica_hours:
        best = None
    confidence = None if best is None else _confidence(candidates[best], hpa, [result for _, result in alone])
    uncertain = None if best is None or confidence is None or confidence >= CONFIDENCE_LEVEL else candidates[best].name
    if uncertain is not None:
        best = None
    return Comparison(
        service=service,
        objective=objective,
        target=target,
        results=(*results, *candidates),
        lower_bound=_lower_bound(extended, objective, skip),
        needed=np.ceil(service.traffic.simulated / service.parameters.capacity),
        recommended=None if best is None else tunings[best % len(tunings)],
        best=None if best is None else candidates[best].name,
        equivalent=equivalent,
        confidence=confidence,
        uncertain_policy=uncertain,
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """Reports the progress of one of several equal parts."""

    progress: Callable[[int, int], None]
    number: int
    count: int

    def __call__(self, completed: int, total: int) -> None:
        self.progress(self.number * total + completed, self.count * total)


_Alone = tuple[EquivalentAutoscaler, ControllerResult]
"""An autoscaler at one target, and its result."""


async def _alone(
    name: str, service: SimulatedService, target: float, objective: float, skip: int, hpa: ControllerResult
) -> list[_Alone]:
    """Run one autoscaler with all targets."""
    targets = sorted({*TARGETS, target})
    sweep = await run([service] * len(targets), AUTOSCALERS[name](np.array(targets)))
    results = _results([f"{name} {swept:g}" for swept in targets], sweep, objective, skip, hpa)
    return [
        (EquivalentAutoscaler(name, swept, result.figures.replica_hours), result)
        for swept, result in zip(targets, results, strict=True)
    ]


def _cheapest_equivalent(alone: Sequence[_Alone], max_bad_minutes: int) -> EquivalentAutoscaler | None:
    """Return the cheapest autoscaler alone with at most `max_bad_minutes` bad minutes."""
    matches = [autoscaler for autoscaler, result in alone if result.figures.bad_minutes <= max_bad_minutes]
    return min(matches, key=lambda autoscaler: autoscaler.replica_hours, default=None)


def _confidence(policy: ControllerResult, hpa: ControllerResult, alone: Sequence[ControllerResult]) -> float:
    """Return the share of resamples in which a policy has no more bad minutes than the HPA, and no autoscaler alone is
    as good.
    """
    all_results = (policy, hpa, *alone)
    bad = resample(np.column_stack([result.bad for result in all_results]))
    cost = resample(np.column_stack([result.cost for result in all_results]))
    matched = (bad[:, 1:] <= bad[:, :1] + _TOLERANCE) & (cost[:, 1:] <= cost[:, :1] + _TOLERANCE)
    return float(np.mean((bad[:, 0] <= bad[:, 1] + _TOLERANCE) & ~matched.any(axis=1)))


def _tuning_name(autoscaler: str, target: float, tuning: PolicyTuning) -> str:
    return f"{autoscaler} at {target:.0%} + forestall, headroom {tuning.headroom:g}"


def _choose(hpa: ServiceFigures, candidates: Sequence[ControllerResult]) -> int | None:
    """Return the index of the recommended candidate: the cheapest within its error budget, else one with the fewest bad
    minutes.

    Of candidates whose bad minutes do not differ significantly, the cheapest is chosen. None where no candidate has
    fewer bad minutes than the HPA, or as many for fewer replica-hours.
    """
    better = [
        n
        for n, candidate in enumerate(candidates)
        if (candidate.figures.bad_minutes, candidate.figures.replica_hours) < (hpa.bad_minutes, hpa.replica_hours)
    ]
    within = [n for n in better if candidates[n].figures.budget_used <= 1]
    if within:
        return min(within, key=lambda n: candidates[n].figures.replica_hours)
    if not better:
        return None
    fewest = candidates[min(better, key=lambda n: candidates[n].figures.bad_minutes)]
    equivalent = [n for n in better if bad_minutes_saved(fewest.bad, candidates[n].bad).low <= _TOLERANCE]
    return min(equivalent, key=lambda n: candidates[n].figures.replica_hours)


def bad_minutes_saved(bad: Floats, reference: Floats) -> ConfidenceInterval:
    """Return the confidence interval of the bad minutes saved, compared with `reference`."""
    return confidence_interval(resample((reference - bad)[:, np.newaxis])[:, 0])


def _results(
    names: Sequence[str], run_result: RunResult, objective: float, skip: int, hpa: ControllerResult | None = None
) -> list[ControllerResult]:
    """Return the result of each service of a run; `hpa` is the result of the HPA, None for the HPA itself."""
    record = run_result.record
    bad = is_bad(record, objective, skip).astype(np.float64)
    saved = resample((bad if hpa is None else hpa.bad[:, np.newaxis]) - bad)
    results = []
    for number, (name, figures) in enumerate(zip(names, compute_figures(record, objective, skip), strict=True)):
        replicas = _by_minutes(record, record.replicas[:, number])[skip:]
        results.append(
            ControllerResult(
                name,
                figures,
                run_result.changes.get(number, 0),
                replicas.max(axis=1),
                bad[:, number],
                replicas.mean(axis=1) / 60.0,
                confidence_interval(saved[:, number]),
            )
        )
    return results


def _by_minutes(record: RunRecord, values: Floats) -> Floats:
    steps_per_minute = round(60 / record.step_s)
    return np.asarray(
        values[: record.completed_steps // steps_per_minute * steps_per_minute].reshape(-1, steps_per_minute)
    )


def _lower_bound(service: SimulatedService, objective: float, skip: int) -> float | None:
    try:
        return lower_bound(service, objective, skip).replica_hours
    except MissingTool:
        return None
