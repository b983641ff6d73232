"""Creates Remediations, and drives each of them through its lifecycle."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from forestall.actions import ACTIONS, Action, RiskOutlook
from forestall.api.meta import Condition
from forestall.api.remediation import Intent, Remediation
from forestall.core.decision import Hold
from forestall.errors import Conflict, Throttled, Unavailable
from forestall.ports import Cluster
from forestall.read_cache import ReadCache
from forestall.remediation.backup import restored_status
from forestall.remediation.context import (
    GuardCheck,
    PauseCheck,
    ReconcileContext,
    StepBackup,
    never_paused,
    no_backup,
)
from forestall.remediation.lifecycle import advance
from forestall.remediation.progress import is_newly_created
from forestall.remediation.recent_outlooks import RecentOutlooks
from forestall.remediation.status_updates import with_condition
from forestall.remediation.store import RemediationStore

_MAX_TRANSITIONS: Final = 8
"""More than one call ever needs; what is left is done in the next cycle."""


class RemediationReconciler:
    """Writes intents down, and drives each of them as far as it goes."""

    def __init__(
        self,
        cluster: Cluster,
        actions: Mapping[str, Action] = ACTIONS,
        pause_check: PauseCheck = never_paused,
        step_backup: StepBackup = no_backup,
    ) -> None:
        self._cluster = cluster
        self._step_backup = step_backup
        self._store = RemediationStore(cluster)
        self._actions = actions
        self._pause_check = pause_check
        self._recent_outlooks = RecentOutlooks()

    async def open(self, intent: Intent) -> Remediation:
        """Write `intent` down in the objective's namespace; return the Remediation, also if it was written before.

        Raises:
            ClusterError: it is not known to be written down; the same call again is safe.
        """
        return await self._store.open(intent)

    async def reconcile(
        self,
        remediation: Remediation,
        outlook: RiskOutlook | None,
        guard: GuardCheck,
        now: float,
        reader: ReadCache | None = None,
    ) -> Remediation:
        """Drive `remediation` as far as it goes now; return it as it is then.

        Without an outlook nothing is changed, only what happened before is written down. Where the cluster does not
        answer, somebody else writes at the same time or asks to wait, the next call goes on from what is written down.

        `reader` is what `guard` asks the cluster through: empty now, and not read through for anything else meanwhile.

        Raises:
            NotFound: the Remediation was deleted.
            Forbidden: the operator may not write its own Remediations.
        """
        context = self._context(remediation, outlook, guard, now, reader or ReadCache(self._cluster))
        current = remediation
        try:
            if not is_newly_created(remediation, now):
                current = await self._store.read(remediation)
            for _ in range(_MAX_TRANSITIONS):
                result = await advance(current, context)
                current = result.remediation
                if not result.continues:
                    break
        except Conflict:
            with suppress(Throttled, Unavailable):
                current = await self._store.read(remediation)
        except (Throttled, Unavailable):
            pass
        if current.ended:
            self._recent_outlooks.forget(current)
        return current

    async def hold(self, remediation: Remediation, hold: Hold, now: float) -> Remediation:
        """Write down why `remediation` goes on no further for now; return it as it is then.

        Raises:
            ClusterError: it is not known to be written down.
        """
        return await self._store.hold(remediation, hold, now)

    async def restore(self, remediation: Remediation, now: float) -> Remediation:
        """Write a Remediation again as it was last known, which somebody has deleted; return what there is then.

        Raises:
            ClusterError: it is not known to be written; the same call again is safe.
        """
        return await self._store.restore(remediation, restored_status(remediation, now))

    async def set_condition(self, remediation: Remediation, condition: Condition) -> Remediation:
        """Write one condition of `remediation` down, live or ended, as it was read; return it as it is then.

        Raises:
            ClusterError: it is not known to be written down; where somebody else wrote, it is not.
        """
        return await self._store.save(remediation, with_condition(remediation.status, condition))

    def _context(
        self, remediation: Remediation, outlook: RiskOutlook | None, guard: GuardCheck, now: float, reader: ReadCache
    ) -> ReconcileContext:
        return ReconcileContext(
            cluster=self._cluster,
            store=self._store,
            action=self._actions[remediation.spec.intent.action.name],
            guard=guard,
            pause_check=self._pause_check,
            step_backup=self._step_backup,
            outlook=outlook,
            recent=self._recent_outlooks.add(remediation, outlook, now),
            now=now,
            reader=reader,
        )
