"""An alert on full disks with a runbook that cordons the node, and uncordons it when the alert is over."""

import numpy as np

from forestall.sim.controllers.base import RULE_INTERVAL, Observation, active_since, is_due
from forestall.sim.nodes import Bools


class DiskAlert:
    """An alert on the disk of each node with a runbook that cordons it, but never the last one of a service.

    `limit`: used share of the disk. The alert fires after `for_s` seconds past it; the node is uncordoned after
    `clear_s` seconds within it.
    """

    def __init__(self, limit: float, for_s: float = 300.0, clear_s: float = 1800.0) -> None:
        self._limit, self._for_s, self._clear_s = limit, for_s, clear_s
        self._over_since = self._clear_since = np.full((1, 1), np.inf)

    def desired_cordons(self, observation: Observation) -> Bools:
        """See the protocol."""
        before = observation.nodes.cordoned
        if not is_due(observation, RULE_INTERVAL):
            return before
        over = observation.nodes.used(observation.now) > self._limit
        self._over_since = active_since(self._over_since, over, observation.now)
        self._clear_since = active_since(self._clear_since, ~over, observation.now)
        desired = before & (observation.now - self._clear_since < self._clear_s)
        for service, node in np.argwhere(~desired & (observation.now - self._over_since >= self._for_s)).tolist():
            count = observation.nodes.counts[service]
            desired[service, node] = (~desired[service, :count]).sum() > 1
        return np.asarray(desired)
