"""The record of a run: the quantities of all services by step."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from forestall.sim.service import ServiceStep

Floats = NDArray[np.float64]

_COLUMNS: Final = ("arrived", "good", "replicas", "ready", "busy", "memory", "crashes", "failed")


@dataclass(slots=True)
class RunRecord:
    """Arrays of the shape (steps, services); rows from `completed_steps` on are not written yet."""

    step_s: float
    steps: int
    size: int
    completed_steps: int = 0
    arrived: Floats = field(init=False)
    good: Floats = field(init=False)
    replicas: Floats = field(init=False)
    ready: Floats = field(init=False)
    busy: Floats = field(init=False)
    memory: Floats = field(init=False)
    crashes: Floats = field(init=False)
    failed: Floats = field(init=False)

    def __post_init__(self) -> None:
        for name in _COLUMNS:
            setattr(self, name, np.zeros((self.steps, self.size)))

    def add(self, step: ServiceStep) -> None:
        """Write the next row."""
        for name in _COLUMNS:
            getattr(self, name)[self.completed_steps] = getattr(step, name)
        self.completed_steps += 1

    def covers(self, window: float) -> bool:
        """Return whether the record covers the last `window` seconds, which metrics over that window need."""
        return self.completed_steps * self.step_s >= window

    def mean_usage(self, window: float) -> Floats:
        """Return the mean used capacity over the last `window` seconds, in replicas.

        NaN before the first step, so that no controller takes it for an idle service.
        """
        if not self.completed_steps:
            return np.full(self.size, np.nan)
        rows = slice(max(0, self.completed_steps - max(1, round(window / self.step_s))), self.completed_steps)
        return np.asarray((self.busy[rows] * self.ready[rows]).sum(axis=0) / (self.completed_steps - rows.start))

    def error_ratio(self, window: float) -> Floats:
        """Return the share of bad requests in the last `window` seconds; 0 without requests."""
        first = max(0, self.completed_steps - max(1, round(window / self.step_s)))
        total: Floats = self.arrived[first : self.completed_steps].sum(axis=0)
        bad = total - self.good[first : self.completed_steps].sum(axis=0)
        return np.asarray(np.clip(np.divide(bad, total, out=np.zeros_like(total), where=total > 0), 0.0, 1.0))
