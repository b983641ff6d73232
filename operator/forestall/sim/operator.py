"""The operator's engine, unchanged, over the services of a run."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from forestall.engine import Engine, Settings
from forestall.registry import Registry
from forestall.sim.metrics import Meaning, ModelMetrics
from forestall.sim.state import State
from forestall.sim.world import ModelCluster


@dataclass(frozen=True, slots=True)
class Setup:
    """The objects that the operator is given, and what they mean in the model."""

    registry: Registry
    meanings: Mapping[Hashable, Meaning]
    places: Mapping[str, tuple[int, str]]
    """Number and workload's name of the service in each namespace."""
    window: float
    """Of the objectives (s)."""
    interval: float = 30.0
    autoscalers: bool = True
    """Whether the workloads have HorizontalPodAutoscalers, whose floors are raised then."""


class Operator:
    """Runs the engine's cycle at its interval."""

    def __init__(self, setup: Setup, state: State) -> None:
        self.cluster = ModelCluster(state, setup.places, autoscalers=setup.autoscalers)
        metrics = ModelMetrics(state, setup.meanings, setup.window)
        self._engine = Engine(metrics, self.cluster, setup.registry, Settings(interval=setup.interval, threads=False))
        self._state = state
        self._every = max(1, round(setup.interval / state.loads.step_s))

    async def act(self) -> None:
        """Run a cycle where it is time for one."""
        if self._state.step % self._every:
            return
        report = await self._engine.cycle(self._state.now, leading=True)
        while report.waiting:  # the past of many series is fetched in parts, by the clock: here it takes no time
            report = await self._engine.cycle(self._state.now, leading=True)
