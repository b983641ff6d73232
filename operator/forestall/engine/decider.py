"""Decides for a policy and an objective whether to act, and creates the intent of the action."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from forestall.actions import ACTIONS, NotApplicable, TargetRequest, TargetWithLevels, traits_of
from forestall.actions.base import title
from forestall.api import Remediation, RemediationPolicy, ServiceLevelObjective
from forestall.api.remediation import Evidence, Intent, ObjectRef
from forestall.api.service_level_objective import Decision
from forestall.api.times import stamp
from forestall.core.decision import Act, Hold
from forestall.core.guards import SKIPPED_ON_RECHECK, SKIPPED_TO_CONFIRM, SKIPPED_TO_DECIDE, GuardInput, check
from forestall.core.plan import EpisodeState, below_trigger, not_sustained, plan
from forestall.core.risk import Signal
from forestall.engine import ladder, policy_limits
from forestall.engine.cause import (
    TriggerHistory,
    causes,
    concerns,
    describe_cause,
    pods_of,
    signals_meeting,
    signals_of,
    worst_fresh,
)
from forestall.engine.guard_input import Evaluation, GuardInputGatherer, IntendedAction
from forestall.engine.objective_status import cause_of
from forestall.engine.past_traffic import PastTraffic
from forestall.engine.permissions import Permissions
from forestall.engine.snapshot import Snapshot
from forestall.engine.target_resolver import ResolvedTarget, TargetResolver
from forestall.errors import ClusterError, Forbidden
from forestall.ports import Reader
from forestall.remediation import name_of

_NOTHING_LEFT: Final = frozenset({"LadderExhausted", "NoRungForCause", "NotSustained"})
"""Why a cause leads to nothing, so that the next worst is looked at."""
_FAR_FROM_WRITING: Final = frozenset({"Pending", "AwaitingApproval"})
"""The phases after which another one comes, and the guards are asked again, before anything is changed."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """An intended action that all guards allow, or that they have not checked yet."""

    evaluation: Evaluation
    act: Act
    cause: Signal
    target: ObjectRef
    original: int | None
    """The intent's `from`, such as the replicas that scaling never goes below."""
    wanted: int | None
    """The intent's `to`."""
    guard_input: GuardInput | None = None
    """The input of the guards; None before they were checked."""

    def intent(self, now: float) -> Intent:
        """Return the intent for the Remediation's spec."""
        policy, slo = self.evaluation.policy, self.evaluation.slo
        # Nobody is asked whether somebody may be told.
        traits = ACTIONS[self.act.action].traits
        mode = policy.spec.mode if traits.changes_cluster else "Auto"
        return Intent(
            policy=ObjectRef.to(policy),
            policy_generation=policy.metadata.generation,
            policy_hash=policy.spec.content_hash,
            objective=ObjectRef.to(slo),
            objective_generation=slo.metadata.generation,
            episode=self.evaluation.episode,
            rung=self.act.rung,
            target=self.target,
            action=policy.spec.actions[self.act.rung],
            mode=mode,
            from_=self.original,
            to=self.wanted,
            evidence=Evidence(
                **cause_of(self.cause).model_dump(),
                reason=self.act.message,
                pods=pods_of(self.act.action, self.cause, self.evaluation.signals),
            ),
            created=stamp(now),
            deadline=stamp(now + policy.spec.deadline.seconds),
            approval_expires=stamp(now + policy.spec.approval_expiry.seconds) if mode == "Approve" else None,
            verify_within=policy.spec.verification.within,
            verify_probability=policy.spec.verification.probability,
            rollback=traits.undo,
        )


