"""Alerts with a runbook that adds a fixed step: on `predict_linear`, and on the burn rate of the error budget.

Sources: Prometheus, `predict_linear` (least squares over the range, read off later); Google, The Site Reliability
Workbook, chapter 5 (14.4 times the budget over an hour and over five minutes). The runbook: add a share of the replicas
when it fires, at most once while the last ones start; remove them when it has not fired for half an hour and the
remaining replicas would be at most 60 % busy.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from forestall.core.slo import fast_burn_limit
from forestall.sim.controllers.base import RATE_WINDOW, RULE_INTERVAL, Floats, Ints, Observation, is_due, replicas_for

_QUIET: Final = 1800.0
_CALM: Final = 0.6


class _Runbook:
    """Adds replicas when an alert fires, and removes them afterwards. `step`: the share of the replicas added."""

    def __init__(self, step: Floats, start_up: Floats) -> None:
        self._step, self._pause = step, np.maximum(start_up, 120.0)
        self._added = np.full(len(step), -np.inf)
        self._fired = np.full(len(step), -np.inf)

    def apply(self, firing: NDArray[np.bool_], observation: Observation) -> Ints:
        current = observation.scales.replicas
        up = firing & (observation.now - self._added >= self._pause)
        reduced = np.maximum(
            replicas_for(observation.rate, _CALM * observation.capacity), observation.scales.min_replicas
        )
        down = ~firing & (observation.now - self._fired >= _QUIET) & (reduced < current)
        self._added = np.where(up, observation.now, self._added)
        self._fired = np.where(firing, observation.now, self._fired)
        added = current + np.maximum(np.ceil(current * self._step), 1).astype(np.int64)
        return np.where(up, added, np.where(down, np.maximum(reduced, current - np.maximum(current // 4, 1)), current))


class PredictLinearAlert:
    """Alerts when the line passes the share `target` of the capacity `ahead` seconds from now, by service."""

    def __init__(self, target: Floats, ahead: Floats, start_up: Floats, window: float = 900.0) -> None:
        self._target, self._ahead, self._window = target, ahead, window
        self._runbook = _Runbook(np.full(len(target), 0.25), start_up)

    def desired_replicas(self, observation: Observation) -> Ints:
        """See the protocol."""
        if not is_due(observation, RULE_INTERVAL):
            return observation.scales.replicas
        count = round(self._window / RATE_WINDOW)
        rates = observation.arrivals.block_means(observation.step, RATE_WINDOW, count)[
            observation.arrivals.service_rows
        ]
        rates = np.where(np.isnan(rates), observation.rate[:, None], rates)
        time = RATE_WINDOW * np.arange(1 - count, 1)
        slope, level = np.polyfit(time, rates.T, 1)
        firing = level + slope * self._ahead > self._target * observation.capacity * observation.scales.replicas
        return self._runbook.apply(firing, observation)


class BurnRateAlert:
    """Alerts on the burn rate. `step`: the share of the replicas that the runbook adds; `objective` in percent."""

    def __init__(self, step: Floats, objective: float, start_up: Floats) -> None:
        self._limit = fast_burn_limit(objective)
        self._runbook = _Runbook(step, start_up)

    def desired_replicas(self, observation: Observation) -> Ints:
        """See the protocol."""
        if not is_due(observation, RULE_INTERVAL):
            return observation.scales.replicas
        firing = (observation.record.error_ratio(300.0) > self._limit) & (
            observation.record.error_ratio(3600.0) > self._limit
        )
        return self._runbook.apply(firing, observation)
