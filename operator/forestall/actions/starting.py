"""Why pods that were asked for do not come to serve, in the words of whoever keeps them from it.

A pod that has never been ready serves nobody: to ask for it no longer takes nothing from anyone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from forestall.actions.base import ObservedState, StalledReplicas, condition_of, title
from forestall.actions.floor import Floor
from forestall.actions.pods import is_finished, is_ready, is_terminating
from forestall.actions.readiness import ready_of
from forestall.actions.unready import creation_failure, explain, reported_cause
from forestall.api.meta import Condition
from forestall.api.remediation import ObjectRef, Remediation
from forestall.api.times import seconds
from forestall.core.decision import Hold
from forestall.core.duration import format_duration
from forestall.core.label_selectors import selects
from forestall.core.untrusted import get_path, parsing, string_map
from forestall.core.wording import plural
from forestall.errors import ClusterError, Unreadable
from forestall.ports import Reader

Body = Mapping[str, Any]

PODS_READY: Final = "PodsReady"
"""The condition that says whether what was added serves."""
PREEMPTED: Final = "PodsPreempted"
"""The condition that says that pods of lower priority were removed for those that were added."""
SERVE_NOBODY: Final = "serve nobody"
"""How it is told, of replicas that are released, that they are no loss."""
SETTLING: Final = 600.0
"""For how long (s) at least pods are waited for that may start by themselves, as when nodes are added."""
AGAIN: Final = 3600.0
"""How long (s) after pods did not start none are added again."""
_SKEW: Final = 5.0
"""By how much (s) the clocks of operator and API server may differ."""
_NEVER: Final = 10.0
"""A pod that has been unready since so soon (s) after its start was never ready."""
_BRIEF: Final = 60.0
"""A container in CrashLoopBackOff whose last run was over so soon (s) serves nobody, whether it was ready meanwhile or
not: without a readiness probe it is, for a moment, after each start."""
_PASSING: Final = frozenset({"Unschedulable", "Preempting", "PodsFailed"})
"""What may pass by itself, as when nodes are added."""
_CREATED_LAST: Final = ("Deployment", "ReplicaSet", "Rollout")
"""Kinds whose controller takes away first what is not ready."""


async def find_stalled(cluster: Reader, remediation: Remediation, floor: Floor) -> StalledReplicas | None:
    """Return what of a raised floor does not come to serve, and why; None where all does, or nothing can be said.

    Nothing more is asked of the cluster where as many pods are ready as the floor asks for.
    """
    body, target = floor.workload, remediation.spec.intent.target
    if body is None:
        return None
    ready = ready_of({**body, "apiVersion": target.api_version, "kind": target.kind})
    if ready is None or ready >= floor.level:
        return None
    pods = await pods_of(cluster, target, body)
    since = (seconds(remediation.status.steps[0].at) or 0.0) - _SKEW
    namespace = await _namespace(cluster, target)
    try:
        with parsing(f"the pods of {title(target)}"):
            stalled = find_stalled_replicas(floor, target, namespace, pods, since)
    except Unreadable:
        return None  # nothing is released for a reason that is not understood
    added = max(0, floor.level - (remediation.spec.intent.from_ or 0))
    return stalled and replace(stalled, idle=min(stalled.idle, added))


def find_stalled_replicas(
    floor: Floor, target: ObjectRef, namespace: Body, pods: Sequence[Body] | None, since: float
) -> StalledReplicas | None:
    """Return what does not come to serve; `pods` are those of the workload, None where they can't be listed.

    Fewer than the pods that serve, or ever did, are never left: what was released may not have gone yet.
    """
    body = floor.workload or {}
    status = body.get("status") or {}
    created = status.get("replicas", 0)
    failed = [pod for pod in pods or () if is_finished(pod) and not is_terminating(pod) and _is_since(pod, since)]
    pods = None if pods is None else [pod for pod in pods if not (is_finished(pod) or is_terminating(pod))]
    lagging = max(0, floor.level - floor.replicas)
    uncreated = max(0, floor.replicas - created)
    new = [pod for pod in pods or () if _is_new(pod, since)]
    unready = _removable(target, status, new, pods or ())
    max_idle = max(
        0, floor.level - max(created if pods is None else len(pods) - len(new), status.get("readyReplicas", 0))
    )
    idle = min(max_idle, lagging + uncreated + unready)
    name = title(target)
    if (namespace.get("metadata") or {}).get("deletionTimestamp"):
        return StalledReplicas(idle, Hold("NamespaceTerminating", f"namespace {target.namespace} is being deleted"))
    if uncreated and (failure := creation_failure(status, name, uncreated)) is not None:
        return StalledReplicas(idle, failure, settles=failure.reason != "QuotaExceeded")
    reported = explain([pod for pod in (*new, *failed) if reported_cause(pod) is not None], name)
    if reported is not None:
        return StalledReplicas(idle, reported.why, settles=reported.why.reason in _PASSING)
    if lagging:
        return _lagging(floor, min(max_idle, lagging + unready))
    if (starting := explain(new[: min(max_idle, unready)], name)) is not None:
        return StalledReplicas(min(max_idle, unready), starting.why, settles=True, is_reported=False)
    return _silent(name, min(max_idle, uncreated) if "replicas" in status else 0)


def _silent(name: str, uncreated: int) -> StalledReplicas | None:
    """Return what is missing although nothing says why; None where nothing is.

    It may only not have been counted yet, or wait for the pod before it.
    """
    if uncreated:
        have = "has" if uncreated == 1 else "have"
        message = f"{plural(uncreated, 'pod')} of {name} {have} not been made, and the controller does not say why"
        return StalledReplicas(uncreated, Hold("PodsNotCreated", message), settles=True, is_reported=False)
    return None


def noted(remediation: Remediation, observed: ObservedState, now: float) -> Condition | None:
    """Return the condition that says whether what was added serves; None where nothing is to be said.

    Its transition is when the pods began not to start, for whatever reasons one after the other. Once all was given
    back it stays as it was: it is why.
    """
    before, stalled = condition_of(remediation, PODS_READY), observed.stalled
    lacking = before is not None and before.status == "False"
    if stalled is not None:
        since = now if before is None or not lacking else seconds(before.last_transition_time) or now
        return Condition.since(since, PODS_READY, "False", stalled.why.reason, stalled.why.message)
    if before is None or not lacking or observed.level <= (remediation.spec.intent.from_ or 0):
        return before
    last = remediation.status.steps[-1]
    if (last.to or 0) < (last.from_ or 0):
        message = f"those that did not start are no longer asked for: {before.message}"
        return Condition.since(now, PODS_READY, "True", "ScaleOutReduced", message)
    start_up = format_duration(max(0.0, now - (seconds(last.at) or now)))
    message = f"the pods that were asked for are ready, {start_up} after they were"
    return Condition.since(now, PODS_READY, "True", "Completed", message)


def preempted(remediation: Remediation, observed: ObservedState, now: float) -> Condition | None:
    """Return the condition that says that added pods have cost pods of lower priority; once said, it stays."""
    before, stalled = condition_of(remediation, PREEMPTED), observed.stalled
    if before is not None or stalled is None or stalled.why.reason != "Preempting":
        return before
    return Condition.since(now, PREEMPTED, "True", "Preempting", stalled.why.message)


def patience(remediation: Remediation, stalled: StalledReplicas, now: float) -> float:
    """Return how long (s) it is still waited for pods that do not start, before they are asked for no longer."""
    condition, intent = condition_of(remediation, PODS_READY), remediation.spec.intent
    since = now if condition is None else (seconds(condition.last_transition_time) or now)
    longest = intent.verify_within.seconds
    if stalled.settles:
        longest = max(longest, SETTLING)
    if not stalled.is_reported:  # some take their time: the policy's deadline says how long is normal
        longest = max(longest, (seconds(intent.deadline) or 0.0) - (seconds(intent.created) or 0.0))
    return since + longest - now


def in_words(stalled: StalledReplicas, left: float) -> str:
    """Return what becomes of the pods that do not start; `left` is how long (s) they are waited for yet."""
    if not stalled.idle:
        return stalled.why.message
    soon = f"in {format_duration(left)}" if left > 0 else "now"
    return f"{stalled.why.message}; the {stalled.idle} that {SERVE_NOBODY} are removed {soon}"


def may_add(remediation: Remediation, stalled: StalledReplicas | None, now: float) -> bool:
    """Say whether pods may be added although some do not start, or did not."""
    if stalled is not None:
        return not stalled.is_reported and patience(remediation, stalled, now) > 0
    condition = condition_of(remediation, PODS_READY)
    if condition is None or condition.reason != "ScaleOutReduced":
        return True
    return now - (seconds(condition.last_transition_time) or now) >= AGAIN


async def _namespace(cluster: Reader, target: ObjectRef) -> Body:
    try:
        return await cluster.read(ObjectRef(api_version="v1", kind="Namespace", name=target.namespace))
    except ClusterError:
        return {}


async def pods_of(cluster: Reader, target: ObjectRef, body: Body) -> Sequence[Body] | None:
    """Return the pods that the workload selects, those too that are finished or about to go.

    None where they can't be listed.
    """
    labels = string_map(get_path(body, "spec", "selector", "matchLabels"))
    if not labels:
        return None
    wanted = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    try:
        bodies = await cluster.find("v1", "Pod", namespace=target.namespace, label_selector=wanted)
    except ClusterError:
        return None
    # Others may have these labels too, and not what else the selector asks for.
    expressions = {"matchExpressions": get_path(body, "spec", "selector", "matchExpressions")}
    return [pod for pod in bodies if selects(expressions, string_map(get_path(pod, "metadata", "labels"))) is not False]


def _lagging(floor: Floor, idle: int) -> StalledReplicas:
    """Return that the autoscaler does not follow its floor, in its own words where it has some."""
    body = floor.autoscaler
    if body is None:
        message = f"no HorizontalPodAutoscaler acts on the floor of {title(floor.subject)}"
        return StalledReplicas(idle, Hold("AutoscalerNotFollowing", message), settles=True, is_reported=False)
    name = f"horizontalpodautoscaler {body['metadata']['name']}"
    for kind in ("AbleToScale", "ScalingActive"):
        for condition in (body.get("status") or {}).get("conditions") or ():
            if condition.get("type") == kind and condition.get("status") == "False":
                message = f"{name} does not scale: {condition.get('reason', '')}: {condition.get('message', '')}"
                return StalledReplicas(idle, Hold("AutoscalerNotFollowing", message), settles=True)
    message = f"{name} has not brought the replicas to its floor, and does not say why"
    return StalledReplicas(idle, Hold("AutoscalerNotFollowing", message), settles=True, is_reported=False)


def _is_since(pod: Body, since: float) -> bool:
    created = seconds(pod["metadata"].get("creationTimestamp"))
    return created is not None and created >= since


def _is_new(pod: Body, since: float) -> bool:
    """Say whether the pod was made since, and has never served: it was never ready, or ends as soon as it starts."""
    if not _is_since(pod, since) or is_ready(pod):
        return False
    status = pod.get("status") or {}
    if any(_is_crashing(container) for container in status.get("containerStatuses") or ()):
        return True
    started = seconds(status.get("startTime"))
    for condition in status.get("conditions") or ():
        if condition.get("type") == "Ready":
            unready = seconds(condition.get("lastTransitionTime"))
            return started is None or unready is None or unready - started <= _NEVER
    return True


def _is_crashing(container: Body) -> bool:
    """Say whether a container waits to be started again after a run that was soon over."""
    if ((container.get("state") or {}).get("waiting") or {}).get("reason") != "CrashLoopBackOff":
        return False
    ended = (container.get("lastState") or {}).get("terminated") or {}
    began, over = seconds(ended.get("startedAt")), seconds(ended.get("finishedAt"))
    return began is not None and over is not None and over - began < _BRIEF


def _removable(target: ObjectRef, status: Body, new: Sequence[Body], pods: Sequence[Body]) -> int:
    """Return how many of the new pods are surely those that go when fewer are asked for."""
    if status.get("updatedReplicas", status.get("replicas", 0)) != status.get("replicas", 0):
        return 0  # in the middle of a rollout others may go
    if target.kind in _CREATED_LAST:
        return len(new)
    if target.kind != "StatefulSet":
        return 0
    serving = [_ordinal(pod) for pod in pods if pod not in new]
    highest = max(serving, default=-1)  # it takes away the highest first
    return sum(_ordinal(pod) > highest for pod in new)


def _ordinal(pod: Body) -> int:
    number = str(pod["metadata"]["name"]).rpartition("-")[2]
    return int(number) if number.isdecimal() else -1
