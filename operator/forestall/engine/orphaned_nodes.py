"""Looks for nodes whose Remediation was deleted or has ended, and that are still cordoned: periodically, and at once
when the Remediation of a node disappears or ends.
"""

import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import structlog

from forestall.actions.orphans import release_orphans
from forestall.api import Remediation
from forestall.core.decision import Hold
from forestall.engine import policy_limits
from forestall.errors import ClusterError, Forbidden
from forestall.ports import Cluster

EVERY: Final = 300.0
"""Seconds between two checks."""
_CORDONED: Final = "spec.unschedulable=true"

_log = structlog.get_logger()


class OrphanedNodeRelease:
    """Uncordons these nodes; remembers the time of its last check, and which Remediations took a node since."""

    def __init__(self, cluster: Cluster, pause_check: Callable[[float], Awaitable[Hold | None]]) -> None:
        """`pause_check` returns why nothing may be uncordoned at a time (s); it is called when a check is due."""
        self._cluster = cluster
        self._pause_check = pause_check
        self._last_run = -math.inf
        self._holders: frozenset[str] = frozenset()

    def note(self, remediations: Iterable[Remediation]) -> None:
        """Remember which of these take a node; called before they are driven, as one may be deleted right after."""
        self._holders |= _holders(remediations)

    async def run(self, remediations: Iterable[Remediation], now: float) -> None:
        """Check if it is due at `now` (s), with the Remediations of the registry."""
        live = _holders(remediations)
        self._holders |= live
        due = not 0 <= now - self._last_run < EVERY or self._holders > live
        if not due or await self._pause_check(now) is not None:
            return
        if await self._is_checked(live):
            self._last_run = now
            self._holders = live

    async def _is_checked(self, live: frozenset[str]) -> bool:
        """Uncordon what none of `live` (UIDs) holds; return whether that is settled until the next check is due."""
        try:
            # Not the list of this cycle: a node may be cordoned after it.
            nodes = await self._cluster.find("v1", "Node", field_selector=_CORDONED)
        except Forbidden:
            return True  # without rights on nodes none is cordoned
        except ClusterError as error:
            _log.warning("nodes left behind could not be looked for", error=str(error))
            return False
        try:
            released, changed = await release_orphans(self._cluster, nodes, live)
        except ClusterError as error:
            _log.warning("nodes left behind could not be uncordoned", error=str(error))
            return isinstance(error, Forbidden)
        if released:
            _log.warning("nodes uncordoned that a Remediation left behind", nodes=released)
        return not changed


def _holders(remediations: Iterable[Remediation]) -> frozenset[str]:
    return frozenset(remediation.uid for remediation in remediations if policy_limits.takes_a_node(remediation))
