"""Cordon a node and move its pods elsewhere, and uncordon it when it has been healthy for a while.

The node is cordoned first, as the action `cordon` does. Then its pods are evicted, cycle after cycle, each by its UID
and as its PodDisruptionBudget allows, until none is left but those that `kubectl drain` leaves. No pod is ever deleted.
What was evicted stays where it is when the node is uncordoned.

A node is everybody's: what is told to the namespace of the policy names its own pods, and says of others how many there
are. The operator's log has their names.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final

import structlog

from forestall.actions import pods
from forestall.actions.base import NotApplicable, ObservedState, TargetRequest, title
from forestall.actions.node_action import NodeAction
from forestall.actions.pods import DrainPlan, Pod
from forestall.actions.protection import protected_from_above
from forestall.actions.rights import may_evict
from forestall.api.remediation import ObjectRef, Remediation
from forestall.api.remediation_policy import DrainAction
from forestall.api.times import readable
from forestall.core.decision import Hold
from forestall.core.traits import ActionTraits
from forestall.core.untrusted import get_path
from forestall.errors import ClusterError, Conflict, Denied, Forbidden, Halted, NotFound, Throttled, Unavailable
from forestall.ports import Cluster, Evictor, Reader, Right

AT_ONCE: Final = 50
"""How many evictions are asked for in one cycle."""
_log = structlog.get_logger()


class Drain(NodeAction):
    """The action `drain`."""

    traits: ClassVar[ActionTraits] = ActionTraits(
        name="Drain",
        scope="node",
        changes_cluster=True,
        disruption="node",
        changes_replicas=False,
        cause_label="node",
        verification="node",
        lowers_risk=False,
        spent_for="target",
        kept_while_at_risk=True,
        undo="uncordon the node, if it was this remediation that cordoned it; its pods stay where they are",
        allowed_by_default=False,
        chart_value="nodes.drain",
    )
    _verb: ClassVar[str] = "drain"
    _contained: ClassVar[str] = "its pods ran elsewhere"

    def rights(self, target: ObjectRef, subject: ObjectRef | None = None) -> tuple[Right, ...]:
        """Return the rights to patch the node, and to evict pods of all namespaces."""
        return (*super().rights(target, subject), may_evict())

    async def resolve_target(self, cluster: Reader, request: TargetRequest) -> ObjectRef | Hold:
        """Return the node that the indicator's label `node` names, unless it has pods that must not be evicted."""
        node = await super().resolve_target(cluster, request)
        if isinstance(node, Hold):
            return node
        return _refused(node, await _pods(cluster, node, request.rung.drain), request.workload.namespace) or node

    async def observe(self, cluster: Reader, remediation: Remediation) -> ObservedState | Hold:
        """Return whether the node is cordoned by this remediation, and which pods are left on it."""
        observed = await super().observe(cluster, remediation)
        if isinstance(observed, Hold) or remediation.status.phase in ("Verifying", "Holding", "RollingBack"):
            return observed
        started = bool(remediation.status.steps)
        if started and observed.level == 0:
            return observed
        pods_of_node = await _pods(cluster, observed.subject, remediation.spec.intent.action.drain)
        if not started:
            return _refused(observed.subject, pods_of_node, remediation.namespace) or observed
        remaining = [_ref(pod) for pod in pods_of_node.to_evict]
        settled = not (pods_of_node.to_evict or pods_of_node.going or pods_of_node.refused)
        return replace(
            observed,
            settled=settled,
            remaining_pods=remaining,
            left=_remaining_text(pods_of_node, remediation.namespace),
        )

    async def proceed(self, cluster: Cluster, remediation: Remediation, observed: ObservedState) -> Hold:
        """Ask for the eviction of each pod that is left; return what stands in the way of those that stay.

        What is said of one pod is said of that one: the others are asked for all the same.
        """
        evictions = _Evictions()
        for pod in observed.remaining_pods[:AT_ONCE]:
            if pod.namespace not in evictions.silent:
                await evictions.ask(cluster, pod)
        name = title(observed.subject)
        if not evictions.refused:
            return Hold("Draining", f"{name} is being drained; {observed.left}")
        _log.info(
            "evictions wait", node=observed.subject.name, pods={title(pod): str(why) for pod, why in evictions.refused}
        )
        first = _telling(evictions.refused, remediation.namespace)
        if not evictions.evicted and all(_lacks_right(error) for _, error in evictions.refused):
            raise first
        suffix = f" (and so do {len(evictions.refused) - 1} more)" if len(evictions.refused) > 1 else ""
        return Hold(
            "Throttled" if isinstance(first, Throttled) else "EvictionRefused",
            f"{name} is being drained, but a pod has to wait{suffix}: {first}",
        )


