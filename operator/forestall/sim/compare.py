"""One service, scaled by nobody, by an HPA, and by the operator under it: what each would have cost and saved.

Every controller runs for an hour before the time that counts, as far as there is traffic, so that none is judged by how
it starts. The operator is recommended only where no target of the HPA alone is as good for as little.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from forestall.errors import MissingTool
from forestall.sim import recommend
from forestall.sim.figures import Figures, figures, is_bad
from forestall.sim.given import Given, setup
from forestall.sim.limit import limit
from forestall.sim.peers.base import Fixed
from forestall.sim.peers.hpa import Hpa
from forestall.sim.recommend import Tuning
from forestall.sim.record import Record
from forestall.sim.run import Outcome, Service, run
from forestall.sim.traffic import Floats

HEADROOMS: Final = (0.1, 0.2, 0.3)
"""Of the policies from which one is recommended."""
LEAD_IN: Final = 60
"""Minutes that are run before those that count."""
TARGETS: Final = tuple(round(percent / 100, 2) for percent in range(20, 100, 5))
"""Of the HPAs that a recommendation has to be better than."""
NOBODY, HPA, YOURS = "no action", "HPA", "HPA + forestall, your policy"


@dataclass(frozen=True, slots=True)
class Contestant:
    """What came of one way to scale."""

    name: str
    figures: Figures
    actions: int
    """Changes that the operator made."""
    replicas: Floats
    """By minutes, the most of each."""
    bad: Floats
    """By minutes, 1 or 0."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """All of them on the same traffic."""

    service: Service
    """With the traffic that counts."""
    objective: float
    target: float
    """Of the HPA."""
    contestants: tuple[Contestant, ...]
    limit: float | None
    """Replica-hours; None without SciPy."""
    needed: Floats
    """Replicas that carry each minute."""
    recommended: Tuning | None
    """None where no policy does better than an HPA."""
    best: str | None
    """Whose figures the recommendation has."""
    hpa_alike: tuple[float, float] | None
    """Target and replica-hours of the cheapest HPA with no more bad minutes than the best policy has, or than the HPA
    where no policy is better; None without one."""

    def named(self, name: str) -> Contestant:
        """Return one of them."""
        return next(each for each in self.contestants if each.name == name)


async def compare(
    service: Service,
    objective: float,
    target: float,
    own: Given | None,
    interval: float,
    progress: Callable[[int, int], None],
) -> Comparison:
    """Run them all. `own`: what the user has; `interval`: of the operator (s)."""
    run_in = replace(service, traffic=service.traffic.earlier(LEAD_IN))
    skip = service.traffic.start - run_in.traffic.start
    nobody = await run([run_in], Fixed())
    hpa = await run([run_in], Hpa(np.array([target])))
    tunings = [Tuning(headroom=headroom, objective=objective, lead=interval) for headroom in HEADROOMS]
    count = len(tunings)
    floors = await run(
        [run_in] * count,
        Hpa(np.full(count, target)),
        recommend.setup([run_in] * count, tunings, autoscalers=True, interval=interval),
        progress=progress,
    )
    rows = [_contestant(NOBODY, nobody, 0, objective, skip), _contestant(HPA, hpa, 0, objective, skip)]
    if own is not None:
        mine = await run(
            [run_in],
            Hpa(np.array([target])),
            setup(own, 1, service.terms.capacity, interval),
            progress=progress,
        )
        rows.append(_contestant(YOURS, mine, 0, objective, skip))
    tried = [_contestant(_name(tuning), floors, n, objective, skip) for n, tuning in enumerate(tunings)]
    best = _best(rows[1].figures, tried)
    to_beat = rows[1].figures if best is None else tried[best].figures
    alike = await _alike(run_in, objective, skip, to_beat.bad_minutes, {*TARGETS, target})
    if best is not None and alike is not None and alike[1] <= to_beat.replica_hours:
        best = None
    return Comparison(
        service=service,
        objective=objective,
        target=target,
        contestants=(*rows, *tried),
        limit=_limit(run_in, objective, skip),
        needed=np.ceil(service.traffic.played / service.terms.capacity),
        recommended=None if best is None else tunings[best],
        best=None if best is None else tried[best].name,
        hpa_alike=alike,
    )


async def _alike(
    service: Service, objective: float, skip: int, bad: int, targets: set[float]
) -> tuple[float, float] | None:
    """Return target and replica-hours of the cheapest HPA with at most `bad` bad minutes."""
    outcome = await run([service] * len(targets), Hpa(np.array(sorted(targets))))
    fit = [
        (result.replica_hours, target)
        for target, result in zip(sorted(targets), figures(outcome.record, objective, skip), strict=True)
        if result.bad_minutes <= bad
    ]
    if not fit:
        return None
    hours, target = min(fit)
    return target, hours


def _name(tuning: Tuning) -> str:
    return f"HPA + forestall, headroom {tuning.headroom:g}"


def _best(hpa: Figures, tried: Sequence[Contestant]) -> int | None:
    """Return which is recommended: the cheapest within its error budget, else the one with the fewest bad minutes.

    None where none has fewer bad minutes than the HPA, or as many for fewer replica-hours.
    """
    better = [
        n
        for n, one in enumerate(tried)
        if (one.figures.bad_minutes, one.figures.replica_hours) < (hpa.bad_minutes, hpa.replica_hours)
    ]
    within = [n for n in better if tried[n].figures.budget_used <= 1]
    if within:
        return min(within, key=lambda n: tried[n].figures.replica_hours)
    return min(better, key=lambda n: tried[n].figures.bad_minutes, default=None)


def _contestant(name: str, outcome: Outcome, number: int, objective: float, skip: int) -> Contestant:
    record = outcome.record
    return Contestant(
        name,
        figures(record, objective, skip)[number],
        outcome.changes.get(number, 0),
        _by_minutes(record, record.replicas[:, number])[skip:],
        is_bad(record, objective, skip)[:, number].astype(np.float64),
    )


def _by_minutes(record: Record, values: Floats) -> Floats:
    each = round(60 / record.step_s)
    return np.asarray(values[: record.done // each * each].reshape(-1, each).max(axis=1))


def _limit(service: Service, objective: float, skip: int) -> float | None:
    try:
        return limit(service, objective, skip).replica_hours
    except MissingTool:
        return None
