"""The `behavior` of a HorizontalPodAutoscaler: stabilization windows and scaling policies.

Source: Kubernetes, "Horizontal Pod Autoscaling", sections "Stabilization window", "Scaling policies" and "Default
behavior": of the recommendations within the window the highest counts for scaling down and the lowest for scaling up;
a policy bounds the change within its period; up by 100 % or 4 pods in 15 s, whichever is more, and down without bounds
after 300 s, where nothing else is said.
"""

from dataclasses import dataclass
from functools import reduce

import numpy as np

from forestall.sim.controllers.base import Floats, Ints, Observation


@dataclass(frozen=True, slots=True)
class ScalingRules:
    """The scaling rules of one direction; a policy is an amount and its period (s)."""

    window: float
    """Stabilization window (s)."""
    percent: tuple[float, float] | None = None
    pods: tuple[float, float] | None = None
    """With both, the policy that allows the larger change counts; without any there is no bound."""


UP = ScalingRules(0.0, percent=(100.0, 15.0), pods=(4.0, 15.0))
DOWN = ScalingRules(300.0, percent=(100.0, 15.0))


class Behavior:
    """Keeps past recommendations and changes, and bounds the next change."""

    def __init__(self, up: ScalingRules = UP, down: ScalingRules = DOWN) -> None:
        self._up, self._down = up, down
        policies = (up.percent, up.pods, down.percent, down.pods)
        self._longest = max((policy[1] for policy in policies if policy), default=0.0)
        self._recommended: list[tuple[float, Ints]] = []
        self._changes: list[tuple[float, Ints]] = []

    def stabilize(self, recommended: Ints, observation: Observation) -> Ints:
        """Return the desired replicas for a recommendation."""
        current, now = observation.scales.replicas, observation.now
        bounded = np.minimum(np.maximum(recommended, observation.scales.min_replicas), observation.scales.max_replicas)
        longest = max(self._up.window, self._down.window)
        self._recommended = [(at, replicas) for at, replicas in self._recommended if at > now - longest]
        self._recommended.append((now, bounded))
        low = np.minimum.reduce(self._within(self._up.window, now)) if self._up.window else bounded
        high = np.maximum.reduce(self._within(self._down.window, now)) if self._down.window else bounded
        desired = np.minimum(np.maximum(current, low), high)
        desired = np.minimum(desired, self._ceiling(current, now))
        desired = np.maximum(desired, np.minimum(self._floor(current, now), current))
        # Replicas outside the bounds are moved into them at once.
        desired = np.where(current < observation.scales.min_replicas, observation.scales.min_replicas, desired)
        desired = np.minimum(np.maximum(desired, observation.scales.min_replicas), observation.scales.max_replicas)
        self._record_change(desired - current, now)
        return desired

    def _within(self, window: float, now: float) -> list[Ints]:
        return [replicas for at, replicas in self._recommended if at > now - window]

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

    def _floor(self, current: Ints, now: float) -> Ints:
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
        """Return the replicas that were added, or removed, in the last `period` seconds."""
        recent = [change for at, change in self._changes if at > now - period]
        if not recent:
            return np.int64(0)  # type: ignore[return-value] # broadcast
        changes = np.stack(recent)
        return np.asarray(np.maximum(changes if up else -changes, 0).sum(axis=0))

    def _record_change(self, change: Ints, now: float) -> None:
        self._changes = [(at, earlier) for at, earlier in self._changes if at > now - self._longest]
        if change.any():
            self._changes.append((now, change))
