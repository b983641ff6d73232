"""Which ended remediations are history that nobody needs any more."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from forestall.api.remediation import ObjectRef, Remediation
from forestall.api.times import seconds
from forestall.errors import ClusterError, NotFound
from forestall.ports import Cluster

TTL: Final = 30 * 86400.0
"""After how many seconds an ended remediation is deleted."""
KEEP: Final = 20
"""How many ended remediations of one objective are kept at the most."""


def overdue(
    remediations: Iterable[Remediation], objectives: Collection[str], now: float, *, ttl: float, keep: int
) -> list[Remediation]:
    """Return the ended remediations that can go: older than `ttl` s, or beyond the `keep` newest of an objective.

    Those of the newest episode of an objective that still exists (`objectives`, UIDs) stay: their names are what keeps
    the same thing from being done twice.
    """
    grouped: dict[str, list[Remediation]] = defaultdict(list)
    for remediation in remediations:
        grouped[remediation.spec.intent.objective.uid].append(remediation)
    result = []
    for uid, group in grouped.items():
        newest = max(each.spec.intent.episode for each in group) if uid in objectives else None
        ended = sorted((each for each in group if each.ended), key=_ended_at, reverse=True)
        result += [
            each
            for rank, each in enumerate(ended)
            if each.spec.intent.episode != newest and (rank >= keep or _ended_at(each) <= now - ttl)
        ]
    return result


async def reap(
    cluster: Cluster, remediations: Sequence[Remediation], objectives: Collection[str], now: float
) -> list[Remediation]:
    """Delete what is overdue, as it was seen; return what is gone. What can't be deleted stays for the next time."""
    gone = []
    for each in overdue(remediations, objectives, now, ttl=TTL, keep=KEEP):
        try:
            await cluster.delete(ObjectRef.to(each), each.metadata.resource_version)
        except NotFound:
            pass
        except ClusterError:
            continue
        gone.append(each)
    return gone


def _ended_at(remediation: Remediation) -> float:
    return seconds(remediation.status.ended) or 0.0
