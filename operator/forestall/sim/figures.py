"""The figures of a run: bad minutes, error budget, replica-hours, changes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forestall.core.precision import format_percent_pair
from forestall.core.slo import budget_remaining
from forestall.sim.run_record import RunRecord
from forestall.sim.traffic import MINUTE

Floats = NDArray[np.float64]

OSCILLATION_WINDOW = 600.0
"""A scale-up that is undone within this time (s) is an oscillation."""


@dataclass(frozen=True, slots=True)
class ServiceFigures:
    """The figures of one service in one run."""

    minutes: int
    bad_minutes: int
    good_share: float
    budget_used: float
    """Share of the error budget of the simulated time: 1 is all of it."""
    replica_hours: float
    most_replicas: int
    ups: int
    """Number of scale-ups."""
    downs: int
    undone: int
    """Scale-ups that were undone within ten minutes."""
    crashes: int

    @property
    def budget_text(self) -> str:
        """The used share of the error budget, such as `50%`; more than all of it is never rounded to `100%`."""
        return format_percent_pair(self.budget_used, 1.0)[0]

    @property
    def bad_minutes_per_day(self) -> float:
        """Bad minutes a day."""
        return self.bad_minutes * 1440 / self.minutes

    @property
    def changes_per_day(self) -> float:
        """Changes of the replicas a day."""
        return (self.ups + self.downs) * 1440 / self.minutes


def is_bad(record: RunRecord, objective: float, skip: int = 0) -> NDArray[np.bool_]:
    """Return which minutes after `skip` are bad (less than `objective` percent good), shape (minutes, services)."""
    per_minute = round(MINUTE / record.step_s)
    first = skip * per_minute
    count = (record.completed_steps - first) // per_minute

    def minutes(values: Floats) -> Floats:
        return np.asarray(values[first : first + count * per_minute].reshape(count, per_minute, -1).sum(axis=1))

    total, good = minutes(record.arrived), minutes(record.good)
    return np.asarray(good < total * (objective / 100.0) - 1e-6)


def compute_figures(record: RunRecord, objective: float, skip: int = 0) -> list[ServiceFigures]:
    """Return the figures of each service; the first `skip` minutes do not count."""
    bad = is_bad(record, objective, skip)
    first = skip * round(MINUTE / record.step_s)
    span = slice(first, record.completed_steps)
    total, good = record.arrived[span].sum(axis=0), record.good[span].sum(axis=0)
    share = np.divide(good, total, out=np.ones_like(total), where=total > 0)
    hours = record.replicas[span].sum(axis=0) * record.step_s / 3600.0
    result = []
    for n in range(record.size):
        ups, downs, undone = _changes(record.replicas[span, n], record.step_s)
        result.append(
            ServiceFigures(
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
    window = round(OSCILLATION_WINDOW / step)
    oscillations = 0
    for at in ups.tolist():
        after = replicas[at + 1 : at + 1 + window + 1]
        oscillations += bool(after.min(initial=np.inf) <= replicas[at])
    return len(ups), len(downs), oscillations
