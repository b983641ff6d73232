"""The metrics of modelled services, as the port `Metrics` answers them."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forestall.core.risk import SLI
from forestall.core.slo import burn_windows
from forestall.engine.questions import LONG, WHOLE
from forestall.ports import Answer, Query, QueryFailure, RangeSeries, Sample
from forestall.sim.peers.base import RATE_WINDOW
from forestall.sim.state import State

Floats = NDArray[np.float64]

LOAD, LOAD_PER_REPLICA, MEMORY, DISK = "load", "load-per-replica", "memory", "disk"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an indicator of an objective is in the model."""

    service: int
    what: str
    """LOAD (requests a second in all), LOAD_PER_REPLICA, MEMORY (each pod's share of its limit), DISK (each node's that
    is used), SLI, LONG or WHOLE."""
    factor: float = 1.0
    """The indicator's unit in that of the model."""
    per: str | None = None
    """The label that tells series apart."""


def meanings_of_sli(uid: str, service: int) -> dict[Hashable, Meaning]:
    """Return the meanings of the queries about an objective's own indicator."""
    return {(uid, name): Meaning(service, name) for name in (SLI, LONG, WHOLE)}


class ModelMetrics:
    """Answers queries by their key, which is what the engine calls the indicator: the text is not evaluated."""

    def __init__(self, state: State, meanings: Mapping[Hashable, Meaning], window: float) -> None:
        """`window`: that of the objectives (s)."""
        self._state, self._meanings = state, meanings
        burn = burn_windows(window, 0.0)
        self._windows = {SLI: burn.short, LONG: burn.long, WHOLE: window}
        self._cache: dict[str, tuple[int, Floats]] = {}

    async def instant(
        self,
        source: str,  # noqa: ARG002 -- the port's: the model is the only source
        queries: Sequence[Query],
        at: float,
    ) -> Mapping[Hashable, Answer | QueryFailure]:
        """See the port. `at` must be the present of the model."""
        return {query.key: self._answer(query, at) for query in queries}

    async def range(
        self,
        source: str,  # noqa: ARG002 -- the port's
        queries: Sequence[Query],
        start: float,
        end: float,
        step: float,
    ) -> Mapping[Hashable, tuple[RangeSeries, ...] | QueryFailure]:
        """See the port. Only the load has a past from before the run."""
        state = self._state
        first = max(start, state.epoch - state.loads.past_steps * state.loads.step_s + RATE_WINDOW)
        times = np.arange(np.ceil(first / step) * step, end + 1e-6, step)
        steps = np.rint((times - state.epoch) / state.loads.step_s).astype(np.int64)
        return {query.key: self._past(query, times, steps) for query in queries}

    def _past(self, query: Query, times: Floats, steps: NDArray[np.int64]) -> tuple[RangeSeries, ...]:
        meaning = self._meanings.get(query.key)
        if meaning is None or meaning.what != LOAD or not times.size:
            return ()
        values = meaning.factor * self._state.loads.series(meaning.service, steps, RATE_WINDOW)
        return (RangeSeries((), tuple(times.tolist()), tuple(values.tolist())),)

    def _answer(self, query: Query, at: float) -> Answer:
        meaning = self._meanings.get(query.key)
        if meaning is None:
            return Answer((), None)
        if meaning.what in (MEMORY, DISK):
            fleet, service = self._state.fleet, meaning.service
            full = fleet.memory(service) if meaning.what == MEMORY else fleet.nodes.disks(service, fleet.now)
            if meaning.per:
                samples = [Sample(((meaning.per, name),), meaning.factor * value) for name, value in full.items()]
            else:
                samples = [Sample((), meaning.factor * max(full.values(), default=0.0))]
            return Answer(tuple(samples), at)
        value = self._values(meaning.what)[meaning.service] * meaning.factor
        return Answer((Sample((), float(value)),), at)

    def _values(self, what: str) -> Floats:
        """Return one number for each service, worked out once a step."""
        state = self._state
        known = self._cache.get(what)
        if known is None or known[0] != state.step:
            known = (state.step, self._reading[what](state) if what in self._reading else self._ratio(what))
            self._cache[what] = known
        return known[1]

    def _ratio(self, what: str) -> Floats:
        return self._state.record.error_ratio(self._windows[what])

    @property
    def _reading(self) -> Mapping[str, Callable[[State], Floats]]:
        return {
            LOAD: lambda state: state.loads.mean(state.step, RATE_WINDOW),
            LOAD_PER_REPLICA: lambda state: np.asarray(
                state.loads.mean(state.step, RATE_WINDOW) / np.maximum(state.fleet.ready, 1)
            ),
        }
