"""Turns policies and Guardrails into the triggers, rungs, budgets and limits of a decision."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from forestall.actions import ACTIONS, has_helped, traits_of
from forestall.actions.proportion import looks_total
from forestall.api import Guardrail, Remediation, RemediationPolicy, ServiceLevelObjective
from forestall.api.guardrail import Budget, GuardrailSpec, StormBreaker, Window
from forestall.api.remediation_policy import RemediationPolicySpec, Rung
from forestall.api.times import seconds
from forestall.core import promql, windows
from forestall.core.decision import Hold
from forestall.core.guards import Constraints, EndedRemediation, RecordedUsage, StormCheck, TokenBucket
from forestall.core.plan import RungSpec, ScaleBounds, Trigger
from forestall.core.sizing import ReplicaCapacity
from forestall.remediation.lockouts import policy_changed, was_contained, was_refused


def trigger_of(policy: RemediationPolicy) -> Trigger:
    """Return the trigger of the policy."""
    when = policy.spec.when
    return Trigger(when.probability, when.within.seconds if when.within else None, when.for_.seconds)


def rungs_of(policy: RemediationPolicy) -> tuple[RungSpec, ...]:
    """Return the policy's ladder."""
    return tuple(rung_of(rung) for rung in policy.spec.actions)


def rung_of(rung: Rung) -> RungSpec:
    """Return one rung of a ladder."""
    scale = rung.scale
    return RungSpec(
        action=rung.name,
        indicators=frozenset(rung.indicators),
        scale=None
        if scale is None
        else ScaleBounds(
            max_replicas=scale.max_replicas,
            min_replicas=scale.min_replicas,
            max_step=scale.max_step,
            capacity=ReplicaCapacity(scale.capacity.per_replica, scale.capacity.headroom, scale.capacity.confidence),
            indicator=scale.capacity.indicator,
        ),
    )


def allowed(guardrails: Sequence[Guardrail], action: str, namespace_labels: Mapping[str, str] | None) -> bool:
    """Say whether every Guardrail that lists allowances allows `action` in a namespace with these labels."""
    if namespace_labels is None:
        return False  # a namespace that is not known yet is selected by nothing
    lists = [guardrail.spec.allow for guardrail in guardrails if guardrail.spec.allow]
    if not lists:
        return ACTIONS[action].traits.allowed_by_default
    return all(
        any(
            action in allowance.actions and allowance.namespaces.matches(dict(namespace_labels))
            for allowance in allowances
        )
        for allowances in lists
    )


def buckets(
    guardrails: Sequence[Guardrail],
    history: Sequence[Remediation],
    namespace: str,
    debts: Mapping[tuple[str, str], RecordedUsage] = MappingProxyType({}),
) -> tuple[TokenBucket, ...]:
    """Return the budgets that an action in `namespace` counts against, less what Remediations have spent.

    `debts` are the spent actions that Guardrails have recorded, by their UIDs and the namespace; budgets of the whole
    cluster have no namespace.
    """
    changes = [item for item in history if not only_notifies(item)]
    everywhere = [_created(item) for item in changes]
    in_namespace = [_created(item) for item in changes if item.namespace == namespace]

    def bucket(owner: str, budget: Budget, spent: list[float], debt: RecordedUsage | None) -> TokenBucket:
        return TokenBucket(owner, budget.actions, budget.per.seconds, tuple(spent), debt)

    result = []
    for item in guardrails:
        if item.spec.budget is not None:
            owner, debt = f"the cluster's budget (Guardrail {item.name})", debts.get((item.uid, ""))
            result.append(bucket(owner, item.spec.budget, everywhere, debt))
        if item.spec.namespace_budget is not None:
            owner, debt = f"the namespace's budget (Guardrail {item.name})", debts.get((item.uid, namespace))
            result.append(bucket(owner, item.spec.namespace_budget, in_namespace, debt))
    return tuple(result)


