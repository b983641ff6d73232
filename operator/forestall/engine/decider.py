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

    case: Evaluation
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
        policy, slo = self.case.policy, self.case.slo
        # Nobody is asked whether somebody may be told.
        traits = ACTIONS[self.act.action].traits
        mode = policy.spec.mode if traits.changes_cluster else "Auto"
        return Intent(
            policy=ObjectRef.to(policy),
            policy_generation=policy.metadata.generation,
            policy_hash=policy.spec.content_hash,
            objective=ObjectRef.to(slo),
            objective_generation=slo.metadata.generation,
            episode=self.case.episode,
            rung=self.act.rung,
            target=self.target,
            action=policy.spec.actions[self.act.rung],
            mode=mode,
            from_=self.original,
            to=self.wanted,
            evidence=Evidence(
                **cause_of(self.cause).model_dump(),
                reason=self.act.message,
                pods=pods_of(self.act.action, self.cause, self.case.signals),
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

    async def decide(self, snapshot: Snapshot, case: Evaluation, now: float) -> tuple[Decision, Proposal | None]:
        """Return the policy's decision, and the proposal where the decision is to act."""
        verdict = await self._verdict(snapshot, case, now)
        if isinstance(verdict, Hold):
            return _decision(case, "Hold", verdict.reason, verdict.message), None
        act = verdict.act
        if case.policy.spec.mode == "Observe":
            doubt = policy_limits.doubt(case.policy.spec.actions[act.rung], case.slo, verdict.cause.indicator)
            message = f"{act.message} (not done: the policy only observes){doubt}"
            return _decision(case, "WouldAct", act.reason, message, act.action), None
        return _decision(case, "Act", act.reason, act.message, act.action), verdict

    async def recheck(
        self,
        snapshot: Snapshot,
        remediation: Remediation,
        case: Evaluation | None,
        now: float,
        reader: Reader | None = None,
    ) -> Hold | None:
        """Check the guards again for a remediation that exists already, as the reconciler does before it acts.

        Budgets, cooldowns and conflicts were checked at the decision; guards whose input may have changed since are
        checked again. Right before a change the target is read through `reader`, which has no older copy; earlier,
        where the result only tells people what the remediation waits for, what this cycle has read is used.
        """
        if case is None:
            return Hold("Withdrawn", "its objective or its policy does not exist any more")
        if (skewed := snapshot.clocks.reason_for(case.slo.spec.source)) is not None:
            return Hold("ClockSkew", skewed)
        intent = remediation.spec.intent
        action, traits = intent.action.name, traits_of(intent.action)
        cause = worst_fresh(signals_of(remediation, case.signals))
        if cause is None:
            return Hold("DataNotFresh", f"there is no fresh data of {describe_cause(intent.evidence)}")
        steps = remediation.status.steps
        fresh = None if remediation.status.phase in _FAR_FROM_WRITING else reader
        resolved = await self._targets.read(case.slo, with_scale=traits.changes_replicas and not steps, cluster=fresh)
        if not isinstance(resolved, ResolvedTarget):
            return Hold(resolved.reason, resolved.message)
        if traits.scope == "node" and not steps:
            try:
                distrusted = await self._gatherer.distrust(case.slo, cause, resolved.ref, fresh)
            except ClusterError as error:
                return Hold("TargetUnknown", f"whether {title(intent.target)} is meant is not known: {error}")
            if distrusted is not None:
                return distrusted
        intended = IntendedAction(case, action, cause, intent.target, resolved.workload, intent.rung)
        hold = check(await self._gatherer.gather(snapshot, intended, now, fresh), SKIPPED_ON_RECHECK)
        subject = steps[-1].subject if steps else _subject(resolved)
        return hold or await self._forbidden(case, action, intent.target, subject)

    async def confirm(self, snapshot: Snapshot, proposal: Proposal) -> Hold | None:
        """Check the guards once more, with a snapshot that includes what else was decided since `decide`.

        Reads nothing from the cluster: `recheck` does, before anything is changed.
        """
        if proposal.guard_input is None:
            raise ValueError(f"the guards were not asked about {proposal.act.action} on {title(proposal.target)}")
        guard_input = await self._gatherer.renew(snapshot, proposal.guard_input, proposal.case, proposal.target)
        return check(guard_input, SKIPPED_TO_CONFIRM)

    def forget(self, present: Collection[str]) -> None:
        """Forget all objectives but those with these UIDs."""
        self._lasting.retain(present)

    async def _verdict(self, snapshot: Snapshot, case: Evaluation, now: float) -> Proposal | Hold:
        if (skewed := snapshot.clocks.reason_for(case.slo.spec.source)) is not None:
            return Hold("ClockSkew", skewed)
        trigger = policy_limits.trigger_of(case.policy)
        self._lasting.note(case.slo.uid, case.policy.uid, signals_meeting(case.signals, trigger), now)
        found_causes = causes(case.signals, trigger)
        if not found_causes:
            return below_trigger(trigger, case.signals)
        if unreadable := snapshot.unreadable.get(case.slo.namespace):
            message = f"Remediation {unreadable[0]} is under way, and this version of the operator can't read it"
            return Hold("RemediationUnreadable", message)
        resolved = await self._targets.read(case.slo, with_scale=any(rung.scale for rung in case.policy.spec.actions))
        if not isinstance(resolved, ResolvedTarget):
            return Hold(resolved.reason, resolved.message)
        hold: Hold | None = None
        for cause in found_causes:
            chosen = await self._choose(snapshot, case, cause, resolved, now)
            if isinstance(chosen, Proposal):
                passed = await self._guarded(snapshot, chosen, resolved, now)
                if isinstance(passed, Proposal):
                    return await self._too_busy(passed, now) or passed
                instead = await self._choose(snapshot, case, cause, resolved, now, passed)
                notification = (
                    await self._guarded(snapshot, instead, resolved, now) if isinstance(instead, Proposal) else None
                )
                return notification if isinstance(notification, Proposal) else passed
            hold = hold or chosen
            if not isinstance(chosen, NotApplicable) and chosen.reason not in _NOTHING_LEFT:
                break
        return hold or below_trigger(trigger, case.signals)

    async def _guarded(
        self, snapshot: Snapshot, proposal: Proposal, resolved: ResolvedTarget, now: float
    ) -> Proposal | Hold:
        """Return the proposal with the input of the guards, or the hold of the first guard that refuses."""
        act = proposal.act
        intended = IntendedAction(
            proposal.case, act.action, proposal.cause, proposal.target, resolved.workload, act.rung
        )
        guard_input = await self._gatherer.gather(snapshot, intended, now)
        return check(guard_input, SKIPPED_TO_DECIDE) or replace(proposal, guard_input=guard_input)

    async def _too_busy(self, proposal: Proposal, now: float) -> Hold | None:
        """Return until when a restart waits for low traffic; None where there is none in time, or it must not wait."""
        case, act = proposal.case, proposal.act
        restart = case.policy.spec.actions[act.rung].restart
        if restart is None or restart.timing != "LowTraffic":
            return None
        hold = await self._traffic.too_busy(case.slo, proposal.cause, case.policy.spec.deadline, now)
        return hold and Hold(hold.reason, f"{act.message}; {hold.message}")

    async def _choose(
        self,
        snapshot: Snapshot,
        case: Evaluation,
        cause: Signal,
        resolved: ResolvedTarget,
        now: float,
        barred: Hold | None = None,
    ) -> Proposal | Hold:
        """Return the first rung whose action suits the cause, with its target, or why there is none.

        `barred` says why the guards hold the rung that was chosen before.
        """
        trigger, rungs = policy_limits.trigger_of(case.policy), policy_limits.rungs_of(case.policy)
        tried = [
            remediation
            for remediation in snapshot.remediations_of(case.slo.uid)
            if concerns(remediation, cause, resolved.ref.uid)
        ]
        spent = policy_limits.spent(tried, case.policy, case.slo, case.episode)
        since = self._lasting.since(case.slo.uid, case.policy.uid, cause, alone=False)
        total = policy_limits.measured_total(tried, case.policy, case.episode)
        related = snapshot.remediations_of(case.slo.uid, resolved.ref.uid)
        unsuited: Hold | None = None
        why = barred
        while True:
            if why is not None:
                given_way = ladder.gives_way(why, related)
                left = ladder.without(spent, rungs, cause, why, resolved.size) if given_way else None
                if left is None:
                    return why
                unsuited, spent = NotApplicable(why.reason, why.message), left
            act = plan(trigger, rungs, case.signals, resolved.size, EpisodeState(since, now, spent), cause)
            act = ladder.as_total(act, total) or act
            if isinstance(act, Act):
                chosen = await self._aimed(case, act, cause, resolved, now)
                if isinstance(chosen, Proposal):
                    why = ladder.decided(related, name_of(chosen.intent(now)))
                    if why is None:
                        return replace(chosen, act=ladder.instead(chosen.act, unsuited, act.message))
                else:
                    why = chosen
            else:
                why = (resolved.obstacle or act) if act.reason == "NotScalable" else act
            if why.reason == "LadderExhausted":
                return unsuited or why

    async def _aimed(
        self, case: Evaluation, act: Act, cause: Signal, resolved: ResolvedTarget, now: float
    ) -> Proposal | Hold:
        """Return the target of an action, or why the action has none or is not permitted."""
        if (early := self._too_early(case, act.action, cause, now)) is not None:
            return early
        since = self._lasting.since(case.slo.uid, case.policy.uid, cause, alone=False)
        began = min(case.risk_since or now, since or now)
        aim = TargetRequest(case.policy.spec.actions[act.rung], resolved.ref, dict(cause.labels), began)
        try:
            aimed = await self._aim(case.slo, act.action, cause, aim)
        except ClusterError as error:
            return Hold("TargetUnknown", f"{act.message}, but what to {act.action.lower()} is not known: {error}")
        if isinstance(aimed, Hold):
            return type(aimed)(aimed.reason, f"{act.message}, but {aimed.message}")
        proposal = _proposal(case, act, cause, resolved, aimed)
        forbidden = await self._forbidden(case, act.action, proposal.target, _subject(resolved))
        return proposal if forbidden is None else Hold(forbidden.reason, f"{act.message}, but {forbidden.message}")

    async def _aim(
        self, slo: ServiceLevelObjective, action: str, cause: Signal, aim: TargetRequest
    ) -> ObjectRef | TargetWithLevels | Hold:
        """Return the target of an action. An action that lacks the permission to read its target suits no cause, and
        the next rung is tried.
        """
        try:
            of_node = ACTIONS[action].traits.scope == "node"
            distrusted = await self._gatherer.distrust(slo, cause, aim.workload) if of_node else None
            return distrusted or await ACTIONS[action].resolve_target(self._cluster, aim)
        except Forbidden as error:
            return NotApplicable("TargetForbidden", f"what to {action.lower()} can't be seen: {error}")

    async def _forbidden(
        self, case: Evaluation, action: str, target: ObjectRef, subject: ObjectRef | None
    ) -> Hold | None:
        """Return which permission is missing; a policy in mode Observe needs none."""
        if case.policy.spec.mode == "Observe":
            return None
        return await self._permissions.why_not(action, target, subject)

    def _too_early(self, case: Evaluation, action: str, cause: Signal, now: float) -> Hold | None:
        """Hold an action on one pod or node until the series of that pod or node has met the trigger for long
        enough.
        """
        trigger = policy_limits.trigger_of(case.policy)
        if not ACTIONS[action].traits.cause_label:
            return None
        since = self._lasting.since(case.slo.uid, case.policy.uid, cause, alone=True)
        lasted = now - (now if since is None else since)
        return not_sustained(cause, trigger, lasted) if lasted < trigger.sustained else None


def _subject(resolved: ResolvedTarget) -> ObjectRef | None:
    """Return the object whose replicas are written to scale the target."""
    return resolved.floor.subject if resolved.floor else None


def _proposal(
    case: Evaluation, act: Act, cause: Signal, resolved: ResolvedTarget, aimed: ObjectRef | TargetWithLevels
) -> Proposal:
    if ACTIONS[act.action].traits.changes_replicas:
        return Proposal(case, act, cause, resolved.ref, resolved.floor.level if resolved.floor else None, act.replicas)
    target = aimed.target if isinstance(aimed, TargetWithLevels) else aimed
    notification = replace(act, message=f"{act.message}: {act.action.lower()} {title(target)}")
    if isinstance(aimed, TargetWithLevels):
        return Proposal(case, notification, cause, target, aimed.from_, aimed.to)
    return Proposal(case, notification, cause, target, None, None)


def hold_decision(policy: RemediationPolicy, hold: Hold) -> Decision:
    """Return the decision not to act, with this reason."""
    return Decision(policy=policy.name, verdict="Hold", reason=hold.reason, message=hold.message)


def _decision(case: Evaluation, verdict: str, reason: str, message: str, action: str = "") -> Decision:
    return Decision.model_validate(
        {"policy": case.policy.name, "verdict": verdict, "reason": reason, "message": message, "action": action}
    )
