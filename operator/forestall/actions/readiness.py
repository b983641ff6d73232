"""How many replicas of a workload serve."""

from collections.abc import Mapping
from typing import Any, Final

from forestall.core.untrusted import integer, mapping

_LEAVE_ZERO_OUT: Final = frozenset(
    {("apps", kind) for kind in ("Deployment", "ReplicaSet", "StatefulSet")}
    | {("argoproj.io", "Rollout"), ("", "ReplicationController")}
)
"""Groups and kinds whose controllers are known to leave `readyReplicas` out where it is 0."""


def ready_of(body: Mapping[str, Any]) -> int | None:
    """Return how many replicas of a workload serve; None where that is not told.

    What is left out is neither all nor none. It is 0 where the kind is known to leave zeros out, once its controller
    has written a status at all.
    """
    status, kind = mapping(body.get("status")), body.get("kind")
    group, _, _ = str(body.get("apiVersion") or "").rpartition("/")
    field = "numberReady" if (group, kind) == ("apps", "DaemonSet") else "readyReplicas"
    if field not in status:
        return 0 if (group, kind) in _LEAVE_ZERO_OUT and status.get("observedGeneration") is not None else None
    ready = integer(status[field])
    return ready if ready is not None and ready >= 0 else None
