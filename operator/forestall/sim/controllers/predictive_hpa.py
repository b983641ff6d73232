"""The Predictive HPA: the HPA's recommendation, and a forecast of its past recommendations.

Source: Predictive Horizontal Pod Autoscaler (jthomperoo), user guide and reference: every sync the HPA's calculation is
stored; `Linear` lays a line through the last `historySize` of them and reads it off `lookAhead` later; `HoltWinters`
smooths them with a season of `seasonalPeriods` and forecasts `lookAhead`; of the calculated and the predicted replicas
the highest is taken (`decisionType: maximum`), and going down waits for the highest of the last 300 s.
"""

from typing import Final

import numpy as np

from forestall.sim.controllers.base import ROUNDING, Floats, Ints, Observation, is_due
from forestall.sim.controllers.behavior import Behavior
from forestall.sim.controllers.hpa import SYNC
from forestall.sim.controllers.keda import by_average_value

_HISTORY: Final = 6
"""Recommendations in the regression: `historySize` in the guide's examples."""
_ALPHA, _BETA, _GAMMA = 0.9, 0.9, 0.9
"""Smoothing of level, trend and season in the guide's examples."""
_SEASON_BLOCK: Final = 600.0
"""Interval of the stored recommendations with a season (s); the season is a day."""


class LinearPredictive:
    """The `Linear` model. `target` as for KEDA, `ahead`: `lookAhead` (s), by service."""

    def __init__(self, target: Floats, ahead: Floats) -> None:
        self._target, self._ahead = target, ahead
        self._behavior = Behavior()
        self._past: list[Ints] = []

    def desired_replicas(self, observation: Observation) -> Ints:
        """See the protocol."""
        if not is_due(observation, SYNC):
            return observation.scales.replicas
        now = by_average_value(observation.scales.replicas, observation.rate, self._target * observation.capacity)
        self._past = [*self._past[-(_HISTORY - 1) :], now]
        predicted = now
        if len(self._past) > 1:
            time = SYNC * np.arange(1 - len(self._past), 1)
            slope, level = np.polyfit(time, np.stack(self._past), 1)
            predicted = np.maximum(np.ceil(level + slope * self._ahead - ROUNDING), 0).astype(np.int64)
        return self._behavior.stabilize(np.maximum(now, predicted), observation)


class HoltWinters:
    """The `HoltWinters` model with additive trend and season; parameters as for `LinearPredictive`."""

    def __init__(self, target: Floats, ahead: Floats) -> None:
        self._target, self._ahead = target, ahead
        self._behavior = Behavior()
        self._period = round(86400 / _SEASON_BLOCK)
        self._level = self._trend = np.zeros(0)
        self._season = np.zeros((0, 0))
        self._season_index = 0

    def desired_replicas(self, observation: Observation) -> Ints:
        """See the protocol."""
        if not is_due(observation, SYNC):
            return observation.scales.replicas
        now = by_average_value(observation.scales.replicas, observation.rate, self._target * observation.capacity)
        if not len(self._level):
            self._initialize(observation)
        elif is_due(observation, _SEASON_BLOCK):
            self._observe(
                observation.arrivals.mean(observation.step, _SEASON_BLOCK) / (self._target * observation.capacity)
            )
        steps = np.ceil(self._ahead / _SEASON_BLOCK).astype(np.int64)
        ahead = (self._season_index + steps - 1) % self._period
        forecast = self._level + steps * self._trend + self._season[ahead, np.arange(len(ahead))]
        predicted = np.maximum(np.ceil(forecast - ROUNDING), 0).astype(np.int64)
        return self._behavior.stabilize(np.maximum(now, predicted), observation)

    def _initialize(self, observation: Observation) -> None:
        """Smooth the history: the recommendations that would have been stored."""
        blocks = observation.arrivals.block_means(observation.step, _SEASON_BLOCK, 7 * self._period)[
            observation.arrivals.service_rows
        ]
        past = (blocks / (self._target * observation.capacity)[:, None]).T
        past = past[~np.isnan(past).any(axis=1)]
        first = past[: self._period]
        self._level = first.mean(axis=0) if len(first) else np.zeros(len(self._target))
        self._trend = np.zeros(len(self._target))
        self._season = np.zeros((self._period, len(self._target)))
        self._season[: len(first)] = first - self._level
        for value in past[self._period :]:
            self._observe(value)

    def _observe(self, value: Floats) -> None:
        season = self._season[self._season_index]
        level = _ALPHA * (value - season) + (1 - _ALPHA) * (self._level + self._trend)
        self._trend = _BETA * (level - self._level) + (1 - _BETA) * self._trend
        self._season[self._season_index] = _GAMMA * (value - level) + (1 - _GAMMA) * season
        self._level = level
        self._season_index = (self._season_index + 1) % self._period
