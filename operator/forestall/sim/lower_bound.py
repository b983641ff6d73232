"""A lower bound of the replica-hours of any controller without a bad minute, one that knows the traffic included.

A linear program, solved by HiGHS through SciPy (the extra `arena`). Every controller without a bad minute is a feasible
solution, so none needs fewer replica-hours. For each step the program chooses the replicas that serve, the replicas
that are started for it, and the requests that are answered in time, such that no minute is bad. A replica counts from
its request on. Fractions of a replica are allowed where whole ones are not forced, so the bound is a little lower than
what whole replicas reach.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from forestall.errors import MissingTool
from forestall.sim.run import SimulatedService
from forestall.sim.traffic import MINUTE

Floats = NDArray[np.float64]

_STEPS_A_MINUTE: Final = 4


@dataclass(frozen=True, slots=True)
class LowerBound:
    """The least possible use of replicas."""

    replica_hours: float
    serving: Floats
    """Replicas that serve, in steps of a quarter of a minute; not always whole numbers."""


def lower_bound(service: SimulatedService, objective: float, skip: int = 0) -> LowerBound:
    """Return the least replica-hours of `service` without a minute in which less than `objective` percent are good.

    The first `skip` minutes do not count. Starting the initial replicas is free.

    Raises:
        MissingTool: SciPy is not installed.
    """
    try:
        from scipy import sparse  # noqa: PLC0415 -- an optional dependency
        from scipy.optimize import linprog  # noqa: PLC0415
    except ImportError as error:
        raise MissingTool("the lower bound needs SciPy: pip install 'forestall[arena]'") from error

    step = MINUTE / _STEPS_A_MINUTE
    rate = np.repeat(service.traffic.simulated[skip:], _STEPS_A_MINUTE)
    count, minutes = len(rate), len(rate) // _STEPS_A_MINUTE
    arriving = rate * step
    capacity = service.parameters.capacity * step
    waiting = service.parameters.capacity * min(service.parameters.patience, service.parameters.queue)
    # The variables of all steps: replicas, starts, good requests, good requests that wait at the end of the step.
    zeros, identity = sparse.csr_matrix((count, count)), sparse.identity(count, format="csr")
    before = sparse.diags([np.ones(count - 1)], [-1], shape=(count, count), format="csr")
    after = sparse.diags([np.ones(count - 1)], [1], shape=(count, count), format="csr")
    started = sparse.hstack([identity - before, -identity, zeros, zeros])  # replicas - before <= starts
    first_free = np.zeros(count)
    first_free[0] = service.max_replicas  # the initial replicas are not started
    answered = sparse.hstack(
        [-capacity * identity, zeros, identity, before - identity]
    )  # good + waiting before - waiting <= served
    queue_bound = sparse.hstack(
        [-waiting * identity, -waiting * after, zeros, identity]
    )  # waiting <= what is answered in time
    objective_bound = sparse.hstack(
        [
            sparse.csr_matrix((minutes, 2 * count)),
            -sparse.kron(sparse.identity(minutes), np.ones((1, _STEPS_A_MINUTE))),
            sparse.csr_matrix((minutes, count)),
        ]
    )
    total = arriving.reshape(minutes, -1).sum(axis=1)
    min_replicas = _min_replicas(arriving, total, objective, capacity, waiting)
    solution = linprog(
        np.concatenate((np.full(count, step), np.full(count, service.parameters.start_up), np.zeros(2 * count))),
        A_ub=sparse.vstack([started, answered, queue_bound, objective_bound], format="csr"),
        b_ub=np.concatenate((first_free, np.zeros(2 * count), -total * objective / 100.0 + 1e-6)),
        bounds=np.column_stack(
            (
                np.concatenate((min_replicas, np.zeros(3 * count))),
                np.concatenate((np.full(2 * count, np.inf), arriving, np.full(count, np.inf))),
            )
        ),
        method="highs",
    )
    if not solution.success:
        raise ValueError(f"the lower bound of {service.traffic.name} has no solution: {solution.message}")
    return LowerBound(float(solution.fun) / 3600.0, np.asarray(solution.x[:count]))


def _min_replicas(arriving: Floats, total: Floats, objective: float, capacity: float, waiting: float) -> Floats:
    """Return the whole replicas that each step needs even if all bad requests of its minute fall into it."""
    allowed_bad = np.repeat(total * (1 - objective / 100.0), _STEPS_A_MINUTE)
    # Requests that wait over the end of a step are answered by the replicas of the other step.
    load = np.maximum(arriving - allowed_bad, 0.0)
    return np.asarray(np.ceil(load / (capacity + waiting) - 1e-6))
