"""What a policy decides about an objective, and the intent that an action begins with."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from forestall.actions import action_name
from forestall.api import Remediation, RemediationPolicy, ServiceLevelObjective
from forestall.api.remediation import Evidence, Intent, ObjectRef
from forestall.api.service_level_objective import Decision
from forestall.api.times import stamp
from forestall.core.decision import Act, Hold
from forestall.core.guards import Context, Nodes, check
from forestall.core.plan import Situation, below, plan, triggering
from forestall.core.risk import Signal
from forestall.engine import terms
from forestall.engine.report import cause_of
from forestall.engine.scene import Scene
from forestall.engine.targets import Found, Targets
from forestall.errors import ClusterError, NotFound
from forestall.ports import Cluster


@dataclass(frozen=True, slots=True)
class Case:
    """One objective before one policy."""

    slo: ServiceLevelObjective
    policy: RemediationPolicy
    signals: Sequence[Signal]
    episode: int
    victim_of: str | None
    """The objective at risk that this one suffers from."""
    namespace_labels: Mapping[str, str] | None
    """None where the namespace is not known yet."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """An action that every guard lets pass."""

    case: Case
    act: Act
    cause: Signal
    target: ObjectRef
    level: int | None
    """For Scale: what was found, and below which is never gone."""

    def intent(self, now: float) -> Intent:
        """Return what the journal begins with."""
        policy, slo = self.case.policy, self.case.slo
        cause = cause_of(self.cause)
        approve = policy.spec.mode == "Approve"
        return Intent(
            policy=ObjectRef.to(policy),
            policy_generation=policy.metadata.generation,
            objective=ObjectRef.to(slo),
            episode=self.case.episode,
            rung=self.act.rung,
            target=self.target,
            action=policy.spec.actions[self.act.rung],
            mode=policy.spec.mode,
            from_=self.level,
            to=self.act.replicas,
            evidence=Evidence(
                indicator=cause.indicator,
                labels=cause.labels,
                value=cause.value,
                limit=cause.limit,
                probability=cause.probability,
                time_to_breach=cause.time_to_breach,
                forecast=cause.forecast,
                reason=self.act.message,
            ),
            created=stamp(now),
            deadline=stamp(now + policy.spec.deadline.seconds),
            approval_expires=stamp(now + policy.spec.approval_expiry.seconds) if approve else None,
            verify_within=policy.spec.verification.within,
            verify_probability=policy.spec.verification.probability,
            rollback=_ROLLBACK[self.act.action],
        )


_ROLLBACK = {
    "Scale": "give the added replicas back step by step, never below what was found",
    "Restart": "none: a restart can't be undone",
    "Cordon": "uncordon the node, if it was this remediation that cordoned it",
}


class Decider:
    """Asks plan and guards for every objective and policy. Writes nothing."""

    def __init__(self, cluster: Cluster, targets: Targets) -> None:
        self._cluster = cluster
        self._targets = targets
        self._since: dict[tuple[str, str], float] = {}  # when each trigger was first met without a break

    async def decide(self, scene: Scene, case: Case, now: float) -> tuple[Decision, Proposal | None]:
        """Return what the policy decides, and what is to be done where that is to act."""
        verdict = await self._verdict(scene, case, now)
        if isinstance(verdict, Hold):
            return _decision(case, "Hold", verdict.reason, verdict.message), None
        act = verdict.act
        if case.policy.spec.mode == "Observe":
            words = f"{act.message} (not done: the policy only observes)"
            return _decision(case, "WouldAct", act.reason, words, act.action), None
        return _decision(case, "Act", act.reason, act.message, act.action), verdict

    async def recheck(self, scene: Scene, remediation: Remediation, case: Case | None, now: float) -> Hold | None:
        """Ask the guards again about a remediation that exists already, as the journal does before it acts.

        It was counted, cooled down and found alone when it was decided; what may have changed since is asked again.
        """
        if case is None:
            return Hold("Withdrawn", "its objective or its policy does not exist any more")
        intent = remediation.spec.intent
        action = action_name(intent.action)
        cause = _same_indicator(case.signals, intent.evidence.indicator)
        if cause is None:
            return Hold("DataNotFresh", f"there is no fresh data of {intent.evidence.indicator}")
        context = await self._context(scene, case, action, cause, intent.target, now)
        return check(replace(context, last_on_target=None, live=None, buckets=()))

    def forget(self, present: Collection[str]) -> None:
        """Forget the objectives that are not among these UIDs."""
        self._since = {key: since for key, since in self._since.items() if key[0] in present}

    async def _verdict(self, scene: Scene, case: Case, now: float) -> Proposal | Hold:
        trigger, rungs = terms.trigger_of(case.policy), terms.rungs_of(case.policy)
        cause = triggering(case.signals, trigger)
        since = self._lasting(case, cause, now)
        if cause is None:
            return below(trigger, case.signals)
        found = await self._targets.read(case.slo, with_scale=any(rung.scale for rung in rungs))
        if not isinstance(found, Found):
            return Hold(found.reason, found.message)
        spent = terms.spent(scene.remediations, case.policy, case.slo, case.episode)
        act = plan(trigger, rungs, case.signals, found.size, Situation(since, now, spent))
        if isinstance(act, Hold):
            return found.obstacle if act.reason == "NotScalable" and found.obstacle else act
        target = await self._node(act.node) if act.node is not None else found.ref
        if isinstance(target, Hold):
            return target
        hold = check(await self._context(scene, case, act.action, cause, target, now))
        return hold or Proposal(
            case, act, cause, target, found.floor.level if act.action == "Scale" and found.floor else None
        )

    async def _context(
        self, scene: Scene, case: Case, action: str, cause: Signal, target: ObjectRef, now: float
    ) -> Context:
        slo, policy = case.slo, case.policy
        related = [
            one
            for one in scene.remediations
            if one.spec.intent.target.uid == target.uid
            or (one.spec.intent.policy.uid == policy.uid and one.spec.intent.objective.uid == slo.uid)
        ]
        ended = terms.ended(related)
        on_target = {one.name for one in related if one.spec.intent.target.uid == target.uid}
        return Context(
            now=now,
            action=action,
            namespace=slo.namespace,
            policy_uid=policy.uid,
            policy_generation=policy.metadata.generation,
            objective_uid=slo.uid,
            episode=case.episode,
            cause=cause,
            suspended=policy.spec.suspend,
            paused=scene.paused,
            allowed=terms.allowed(scene.guardrails, action, case.namespace_labels),
            victim_of=case.victim_of,
            live=next((one.name for one in related if terms.in_the_way(one)), None),
            cooldown=policy.spec.cooldown.seconds,
            history=ended,
            last_on_target=max((one.at for one in ended if one.name in on_target), default=None),
            buckets=terms.buckets(scene.guardrails, scene.remediations, slo.namespace),
            nodes=await self._nodes(scene) if action == "Cordon" else None,
        )

    def _lasting(self, case: Case, cause: Signal | None, now: float) -> float | None:
        key = (case.slo.uid, case.policy.uid)
        if cause is None:
            self._since.pop(key, None)
            return None
        return self._since.setdefault(key, now)

    async def _node(self, name: str) -> ObjectRef | Hold:
        ref = ObjectRef(api_version="v1", kind="Node", name=name)
        try:
            body = await self._cluster.read(ref)
        except NotFound:
            return Hold("NodeUnknown", f"there is no node {name}, which the indicator's label `node` names")
        except ClusterError as error:
            return Hold("NodesUnknown", f"node {name} could not be read: {error}")
        return ref.model_copy(update={"uid": str(body["metadata"]["uid"])})

    async def _nodes(self, scene: Scene) -> Nodes | None:
        try:
            nodes = await self._cluster.find("v1", "Node")
        except ClusterError:
            return None
        cordoned = sum(bool(node.get("spec", {}).get("unschedulable")) for node in nodes)
        return Nodes(cordoned, terms.most_cordoned(scene.guardrails))


def _same_indicator(signals: Sequence[Signal], indicator: str) -> Signal | None:
    return next((signal for signal in signals if signal.indicator == indicator and signal.fresh), None)


def _decision(case: Case, verdict: str, reason: str, message: str, action: str = "") -> Decision:
    return Decision.model_validate(
        {"policy": case.policy.name, "verdict": verdict, "reason": reason, "message": message, "action": action}
    )
