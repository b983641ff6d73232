"""One service, scaled by nobody, by an HPA, and by the operator under it: what each would have cost and saved.

Every controller runs for an hour before the time that counts, as far as there is traffic, so that none is judged by how
it starts. The operator is recommended only where no target of the HPA alone is as good for as little, and where another
time of the same kind would most likely say the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from forestall.errors import MissingTool
from forestall.sim import recommend
from forestall.sim.chance import LIKELY, Interval, bounds, draw
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
_SAME: Final = 1e-6
"""Sums that differ by no more are equal."""
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
    paid: Floats
    """By minutes, replica-hours."""
    spared: Interval
    """How many bad minutes fewer than the HPA's it would have at another time of the same kind."""


@dataclass(frozen=True, slots=True)
class Alike:
    """The cheapest HPA that has no more bad minutes than what it is compared with."""

    target: float
    replica_hours: float


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
    hpa_alike: Alike | None
    """As good as the best policy, or as the HPA where no policy is better; None without one."""
    surely: float | None
    """In which share of other times of the same kind the best policy would be better than every HPA; None where none is
    now."""
    thin: str | None = None
    """The policy that is better now, but would not surely be so at another time."""

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
    peer = _contestant(HPA, hpa, 0, objective, skip, None)
    rows = [_contestant(NOBODY, nobody, 0, objective, skip, peer), peer]
    if own is not None:
        mine = await run(
            [run_in],
            Hpa(np.array([target])),
            setup(own, 1, service.terms.capacity, interval),
            progress=progress,
        )
        rows.append(_contestant(YOURS, mine, 0, objective, skip, peer))
    tried = [_contestant(_name(tuning), floors, n, objective, skip, peer) for n, tuning in enumerate(tunings)]
    best = _best(peer.figures, tried)
    targets = sorted({*TARGETS, target})
    swept = await run([run_in] * len(targets), Hpa(np.array(targets)))
    rivals = [_contestant(f"HPA {goal:g}", swept, n, objective, skip, peer) for n, goal in enumerate(targets)]
    to_beat = (peer if best is None else tried[best]).figures
    alike = _alike(targets, rivals, to_beat.bad_minutes)
    if best is not None and alike is not None and alike.replica_hours <= to_beat.replica_hours:
        best = None
    surely = None if best is None else _surely(tried[best], peer, rivals)
    thin = None if best is None or surely is None or surely >= LIKELY else tried[best].name
    if thin is not None:
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
        surely=surely,
        thin=thin,
    )


def _alike(targets: Sequence[float], rivals: Sequence[Contestant], bad: int) -> Alike | None:
    """Return the cheapest of the HPAs with at most `bad` bad minutes."""
    fit = [
        (rival.figures.replica_hours, target)
        for target, rival in zip(targets, rivals, strict=True)
        if rival.figures.bad_minutes <= bad
    ]
    if not fit:
        return None
    hours, target = min(fit)
    return Alike(target, hours)


def _surely(policy: Contestant, peer: Contestant, rivals: Sequence[Contestant]) -> float:
    """Return in which share of other times a policy has no more bad minutes than its HPA, and no HPA does as well."""
    everybody = (policy, peer, *rivals)
    bad = draw(np.column_stack([one.bad for one in everybody]))
    paid = draw(np.column_stack([one.paid for one in everybody]))
    matched = (bad[:, 1:] <= bad[:, :1] + _SAME) & (paid[:, 1:] <= paid[:, :1] + _SAME)
    return float(np.mean((bad[:, 0] <= bad[:, 1] + _SAME) & ~matched.any(axis=1)))


def _name(tuning: Tuning) -> str:
    return f"HPA + forestall, headroom {tuning.headroom:g}"


def _best(hpa: Figures, tried: Sequence[Contestant]) -> int | None:
    """Return which is recommended: the cheapest within its error budget, else of those with the fewest bad minutes.

    Fewer by so little that another time would turn it round are as many: the cheapest of them is taken. None where none
    has fewer bad minutes than the HPA, or as many for fewer replica-hours.
    """
    better = [
        n
        for n, one in enumerate(tried)
        if (one.figures.bad_minutes, one.figures.replica_hours) < (hpa.bad_minutes, hpa.replica_hours)
    ]
    within = [n for n in better if tried[n].figures.budget_used <= 1]
    if within:
        return min(within, key=lambda n: tried[n].figures.replica_hours)
    if not better:
        return None
    fewest = tried[min(better, key=lambda n: tried[n].figures.bad_minutes)]
    alike = [n for n in better if spared(fewest.bad, tried[n].bad).low <= _SAME]
    return min(alike, key=lambda n: tried[n].figures.replica_hours)


def spared(bad: Floats, of: Floats) -> Interval:
    """Return how many fewer `bad` minutes than `of` another there would be at another time of the same kind."""
    return bounds(draw((of - bad)[:, np.newaxis])[:, 0])


def _contestant(
    name: str, outcome: Outcome, number: int, objective: float, skip: int, peer: Contestant | None
) -> Contestant:
    """Return what came of a service; `peer` is the HPA, None for itself."""
    record = outcome.record
    bad = is_bad(record, objective, skip)[:, number].astype(np.float64)
    replicas = _by_minutes(record, record.replicas[:, number])[skip:]
    return Contestant(
        name,
        figures(record, objective, skip)[number],
        outcome.changes.get(number, 0),
        replicas.max(axis=1),
        bad,
        replicas.mean(axis=1) / 60.0,
        spared(bad, bad if peer is None else peer.bad),
    )


def _by_minutes(record: Record, values: Floats) -> Floats:
    each = round(60 / record.step_s)
    return np.asarray(values[: record.done // each * each].reshape(-1, each))


def _limit(service: Service, objective: float, skip: int) -> float | None:
    try:
        return limit(service, objective, skip).replica_hours
    except MissingTool:
        return None
