"""Who runs the command, and when: what is written beside each decision of a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from forestall.core.rfc3339 import write_time
from forestall.errors import ClusterError

if TYPE_CHECKING:
    from forestall.ports import Writer

_LONGEST: Final = 256


async def caller(cluster: Writer) -> str:
    """Return the user name that the API server knows the caller by; empty where it does not say."""
    try:
        answer = await cluster.create(
            {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {"name": "me"}}
        )
    except ClusterError:
        return ""
    return str(answer.get("status", {}).get("userInfo", {}).get("username", ""))[:_LONGEST]


def written(at: float) -> str:
    """Return `at` (s since the epoch) as the objects write a time that a person gave."""
    return write_time(at, "seconds")
