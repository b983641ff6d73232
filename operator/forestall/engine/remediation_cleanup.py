"""Garbage collection: deletes expired Remediations (by TTL and history limit) periodically."""

import math
from typing import Final

from forestall.api import Remediation, RemediationPolicy
from forestall.engine.snapshot import Snapshot
from forestall.ports import Writer
from forestall.registry import Registry
from forestall.remediation import RetentionNeeds, delete_expired

EVERY: Final = 3600.0
"""Seconds between two runs."""


class RemediationCleanup:
    """Deletes expired Remediations; remembers the time of its last run."""

    def __init__(self, cluster: Writer, registry: Registry) -> None:
        self._cluster = cluster
        self._registry = registry
        self._last_run = -math.inf

    async def run(self, snapshot: Snapshot, now: float) -> None:
        """Delete expired Remediations, if a run is due."""
        if 0 <= now - self._last_run < EVERY:
            return
        self._last_run = now
        needs = RetentionNeeds.of(
            snapshot.objectives.keys(), self._registry.all(RemediationPolicy), snapshot.guardrails
        )
        for remediation in await delete_expired(self._cluster, snapshot.remediations, needs, now):
            self._registry.remove(Remediation.KIND, remediation.uid)
