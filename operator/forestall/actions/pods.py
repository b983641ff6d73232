"""What is known of a pod by looking at it."""

from collections.abc import Mapping
from typing import Any, Final

PROTECTED: Final = "forestall.dev/protected"
"""The annotation by which people keep forestall's hands off, when its value is `true`."""


def controller(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the owner that replaces the object when it goes; None where there is none."""
    owners = body["metadata"].get("ownerReferences") or []
    return next((owner for owner in owners if owner.get("controller")), None)


def is_protected(body: Mapping[str, Any]) -> bool:
    """Say whether people have protected the object by an annotation."""
    return (body["metadata"].get("annotations") or {}).get(PROTECTED) == "true"


def is_terminating(pod: Mapping[str, Any]) -> bool:
    """Say whether the pod is about to go."""
    return pod["metadata"].get("deletionTimestamp") is not None


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Say whether the pod serves."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
