"""A scheduled floor by forecast, as the predictive scaling of EC2 Auto Scaling.

Source: Amazon EC2 Auto Scaling User Guide, "Predictive scaling": the load of up to 14 days is forecast by hours for the
next 48 hours, anew every six; at the beginning of each hour, or a buffer earlier, the capacity is raised to what the
hour's forecast needs at the target utilisation; dynamic scaling adds to it, and the policy itself never scales in. The
forecast's method is not published; here it is the mean of the same hour, of the days that are the same in the week
where there are two weeks and of all days otherwise, times what the last day was above that.
"""

from typing import Final

import numpy as np

from forestall.sim.peers.base import Floats, Ints, Seen, carrying, every
from forestall.sim.peers.behavior import Behavior
from forestall.sim.peers.hpa import SYNC
from forestall.sim.peers.keda import by_average_value

_HOUR: Final = 3600.0
_DAY, _WEEK = 24, 168
_AGAIN: Final = 6 * _HOUR


class Scheduled:
    """`target` as for KEDA, `buffer`: how much before the hour (s), for each service."""

    def __init__(self, target: Floats, buffer: Floats) -> None:
        self._target, self._buffer = target, buffer
        self._behavior = Behavior()
        self._hours = np.zeros((0, 0))
        self._made = 0.0

    def wanted(self, seen: Seen) -> Ints:
        """See the protocol."""
        if not every(seen, SYNC):
            return seen.scales.replicas
        if not len(self._hours) or every(seen, _AGAIN):
            past = seen.loads.blocks(seen.step, _HOUR, 2 * _WEEK)
            self._hours = np.stack([forecast(row) for row in past])
            self._made = seen.now
        each = self._target * seen.capacity
        this = self._hour(seen, np.zeros_like(self._buffer))
        following = self._hour(seen, self._buffer)
        floor = np.where(np.maximum(this, following) > 0, carrying(np.maximum(this, following), each), 0)
        now = by_average_value(seen.scales.replicas, seen.rate, each)
        return self._behavior.settle(np.maximum(now, floor), seen)

    def _hour(self, seen: Seen, ahead: Floats) -> Floats:
        hour = ((seen.now + ahead - self._made) // _HOUR).astype(np.int64)
        return np.asarray(self._hours[seen.loads.of, np.minimum(hour, self._hours.shape[1] - 1)])


def forecast(past: Floats) -> Floats:
    """Return the mean rate of each of the next 48 hours; zeros without a whole day."""
    known = past[~np.isnan(past)]
    if len(known) < _DAY:
        return np.zeros(2 * _DAY)
    period = _WEEK if len(known) >= 2 * _WEEK else _DAY
    whole = known[-(len(known) // period) * period :].reshape(-1, period).mean(axis=0)
    usual = whole[-_DAY:].mean()
    level = known[-_DAY:].mean() / usual if usual > 0 else 1.0
    return np.asarray(np.resize(whole, 2 * _DAY) * level)
