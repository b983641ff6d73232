"""A forecast floor, like the predictive scaling of EC2 Auto Scaling.

Source: Amazon EC2 Auto Scaling User Guide, "Predictive scaling": the load of up to 14 days is forecast by hours for the
next 48 hours, anew every six; at the beginning of each hour, or a buffer earlier, the capacity is raised to what the
hour's forecast needs at the target utilization; dynamic scaling adds to it, and the policy itself never scales in. The
forecast's method is not published; here it is the mean of the same hour, of the days that are the same in the week
where there are two weeks and of all days otherwise, times what the last day was above that.
"""

from typing import Final

import numpy as np

from forestall.sim.controllers.base import Floats, Ints, Observation, is_due, replicas_for
from forestall.sim.controllers.behavior import Behavior
from forestall.sim.controllers.hpa import SYNC
from forestall.sim.controllers.keda import by_average_value

_HOUR: Final = 3600.0
_DAY, _WEEK = 24, 168
_FORECAST_INTERVAL: Final = 6 * _HOUR


class ScheduledFloor:
    """Predictive scaling. `target` as for KEDA, `buffer`: time before the hour (s), by service."""

    def __init__(self, target: Floats, buffer: Floats) -> None:
        self._target, self._buffer = target, buffer
        self._behavior = Behavior()
        self._hours = np.zeros((0, 0))
        self._forecast_at = 0.0

    def desired_replicas(self, observation: Observation) -> Ints:
        """See the protocol."""
        if not is_due(observation, SYNC):
            return observation.scales.replicas
        if not len(self._hours) or is_due(observation, _FORECAST_INTERVAL):
            past = observation.arrivals.block_means(observation.step, _HOUR, 2 * _WEEK)
            self._hours = np.stack([forecast(row) for row in past])
            self._forecast_at = observation.now
        per_replica = self._target * observation.capacity
        current_rate = self._hour(observation, np.zeros_like(self._buffer))
        next_rate = self._hour(observation, self._buffer)
        floor = np.where(
            np.maximum(current_rate, next_rate) > 0, replicas_for(np.maximum(current_rate, next_rate), per_replica), 0
        )
        now = by_average_value(observation.scales.replicas, observation.rate, per_replica)
        return self._behavior.stabilize(np.maximum(now, floor), observation)

    def _hour(self, observation: Observation, ahead: Floats) -> Floats:
        hour = ((observation.now + ahead - self._forecast_at) // _HOUR).astype(np.int64)
        return np.asarray(self._hours[observation.arrivals.service_rows, np.minimum(hour, self._hours.shape[1] - 1)])


def forecast(past: Floats) -> Floats:
    """Return the mean rate of each of the next 48 hours; zeros with less than a day of history."""
    values = past[~np.isnan(past)]
    if len(values) < _DAY:
        return np.zeros(2 * _DAY)
    period = _WEEK if len(values) >= 2 * _WEEK else _DAY
    profile = values[-(len(values) // period) * period :].reshape(-1, period).mean(axis=0)
    typical = profile[-_DAY:].mean()
    level = values[-_DAY:].mean() / typical if typical > 0 else 1.0
    return np.asarray(np.resize(profile, 2 * _DAY) * level)
