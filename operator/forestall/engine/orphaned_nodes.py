"""Looks for nodes whose Remediation was deleted and that are still cordoned: periodically, and at once when the
Remediation of a node disappears.
"""

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from forestall.actions.orphans import release_orphans
from forestall.api import Remediation
from forestall.core.decision import Hold
from forestall.engine import policy_limits
from forestall.engine.node_lister import NodeLister
from forestall.errors import ClusterError
from forestall.ports import Cluster

EVERY: Final = 300.0
"""Seconds between two checks."""

_log = structlog.get_logger()


class OrphanedNodeRelease:
    """Uncordons these nodes; remembers the time of its last check, and which Remediations of nodes existed."""

    def __init__(
        self, cluster: Cluster, node_lister: NodeLister, pause_check: Callable[[float], Awaitable[Hold | None]]
    ) -> None:
        """`pause_check` returns why nothing may be uncordoned at a time (s); it is called when a check is due."""
        self._cluster = cluster
        self._node_lister = node_lister
        self._pause_check = pause_check
        self._last_run = -math.inf
        self._live: frozenset[str] = frozenset()

    async def run(self, remediations: Sequence[Remediation], now: float) -> None:
        """Check if it is due, with the Remediations of the registry."""
        existing = {remediation.uid for remediation in remediations}
        due = not 0 <= now - self._last_run < EVERY or not self._live <= existing
        if due and await self._pause_check(now) is not None:
            return
        self._live = frozenset(
            remediation.uid for remediation in remediations if policy_limits.takes_a_node(remediation)
        )
        if not due:
            return
        self._last_run = now
        nodes = await self._node_lister.nodes()
        if nodes is None:
            return  # most likely there are no rights on nodes, and so no node is cordoned
        try:
            released = await release_orphans(self._cluster, nodes, self._live)
        except ClusterError as error:
            _log.warning("nodes left behind could not be uncordoned", error=str(error))
            return
        if released:
            _log.warning("nodes uncordoned that a Remediation left behind", nodes=released)
