"""One service, scaled by nobody, by an HPA, and by the operator under it: what each would have cost and saved."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
    objective: float
    target: float
    """Of the HPA."""
    contestants: tuple[Contestant, ...]
    limit: float | None
    """Replica-hours; None without SciPy."""
    needed: Floats
    """Replicas that carry each minute."""
    recommended: Tuning | None
    """None where no policy does better than the HPA."""
    best: str | None
    """Whose figures the recommendation has."""
    hpa_alike: tuple[float, float] | None
    """Target and replica-hours of the cheapest HPA with no more bad minutes than the recommendation; None without."""

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
    nobody = await run([service], Fixed())
    hpa = await run([service], Hpa(np.array([target])))
    tunings = [Tuning(headroom=headroom, objective=objective, lead=interval) for headroom in HEADROOMS]
    count = len(tunings)
    floors = await run(
        [service] * count,
        Hpa(np.full(count, target)),
        recommend.setup([service] * count, tunings, autoscalers=True, interval=interval),
        progress=progress,
    )
    rows = [_contestant(NOBODY, nobody, 0, objective), _contestant(HPA, hpa, 0, objective)]
    if own is not None:
        mine = await run(
            [service],
            Hpa(np.array([target])),
            setup(own, 1, service.terms.capacity, interval),
            progress=progress,
        )
        rows.append(_contestant(YOURS, mine, 0, objective))
    tried = [_contestant(_name(one), floors, n, objective) for n, one in enumerate(tunings)]
    best = _best(rows[1].figures, tried)
    return Comparison(
        service=service,
        objective=objective,
        target=target,
        contestants=(*rows, *tried),
        limit=_limit(service, objective),
        needed=np.ceil(service.traffic.played / service.terms.capacity),
        recommended=None if best is None else tunings[best],
        best=None if best is None else tried[best].name,
        hpa_alike=None if best is None else await _alike(service, objective, tried[best].figures.bad_minutes),
    )


async def _alike(service: Service, objective: float, bad: int) -> tuple[float, float] | None:
    """Return the cheapest HPA with at most so many bad minutes."""
    targets = np.arange(0.2, 0.96, 0.05)
    outcome = await run([service] * len(targets), Hpa(targets))
    fit = [
        (float(target), one.replica_hours)
        for target, one in zip(targets, figures(outcome.record, objective), strict=True)
        if one.bad_minutes <= bad
    ]
    return min(fit, key=lambda each: each[1], default=None)


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


def _contestant(name: str, outcome: Outcome, number: int, objective: float) -> Contestant:
    record = outcome.record
    return Contestant(
        name,
        figures(record, objective)[number],
        outcome.changes.get(number, 0),
        _by_minutes(record, record.replicas[:, number]),
        is_bad(record, objective)[:, number].astype(np.float64),
    )


def _by_minutes(record: Record, values: Floats) -> Floats:
    each = round(60 / record.step_s)
    return np.asarray(values[: record.done // each * each].reshape(-1, each).max(axis=1))


def _limit(service: Service, objective: float) -> float | None:
    try:
        return limit(service, objective).replica_hours
    except MissingTool:
        return None
