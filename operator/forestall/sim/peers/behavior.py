"""The `behavior` of a HorizontalPodAutoscaler: stabilization windows and scaling policies.

Source: Kubernetes, "Horizontal Pod Autoscaling", sections "Stabilization window", "Scaling policies" and "Default
behavior": of the recommendations within the window the highest counts for scaling down and the lowest for scaling up;
a policy bounds the change within its period; up by 100 % or 4 pods in 15 s, whichever is more, and down without bounds
after 300 s, where nothing else is said.
"""

from dataclasses import dataclass
from functools import reduce

import numpy as np

from forestall.sim.peers.base import Floats, Ints, Seen


@dataclass(frozen=True, slots=True)
class Rules:
    """How fast one direction may go; a policy is an amount and its period (s)."""

    window: float
    """Stabilization window (s)."""
    percent: tuple[float, float] | None = None
    pods: tuple[float, float] | None = None
    """Where both are given, the one counts that changes more; without any there is no bound."""


UP = Rules(0.0, percent=(100.0, 15.0), pods=(4.0, 15.0))
DOWN = Rules(300.0, percent=(100.0, 15.0))


class Behavior:
    """Remembers recommendations and changes, and bounds the next one."""

    def __init__(self, up: Rules = UP, down: Rules = DOWN) -> None:
        self._up, self._down = up, down
        policies = (up.percent, up.pods, down.percent, down.pods)
        self._longest = max((policy[1] for policy in policies if policy), default=0.0)
        self._recommended: list[tuple[float, Ints]] = []
        self._changes: list[tuple[float, Ints]] = []

    def settle(self, recommended: Ints, seen: Seen) -> Ints:
        """Return the replicas that `recommended` leads to now."""
        current, now = seen.scales.replicas, seen.now
        bounded = np.minimum(np.maximum(recommended, seen.scales.least), seen.scales.most)
        longest = max(self._up.window, self._down.window)
        self._recommended = [(at, each) for at, each in self._recommended if at > now - longest]
        self._recommended.append((now, bounded))
        low = np.minimum.reduce(self._within(self._up.window, now)) if self._up.window else bounded
        high = np.maximum.reduce(self._within(self._down.window, now)) if self._down.window else bounded
        wanted = np.minimum(np.maximum(current, low), high)
        wanted = np.minimum(wanted, self._ceiling(current, now))
        wanted = np.maximum(wanted, np.minimum(self._bottom(current, now), current))
        # What is outside the bounds is brought to them at once, whatever the metrics say.
        wanted = np.where(current < seen.scales.least, seen.scales.least, wanted)
        wanted = np.minimum(np.maximum(wanted, seen.scales.least), seen.scales.most)
        self._note(wanted - current, now)
        return wanted

    def _within(self, window: float, now: float) -> list[Ints]:
        return [each for at, each in self._recommended if at > now - window]

    def _ceiling(self, current: Ints, now: float) -> Ints:
        limits: list[Floats] = []
        if self._up.percent:
            start = current - self._changed(now, self._up.percent[1], up=True)
            limits.append(np.ceil(start * (1 + self._up.percent[0] / 100)))
        if self._up.pods:
            start = current - self._changed(now, self._up.pods[1], up=True)
            limits.append(np.asarray(start + self._up.pods[0], dtype=np.float64))
        if not limits:
            return np.full_like(current, np.iinfo(np.int64).max)
        return np.asarray(reduce(np.maximum, limits).astype(np.int64))

    def _bottom(self, current: Ints, now: float) -> Ints:
        limits: list[Floats] = []
        if self._down.percent:
            start = current + self._changed(now, self._down.percent[1], up=False)
            limits.append(np.trunc(start * (1 - self._down.percent[0] / 100)))
        if self._down.pods:
            start = current + self._changed(now, self._down.pods[1], up=False)
            limits.append(np.asarray(start - self._down.pods[0], dtype=np.float64))
        if not limits:
            return np.zeros_like(current)
        return np.asarray(reduce(np.minimum, limits).astype(np.int64))

    def _changed(self, now: float, period: float, *, up: bool) -> Ints:
        """Return how many replicas were added, or taken away, in the last `period` seconds."""
        recent = [change for at, change in self._changes if at > now - period]
        if not recent:
            return np.int64(0)  # type: ignore[return-value] # it is broadcast
        changes = np.stack(recent)
        return np.asarray(np.maximum(changes if up else -changes, 0).sum(axis=0))

    def _note(self, change: Ints, now: float) -> None:
        self._changes = [(at, each) for at, each in self._changes if at > now - self._longest]
        if change.any():
            self._changes.append((now, change))
