"""Alerts with a runbook that adds a fixed step: on `predict_linear`, and on the burn rate of the error budget.

Sources: Prometheus, `predict_linear` (least squares over the range, read off later); Google, The Site Reliability
Workbook, chapter 5 (14.4 times the budget over an hour and over five minutes). The runbook: add a share of the replicas
when it fires, at most once while the last ones start; take them away again when it has been quiet for half an hour and
the rest would be busy to 60 % at the most.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from forestall.core.slo import fast_burn_limit
from forestall.sim.peers.base import LOOK, RATE_WINDOW, Floats, Ints, Seen, carrying, every

_QUIET: Final = 1800.0
_CALM: Final = 0.6


class _Runbook:
    """What is done when an alert fires, and when it has been quiet. `step`: the share of the replicas added."""

    def __init__(self, step: Floats, start_up: Floats) -> None:
        self._step, self._pause = step, np.maximum(start_up, 120.0)
        self._added = np.full(len(step), -np.inf)
        self._fired = np.full(len(step), -np.inf)

    def follow(self, firing: NDArray[np.bool_], seen: Seen) -> Ints:
        current = seen.scales.replicas
        up = firing & (seen.now - self._added >= self._pause)
        fewer = np.maximum(carrying(seen.rate, _CALM * seen.capacity), seen.scales.least)
        down = ~firing & (seen.now - self._fired >= _QUIET) & (fewer < current)
        self._added = np.where(up, seen.now, self._added)
        self._fired = np.where(firing, seen.now, self._fired)
        added = current + np.maximum(np.ceil(current * self._step), 1).astype(np.int64)
        return np.where(up, added, np.where(down, np.maximum(fewer, current - np.maximum(current // 4, 1)), current))


class PredictLinear:
    """`target`: the share of the capacity that the line must not pass `ahead` seconds from now, for each service."""

    def __init__(self, target: Floats, ahead: Floats, start_up: Floats, window: float = 900.0) -> None:
        self._target, self._ahead, self._window = target, ahead, window
        self._runbook = _Runbook(np.full(len(target), 0.25), start_up)

    def wanted(self, seen: Seen) -> Ints:
        """See the protocol."""
        if not every(seen, LOOK):
            return seen.scales.replicas
        count = round(self._window / RATE_WINDOW)
        known = seen.loads.blocks(seen.step, RATE_WINDOW, count)[seen.loads.of]
        known = np.where(np.isnan(known), seen.rate[:, None], known)
        time = RATE_WINDOW * np.arange(1 - count, 1)
        slope, level = np.polyfit(time, known.T, 1)
        firing = level + slope * self._ahead > self._target * seen.capacity * seen.scales.replicas
        return self._runbook.follow(firing, seen)


class BurnRate:
    """`step`: the share of the replicas that the runbook adds, for each service; `objective` in percent."""

    def __init__(self, step: Floats, objective: float, start_up: Floats) -> None:
        self._limit = fast_burn_limit(objective)
        self._runbook = _Runbook(step, start_up)

    def wanted(self, seen: Seen) -> Ints:
        """See the protocol."""
        if not every(seen, LOOK):
            return seen.scales.replicas
        firing = (seen.record.error_ratio(300.0) > self._limit) & (seen.record.error_ratio(3600.0) > self._limit)
        return self._runbook.follow(firing, seen)
