"""Evict the one pod that endangers its workload, as its PodDisruptionBudget allows.

The eviction names the pod's UID, so that the pod which replaces it is never evicted for it. A pod that is gone, or
about to go, counts as evicted once the step is written down: it can only be evicted once.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from forestall.actions.base import (
    Change,
    Next,
    NotApplicable,
    ObservedState,
    TargetRequest,
    TimedOutlook,
    missing,
    title,
)
from forestall.actions.pods import is_ready, is_terminating
from forestall.actions.protection import controller, is_protected, undisturbed
from forestall.actions.readiness import ready_of
from forestall.actions.rights import may_evict
from forestall.actions.unfinished import still_ending
from forestall.actions.verdict import await_verdict
from forestall.api.remediation import ObjectRef, Remediation
from forestall.core.decision import Hold
from forestall.core.traits import ActionTraits
from forestall.core.untrusted import string
from forestall.errors import NotFound
from forestall.ports import Evictor, Reader, Right


class Evict:
    """The action `evict`."""

    traits: ClassVar[ActionTraits] = ActionTraits(
        name="Evict",
        scope="pod",
        changes_cluster=True,
        disruption="pod",
        changes_replicas=False,
        cause_label="pod",
        verification="pod",
        lowers_risk=True,
        spent_for="target",
        kept_while_at_risk=False,
        undo="none: the pod is replaced by its controller",
        allowed_by_default=True,
        chart_value="",
    )

    def rights(self, target: ObjectRef, subject: ObjectRef | None = None) -> tuple[Right, ...]:
        """Return the right to evict pods of the namespace."""
        del subject
        return (may_evict(target.namespace),)

    async def resolve_target(self, cluster: Reader, request: TargetRequest) -> ObjectRef | Hold:
        """Return the pod that the indicator's label `pod` names, if it is one of the workload's."""
        name, namespace = request.labels.get(self.traits.cause_label), request.workload.namespace
        if name is None:
            return NotApplicable("PodUnknown", "its series has no label `pod` that says which pod to evict")
        if request.labels.get("namespace", namespace) != namespace:
            return NotApplicable("PodUnknown", f"pod {name} is in namespace {request.labels['namespace']}")
        ref = ObjectRef(api_version="v1", kind="Pod", namespace=namespace, name=name)
        try:
            pod = await cluster.read(ref)
        except NotFound:
            return Hold("PodUnknown", f"there is no {title(ref)} any more")
        if is_terminating(pod):
            return Hold("PodUnknown", f"{title(ref)} is about to go already")
        return await _unsuited(cluster, pod, request.workload) or ref.model_copy(update={"uid": pod["metadata"]["uid"]})

    async def observe(self, cluster: Reader, remediation: Remediation) -> ObservedState | Hold:
        """Return whether the pod is there."""
        target, started = remediation.spec.intent.target, bool(remediation.status.steps)
        try:
            pod = await cluster.read(target)
        except NotFound as error:
            if started:
                return ObservedState(level=1, subject=target, resource_version="")
            return await missing(cluster, target) or Hold("TargetGone", str(error))
        terminating, version = is_terminating(pod), pod["metadata"]["resourceVersion"]
        if terminating and not started:
            return Hold("TargetGone", f"{title(target)} is about to go already; nothing is changed")
        if is_protected(pod) and not terminating:
            return _protected(target)
        return ObservedState(
            level=int(terminating),
            subject=target,
            resource_version=version,
            settled=not terminating,
            unfinished=still_ending([pod], f"namespace {target.namespace}") if terminating else None,
        )

    def first_change(self, remediation: Remediation, observed: ObservedState) -> Change | Hold:
        """Return the eviction."""
        return Change(1, f"evict {title(observed.subject)}", remediation.spec.intent.evidence.reason, increases=True)

    def next_change(
        self, remediation: Remediation, observed: ObservedState, recent: Sequence[TimedOutlook], now: float
    ) -> Next:
        """Wait for the verdict of the verification."""
        del recent
        return await_verdict(remediation, f"{title(observed.subject)} was evicted", now)

    async def write(self, cluster: Evictor, remediation: Remediation, observed: ObservedState, to: int) -> None:
        """Evict the pod."""
        del remediation, to
        await cluster.evict(observed.subject)


async def _unsuited(cluster: Reader, pod: Mapping[str, Any], workload: ObjectRef) -> NotApplicable | None:
    ref = ObjectRef(api_version="v1", kind="Pod", namespace=workload.namespace, name=pod["metadata"]["name"])
    if is_protected(pod):
        return _protected(ref)
    if (annotation := undisturbed(pod)) is not None:
        return NotApplicable("PodProtected", f"{title(ref)} has the annotation {annotation}")
    if not await belongs(cluster, pod, workload):
        return NotApplicable("PodNotOfTarget", f"{title(ref)} does not belong to {title(workload)}")
    if not is_ready(pod):
        return None
    ready = ready_of({**await cluster.read(workload), "apiVersion": workload.api_version, "kind": workload.kind})
    if ready is None:
        return NotApplicable(
            "ReadyReplicasUnknown", f"{title(workload)} does not tell how many pods serve beside {title(ref)}"
        )
    if ready < 2:
        return NotApplicable("LastReadyPod", f"{title(ref)} is the only one of {title(workload)} that serves")
    return None


async def belongs(cluster: Reader, pod: Mapping[str, Any], workload: ObjectRef) -> bool:
    """Say whether `workload` controls the pod, itself or by a ReplicaSet.

    Raises:
        ClusterError: the cluster could not say.
    """
    owner = controller(pod)
    if owner is not None and owner["kind"] == "ReplicaSet" and owner["uid"] != workload.uid:
        ref = ObjectRef(
            api_version=string(owner.get("apiVersion")),
            kind="ReplicaSet",
            namespace=workload.namespace,
            name=string(owner.get("name")),
            uid=owner["uid"],
        )
        try:
            owner = controller(await cluster.read(ref))
        except NotFound:
            return False
    return owner is not None and owner["uid"] == workload.uid


def _protected(pod: ObjectRef) -> NotApplicable:
    return NotApplicable("PodProtected", f"{title(pod)} is protected by an annotation")
