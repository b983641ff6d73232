"""The Predictive HPA: the HPA's recommendation now, and one that a model makes of its past ones.

Source: Predictive Horizontal Pod Autoscaler (jthomperoo), user guide and reference: every sync the HPA's calculation is
stored; `Linear` lays a line through the last `historySize` of them and reads it off `lookAhead` later; `HoltWinters`
smooths them with a season of `seasonalPeriods` and forecasts `lookAhead`; of the calculated and the predicted replicas
the highest is taken (`decisionType: maximum`), and going down waits for the highest of the last 300 s.
"""

from typing import Final

import numpy as np

from forestall.sim.peers.base import HEADS, Floats, Ints, Seen, every
from forestall.sim.peers.behavior import Behavior
from forestall.sim.peers.hpa import SYNC
from forestall.sim.peers.keda import by_average_value

_HISTORY: Final = 6
"""Recommendations that the line goes through: `historySize` in the guide's examples."""
_ALPHA, _BETA, _GAMMA = 0.9, 0.9, 0.9
"""Smoothing of level, trend and season in the guide's examples."""
_SEASON_BLOCK: Final = 600.0
"""Seconds from one stored recommendation to the next with a season, which is a day."""


class LinearPredictive:
    """`target` as for KEDA, `ahead`: how far the line is read off (s), for each service."""

    def __init__(self, target: Floats, ahead: Floats) -> None:
        self._target, self._ahead = target, ahead
        self._behavior = Behavior()
        self._past: list[Ints] = []

    def wanted(self, seen: Seen) -> Ints:
        """See the protocol."""
        if not every(seen, SYNC):
            return seen.scales.replicas
        now = by_average_value(seen.scales.replicas, seen.rate, self._target * seen.capacity)
        self._past = [*self._past[-(_HISTORY - 1) :], now]
        predicted = now
        if len(self._past) > 1:
            time = SYNC * np.arange(1 - len(self._past), 1)
            slope, level = np.polyfit(time, np.stack(self._past), 1)
            predicted = np.maximum(np.ceil(level + slope * self._ahead - HEADS), 0).astype(np.int64)
        return self._behavior.settle(np.maximum(now, predicted), seen)


class HoltWinters:
    """Additive trend and season, of the day before it has a run's past to begin with; as for the line otherwise."""

    def __init__(self, target: Floats, ahead: Floats) -> None:
        self._target, self._ahead = target, ahead
        self._behavior = Behavior()
        self._period = round(86400 / _SEASON_BLOCK)
        self._level = self._trend = np.zeros(0)
        self._season = np.zeros((0, 0))
        self._place = 0

    def wanted(self, seen: Seen) -> Ints:
        """See the protocol."""
        if not every(seen, SYNC):
            return seen.scales.replicas
        now = by_average_value(seen.scales.replicas, seen.rate, self._target * seen.capacity)
        if not len(self._level):
            self._begin(seen)
        elif every(seen, _SEASON_BLOCK):
            self._observe(seen.loads.mean(seen.step, _SEASON_BLOCK) / (self._target * seen.capacity))
        steps = np.ceil(self._ahead / _SEASON_BLOCK).astype(np.int64)
        ahead = (self._place + steps - 1) % self._period
        forecast = self._level + steps * self._trend + self._season[ahead, np.arange(len(ahead))]
        predicted = np.maximum(np.ceil(forecast - HEADS), 0).astype(np.int64)
        return self._behavior.settle(np.maximum(now, predicted), seen)

    def _begin(self, seen: Seen) -> None:
        """Smooth the past: the recommendations that would have been stored."""
        blocks = seen.loads.blocks(seen.step, _SEASON_BLOCK, 7 * self._period)[seen.loads.of]
        past = (blocks / (self._target * seen.capacity)[:, None]).T
        past = past[~np.isnan(past).any(axis=1)]
        first = past[: self._period]
        self._level = first.mean(axis=0) if len(first) else np.zeros(len(self._target))
        self._trend = np.zeros(len(self._target))
        self._season = np.zeros((self._period, len(self._target)))
        self._season[: len(first)] = first - self._level
        for value in past[self._period :]:
            self._observe(value)

    def _observe(self, value: Floats) -> None:
        season = self._season[self._place]
        level = _ALPHA * (value - season) + (1 - _ALPHA) * (self._level + self._trend)
        self._trend = _BETA * (level - self._level) + (1 - _BETA) * self._trend
        self._season[self._place] = _GAMMA * (value - level) + (1 - _GAMMA) * season
        self._level = level
        self._place = (self._place + 1) % self._period
