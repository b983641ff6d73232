"""Checks that the operator has the permissions for what policies decide, before anybody is asked to approve it.

A missing permission is checked again soon, because somebody may be granting it. Where a check fails, nothing is held:
the API server decides on the request itself.
"""

import asyncio
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from forestall.actions import ACTIONS, traits_of
from forestall.api import RemediationPolicy, ServiceLevelObjective
from forestall.api.meta import Condition
from forestall.api.remediation import ObjectRef
from forestall.core.decision import Hold
from forestall.engine.concurrency import within
from forestall.engine.snapshot import Snapshot
from forestall.engine.target_resolver import reference
from forestall.errors import ClusterError
from forestall.ports import AccessReviewer, Right
from forestall.remediation.rbac_hints import rbac_hint

_GRANTED: Final = 300.0
"""How long (s) a granted permission is not checked again."""
_REFUSED: Final = 30.0
"""How long (s) a missing permission is not checked again."""
_PATIENCE: Final = 5.0
"""How long (s) an access review may take; a later result is dropped."""
_AT_ONCE: Final = 50
"""How many policies are checked in one cycle at the most."""


class Permissions:
    """Checks the operator's permissions by access reviews, and caches the results."""

    def __init__(self, cluster: AccessReviewer) -> None:
        self._cluster = cluster
        self._cache: dict[Right, tuple[float, str | None]] = {}
        self._missing: dict[str, Hold | None] = {}  # by UID of the policy
        self._looked: dict[str, float] = {}

    async def why_not(self, action: str, target: ObjectRef, subject: ObjectRef | None = None) -> Hold | None:
        """Return which permission an action lacks, with the command that grants it; None where none is known to be
        missing.
        """
        for right in ACTIONS[action].rights(target, subject):
            refusal = await self._refusal(right)
            if refusal is not None:
                return Hold("Forbidden", f"{refusal}. {rbac_hint(refusal, target, ACTIONS[action].traits)}")
        return None

    async def check(self, snapshot: Snapshot, policies: Iterable[RemediationPolicy], until: float = math.inf) -> None:
        """Check the permissions that each policy in a mode that acts needs; some policies in each cycle.

        Checks that have not ended at `until` (s, of the event loop) keep the earlier result, and are repeated in a
        later cycle.
        """
        acting = {policy.uid: policy for policy in policies if policy.spec.mode != "Observe"}
        self._missing = {uid: hold for uid, hold in self._missing.items() if uid in acting}
        self._looked = {uid: at for uid, at in self._looked.items() if uid in acting}
        chosen = sorted(acting.values(), key=lambda policy: self._looked.get(policy.uid, 0.0))[:_AT_ONCE]
        selected: dict[str, list[ServiceLevelObjective]] = {}
        for uid, slo in snapshot.objectives.items():
            for policy in snapshot.policies[uid]:
                selected.setdefault(policy.uid, []).append(slo)
        # Side by side by namespace: one whose rights take long to tell keeps no other's policies waiting.
        lanes: dict[str, list[RemediationPolicy]] = {}
        for policy in chosen:
            lanes.setdefault(policy.namespace, []).append(policy)
        await within(until, (self._look_at(lane, selected) for lane in lanes.values()))
        # What could not be told in time comes last in the next cycle.
        now = _time()
        self._looked |= {policy.uid: now for policy in chosen}

    async def _look_at(
        self, policies: Iterable[RemediationPolicy], selected: Mapping[str, Sequence[ServiceLevelObjective]]
    ) -> None:
        for policy in policies:
            self._missing[policy.uid] = await self._missing_for(policy, selected.get(policy.uid, ()))

    def condition(self, policy: RemediationPolicy) -> Condition | None:
        """Return the condition that says whether the operator has the policy's permissions; None in mode Observe, or
        for a new policy.
        """
        if policy.spec.mode == "Observe" or policy.uid not in self._missing:
            return None
        hold = self._missing[policy.uid]
        if hold is None:
            message = "the operator may do what its actions need"
            return Condition(type="Permitted", status="True", reason="Allowed", message=message)
        return Condition(type="Permitted", status="False", reason="Forbidden", message=hold.message)

    async def _missing_for(self, policy: RemediationPolicy, selected: Sequence[ServiceLevelObjective]) -> Hold | None:
        kinds = {(slo.spec.target.api_version, slo.spec.target.kind): reference(slo) for slo in selected}
        for rung in policy.spec.actions:
            # Of a node or another object the cause or the rung says which: that is asked when it is aimed at.
            of_workload = traits_of(rung).scope in ("workload", "pod")
            for target in kinds.values() if of_workload else ():
                if (hold := await self.why_not(rung.name, target)) is not None:
                    return hold
        return None

    async def _refusal(self, right: Right) -> str | None:
        """Return why the permission is missing, both for the object and for all objects of its kind."""
        general = replace(right, name="")
        refusal = await self._ask(general)
        return refusal if refusal is None or right == general else await self._ask(right)

    async def _ask(self, right: Right) -> str | None:
        cached = self._cache.get(right)
        if cached is not None and _time() < cached[0]:
            return cached[1]
        try:
            async with asyncio.timeout(_PATIENCE):
                refusal = await self._cluster.refusal(right)
        except (ClusterError, TimeoutError):
            self._keep(right, None, _REFUSED)
            return None
        except asyncio.CancelledError:
            self._keep(right, None, _REFUSED)  # it took too long: what comes next has its turn first
            raise
        self._keep(right, refusal, _GRANTED if refusal is None else _REFUSED)
        return refusal

    def _keep(self, right: Right, refusal: str | None, seconds: float) -> None:
        now = _time()
        self._cache = {right: entry for right, entry in self._cache.items() if now < entry[0]}
        self._cache[right] = (now + seconds, refusal)


def _time() -> float:
    return asyncio.get_running_loop().time()
