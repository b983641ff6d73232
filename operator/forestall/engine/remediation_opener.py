"""Creates the Remediation of a decision: budget and episode are recorded first."""

import asyncio
from dataclasses import replace

from forestall.api import Remediation
from forestall.api.service_level_objective import Decision
from forestall.core.decision import Hold
from forestall.engine.budget_usage import BudgetUsage
from forestall.engine.deadlines import failure_text
from forestall.engine.decider import Decider, Proposal
from forestall.engine.fair_scheduling import FairScheduler
from forestall.engine.objective_status import Findings
from forestall.engine.remediation_backup import RemediationBackup
from forestall.engine.snapshot import Snapshot
from forestall.engine.status_publisher import StatusPublisher
from forestall.errors import ClusterError, Unavailable
from forestall.registry import Registry
from forestall.remediation import RemediationReconciler, draft_of

_PART = 0.25
"""The share of the remaining time of the phase in which the guards are checked again: other decisions wait
meanwhile.
"""


class RemediationOpener:
    """Creates Remediations, one at a time; remembers those that this cycle has created."""

    def __init__(
        self,
        decider: Decider,
        reconciler: RemediationReconciler,
        publisher: StatusPublisher,
        backup: RemediationBackup,
        scheduler: FairScheduler,
        registry: Registry,
    ) -> None:
        self._decider = decider
        self._reconciler = reconciler
        self._publisher = publisher
        self._backup = backup
        self._scheduler = scheduler
        self._registry = registry
        self.budget_usage = BudgetUsage(publisher)
        """The spent part of the Guardrails' budgets."""
        self._opening = asyncio.Lock()
        self._drafts: dict[tuple[str, str], Remediation] = {}  # what this cycle writes down, by namespace and name

    def begin_cycle(self) -> None:
        """Begin a cycle."""
        self._drafts.clear()

    async def open(
        self, snapshot: Snapshot, findings: Findings, index: int, proposal: Proposal, now: float
    ) -> Decision:
        """Write the episode, then create the Remediation; a Remediation of this name that exists was decided before.

        The guards were checked with the state at the beginning of the cycle. Other decisions may have used budgets
        since, so the guards are checked again, one proposal at a time.
        """
        decision, intent = findings.decisions[index], proposal.intent(now)
        draft = Remediation.read(draft_of(intent))
        exists = self._registry.get(Remediation, draft.name, draft.namespace) is not None
        if not exists and draft.name in findings.episode.decided:
            message = f"{draft.name} was decided in this episode already, and deleted since: it is not done twice"
            return with_hold(decision, Hold("AlreadyDecided", message))
        try:
            async with asyncio.timeout_at(self._scheduler.end):
                async with self._opening, asyncio.timeout_at(self._scheduler.part_of_rest(_PART)):
                    self.budget_usage.refund(snapshot.guardrails, draft)
                    decided = self._decided()
                    hold = await self._decider.confirm(replace(snapshot, remediations=decided), proposal)
                    if hold is not None:
                        return with_hold(decision, hold)
                    if not exists:
                        await self.budget_usage.pay(snapshot.guardrails, decided, draft, now)
                    self._drafts[draft.namespace, draft.name] = draft
                await self._publisher.write(findings, now)
                remediation = await self._reconciler.open(intent)
        except (ClusterError, TimeoutError) as error:
            if not isinstance(error, Unavailable | TimeoutError):  # else it may have been written down all the same
                self._drafts.pop((draft.namespace, draft.name), None)
            message = f"{decision.message}; it could not be written down: {failure_text(error)}"
            return with_hold(decision, Hold("NotRecorded", message))
        self._registry.put(Remediation.KIND, remediation.dump())
        if remediation.ended:
            message = f"{remediation.name} was decided in this episode already and ended: {remediation.status.phase}"
            return with_hold(decision, Hold("AlreadyDecided", message))
        return decision.model_copy(update={"remediation": remediation.name})

    def _decided(self) -> list[Remediation]:
        """Return every Remediation that exists, or that this cycle is creating."""
        existing = {
            (remediation.namespace, remediation.name): remediation for remediation in self._registry.all(Remediation)
        }
        return list((self._drafts | self._backup.with_deleted(existing)).values())


def with_hold(decision: Decision, hold: Hold) -> Decision:
    """Return the decision changed to a hold with this reason."""
    return decision.model_copy(update={"verdict": "Hold", "reason": hold.reason, "message": hold.message})
