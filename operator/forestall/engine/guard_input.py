"""Gathers the input of the guards: from Remediations, Guardrails, policies and the cluster.

The input is gathered once when a policy decides. Before the intent is written it is updated by what else was decided
since. Before anything is changed it is gathered again, with fresh reads from the cluster.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from forestall.actions import ACTIONS, NotApplicable
from forestall.actions.base import title
from forestall.actions.protection import is_protected, protects
from forestall.api import MetricSource, RemediationPolicy, ServiceLevelObjective
from forestall.api.remediation import ObjectRef
from forestall.core.guards import Constraints, GuardInput, NodeAvailability, WorkloadPods
from forestall.core.risk import Signal
from forestall.core.traits import ActionTraits
from forestall.core.untrusted import parsing
from forestall.engine import pod_placement, policy_limits
from forestall.engine.cause import replace_same_pods
from forestall.engine.node_lister import NodeLister
from forestall.engine.node_trust import node_distrust
from forestall.engine.pause_checker import PauseChecker
from forestall.engine.snapshot import Snapshot
from forestall.engine.workload import Workload, budgets_of
from forestall.errors import ClusterError, Unreadable
from forestall.ports import Reader
from forestall.registry import Registry

_ELSEWHERE: Final = "a remediation of another namespace"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One objective as evaluated for one policy."""

    slo: ServiceLevelObjective
    policy: RemediationPolicy
    signals: Sequence[Signal]
    episode: int
    victim_of: str | None
    """The objective at risk that this one depends on, and that explains its risk."""
    namespace_labels: Mapping[str, str] | None
    """None where the namespace is not known yet."""
    risk_since: float | None = None
    """When the episode began (s since the epoch); None outside an episode, or where it is not needed."""


@dataclass(frozen=True, slots=True)
class IntendedAction:
    """An intended action, before the guards are checked."""

    evaluation: Evaluation
    action: str
    cause: Signal
    target: ObjectRef
    workload: Workload
    """The workload that the objective targets."""
    rung: int
    """The index in the policy's ladder."""


