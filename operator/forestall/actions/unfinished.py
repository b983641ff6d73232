"""Which pods keep a rollout from being complete, and why: those that do not serve, and those that do not end.

A rollout waits for a pod that ends as long as the pod's grace period allows: a program that ignores SIGTERM takes all
of it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from forestall.actions.base import UnfinishedRollout, title
from forestall.actions.pods import is_finished, is_ready, is_terminating
from forestall.actions.rollout import complete
from forestall.actions.starting import pods_of
from forestall.actions.unready import creation_failure, explain, listed
from forestall.api.remediation import ObjectRef
from forestall.api.times import readable, seconds
from forestall.core.decision import Hold
from forestall.core.untrusted import get_path, integer, mapping, parsing
from forestall.core.wording import plural
from forestall.errors import Unreadable
from forestall.ports import Reader

Body = Mapping[str, Any]

NO_PROGRESS: Final = 600.0
"""After how long (s) without a pod that becomes ready a rollout is stuck where its kind has no deadline of its own: the
default `progressDeadlineSeconds` of a Deployment."""


async def find_unfinished(cluster: Reader, target: ObjectRef, body: Body) -> UnfinishedRollout | None:
    """Return which pods a rollout waits for; None where it is complete, or nothing can be said.

    Nothing more is asked of the cluster where it is complete.
    """
    if complete(body):
        return None
    pods = await pods_of(cluster, target, body)
    try:
        with parsing(f"the pods of {title(target)}"):
            return unfinished(target, body, pods or ())
    except Unreadable:
        return None


def unfinished(target: ObjectRef, body: Body, pods: Sequence[Body]) -> UnfinishedRollout | None:
    """Return which of the workload's `pods` its rollout waits for, and why; what a component reports comes first."""
    name, status = title(target), mapping(body.get("status"))
    if (failure := creation_failure(status, name)) is not None:
        return UnfinishedRollout(failure)
    live = [pod for pod in pods if not is_finished(pod)]
    ending = [pod for pod in live if is_terminating(pod)]
    unready = [pod for pod in live if not (is_terminating(pod) or is_ready(pod))]
    since = min((at for pod in unready if (at := _created(pod)) is not None), default=None)
    if (explained := explain(unready, name)) is not None and explained.is_reported:
        return UnfinishedRollout(explained.why, since)
    if ending:
        return still_ending(ending, name)
    if explained is not None:
        return UnfinishedRollout(explained.why, since, is_reported=False)
    return _uncreated(body, name, len(live))


def is_stuck(target: ObjectRef, rollout: UnfinishedRollout, now: float) -> bool:
    """Say whether a rollout whose controller has no deadline of its own has made no progress for too long."""
    return (
        target.kind in ("StatefulSet", "DaemonSet")
        and rollout.is_reported
        and rollout.since is not None
        and now - rollout.since >= NO_PROGRESS
    )


def still_ending(pods: Sequence[Body], name: str) -> UnfinishedRollout:
    """Return that pods of `name` have not ended yet although they were asked to, and how long they may take."""
    last = max(pods, key=_end)
    grace = integer(get_path(last, "metadata", "deletionGracePeriodSeconds"), 0)
    has, its = ("has", "its") if len(pods) == 1 else ("have", "their")
    message = (
        f"{plural(len(pods), 'pod')} of {name} {has} been asked to end, and {has} not ended yet ({listed(pods)}): "
        f"{its} grace period of {grace} s lasts until {readable(str(get_path(last, 'metadata', 'deletionTimestamp')))}"
    )
    return UnfinishedRollout(Hold("PodsTerminating", message), min(map(_asked_to_end, pods)), is_reported=False)


def _uncreated(body: Body, name: str, live: int) -> UnfinishedRollout | None:
    """Return how many pods of a StatefulSet have not been created; its controller says why in Events only."""
    missing = (integer(get_path(body, "spec", "replicas"), 1) or 0) - live
    if body.get("kind") != "StatefulSet" or missing <= 0:
        return None
    have = "has" if missing == 1 else "have"
    message = f"{plural(missing, 'pod')} of {name} {have} not been created, and the controller says why in Events only"
    return UnfinishedRollout(Hold("PodsNotCreated", message), is_reported=False)


def _created(pod: Body) -> float | None:
    return seconds(get_path(pod, "metadata", "creationTimestamp"))


def _end(pod: Body) -> float:
    """Return when (s) a pod's grace period is over."""
    return seconds(get_path(pod, "metadata", "deletionTimestamp")) or 0.0


def _asked_to_end(pod: Body) -> float:
    return _end(pod) - (integer(get_path(pod, "metadata", "deletionGracePeriodSeconds"), 0) or 0)
