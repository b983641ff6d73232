"""The port `Metrics` over the metrics of modeled services."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forestall.core.risk import SLI
from forestall.core.slo import burn_windows
from forestall.engine.indicator_queries import LONG, WHOLE
from forestall.ports import Answer, Query, QueryFailure, RangeSeries, Sample
from forestall.sim.controllers.base import RATE_WINDOW
from forestall.sim.model_state import ModelState

Floats = NDArray[np.float64]

LOAD, LOAD_PER_REPLICA, MEMORY, DISK = "load", "load-per-replica", "memory", "disk"


@dataclass(frozen=True, slots=True)
class ModelIndicator:
    """The quantity of the model that an indicator reads."""

    service: int
    quantity: str
    """LOAD (requests a second), LOAD_PER_REPLICA, MEMORY (each pod's share of its limit), DISK (each node's used
    share), SLI, LONG or WHOLE."""
    factor: float = 1.0
    """Factor from the model's unit to the indicator's."""
    per: str | None = None
    """The label that distinguishes series."""


def sli_indicators(uid: str, service: int) -> dict[Hashable, ModelIndicator]:
    """Return the quantities of the queries about an objective's own SLI."""
    return {(uid, name): ModelIndicator(service, name) for name in (SLI, LONG, WHOLE)}


class ModelMetrics:
    """Answers queries by their key; the PromQL text is not evaluated."""

    def __init__(self, state: ModelState, model_indicators: Mapping[Hashable, ModelIndicator], window: float) -> None:
        """`window`: SLO window of the objectives (s)."""
        self._state, self._model_indicators = state, model_indicators
        burn = burn_windows(window, 0.0)
        self._windows = {SLI: burn.short, LONG: burn.long, WHOLE: window}
        self._cache: dict[str, tuple[int, Floats]] = {}

    async def instant(
        self,
        source: str,  # noqa: ARG002 -- the port's: the model is the only source
        queries: Sequence[Query],
        at: float,
    ) -> Mapping[Hashable, Answer | QueryFailure]:
        """See the port. `at` must be the current time of the model."""
        return {query.key: self._answer(query, at) for query in queries}

    async def range(
        self,
        source: str,  # noqa: ARG002 -- the port's
        queries: Sequence[Query],
        start: float,
        end: float,
        step: float,
    ) -> Mapping[Hashable, tuple[RangeSeries, ...] | QueryFailure]:
        """See the port. Only the load has a history from before the run."""
        state = self._state
        first = max(start, state.epoch - state.arrivals.history_steps * state.arrivals.step_s + RATE_WINDOW)
        times = np.arange(np.ceil(first / step) * step, end + 1e-6, step)
        steps = np.rint((times - state.epoch) / state.arrivals.step_s).astype(np.int64)
        return {query.key: self._past(query, times, steps) for query in queries}

    def _past(self, query: Query, times: Floats, steps: NDArray[np.int64]) -> tuple[RangeSeries, ...]:
        indicator = self._model_indicators.get(query.key)
        if indicator is None or indicator.quantity != LOAD or not times.size:
            return ()
        values = indicator.factor * self._state.arrivals.series(indicator.service, steps, RATE_WINDOW)
        return (RangeSeries((), tuple(times.tolist()), tuple(values.tolist())),)

    def _answer(self, query: Query, at: float) -> Answer:
        indicator = self._model_indicators.get(query.key)
        if indicator is None:
            return Answer((), None)
        if indicator.quantity in (MEMORY, DISK):
            fleet, service = self._state.fleet, indicator.service
            usage = fleet.memory(service) if indicator.quantity == MEMORY else fleet.nodes.disks(service, fleet.now)
            if indicator.per:
                samples = [Sample(((indicator.per, name),), indicator.factor * value) for name, value in usage.items()]
            else:
                samples = [Sample((), indicator.factor * max(usage.values(), default=0.0))]
            return Answer(tuple(samples), at)
        value = self._values(indicator.quantity)[indicator.service] * indicator.factor
        return Answer((Sample((), float(value)),), at)

    def _values(self, quantity: str) -> Floats:
        """Return one number for each service, cached for a step."""
        state = self._state
        cached = self._cache.get(quantity)
        if cached is None or cached[0] != state.step:
            cached = (
                state.step,
                self._readers[quantity](state) if quantity in self._readers else self._ratio(quantity),
            )
            self._cache[quantity] = cached
        return cached[1]

    def _ratio(self, quantity: str) -> Floats:
        return self._state.record.error_ratio(self._windows[quantity])

    @property
    def _readers(self) -> Mapping[str, Callable[[ModelState], Floats]]:
        return {
            LOAD: lambda state: state.arrivals.mean(state.step, RATE_WINDOW),
            LOAD_PER_REPLICA: lambda state: np.asarray(
                state.arrivals.mean(state.step, RATE_WINDOW) / np.maximum(state.fleet.ready, 1)
            ),
        }
