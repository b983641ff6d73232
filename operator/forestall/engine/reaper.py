"""Deletes now and then what is history that nobody needs any more."""

import math
from typing import Final

from forestall.api import Remediation, RemediationPolicy
from forestall.engine.scene import Scene
from forestall.journal import Needs, reap
from forestall.ports import Writer
from forestall.registry import Registry

EVERY: Final = 3600.0
"""Seconds between two looks."""


class Reaper:
    """Remembers when it last looked."""

    def __init__(self, cluster: Writer, registry: Registry) -> None:
        self._cluster = cluster
        self._registry = registry
        self._reaped = -math.inf

    async def run(self, scene: Scene, now: float) -> None:
        """Look, if it is time."""
        if 0 <= now - self._reaped < EVERY:
            return
        self._reaped = now
        needs = Needs.of(scene.objectives.keys(), self._registry.all(RemediationPolicy), scene.guardrails)
        for each in await reap(self._cluster, scene.remediations, needs, now):
            self._registry.remove(Remediation.KIND, each.uid)
