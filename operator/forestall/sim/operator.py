"""The operator's engine, unchanged, over the services of a run."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from forestall.engine import Engine, Settings
from forestall.registry import Registry
from forestall.sim.metrics import ModelIndicator, ModelMetrics
from forestall.sim.model_cluster import ModelCluster
from forestall.sim.model_state import ModelState


@dataclass(frozen=True, slots=True)
class OperatorSetup:
    """The objects of the operator, and their indicators in the model."""

    registry: Registry
    model_indicators: Mapping[Hashable, ModelIndicator]
    locations: Mapping[str, tuple[int, str]]
    """Number and workload name of the service in each namespace."""
    window: float
    """SLO window of the objectives (s)."""
    interval: float = 30.0
    autoscalers: bool = True
    """Whether the workloads have HorizontalPodAutoscalers, whose `minReplicas` the operator then raises."""


class SimulatedOperator:
    """Runs the engine's cycle at its interval."""

    def __init__(self, setup: OperatorSetup, state: ModelState) -> None:
        self.cluster = ModelCluster(state, setup.locations, autoscalers=setup.autoscalers)
        metrics = ModelMetrics(state, setup.model_indicators, setup.window)
        self._engine = Engine(metrics, self.cluster, setup.registry, Settings(interval=setup.interval, threads=False))
        self._state = state
        self._steps_per_cycle = max(1, round(setup.interval / state.arrivals.step_s))

    async def run_if_due(self) -> None:
        """Run a cycle if one is due."""
        if self._state.step % self._steps_per_cycle:
            return
        report = await self._engine.cycle(self._state.now, leading=True)
        while report.waiting:  # the history of many series is fetched in several cycles
            report = await self._engine.cycle(self._state.now, leading=True)
