"""For each objective and each policy that selects it: what is to be done, and may it be."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from forestall.actions import ACTIONS, traits_of, verified
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
from forestall.remediation.lockouts import policy_changed, was_refused


def trigger_of(policy: RemediationPolicy) -> Trigger:
    """Return when the policy acts."""
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
    lists = [one.spec.allow for one in guardrails if one.spec.allow]
    if not lists:
        return ACTIONS[action].traits.allowed_by_default
    return all(
        any(action in some.actions and some.namespaces.matches(dict(namespace_labels)) for some in allowances)
        for allowances in lists
    )


def buckets(
    guardrails: Sequence[Guardrail],
    history: Sequence[Remediation],
    namespace: str,
    debts: Mapping[tuple[str, str], RecordedUsage] = MappingProxyType({}),
) -> tuple[TokenBucket, ...]:
    """Return the budgets that an action in `namespace` draws on, as the Remediations leave them.

    `debts` are what Guardrails know to be gone, by their UIDs and the namespace; the cluster's have none.
    """
    done = [one for one in history if not tells(one)]
    everywhere = [_created(one) for one in done]
    here = [_created(one) for one in done if one.namespace == namespace]

    def bucket(whose: str, budget: Budget, spent: list[float], debt: RecordedUsage | None) -> TokenBucket:
        return TokenBucket(whose, budget.actions, budget.per.seconds, tuple(spent), debt)

    result = []
    for one in guardrails:
        if one.spec.budget is not None:
            whose, debt = f"the cluster's budget (Guardrail {one.name})", debts.get((one.uid, ""))
            result.append(bucket(whose, one.spec.budget, everywhere, debt))
        if one.spec.namespace_budget is not None:
            whose, debt = f"the namespace's budget (Guardrail {one.name})", debts.get((one.uid, namespace))
            result.append(bucket(whose, one.spec.namespace_budget, here, debt))
    return tuple(result)


def most_cordoned(guardrails: Sequence[Guardrail], nodes: int) -> int:
    """Return how many of the `nodes` may be out of service at once: the strictest Guardrail counts; none without."""
    if not guardrails:
        return 0
    limits = [one.spec.nodes for one in guardrails if one.spec.nodes is not None]
    numbers = [one.max_cordoned for one in limits if one.max_cordoned is not None]
    shares = [nodes * one.max_cordoned_percent // 100 for one in limits if one.max_cordoned_percent is not None]
    return min(numbers + shares, default=1)


def surroundings(
    guardrails: Sequence[Guardrail],
    policy: RemediationPolicy,
    action: str,
    storms: Sequence[StormCheck] = (),
) -> Constraints:
    """Return the windows for an action of `policy`, with the `storms` of this cycle."""
    blackouts: list[windows.TimeWindow] = []
    maintenance = []
    told: list[tuple[str, GuardrailSpec | RemediationPolicySpec]] = [(f"policy {policy.name}", policy.spec)]
    told += [(f"Guardrail {one.name}", one.spec) for one in guardrails]
    for whose, spec in told:
        blackouts += _windows(f"a blackout window of {whose}", spec.blackout_windows, action)
        allowing = _windows(whose, spec.maintenance_windows, action)
        if allowing:
            maintenance.append(allowing)
    return Constraints(tuple(blackouts), tuple(maintenance), storms)


def storms(
    guardrails: Sequence[Guardrail], since: Sequence[tuple[str, float]], watched: Mapping[str, int]
) -> tuple[StormCheck, ...]:
    """Return the storm breakers, the same for every decision of a cycle.

    `since` are the namespaces of objectives at risk with the times (s) since which they are, of `watched` in each.
    """
    breakers = [(f"storm of Guardrail {one.name}", one.spec.storm) for one in guardrails if one.spec.storm is not None]
    return tuple(
        StormCheck(whose, one.objectives, one.share, one.within.seconds, watched, since)
        for whose, one in breakers or [("storm of a Guardrail sets another limit", StormBreaker())]
    )


def _windows(whose: str, told: Sequence[Window], action: str) -> list[windows.TimeWindow]:
    return [
        windows.TimeWindow(whose, one.cron, one.duration.seconds, one.time_zone)
        for one in told
        if not one.actions or action in one.actions
    ]


def ended(history: Sequence[Remediation], policy: RemediationPolicy) -> tuple[EndedRemediation, ...]:
    """Return what the guards of `policy` need of the remediations that have ended."""
    return tuple(
        EndedRemediation(
            name=one.name,
            phase=one.status.phase,
            ended_at=seconds(one.status.ended) or seconds(one.status.since) or _created(one),
            policy_uid=one.spec.intent.policy.uid,
            objective_uid=one.spec.intent.objective.uid,
            episode=one.spec.intent.episode,
            reviewed=one.feedback is not None or policy_changed(policy, one.spec.intent),
            action=one.spec.intent.action.name,
            refused=was_refused(one),
            rung=one.spec.intent.rung,
            undone=one.undo is not None,
        )
        for one in history
        if one.ended
    )


def spent(
    history: Iterable[Remediation], policy: RemediationPolicy, slo: ServiceLevelObjective, episode: int
) -> frozenset[int]:
    """Return the rungs that were tried in this episode and did not help, also while they still give back, or that
    admission refused.

    A rung that the policy has elsewhere now, since it was changed, is known by what it says. Of the `history` only what
    concerns the cause counts.
    """
    vain = [
        one.spec.intent
        for one in history
        if one.spec.intent.policy.uid == policy.uid
        and one.spec.intent.objective.uid == slo.uid
        and one.spec.intent.episode == episode
        and (
            one.status.phase in ("RolledBack", "Failed") or verified(one) is False or (one.ended and _leaves_room(one))
        )
    ]
    return frozenset(
        number
        for number, rung in enumerate(policy.spec.actions)
        if any(rung == one.action or (number, rung.name) == (one.rung, one.action.name) for one in vain)
    )


def total(history: Iterable[Remediation], policy: RemediationPolicy, episode: int) -> Hold | None:
    """Return that what sizes a scale-out of this episode looks like a total; None where none does."""
    for one in history:
        intent = one.spec.intent
        if intent.policy.uid == policy.uid and intent.episode == episode and (seen := looks_total(one)) is not None:
            return Hold(seen.reason, f"{one.name}: {seen.message}")
    return None


def doubt(rung: Rung, slo: ServiceLevelObjective, cause: str) -> str:
    """Return in words that a scale-out for `cause` is sized in proportion to a sum; empty where it is not."""
    capacity = rung.scale.capacity if rung.scale else None
    if capacity is None or capacity.per_replica is not None:
        return ""
    name = capacity.indicator or cause
    query = next((each.query for each in slo.spec.leading_indicators if each.name == name), None)
    if query is None or not promql.is_total(query):
        return ""
    return (
        f"; {name} is a sum, which does not fall as replicas are added, so that Proportional sizing asks for too many: "
        f"declare `capacity: {{type: Declared, perReplica: ...}}`, or divide the query by the number of replicas"
    )


def in_the_way(remediation: Remediation, action: str = "", target_uid: str = "") -> bool:
    """Say whether `action` may not be done to the target meanwhile.

    What did not help leaves room for the next rung, which is another action, and never for the same action on the same
    target: one would give back what the other adds. What a person wants back leaves none.
    """
    if remediation.ended or tells(remediation):
        return False
    intent = remediation.spec.intent
    same = (intent.action.name, intent.target.uid) == (action, target_uid)
    return same or verified(remediation) is not False or remediation.undo is not None


def tells(one: Remediation) -> bool:
    """Say whether it changes nothing and only tells."""
    return not traits_of(one.spec.intent.action).changes_cluster


def _leaves_room(one: Remediation) -> bool:
    return tells(one) or was_refused(one)


def empties_a_node(one: Remediation) -> bool:
    """Say whether it moves the pods of a node elsewhere."""
    return traits_of(one.spec.intent.action).disruption == "node"


def takes_a_node(one: Remediation) -> bool:
    """Say whether it takes a node out of service, or is about to."""
    return not one.ended and one.spec.intent.target.kind == "Node"


def _created(one: Remediation) -> float:
    return seconds(one.spec.intent.created) or 0.0
