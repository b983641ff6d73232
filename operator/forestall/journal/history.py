"""Which ended remediations are history that nobody needs any more."""

from collections import defaultdict
from collections.abc import Collection, Iterable

from forestall.api.remediation import Remediation
from forestall.api.times import seconds


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


def _ended_at(remediation: Remediation) -> float:
    return seconds(remediation.status.ended) or 0.0
