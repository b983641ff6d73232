"""The revisions of a workload: the pod templates that Kubernetes keeps of it, as `kubectl rollout history` lists them.

A Deployment's are its ReplicaSets, those of a StatefulSet or DaemonSet its ControllerRevisions. A revision that is used
again gets a new number and keeps its age.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Final

from forestall.actions.protection import controller
from forestall.api.times import seconds
from forestall.core.untrusted import decimal_integer, get_path, integer, mapping, parsing, string_map
from forestall.ports import Reader

_NUMBER: Final = "deployment.kubernetes.io/revision"
_HASH: Final = "pod-template-hash"
_RESTARTS: Final = frozenset({"kubectl.kubernetes.io/restartedAt", "forestall.dev/restarted-by"})
"""Annotations of the pod template that make a new revision of the same template."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision of a workload."""

    number: int
    created: float
    """When it was first rolled out (s since the epoch)."""
    template: Mapping[str, Any]
    """The pod template."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """The newest change of a workload's pod template, and what was there before."""

    newest: Revision
    previous: Revision | None
    """The last revision whose template differs in more than a restart; None where none is kept."""
    created: float
    """When the newest template, apart from restarts of it, was first rolled out (s since the epoch)."""
    reused: bool
    """Whether it is an older template again: the rollout was a rollback."""


async def revisions(cluster: Reader, body: Mapping[str, Any]) -> list[Revision]:
    """Return the revisions of a Deployment, StatefulSet or DaemonSet, the newest first.

    Raises:
        ClusterError: the cluster could not say, or one of them can't be understood (`Unreadable`).
    """
    labels = string_map(get_path(body, "spec", "selector", "matchLabels"))
    kind, read = ("ReplicaSet", _replica_set) if body["kind"] == "Deployment" else ("ControllerRevision", _revision)
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    bodies = await cluster.find("apps/v1", kind, body["metadata"]["namespace"], label_selector=selector)
    uid = body["metadata"]["uid"]
    mine = []
    for item in bodies:
        if (controller(item) or {}).get("uid") == uid:
            with parsing(f"the {kind} {get_path(item, 'metadata', 'name')}"):
                mine.append(read(item))
    return sorted(mine, key=lambda item: item.number, reverse=True)


def rollout(all_revisions: Sequence[Revision]) -> Rollout | None:
    """Return what was rolled out last, of revisions that are sorted, the newest first; None where there is none.

    A restart is no rollout: revisions that differ in nothing else count as one.
    """
    if not all_revisions:
        return None
    newest = _bare(all_revisions[0].template)
    current = list(takewhile(lambda revision: _bare(revision.template) == newest, all_revisions))
    previous = all_revisions[len(current) :]
    created = min(revision.created for revision in current)
    return Rollout(
        all_revisions[0], next(iter(previous), None), created, any(revision.created > created for revision in previous)
    )


def is_current(revision: Revision, body: Mapping[str, Any]) -> bool:
    """Say whether the workload asks for just this revision; it does not while its controller has yet to look."""
    is_same: bool = _plain(revision.template) == _plain(get_path(body, "spec", "template"))
    return is_same


def _replica_set(body: Mapping[str, Any]) -> Revision:
    metadata, template = body["metadata"], body["spec"]["template"]
    labels = {key: value for key, value in mapping(get_path(template, "metadata", "labels")).items() if key != _HASH}
    return Revision(
        _number(decimal_integer(get_path(metadata, "annotations", _NUMBER), default=0)),
        _created(metadata),
        {**template, "metadata": {**mapping(template.get("metadata")), "labels": labels}},
    )


def _revision(body: Mapping[str, Any]) -> Revision:
    template = get_path(body, "data", "spec", "template") or {}
    plain = {key: value for key, value in template.items() if key != "$patch"}
    return Revision(_number(integer(body.get("revision"), default=0)), _created(body["metadata"]), plain)


def _number(number: int | None) -> int:
    if number is None:
        raise ValueError("the revision is no number")
    return number


def _created(metadata: Mapping[str, Any]) -> float:
    return seconds(metadata.get("creationTimestamp")) or 0.0


def _bare(template: Mapping[str, Any]) -> Any:
    """Return the template without what only restarts it."""
    metadata = mapping(template.get("metadata"))
    annotations = {
        key: annotation for key, annotation in mapping(metadata.get("annotations")).items() if key not in _RESTARTS
    }
    return _plain({**template, "metadata": {**metadata, "annotations": annotations}})


def _plain(value: Any) -> Any:
    """Return a document without what is null or an empty map: two ways to say the same are one."""
    if isinstance(value, Mapping):
        inner = {key: _plain(item) for key, item in value.items()}
        return {key: item for key, item in inner.items() if item is not None and item != {}}
    return [_plain(item) for item in value] if isinstance(value, list) else value