_SILENT: Final = 3
"""In how many namespaces evictions may go unanswered in one round; each costs the whole time of a request."""


@dataclass(slots=True)
class _Evictions:
    """The evictions that are asked for in one cycle."""

    evicted: int = 0
    refused: list[tuple[ObjectRef, ClusterError]] = field(default_factory=list)
    """The pods that stay, and what was said of each."""
    silent: set[str] = field(default_factory=set)
    """The namespaces whose pods wait for the next round, as a webhook of theirs may not answer."""

    async def ask(self, cluster: Evictor, pod: ObjectRef) -> None:
        """Ask for one eviction."""
        try:
            await cluster.evict(pod)
        except (NotFound, Conflict):
            self.evicted += 1  # it went by itself
        except Halted:
            raise
        except Unavailable as error:
            self.refused.append((pod, error))
            if not error.answered:
                self.silent.add(pod.namespace)
                if len(self.silent) == _SILENT:
                    raise
        except ClusterError as error:
            self.refused.append((pod, error))
        else:
            self.evicted += 1


def _lacks_right(error: ClusterError) -> bool:
    return isinstance(error, Forbidden) and not isinstance(error, Denied)


async def _pods(cluster: Reader, node: ObjectRef, terms: DrainAction | None) -> DrainPlan:
    flags = terms or DrainAction()
    pods_of_node = await cluster.find("v1", "Pod", field_selector=f"spec.nodeName={node.name}")
    moving = [pod for pod in pods_of_node if not pods.stays(pod)]
    protected = await protected_from_above(cluster, (pod for pod in moving if not pods.is_terminating(pod)))
    left = [pod for pod in moving if pod["metadata"]["uid"] not in protected]
    return pods.sort(left, force=flags.force, delete_empty_dir_data=flags.delete_empty_dir_data)


def _telling(refused: Sequence[tuple[ObjectRef, ClusterError]], namespace: str) -> ClusterError:
    """Return what is told of the pods that stay: a refusal sooner than that one waits, and of an own pod first."""
    pod, error = min(refused, key=lambda entry: (isinstance(entry[1], Throttled), entry[0].namespace != namespace))
    if pod.namespace == namespace:
        return error
    if isinstance(error, Throttled):
        return Throttled("it is of another namespace, and its PodDisruptionBudget does not let it go now")
    if _lacks_right(error):
        return Forbidden("the operator may not evict the pods of another namespace that are on the node")
    answered = "got no answer" if isinstance(error, Unavailable) and not error.answered else "is refused"
    return ClusterError(f"it is of another namespace, and its eviction {answered}; the operator's log says more")


def _refused(node: ObjectRef, pods_of_node: DrainPlan, namespace: str) -> NotApplicable | None:
    if not pods_of_node.refused:
        return None
    _log.info(
        "pods in the way of a drain", node=node.name, pods={pods.title(pod): why for pod, why in pods_of_node.refused}
    )
    reasons = dict.fromkeys(why for _, why in pods_of_node.refused)
    messages = [
        f"{pods.names_or_count([pod for pod, why in pods_of_node.refused if why == reason], namespace)}: {reason}"
        for reason in reasons
    ]
    return NotApplicable(
        "PodsNotEvictable", f"{title(node)} has pods that the policy does not let go: {'; '.join(messages)}"
    )


def _remaining_text(pods_of_node: DrainPlan, namespace: str) -> str:
    """Return in words what is still on the node."""
    parts = [
        f"{len(group)} {cause}: {pods.names_or_count(group, namespace)}"
        for group, cause in (
            (pods_of_node.to_evict, "to be evicted"),
            (pods_of_node.going, _until(pods_of_node.going)),
            ([pod for pod, _ in pods_of_node.refused], "that the policy does not let go"),
        )
        if group
    ]
    return f"pods that are left: {'; '.join(parts)}"


def _until(going: Sequence[Pod]) -> str:
    """Return when at the latest pods are gone that were asked to end: a program may ignore that."""
    ends = [str(end) for pod in going if (end := get_path(pod, "metadata", "deletionTimestamp"))]
    return f"about to go, the last by {readable(max(ends))}" if ends else "about to go"


def _ref(pod: Pod) -> ObjectRef:
    metadata = pod["metadata"]
    return ObjectRef(
        api_version="v1", kind="Pod", namespace=metadata["namespace"], name=metadata["name"], uid=metadata["uid"]
    )
