"""Crane's Effective HPA with its DSP prediction of periodic load.

Source: Crane, "Time Series Forecast Algorithm - DSP" and "EffectiveHPA": gaps are filled and outliers cut; a day or a
week is the period where the autocorrelation there is high; the forecast is the highest value at the same time of the
last cycles (the `maxValue` estimator), times one plus `marginFraction`; the largest forecast within the prediction
window is one more metric of an HPA, which takes the highest recommendation.
"""

from typing import Final

import numpy as np

from forestall.sim.controllers.base import Floats, Ints, Observation, is_due
from forestall.sim.controllers.behavior import Behavior
from forestall.sim.controllers.hpa import SYNC
from forestall.sim.controllers.keda import by_average_value

_BLOCK: Final = 60.0
_PERIODS: Final = (1440, 10080)
_CYCLES: Final = 3
_MIN_CORRELATION: Final = 0.5
"""Lowest autocorrelation at the period of a periodic series."""
_PREDICTION_INTERVAL: Final = 3600.0
"""Interval of predictions (s)."""
_OUTLIERS: Final = 99.9


class Crane:
    """Crane. `target` as for KEDA, `margin`: `marginFraction`, `window`: prediction window (s), by service."""

    def __init__(self, target: Floats, window: Floats, margin: float = 0.1) -> None:
        self._target, self._window, self._margin = target, window, margin
        self._behavior = Behavior()
        self._ahead = np.zeros((0, 0))
        self._predicted_at = 0.0

    def desired_replicas(self, observation: Observation) -> Ints:
        """See the protocol."""
        if not is_due(observation, SYNC):
            return observation.scales.replicas
        if not len(self._ahead) or is_due(observation, _PREDICTION_INTERVAL):
            self._predict(observation)
        per_replica = self._target * observation.capacity
        now = by_average_value(observation.scales.replicas, observation.rate, per_replica)
        predicted = by_average_value(observation.scales.replicas, self._largest(observation), per_replica)
        return self._behavior.stabilize(np.maximum(now, predicted), observation)

    def _predict(self, observation: Observation) -> None:
        past = observation.arrivals.block_means(observation.step, _BLOCK, _CYCLES * _PERIODS[-1])
        self._ahead = np.stack([forecast(row, self._margin) for row in past])
        self._predicted_at = observation.now

    def _largest(self, observation: Observation) -> Floats:
        first = int((observation.now - self._predicted_at) // _BLOCK)
        last = np.minimum(first + 1 + (self._window // _BLOCK).astype(np.int64), self._ahead.shape[1])
        rows = observation.arrivals.service_rows
        return np.array([self._ahead[row, first:end].max(initial=0.0) for row, end in zip(rows, last, strict=True)])


def forecast(past: Floats, margin: float) -> Floats:
    """Return the forecast of the next 24 hours by minute; zeros without a period."""
    values = past[~np.isnan(past)]
    if not len(values):
        return np.zeros(1440)
    values = np.minimum(values, np.percentile(values, _OUTLIERS))
    period = _period(values)
    if period is None:
        return np.zeros(1440)
    cycles = min(_CYCLES, len(values) // period)
    shaped = values[-cycles * period :].reshape(cycles, period)
    return np.asarray(np.resize(shaped.max(axis=0), max(period, 1440))[:1440] * (1 + margin))


def _period(values: Floats) -> int | None:
    """Return the period with the highest autocorrelation; None where it is low."""
    best, result = _MIN_CORRELATION, None
    for period in _PERIODS:
        if len(values) < 2 * period:
            continue
        before, after = values[:-period], values[period:]
        if before.std() == 0 or after.std() == 0:
            continue
        correlation = float(np.corrcoef(before, after)[0, 1])
        if correlation > best:
            best, result = correlation, period
    return result
