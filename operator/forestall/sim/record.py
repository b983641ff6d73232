"""What happened in a run, step by step, for all its services."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from forestall.sim.service import Step

Floats = NDArray[np.float64]

_KEPT: Final = ("arrived", "good", "replicas", "ready", "busy", "memory", "crashes", "failed")


@dataclass(slots=True)
class Record:
    """Arrays (steps, services); rows from `done` on are still to come."""

    step_s: float
    steps: int
    size: int
    done: int = 0
    arrived: Floats = field(init=False)
    good: Floats = field(init=False)
    replicas: Floats = field(init=False)
    ready: Floats = field(init=False)
    busy: Floats = field(init=False)
    memory: Floats = field(init=False)
    crashes: Floats = field(init=False)
    failed: Floats = field(init=False)

    def __post_init__(self) -> None:
        for name in _KEPT:
            setattr(self, name, np.zeros((self.steps, self.size)))

    def add(self, step: Step) -> None:
        """Write the next row."""
        for name in _KEPT:
            getattr(self, name)[self.done] = getattr(step, name)
        self.done += 1

    def covers(self, window: float) -> bool:
        """Say whether the last `window` seconds were all measured, without which nobody has metrics of them."""
        return self.done * self.step_s >= window

    def used_mean(self, window: float) -> Floats:
        """Return how many replicas' whole capacity was used, on average over the last `window` seconds.

        NaN while nothing was measured: nobody may take that for a service at rest.
        """
        if not self.done:
            return np.full(self.size, np.nan)
        rows = slice(max(0, self.done - max(1, round(window / self.step_s))), self.done)
        return np.asarray((self.busy[rows] * self.ready[rows]).sum(axis=0) / (self.done - rows.start))

    def error_ratio(self, window: float) -> Floats:
        """Return the share of bad requests in the last `window` seconds; 0 where there were none."""
        first = max(0, self.done - max(1, round(window / self.step_s)))
        total: Floats = self.arrived[first : self.done].sum(axis=0)
        bad = total - self.good[first : self.done].sum(axis=0)
        return np.asarray(np.clip(np.divide(bad, total, out=np.zeros_like(total), where=total > 0), 0.0, 1.0))