class Decider:
    """Evaluates plan and guards for every objective and policy. Writes nothing."""

    def __init__(
        self,
        cluster: Reader,
        targets: TargetResolver,
        gatherer: GuardInputGatherer,
        permissions: Permissions,
        traffic: PastTraffic,
    ) -> None:
        self._cluster = cluster
        self._targets = targets
        self._gatherer = gatherer
        self._permissions = permissions
        self._traffic = traffic
        self._lasting = TriggerHistory()

    async def decide(self, snapshot: Snapshot, evaluation: Evaluation, now: float) -> tuple[Decision, Proposal | None]:
        """Return the policy's decision, and the proposal where the decision is to act."""
        verdict = await self._verdict(snapshot, evaluation, now)
        if isinstance(verdict, Hold):
            return _decision(evaluation, "Hold", verdict.reason, verdict.message), None
        act = verdict.act
        if evaluation.policy.spec.mode == "Observe":
            doubt = policy_limits.doubt(
                evaluation.policy.spec.actions[act.rung], evaluation.slo, verdict.cause.indicator
            )
            message = f"{act.message} (not done: the policy only observes){doubt}"
            return _decision(evaluation, "WouldAct", act.reason, message, act.action), None
        return _decision(evaluation, "Act", act.reason, act.message, act.action), verdict

    async def recheck(
        self,
        snapshot: Snapshot,
        remediation: Remediation,
        evaluation: Evaluation | None,
        now: float,
        reader: Reader | None = None,
    ) -> Hold | None:
        """Check the guards again for a remediation that exists already, as the reconciler does before it acts.

        Budgets, cooldowns and conflicts were checked at the decision; guards whose input may have changed since are
        checked again. Right before a change the target is read through `reader`, which has no older copy; earlier,
        where the result only tells people what the remediation waits for, what this cycle has read is used.
        """
        if evaluation is None:
            return Hold("Withdrawn", "its objective or its policy does not exist any more")
        if (skewed := snapshot.clocks.reason_for(evaluation.slo.spec.source)) is not None:
            return Hold("ClockSkew", skewed)
        intent = remediation.spec.intent
        action, traits = intent.action.name, traits_of(intent.action)
        cause = worst_fresh(signals_of(remediation, evaluation.signals))
        if cause is None:
            return Hold("DataNotFresh", f"there is no fresh data of {describe_cause(intent.evidence)}")
        steps = remediation.status.steps
        fresh = None if remediation.status.phase in _FAR_FROM_WRITING else reader
        resolved = await self._targets.read(
            evaluation.slo, with_scale=traits.changes_replicas and not steps, cluster=fresh
        )
        if not isinstance(resolved, ResolvedTarget):
            return Hold(resolved.reason, resolved.message)
        if traits.scope == "node" and not steps:
            try:
                distrusted = await self._gatherer.distrust(evaluation.slo, cause, resolved.ref, fresh)
            except ClusterError as error:
                return Hold("TargetUnknown", f"whether {title(intent.target)} is meant is not known: {error}")
            if distrusted is not None:
                return distrusted
        intended = IntendedAction(evaluation, action, cause, intent.target, resolved.workload, intent.rung)
        hold = check(await self._gatherer.gather(snapshot, intended, now, fresh), SKIPPED_ON_RECHECK)
        subject = steps[-1].subject if steps else _subject(resolved)
        return hold or await self._forbidden(evaluation, action, intent.target, subject)

    async def confirm(self, snapshot: Snapshot, proposal: Proposal) -> Hold | None:
        """Check the guards once more, with a snapshot that includes what else was decided since `decide`.

        Reads nothing from the cluster: `recheck` does, before anything is changed.
        """
        if proposal.guard_input is None:
            raise ValueError(f"the guards were not asked about {proposal.act.action} on {title(proposal.target)}")
        guard_input = await self._gatherer.renew(snapshot, proposal.guard_input, proposal.evaluation, proposal.target)
        return check(guard_input, SKIPPED_TO_CONFIRM)

    def forget(self, present: Collection[str]) -> None:
        """Forget all objectives but those with these UIDs."""
        self._lasting.retain(present)

    async def _verdict(self, snapshot: Snapshot, evaluation: Evaluation, now: float) -> Proposal | Hold:
        if (skewed := snapshot.clocks.reason_for(evaluation.slo.spec.source)) is not None:
            return Hold("ClockSkew", skewed)
        trigger = policy_limits.trigger_of(evaluation.policy)
        self._lasting.note(evaluation.slo.uid, evaluation.policy.uid, signals_meeting(evaluation.signals, trigger), now)
        found_causes = causes(evaluation.signals, trigger)
        if not found_causes:
            return below_trigger(trigger, evaluation.signals)
        if unreadable := snapshot.unreadable.get(evaluation.slo.namespace):
            message = f"Remediation {unreadable[0]} is under way, and this version of the operator can't read it"
            return Hold("RemediationUnreadable", message)
        resolved = await self._targets.read(
            evaluation.slo, with_scale=any(rung.scale for rung in evaluation.policy.spec.actions)
        )
        if not isinstance(resolved, ResolvedTarget):
            return Hold(resolved.reason, resolved.message)
        hold: Hold | None = None
        for cause in found_causes:
            chosen = await self._choose(snapshot, evaluation, cause, resolved, now)
            if isinstance(chosen, Proposal):
                passed = await self._guarded(snapshot, chosen, resolved, now)
                if isinstance(passed, Proposal):
                    return await self._too_busy(passed, now) or passed
                fallback = await self._choose(snapshot, evaluation, cause, resolved, now, passed)
                notification = (
                    await self._guarded(snapshot, fallback, resolved, now) if isinstance(fallback, Proposal) else None
                )
                return notification if isinstance(notification, Proposal) else passed
            hold = hold or chosen
            if not isinstance(chosen, NotApplicable) and chosen.reason not in _NOTHING_LEFT:
                break
        return hold or below_trigger(trigger, evaluation.signals)

    async def _guarded(
        self, snapshot: Snapshot, proposal: Proposal, resolved: ResolvedTarget, now: float
    ) -> Proposal | Hold:
        """Return the proposal with the input of the guards, or the hold of the first guard that refuses."""
        act = proposal.act
        intended = IntendedAction(
            proposal.evaluation, act.action, proposal.cause, proposal.target, resolved.workload, act.rung
        )
        guard_input = await self._gatherer.gather(snapshot, intended, now)
        return check(guard_input, SKIPPED_TO_DECIDE) or replace(proposal, guard_input=guard_input)

    async def _too_busy(self, proposal: Proposal, now: float) -> Hold | None:
        """Return until when a restart waits for low traffic; None where there is none in time, or it must not wait."""
        evaluation, act = proposal.evaluation, proposal.act
        restart = evaluation.policy.spec.actions[act.rung].restart
        if restart is None or restart.timing != "LowTraffic":
            return None
        hold = await self._traffic.too_busy(evaluation.slo, proposal.cause, evaluation.policy.spec.deadline, now)
        return hold and Hold(hold.reason, f"{act.message}; {hold.message}")

    async def _choose(
        self,
        snapshot: Snapshot,
        evaluation: Evaluation,
        cause: Signal,
        resolved: ResolvedTarget,
        now: float,
        barred: Hold | None = None,
    ) -> Proposal | Hold:
        """Return the first rung whose action suits the cause, with its target, or why there is none.

        `barred` says why the guards hold the rung that was chosen before.
        """
        trigger, rungs = policy_limits.trigger_of(evaluation.policy), policy_limits.rungs_of(evaluation.policy)
        tried = [
            remediation
            for remediation in snapshot.remediations_of(evaluation.slo.uid)
            if concerns(remediation, cause, resolved.ref.uid)
        ]
        spent = policy_limits.spent(tried, evaluation.policy, evaluation.slo, evaluation.episode)
        since = self._lasting.since(evaluation.slo.uid, evaluation.policy.uid, cause, alone=False)
        total = policy_limits.measured_total(tried, evaluation.policy, evaluation.episode)
        related = snapshot.remediations_of(evaluation.slo.uid, resolved.ref.uid)
        unsuited: Hold | None = None
        why = barred
        while True:
            if why is not None:
                may_try_next = ladder.may_try_next(why, related)
                left = ladder.rungs_to_skip(spent, rungs, cause, why, resolved.size) if may_try_next else None
                if left is None:
                    return why
                unsuited, spent = NotApplicable(why.reason, why.message), left
            act = plan(trigger, rungs, evaluation.signals, resolved.size, EpisodeState(since, now, spent), cause)
            act = ladder.hold_if_total(act, total) or act
            if isinstance(act, Act):
                chosen = await self._propose(evaluation, act, cause, resolved, now)
                if isinstance(chosen, Proposal):
                    why = ladder.decided(related, name_of(chosen.intent(now)))
                    if why is None:
                        return replace(chosen, act=ladder.mark_fallback(chosen.act, unsuited, act.message))
                else:
                    why = chosen
            else:
                why = (resolved.obstacle or act) if act.reason == "NotScalable" else act
            if why.reason == "LadderExhausted":
                return unsuited or why

    async def _propose(
        self, evaluation: Evaluation, act: Act, cause: Signal, resolved: ResolvedTarget, now: float
    ) -> Proposal | Hold:
        """Return the target of an action, or why the action has none or is not permitted."""
        if (early := self._too_early(evaluation, act.action, cause, now)) is not None:
            return early
        since = self._lasting.since(evaluation.slo.uid, evaluation.policy.uid, cause, alone=False)
        began = min(evaluation.risk_since or now, since or now)
        request = TargetRequest(evaluation.policy.spec.actions[act.rung], resolved.ref, dict(cause.labels), began)
        try:
            answer = await self._resolve_target(evaluation.slo, act.action, cause, request)
        except ClusterError as error:
            return Hold("TargetUnknown", f"{act.message}, but what to {act.action.lower()} is not known: {error}")
        if isinstance(answer, Hold):
            return type(answer)(answer.reason, f"{act.message}, but {answer.message}")
        proposal = _proposal(evaluation, act, cause, resolved, answer)
        forbidden = await self._forbidden(evaluation, act.action, proposal.target, _subject(resolved))
        return proposal if forbidden is None else Hold(forbidden.reason, f"{act.message}, but {forbidden.message}")

    async def _resolve_target(
        self, slo: ServiceLevelObjective, action: str, cause: Signal, request: TargetRequest
    ) -> ObjectRef | TargetWithLevels | Hold:
        """Return the target of an action. An action that lacks the permission to read its target suits no cause, and
        the next rung is tried.
        """
        try:
            of_node = ACTIONS[action].traits.scope == "node"
            distrusted = await self._gatherer.distrust(slo, cause, request.workload) if of_node else None
            return distrusted or await ACTIONS[action].resolve_target(self._cluster, request)
        except Forbidden as error:
            return NotApplicable("TargetForbidden", f"what to {action.lower()} can't be seen: {error}")

    async def _forbidden(
        self, evaluation: Evaluation, action: str, target: ObjectRef, subject: ObjectRef | None
    ) -> Hold | None:
        """Return which permission is missing; a policy in mode Observe needs none."""
        if evaluation.policy.spec.mode == "Observe":
            return None
        return await self._permissions.why_not(action, target, subject)

    def _too_early(self, evaluation: Evaluation, action: str, cause: Signal, now: float) -> Hold | None:
        """Hold an action on one pod or node until the series of that pod or node has met the trigger for long
        enough.
        """
        trigger = policy_limits.trigger_of(evaluation.policy)
        if not ACTIONS[action].traits.cause_label:
            return None
        since = self._lasting.since(evaluation.slo.uid, evaluation.policy.uid, cause, alone=True)
        lasted = now - (now if since is None else since)
        return not_sustained(cause, trigger, lasted) if lasted < trigger.sustained else None


