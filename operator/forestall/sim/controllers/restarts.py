"""Restarts against memory leaks: every night, or when an alert on the memory fires."""

from collections.abc import Iterable
from typing import Final

import numpy as np

from forestall.sim.controllers.base import RULE_INTERVAL, Floats, Observation, active_since, is_due

_DAY: Final = 86400.0


class NightlyRestart:
    """A CronJob that restarts every service daily, `hour` hours after the start of the run."""

    def __init__(self, hour: float = 3.0) -> None:
        self._at = hour * 3600.0

    def services_to_restart(self, observation: Observation) -> Iterable[int]:
        """See the protocol."""
        return range(len(observation.capacity)) if observation.now % _DAY == self._at else ()


class MemoryAlert:
    """An alert on the highest memory of a service's replicas, with a runbook that restarts it.

    `target`: the share of the memory limit, by service. It fires after `for_s` seconds past it, at most once in `pause`
    seconds.
    """

    def __init__(self, target: Floats, for_s: float = 300.0, pause: float = 1800.0) -> None:
        self._target, self._for_s, self._pause = target, for_s, pause
        self._since = np.full(len(target), np.inf)
        self._restarted_at = np.full(len(target), -np.inf)

    def services_to_restart(self, observation: Observation) -> Iterable[int]:
        """See the protocol."""
        if not observation.record.completed_steps or not is_due(observation, RULE_INTERVAL):
            return ()
        over = observation.record.memory[observation.record.completed_steps - 1] > self._target
        self._since = active_since(self._since, over, observation.now)
        firing = (observation.now - self._since >= self._for_s) & (observation.now - self._restarted_at >= self._pause)
        self._restarted_at = np.where(firing, observation.now, self._restarted_at)
        return np.flatnonzero(firing).tolist()
