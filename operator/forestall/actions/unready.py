"""Why pods do not serve, in the words of the component that keeps them from it: kubelet, scheduler or API server.

The API says it in statuses, which the operator may read. What only Events tell, such as the output of a probe, is left
to `kubectl describe pods`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from forestall.core.decision import Hold
from forestall.core.untrusted import get_path, integer, mapping, mappings, string
from forestall.core.wording import plural

Body = Mapping[str, Any]

_IMAGE: Final = frozenset(
    {
        *("ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull"),
        *("ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed"),
    }
)
_CONTAINER: Final = frozenset(
    {
        *("CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError"),
        *("PreCreateHookError", "PreStartHookError", "PostStartHookError"),
    }
)
_CRASHES: Final = "CrashLoopBackOff"
_VERBS: Final = {"CrashLooping": ("crashes", "crash"), "Preempting": ("waits", "wait")}
_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class UnreadyPods:
    """Pods that do not serve, and why."""

    why: Hold
    is_reported: bool
    """Whether a component says why; otherwise they may only be starting."""


def explain(pods: Sequence[Body], name: str) -> UnreadyPods | None:
    """Return why these pods of the workload `name`, none of which serves, do not; None without pods.

    A cause that a component reports comes before that they are only not ready.
    """
    if not pods:
        return None
    reported = [(pod, cause) for pod in pods if (cause := reported_cause(pod)) is not None]
    if reported:
        first = reported[0][1]
        alike = [pod for pod, cause in reported if cause.reason == first.reason]
        verb = _VERBS.get(first.reason, ("can't start", "can't start"))[len(alike) > 1]
        message = f"{plural(len(alike), 'pod')} of {name} {verb} ({listed(alike)}): {first.message}"
        return UnreadyPods(Hold(first.reason, message), is_reported=True)
    have = "has" if len(pods) == 1 else "have"
    message = f"{plural(len(pods), 'pod')} of {name} {have} not become ready ({listed(pods)}): {_progress(pods[0])}"
    return UnreadyPods(Hold("PodsNotReady", message), is_reported=False)


def reported_cause(pod: Body) -> Hold | None:
    """Return why the pod does not start; None where nothing says so."""
    status = mapping(pod.get("status"))
    if status.get("phase") == "Failed":
        message = f"{status.get('reason', '')}: {status.get('message', '')}".strip(": ")
        return Hold("PodsFailed", message or "it has failed")
    for condition in mappings(status.get("conditions")):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            message = str(condition.get("message") or condition.get("reason") or "it waits for a node")
            if node := string(status.get("nominatedNodeName")):
                return Hold("Preempting", f"the scheduler removes pods of lower priority from node {node} for it")
            return Hold("Unschedulable", message)
    for container in _containers(status):
        if (cause := _cause_of(container)) is not None:
            return cause
    return None


def creation_failure(status: Body, name: str, count: int | None = None) -> Hold | None:
    """Return why the controller of the workload `name` creates no pods, in the API server's words; `count` are missing.

    A Deployment's status says so; a StatefulSet and a DaemonSet tell it in Events only.
    """
    for condition in mappings(status.get("conditions")):
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            message = str(condition.get("message", ""))
            pods = "pods" if count is None else plural(count, "pod")
            return Hold(
                "QuotaExceeded" if "exceeded quota" in message else "PodsNotCreated",
                f"{pods} of {name} can't be created: {message}",
            )
    return None


def listed(pods: Iterable[Body]) -> str:
    """Return the names of a few pods, and how many more there are."""
    names = sorted(string(get_path(pod, "metadata", "name")) for pod in pods)
    hidden = [f"{len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return ", ".join([*names[:_NAMED], *hidden])


def _cause_of(container: Body) -> Hold | None:
    waiting = mapping(get_path(container, "state", "waiting"))
    reason, name = string(waiting.get("reason")), f"container {container.get('name', '')}"
    message = f"{name}: {reason}: {waiting.get('message', '')}".rstrip(": ")
    if reason in _IMAGE:
        return Hold("ImagePullFailed", message)
    if reason in _CONTAINER:
        return Hold("ContainerFailed", message)
    if reason == _CRASHES or _has_crashed(container):
        return Hold("CrashLooping", f"{name}: {_crash(container)}")
    return None


def _has_crashed(container: Body) -> bool:
    """Say whether a container that is not ready has ended; an init container that has done its work is ready."""
    has_ended = get_path(container, "state", "terminated") is not None
    return not container.get("ready") and (has_ended or (integer(container.get("restartCount"), 0) or 0) > 0)


def _crash(container: Body) -> str:
    """Return how often a container was started again, and how its last run ended."""
    restarts = integer(container.get("restartCount"), 0) or 0
    ended = mapping(get_path(container, "state", "terminated") or get_path(container, "lastState", "terminated"))
    code, reason = integer(ended.get("exitCode")), string(ended.get("reason"))
    last = "" if code is None else f", its last run ended with exit code {code}{f' ({reason})' if reason else ''}"
    return f"{_CRASHES}, {plural(restarts, 'restart')}{last}"


def _progress(pod: Body) -> str:
    """Return how far a pod is that nothing says a cause of."""
    status = mapping(pod.get("status"))
    for container in _containers(status):
        if (waiting := get_path(container, "state", "waiting", "reason")) is not None:
            return f"container {container.get('name', '')} waits: {waiting}"
        if "running" in mapping(container.get("state")) and not container.get("ready"):
            return f"container {container.get('name', '')} runs, and {_probe(pod, container)}"
    if (gate := _open_gate(pod)) is not None:
        return f"its readiness gate {gate} has not passed"
    return "nothing says why"


def _open_gate(pod: Body) -> str | None:
    """Return a readiness gate of the pod that has not passed."""
    conditions = mappings(get_path(pod, "status", "conditions"))
    passed = {condition.get("type") for condition in conditions if condition.get("status") == "True"}
    gates = [string(gate.get("conditionType")) for gate in mappings(get_path(pod, "spec", "readinessGates"))]
    return next((gate for gate in gates if gate not in passed), None)


def _probe(pod: Body, container: Body) -> str:
    """Return which probe a running container waits for."""
    specs = [*mappings(get_path(pod, "spec", "containers")), *mappings(get_path(pod, "spec", "initContainers"))]
    spec = next((spec for spec in specs if spec.get("name") == container.get("name")), {})
    if "startupProbe" in spec and not container.get("started"):
        return "its startup probe has not passed"
    return "its readiness probe has not passed" if "readinessProbe" in spec else "is not ready"


def _containers(status: Body) -> list[Body]:
    return [*mappings(status.get("initContainerStatuses")), *mappings(status.get("containerStatuses"))]