def most_cordoned(guardrails: Sequence[Guardrail], nodes: int) -> int:
    """Return how many of the `nodes` may be out of service at once by the strictest Guardrail; 0 without a
    Guardrail.
    """
    if not guardrails:
        return 0
    limits = [item.spec.nodes for item in guardrails if item.spec.nodes is not None]
    numbers = [item.max_cordoned for item in limits if item.max_cordoned is not None]
    shares = [nodes * item.max_cordoned_percent // 100 for item in limits if item.max_cordoned_percent is not None]
    return min(numbers + shares, default=1)


def policy_limits(
    guardrails: Sequence[Guardrail],
    policy: RemediationPolicy,
    action: str,
    storms: Sequence[StormCheck] = (),
) -> Constraints:
    """Return the maintenance windows for an action of `policy`, with the `storms` of this cycle."""
    blackouts: list[windows.TimeWindow] = []
    maintenance = []
    specs: list[tuple[str, GuardrailSpec | RemediationPolicySpec]] = [(f"policy {policy.name}", policy.spec)]
    specs += [(f"Guardrail {guardrail.name}", guardrail.spec) for guardrail in guardrails]
    for owner, spec in specs:
        blackouts += _windows(f"a blackout window of {owner}", spec.blackout_windows, action)
        allowing = _windows(owner, spec.maintenance_windows, action)
        if allowing:
            maintenance.append(allowing)
    return Constraints(tuple(blackouts), tuple(maintenance), storms)


def storms(
    guardrails: Sequence[Guardrail], since: Sequence[tuple[str, float]], watched: Mapping[str, int]
) -> tuple[StormCheck, ...]:
    """Return the storm breakers, the same for every decision of a cycle.

    `since` has the namespace of each objective at risk, and since when (s); `watched` is the number of objectives by
    namespace.
    """
    breakers = [
        (f"storm of Guardrail {item.name}", item.spec.storm) for item in guardrails if item.spec.storm is not None
    ]
    return tuple(
        StormCheck(owner, item.objectives, item.share, item.within.seconds, watched, since)
        for owner, item in breakers or [("storm of a Guardrail sets another limit", StormBreaker())]
    )


def _windows(owner: str, declared: Sequence[Window], action: str) -> list[windows.TimeWindow]:
    return [
        windows.TimeWindow(owner, window.cron, window.duration.seconds, window.time_zone)
        for window in declared
        if not window.actions or action in window.actions
    ]


def ended(history: Sequence[Remediation], policy: RemediationPolicy) -> tuple[EndedRemediation, ...]:
    """Return the ended remediations in the form that the guards of `policy` need."""
    return tuple(
        EndedRemediation(
            name=remediation.name,
            phase=remediation.status.phase,
            ended_at=seconds(remediation.status.ended) or seconds(remediation.status.since) or _created(remediation),
            policy_uid=remediation.spec.intent.policy.uid,
            objective_uid=remediation.spec.intent.objective.uid,
            episode=remediation.spec.intent.episode,
            reviewed=remediation.feedback is not None or policy_changed(policy, remediation.spec.intent),
            action=remediation.spec.intent.action.name,
            refused=was_refused(remediation),
            rung=remediation.spec.intent.rung,
            undone=remediation.undo is not None,
            contained=was_contained(remediation),
        )
        for remediation in history
        if remediation.ended
    )


def spent(
    history: Iterable[Remediation], policy: RemediationPolicy, slo: ServiceLevelObjective, episode: int
) -> frozenset[int]:
    """Return the rungs that did not help in this episode, including those that are still being reverted, or that
    admission refused.

    A rung that an edit of the policy moved is recognized by its content. Only remediations of the `history` for this
    cause count.
    """
    vain = [
        remediation.spec.intent
        for remediation in history
        if remediation.spec.intent.policy.uid == policy.uid
        and remediation.spec.intent.objective.uid == slo.uid
        and remediation.spec.intent.episode == episode
        and (
            remediation.status.phase in ("RolledBack", "Failed")
            or has_helped(remediation) is False
            or (remediation.ended and _leaves_room(remediation))
        )
    ]
    return frozenset(
        number
        for number, rung in enumerate(policy.spec.actions)
        if any(
            rung == remediation.action or (number, rung.name) == (remediation.rung, remediation.action.name)
            for remediation in vain
        )
    )


def measured_total(history: Iterable[Remediation], policy: RemediationPolicy, episode: int) -> Hold | None:
    """Return why the indicator that sizes a scale-out of this episode looks like a total; None where it does not."""
    for remediation in history:
        intent = remediation.spec.intent
        if (
            intent.policy.uid == policy.uid
            and intent.episode == episode
            and (is_total := looks_total(remediation)) is not None
        ):
            return Hold(is_total.reason, f"{remediation.name}: {is_total.message}")
    return None


def doubt(rung: Rung, slo: ServiceLevelObjective, cause: str) -> str:
    """Return a warning that a scale-out for `cause` is sized in proportion to a sum; empty where it is not."""
    capacity = rung.scale.capacity if rung.scale else None
    if capacity is None or capacity.per_replica is not None:
        return ""
    name = capacity.indicator or cause
    query = next((indicator.query for indicator in slo.spec.leading_indicators if indicator.name == name), None)
    if query is None or not promql.is_total(query):
        return ""
    return (
        f"; {name} is a sum, which does not fall as replicas are added, so that Proportional sizing asks for too many: "
        f"declare `capacity: {{type: Declared, perReplica: ...}}`, or divide the query by the number of replicas"
    )


def is_in_the_way(remediation: Remediation, action: str = "", target_uid: str = "") -> bool:
    """Say whether the remediation blocks `action` on the same target.

    A remediation that did not help allows another action of the next rung while it is reverted, but never the same
    action on the same target: one would revert what the other adds. One that a person is undoing blocks every action.
    """
    if remediation.ended or only_notifies(remediation):
        return False
    intent = remediation.spec.intent
    is_same = (intent.action.name, intent.target.uid) == (action, target_uid)
    return is_same or has_helped(remediation) is not False or remediation.undo is not None


def only_notifies(remediation: Remediation) -> bool:
    """Say whether the action only notifies people and changes nothing."""
    return not traits_of(remediation.spec.intent.action).changes_cluster


def _leaves_room(remediation: Remediation) -> bool:
    return only_notifies(remediation) or was_refused(remediation)


def empties_a_node(remediation: Remediation) -> bool:
    """Say whether the action evicts the pods of a node."""
    return traits_of(remediation.spec.intent.action).disruption == "node"


def takes_a_node(remediation: Remediation) -> bool:
    """Say whether the remediation takes a node out of service, or is about to."""
    return not remediation.ended and remediation.spec.intent.target.kind == "Node"


def _created(remediation: Remediation) -> float:
    return seconds(remediation.spec.intent.created) or 0.0
