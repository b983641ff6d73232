"""The limit: as few replica-hours as anybody could have paid, had they known the traffic beforehand.

A linear program, solved by HiGHS through SciPy (the extra `arena`), that every controller without a bad minute is a
solution of, whatever it does: so no such controller can need less. For each step it chooses the replicas that serve,
those that are started for it, and how many requests are answered in time, such that no minute is bad; a replica is paid
for from the moment it is asked for. Fractions of a replica are allowed where whole ones are not forced, so the limit is
a little lower than what whole replicas reach.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from forestall.errors import MissingTool
from forestall.sim.run import Service
from forestall.sim.traffic import MINUTE

Floats = NDArray[np.float64]

_STEPS_A_MINUTE: Final = 4


@dataclass(frozen=True, slots=True)
class Limit:
    """What is needed at the least."""

    replica_hours: float
    serving: Floats
    """Replicas that serve, by steps of a quarter of a minute; not always whole numbers."""


def limit(service: Service, objective: float, skip: int = 0) -> Limit:
    """Return the least that `service` needs without a minute in which less than `objective` percent were good.

    The first `skip` minutes do not count. The replicas at the beginning cost nothing to start.

    Raises:
        MissingTool: SciPy is not installed.
    """
    try:
        from scipy import sparse  # noqa: PLC0415 -- an extra that only this needs
        from scipy.optimize import linprog  # noqa: PLC0415
    except ImportError as error:
        raise MissingTool("the limit needs SciPy: pip install 'forestall[arena]'") from error

    step = MINUTE / _STEPS_A_MINUTE
    rate = np.repeat(service.traffic.played[skip:], _STEPS_A_MINUTE)
    count, minutes = len(rate), len(rate) // _STEPS_A_MINUTE
    arriving = rate * step
    each = service.terms.capacity * step
    waiting = service.terms.capacity * min(service.terms.patience, service.terms.queue)
    # The variables of all steps: replicas, starts, good requests, good requests that wait at the end of the step.
    none, one = sparse.csr_matrix((count, count)), sparse.identity(count, format="csr")
    before = sparse.diags([np.ones(count - 1)], [-1], shape=(count, count), format="csr")
    after = sparse.diags([np.ones(count - 1)], [1], shape=(count, count), format="csr")
    started = sparse.hstack([one - before, -one, none, none])  # replicas - before <= starts
    first_free = np.zeros(count)
    first_free[0] = service.most  # whoever is there at the beginning was not started
    answered = sparse.hstack([-each * one, none, one, before - one])  # good + waiting before - waiting <= served
    kept = sparse.hstack([-waiting * one, -waiting * after, none, one])  # waiting <= what is answered in time
    enough = sparse.hstack(
        [
            sparse.csr_matrix((minutes, 2 * count)),
            -sparse.kron(sparse.identity(minutes), np.ones((1, _STEPS_A_MINUTE))),
            sparse.csr_matrix((minutes, count)),
        ]
    )
    total = arriving.reshape(minutes, -1).sum(axis=1)
    least = _least(arriving, total, objective, each, waiting)
    solution = linprog(
        np.concatenate((np.full(count, step), np.full(count, service.terms.start_up), np.zeros(2 * count))),
        A_ub=sparse.vstack([started, answered, kept, enough], format="csr"),
        b_ub=np.concatenate((first_free, np.zeros(2 * count), -total * objective / 100.0 + 1e-6)),
        bounds=np.column_stack(
            (
                np.concatenate((least, np.zeros(3 * count))),
                np.concatenate((np.full(2 * count, np.inf), arriving, np.full(count, np.inf))),
            )
        ),
        method="highs",
    )
    if not solution.success:
        raise ValueError(f"the limit of {service.traffic.name} has no solution: {solution.message}")
    return Limit(float(solution.fun) / 3600.0, np.asarray(solution.x[:count]))


def _least(arriving: Floats, total: Floats, objective: float, each: float, waiting: float) -> Floats:
    """Return the whole replicas that each step needs even if all bad requests of its minute fall into it."""
    spared = np.repeat(total * (1 - objective / 100.0), _STEPS_A_MINUTE)
    # What waits from the step before, or for the next, is answered by replicas that are there then.
    load = np.maximum(arriving - spared, 0.0)
    return np.asarray(np.ceil(load / (each + waiting) - 1e-6))
