"""Opens the Remediation of what was decided: the budget, the objective's episode and the intent are written first."""

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
"""The part of the time that is left for deciding in which the guards are asked again: others wait meanwhile."""


class RemediationOpener:
    """Opens Remediations, one at a time; remembers what the cycle has opened so far."""

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
        """What is gone from the budgets of the Guardrails."""
        self._opening = asyncio.Lock()
        self._drafts: dict[tuple[str, str], Remediation] = {}  # what this cycle writes down, by namespace and name

    def begin_cycle(self) -> None:
        """Begin a cycle."""
        self._drafts.clear()

    async def open(
        self, snapshot: Snapshot, findings: Findings, index: int, proposal: Proposal, now: float
    ) -> Decision:
        """Write the episode down, then the intent; a Remediation of this name was decided before.

        The guards asked with what was known when the cycle began. Others were decided since, and what they spend is
        spent: the guards are asked again, one proposal at a time.
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
        """Return every Remediation that there is, or that this cycle is writing down."""
        existing = {
            (remediation.namespace, remediation.name): remediation for remediation in self._registry.all(Remediation)
        }
        return list((self._drafts | self._backup.with_deleted(existing)).values())


def with_hold(decision: Decision, hold: Hold) -> Decision:
    """Return a decision that holds for this reason, whatever it was before."""
    return decision.model_copy(update={"verdict": "Hold", "reason": hold.reason, "message": hold.message})