class GuardInputGatherer:
    """Gathers the input of the guards for `Decider.decide`, `Decider.confirm` and `Decider.recheck`."""

    def __init__(
        self, cluster: Reader, registry: Registry, node_lister: NodeLister, pause_checker: PauseChecker
    ) -> None:
        self._cluster = cluster
        self._registry = registry
        self._node_lister = node_lister
        self._pause_checker = pause_checker

    async def gather(
        self, snapshot: Snapshot, intended: IntendedAction, now: float, cluster: Reader | None = None
    ) -> GuardInput:
        """Return the input of the guards for `intended`; the cluster is read through `cluster`, where given."""
        evaluation, action = intended.evaluation, intended.action
        slo, policy, traits = evaluation.slo, evaluation.policy, ACTIONS[action].traits
        guard_input = GuardInput(
            now=now,
            action=traits,
            namespace=slo.namespace,
            policy_uid=policy.uid,
            objective_uid=slo.uid,
            episode=evaluation.episode,
            cause=intended.cause,
            suspended=policy.spec.suspend,
            paused=None,
            allowed=policy_limits.allowed(snapshot.guardrails, action, evaluation.namespace_labels),
            victim_of=evaluation.victim_of,
            active_remediation=None,
            cooldown=policy.spec.cooldown.seconds,
            history=(),
            last_ended_at=None,
            buckets=(),
            nodes=None,
            constraints=await self.context(snapshot, intended, cluster or self._cluster),
            clock_skew=snapshot.clocks.reason_for(slo.spec.source),
            rung=intended.rung,
        )
        return await self.renew(snapshot, guard_input, evaluation, intended.target)

    async def renew(
        self, snapshot: Snapshot, guard_input: GuardInput, evaluation: Evaluation, target: ObjectRef
    ) -> GuardInput:
        """Return `guard_input` updated by the Remediations and pauses as they are now."""
        slo, policy, traits = evaluation.slo, evaluation.policy, guard_input.action
        # The pods of a workload rest and cool down together, whichever objective or policy it is that asks.
        on_target = [
            remediation
            for remediation in snapshot.remediations_of(target.uid, *snapshot.sharing(slo))
            if not policy_limits.only_notifies(remediation)
            and (
                remediation.spec.intent.target.uid == target.uid
                or replace_same_pods(remediation, traits.name, snapshot.sharing(slo))
            )
        ]
        mine = [
            remediation
            for remediation in snapshot.remediations_of(slo.uid)
            if not policy_limits.only_notifies(remediation)
            and remediation.spec.intent.policy.uid == policy.uid
            and remediation.spec.intent.objective.uid == slo.uid
        ]
        related = list(
            {(remediation.namespace, remediation.name): remediation for remediation in (*on_target, *mine)}.values()
        )
        ended = policy_limits.ended(related, policy)
        resting = {remediation.name for remediation in on_target}
        live = next(
            (
                remediation
                for remediation in related
                if policy_limits.is_in_the_way(remediation, traits.name, target.uid)
            ),
            None,
        )
        return replace(
            guard_input,
            paused=self._pause_checker.paused_by(slo.namespace, slo.name, policy.name, guard_input.now),
            active_remediation=None if live is None else live.name if live.namespace == slo.namespace else _ELSEWHERE,
            history=ended,
            last_ended_at=max(
                (remediation.ended_at for remediation in ended if remediation.name in resting), default=None
            ),
            buckets=policy_limits.buckets(snapshot.guardrails, snapshot.remediations, slo.namespace, snapshot.debts),
            nodes=await self._known_nodes(snapshot, traits, target) if traits.scope == "node" else None,
        )

    async def context(self, snapshot: Snapshot, intended: IntendedAction, cluster: Reader) -> Constraints:
        """Return the context of the action: maintenance windows, storms, protection, and the pods that may be
        missing.
        """
        policy, action, workload = intended.evaluation.policy, intended.action, intended.workload
        declared = policy_limits.policy_limits(snapshot.guardrails, policy, action, snapshot.storms)
        protected = await self._protected(policy.namespace, intended.target, workload, cluster)
        replaced = ACTIONS[action].traits.disruption == "workload"
        pods = await _pods(policy.namespace, workload, cluster) if replaced else None
        return replace(declared, protected=protected, pods=pods)

    async def distrust(
        self, slo: ServiceLevelObjective, cause: Signal, workload: ObjectRef, cluster: Reader | None = None
    ) -> NotApplicable | None:
        """Return why the node that the cause names must not be acted on for this objective; None where it may be.

        Raises:
            ClusterError: the cluster could not be read.
        """
        source = self._registry.get(MetricSource, slo.spec.source)
        return await node_distrust(cluster or self._cluster, slo, source, cause, workload)

    async def _protected(self, namespace: str, target: ObjectRef, workload: Workload, cluster: Reader) -> str | None:
        if protects(self._registry.annotations(namespace)):
            return f"namespace {namespace}"
        if workload.protected:
            return "the objective's workload"
        if target.kind != "Node":
            return None
        try:
            node = await cluster.read(target)
        except ClusterError:
            return None  # whether nodes can be read at all is another guard's matter
        return title(target) if is_protected(node) else None

    async def _known_nodes(
        self, snapshot: Snapshot, traits: ActionTraits, target: ObjectRef
    ) -> NodeAvailability | None:
        try:
            return await self._nodes(snapshot, traits, target)
        except Unreadable:
            return None  # not named: most of these are other people's objects

    async def _nodes(self, snapshot: Snapshot, traits: ActionTraits, target: ObjectRef) -> NodeAvailability | None:
        """Return the effect of taking the node `target` out of service as well."""
        nodes = await self._node_lister.nodes()
        if nodes is None:
            return None
        live = [remediation for remediation in snapshot.remediations if policy_limits.takes_a_node(remediation)]
        soon = {remediation.spec.intent.target.name for remediation in live}
        with parsing("the nodes"):
            node_facts = pod_placement.assess(
                target.name, nodes, soon, policy_limits.most_cordoned(snapshot.guardrails, len(nodes))
            )
        if node_facts is None or traits.disruption != "node":
            return node_facts
        emptied = {
            remediation.spec.intent.target.name for remediation in live if policy_limits.empties_a_node(remediation)
        } | {target.name}
        with parsing("the nodes"):
            hosts = pod_placement.hosts_for(target.name, nodes, node_facts.unavailable)
        moving = await self._node_lister.moving(emptied)
        pods = await self._node_lister.pods(node["metadata"]["name"] for node in hosts)
        waiting = await self._node_lister.waiting()
        if moving is None or pods is None or waiting is None:
            return None
        with parsing("the pods of the nodes"):
            return replace(node_facts, unschedulable_pod=pod_placement.without_room(moving, hosts, pods, waiting))


async def _pods(namespace: str, workload: Workload, cluster: Reader) -> WorkloadPods | None:
    if workload.pods is None or workload.pods.ready <= 0:
        return workload.pods  # which budgets there are makes no difference
    try:
        budgets = await cluster.find("policy/v1", "PodDisruptionBudget", namespace=namespace)
    except ClusterError:
        return None
    return replace(workload.pods, budgets=budgets_of(workload.labels, budgets))