def _subject(resolved: ResolvedTarget) -> ObjectRef | None:
    """Return the object whose replicas are written to scale the target."""
    return resolved.floor.subject if resolved.floor else None


def _proposal(
    evaluation: Evaluation, act: Act, cause: Signal, resolved: ResolvedTarget, answer: ObjectRef | TargetWithLevels
) -> Proposal:
    if ACTIONS[act.action].traits.changes_replicas:
        return Proposal(
            evaluation, act, cause, resolved.ref, resolved.floor.level if resolved.floor else None, act.replicas
        )
    target = answer.target if isinstance(answer, TargetWithLevels) else answer
    notification = replace(act, message=f"{act.message}: {act.action.lower()} {title(target)}")
    if isinstance(answer, TargetWithLevels):
        return Proposal(evaluation, notification, cause, target, answer.from_, answer.to)
    return Proposal(evaluation, notification, cause, target, None, None)


def hold_decision(policy: RemediationPolicy, hold: Hold) -> Decision:
    """Return the decision not to act, with this reason."""
    return Decision(policy=policy.name, verdict="Hold", reason=hold.reason, message=hold.message)


def _decision(evaluation: Evaluation, verdict: str, reason: str, message: str, action: str = "") -> Decision:
    return Decision.model_validate(
        {"policy": evaluation.policy.name, "verdict": verdict, "reason": reason, "message": message, "action": action}
    )
