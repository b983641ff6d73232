"""Hold while so many objectives are at risk at once that the cause is in the monitoring or the cluster."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from forestall.core.decision import Hold
from forestall.core.duration import format_duration
from forestall.core.guards.guard_input import GuardInput, StormCheck, StormCounts
from forestall.core.wording import plural

MAX_RISK_AGE: Final = 86400.0
"""An objective at risk for longer than this (s) does not count for a storm."""


def storm(context: GuardInput) -> Hold | None:
    """Hold while at least as many objectives as a storm breaker allows have come at risk together, and still are.

    Across the cluster each namespace counts for half a storm at most, so that no namespace alone holds the actions of
    others. A storm within one namespace holds the actions in that namespace.
    """
    for breaker in context.constraints.storm_checks:
        counted = count_storm(breaker, context.now)
        in_namespace, namespace_total = (
            numbers.get(context.namespace, 0) for numbers in (counted.by_namespace, breaker.objectives_by_namespace)
        )
        if _is_storm(breaker, in_namespace, namespace_total):
            return _hold(breaker, in_namespace, namespace_total, f" in namespace {context.namespace}")
        cap = _cap(breaker)
        if _is_storm(
            breaker, counted.capped_total, sum(min(number, cap) for number in breaker.objectives_by_namespace.values())
        ):
            return _hold(breaker, counted.total, sum(breaker.objectives_by_namespace.values()), "")
    return None


def count_storm(limits: StormCheck, now: float) -> StormCounts:
    """Return how many objectives came at risk together, as of `now` (s); computed once for each `now`."""
    counts = limits.cached_counts.get(now)
    if counts is None:
        risks = [(namespace, since) for namespace, since in limits.at_risk_since if now - since <= MAX_RISK_AGE]
        by_namespace: dict[str, list[tuple[str, float]]] = defaultdict(list)
        for namespace, since in risks:
            by_namespace[namespace].append((namespace, since))
        within = limits.within
        counts = StormCounts(
            by_namespace={namespace: most_within(own, within) for namespace, own in by_namespace.items()},
            capped_total=most_within(risks, within, _cap(limits)),
            total=most_within(risks, within),
        )
        limits.cached_counts[now] = counts
    return counts


def _cap(limits: StormCheck) -> int:
    return max(1, limits.objectives // 2)


def most_within(risks: Iterable[tuple[str, float]], within: float, cap: int | None = None) -> int:
    """Return the largest number of `risks` (namespace, time) within `within` s of each other, at most `cap` for each
    namespace."""
    ordered: Sequence[tuple[str, float]] = sorted(risks, key=lambda risk: risk[1])
    per_namespace: Counter[str] = Counter()
    highest = total = first = 0
    for namespace, since in ordered:
        while since - ordered[first][1] > within:
            oldest = ordered[first][0]
            per_namespace[oldest] -= 1
            total -= cap is None or per_namespace[oldest] < cap
            first += 1
        total += cap is None or per_namespace[namespace] < cap
        per_namespace[namespace] += 1
        highest = max(highest, total)
    return highest


def _is_storm(limits: StormCheck, number: int, total: int) -> bool:
    return number >= limits.objectives and number >= limits.share * total


def _hold(limits: StormCheck, number: int, total: int, location: str) -> Hold:
    return Hold(
        "Storm",
        f"{number} of {plural(total, 'objective')}{location} came at risk within "
        f"{format_duration(limits.within)}, which "
        f"points to the monitoring or the cluster and not to each workload ({limits.owner})",
    )
