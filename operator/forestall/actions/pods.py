"""What is known of pods by looking at them, and which of a node's pods a drain moves: as `kubectl drain` has it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from forestall.actions.protection import controller, is_protected, undisturbed
from forestall.core.untrusted import get_path, mapping, mappings

Pod = Mapping[str, Any]

MIRROR: Final = "kubernetes.io/config.mirror"
_FINISHED: Final = ("Succeeded", "Failed")
_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class DrainPlan:
    """The pods of a node, by what a drain does about them. Those that stay are in neither."""

    to_evict: Sequence[Pod]
    going: Sequence[Pod]
    """About to go already."""
    refused: Sequence[tuple[Pod, str]]
    """Those that must not be evicted unless the policy says so, and why."""


def sort(pods: Iterable[Pod], *, force: bool, delete_empty_dir_data: bool) -> DrainPlan:
    """Return what a drain does about each pod, with the flags of `kubectl drain`.

    What a DaemonSet controls and what the kubelet mirrors stays, and so does what people have protected.
    """
    to_evict, going, refused = [], [], []
    for pod in pods:
        if stays(pod):
            continue
        obstacle = (
            None if is_finished(pod) else _obstacle(pod, force=force, delete_empty_dir_data=delete_empty_dir_data)
        )
        if is_terminating(pod):
            going.append(pod)
        elif obstacle:
            refused.append((pod, obstacle))
        else:
            to_evict.append(pod)
    return DrainPlan(to_evict, going, refused)


def stays(pod: Pod) -> bool:
    """Say whether the pod stays on its node whatever is done to it."""
    owner = controller(pod)
    annotations = mapping(get_path(pod, "metadata", "annotations"))
    return is_protected(pod) or MIRROR in annotations or (owner is not None and owner["kind"] == "DaemonSet")


def _obstacle(pod: Pod, *, force: bool, delete_empty_dir_data: bool) -> str | None:
    if controller(pod) is None and not force:
        return "no controller replaces it (`force`)"
    if not delete_empty_dir_data and _has_empty_dir(pod):
        return "its emptyDir data would be lost (`deleteEmptyDirData`)"
    if not force and (annotation := undisturbed(pod)) is not None:
        return f"it has the annotation {annotation} (`force`)"
    return None


def _has_empty_dir(pod: Pod) -> bool:
    """Say whether data would be lost; where the volumes can't be understood it would."""
    volumes = get_path(pod, "spec", "volumes")
    if volumes and not (isinstance(volumes, list) and len(mappings(volumes)) == len(volumes)):
        return True
    return any("emptyDir" in volume for volume in mappings(volumes))


def is_terminating(pod: Pod) -> bool:
    """Say whether the pod is about to go."""
    return pod["metadata"].get("deletionTimestamp") is not None


def is_finished(pod: Pod) -> bool:
    """Say whether the pod has run to its end."""
    return get_path(pod, "status", "phase") in _FINISHED


def is_ready(pod: Pod) -> bool:
    """Say whether the pod serves."""
    conditions = mappings(get_path(pod, "status", "conditions"))
    return any(condition.get("type") == "Ready" and condition.get("status") == "True" for condition in conditions)


def title(pod: Pod) -> str:
    """Return a pod as people name it, such as `shop/checkout-1`."""
    return f"{get_path(pod, 'metadata', 'namespace')}/{get_path(pod, 'metadata', 'name')}"


def names_or_count(pods: Sequence[Pod], namespace: str) -> str:
    """Return which pods these are, for people of a namespace: its own by name, and of others only how many."""
    own = [title(pod) for pod in pods if get_path(pod, "metadata", "namespace") == namespace]
    hidden = f"{len(own) - _NAMED} more of {namespace}" if len(own) > _NAMED else ""
    foreign = f"{len(pods) - len(own)} of other namespaces" if len(own) < len(pods) else ""
    *first, last = [part for part in (*own[:_NAMED], hidden, foreign) if part]
    return f"{', '.join(first)} and {last}" if first else last
