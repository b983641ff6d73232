"""What a run cost and what it was worth: bad minutes, error budget, replica-hours, changes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forestall.core.precision import percents
from forestall.core.slo import budget_remaining
from forestall.sim.record import Record
from forestall.sim.traffic import MINUTE

Floats = NDArray[np.float64]

UNDONE_WITHIN = 600.0
"""A scale-up that is undone within so many seconds is an oscillation."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one service in one run."""

    minutes: int
    bad_minutes: int
    good_share: float
    budget_used: float
    """1: all of the error budget that the time has."""
    replica_hours: float
    most_replicas: int
    ups: int
    """How often replicas were added."""
    downs: int
    undone: int
    """Of these, taken away again within ten minutes."""
    crashes: int

    @property
    def budget_in_words(self) -> str:
        """The share of the error budget that was used, such as `50%`; what overdraws it never reads as all of it."""
        return percents(self.budget_used, 1.0)[0]

    @property
    def bad_a_day(self) -> float:
        """Bad minutes for each day."""
        return self.bad_minutes * 1440 / self.minutes

    @property
    def changes_a_day(self) -> float:
        """Changes of the replicas for each day."""
        return (self.ups + self.downs) * 1440 / self.minutes


def is_bad(record: Record, objective: float, skip: int = 0) -> NDArray[np.bool_]:
    """Return which minutes were bad, less than `objective` percent good: (minutes, services). `skip`: so many first."""
    per_minute = round(MINUTE / record.step_s)
    first = skip * per_minute
    count = (record.done - first) // per_minute

    def minutes(values: Floats) -> Floats:
        return np.asarray(values[first : first + count * per_minute].reshape(count, per_minute, -1).sum(axis=1))

    total, good = minutes(record.arrived), minutes(record.good)
    return np.asarray(good < total * (objective / 100.0) - 1e-6)


def figures(record: Record, objective: float, skip: int = 0) -> list[Figures]:
    """Return the figures of each service; the first `skip` minutes do not count."""
    bad = is_bad(record, objective, skip)
    first = skip * round(MINUTE / record.step_s)
    span = slice(first, record.done)
    total, good = record.arrived[span].sum(axis=0), record.good[span].sum(axis=0)
    share = np.divide(good, total, out=np.ones_like(total), where=total > 0)
    hours = record.replicas[span].sum(axis=0) * record.step_s / 3600.0
    result = []
    for n in range(record.size):
        ups, downs, undone = _changes(record.replicas[span, n], record.step_s)
        result.append(
            Figures(
                minutes=len(bad),
                bad_minutes=int(bad[:, n].sum()),
                good_share=float(share[n]),
                budget_used=1.0 - budget_remaining(float(1.0 - share[n]), objective),
                replica_hours=float(hours[n]),
                most_replicas=int(record.replicas[span, n].max(initial=0)),
                ups=ups,
                downs=downs,
                undone=undone,
                crashes=int(record.crashes[span, n].sum()),
            )
        )
    return result


def _changes(replicas: Floats, step: float) -> tuple[int, int, int]:
    change = np.diff(replicas)
    ups, downs = np.flatnonzero(change > 0), np.flatnonzero(change < 0)
    within = round(UNDONE_WITHIN / step)
    undone = 0
    for at in ups.tolist():
        after = replicas[at + 1 : at + 1 + within + 1]
        undone += bool(after.min(initial=np.inf) <= replicas[at])
    return len(ups), len(downs), undone
