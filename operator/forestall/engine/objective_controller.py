"""Runs the decisions for each objective: its policies in order, when its namespace has a slot."""

import asyncio
import contextlib
from dataclasses import replace

from forestall.api.service_level_objective import Decision
from forestall.api.times import seconds
from forestall.core.decision import Hold
from forestall.core.duration import format_duration
from forestall.engine.concurrency import at_most
from forestall.engine.decider import Decider, Proposal, hold_decision
from forestall.engine.fair_scheduling import FairScheduler
from forestall.engine.guard_input import Evaluation
from forestall.engine.objective_status import INTERNAL_ERROR, Findings, Problem, named
from forestall.engine.remediation_opener import RemediationOpener, with_hold
from forestall.engine.settings import Settings
from forestall.engine.snapshot import Snapshot
from forestall.isolation import ErrorIsolation
from forestall.registry import Registry


class ObjectiveController:
    """Decides about objectives, and creates the Remediations for decisions to act."""

    def __init__(
        self,
        decider: Decider,
        opener: RemediationOpener,
        scheduler: FairScheduler,
        registry: Registry,
        settings: Settings,
        isolation: ErrorIsolation,
    ) -> None:
        self._decider = decider
        self._opener = opener
        self._scheduler = scheduler
        self._registry = registry
        self._longest = 2 * settings.turn
        self._isolation = isolation

    async def decide(self, snapshot: Snapshot, findings: Findings, missing: Problem | None, now: float) -> Findings:
        """Decide about one objective; an error is reported by this objective, and affects no other."""
        with self._isolation.attempt("deciding", named(findings.slo)) as attempt:
            return await self._by_policies(snapshot, findings, missing, now)
        return replace(findings, problem=findings.problem or Problem(INTERNAL_ERROR, attempt.failure or ""))

    async def _by_policies(
        self, snapshot: Snapshot, findings: Findings, missing: Problem | None, now: float
    ) -> Findings:
        """Decide about one objective, and create the Remediation where the decision is to act."""
        slo, signals = findings.slo, findings.signals
        policies = snapshot.policies[slo.uid]
        labels = self._registry.labels(slo.namespace)
        episode = findings.episode
        if findings.problem is not None and findings.problem.reason == INTERNAL_ERROR:
            hold = Hold(INTERNAL_ERROR, findings.problem.message)
            return replace(findings, decisions=tuple(hold_decision(policy, hold) for policy in policies))
        findings = replace(findings, problem=findings.problem or missing)
        decisions, proposals = [], []
        for policy in policies:
            evaluation = Evaluation(
                slo, policy, signals, episode.number, findings.victim_of, labels, seconds(episode.since)
            )
            proposal = None
            with self._isolation.attempt("deciding", f"{named(slo)} by {named(policy)}") as attempt:
                decision, proposal = await self._in_turn(snapshot, evaluation, now)
            if attempt.failure is not None:
                decision = hold_decision(policy, Hold(INTERNAL_ERROR, attempt.failure))
            decisions.append(decision)
            if proposal is not None:
                proposals.append((len(decisions) - 1, proposal))
        findings = replace(findings, decisions=tuple(decisions))
        # Of several policies that would act for one objective the first by name does; the others see it under way.
        for index, proposal in proposals[:1]:
            with self._isolation.attempt("opening", f"{named(slo)} by {decisions[index].policy}") as attempt:
                decisions[index] = await self._opener.open(snapshot, findings, index, proposal, now)
            if attempt.failure is not None:
                decisions[index] = with_hold(decisions[index], Hold(INTERNAL_ERROR, attempt.failure))
        return replace(findings, decisions=tuple(decisions))

    async def _in_turn(
        self, snapshot: Snapshot, evaluation: Evaluation, now: float
    ) -> tuple[Decision, Proposal | None]:
        """Decide when the namespace has a slot."""
        async with self._scheduler.slot(evaluation.slo.namespace) as over:
            await asyncio.sleep(0)  # many decisions ask nobody anything, and the lease must be renewed meanwhile
            if over is None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(at_most(self._longest, self._scheduler.end)):
                        return await self._decider.decide(snapshot, evaluation, now)
        self._scheduler.postpone(evaluation.slo.uid)
        message = f"it took longer than {format_duration(self._longest)} to decide: it is tried again"
        return hold_decision(evaluation.policy, over or Hold("CycleTimeExhausted", message)), None
