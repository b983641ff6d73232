"""Hold while so much is at risk at once that the cause must be elsewhere: in the monitoring, or in the cluster."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from forestall.core.decision import Hold
from forestall.core.duration import format_duration
from forestall.core.guards.guard_input import Counted, GuardInput, Storm
from forestall.core.wording import plural

CHRONIC: Final = 86400.0
"""What has been at risk for longer than this (s) is a state of its own, and no part of a storm."""


def storm(context: GuardInput) -> Hold | None:
    """Hold while as many objectives as the Guardrails call a storm have come at risk together, and still are.

    In the whole cluster each namespace counts for no more than half a storm, so that none alone holds everybody's
    actions; a namespace in which there is a whole one holds its own.
    """
    for breaker in context.around.storms:
        counted = count(breaker, context.now)
        here, own = counted.here.get(context.namespace, 0), breaker.watched.get(context.namespace, 0)
        if _is_storm(breaker, here, own):
            return _hold(breaker, here, own, f" in namespace {context.namespace}")
        cap = _cap(breaker)
        if _is_storm(breaker, counted.weight, sum(min(number, cap) for number in breaker.watched.values())):
            return _hold(breaker, counted.everywhere, sum(breaker.watched.values()), "")
    return None


def count(breaker: Storm, now: float) -> Counted:
    """Return how many objectives came at risk together, as of `now` (s); it is counted once for each time."""
    known = breaker.counted.get(now)
    if known is None:
        since = [(place, at) for place, at in breaker.since if now - at <= CHRONIC]
        places: dict[str, list[tuple[str, float]]] = defaultdict(list)
        for place, at in since:
            places[place].append((place, at))
        within = breaker.within
        known = Counted(
            here={place: together(some, within) for place, some in places.items()},
            weight=together(since, within, _cap(breaker)),
            everywhere=together(since, within),
        )
        breaker.counted[now] = known
    return known


def _cap(breaker: Storm) -> int:
    return max(1, breaker.objectives // 2)


def together(since: Iterable[tuple[str, float]], within: float, cap: int | None = None) -> int:
    """Return the most of these times (s) that lie within `within` s of each other, of one namespace at most `cap`."""
    times: Sequence[tuple[str, float]] = sorted(since, key=lambda each: each[1])
    counts: Counter[str] = Counter()
    most = total = first = 0
    for place, at in times:
        while at - times[first][1] > within:
            gone = times[first][0]
            counts[gone] -= 1
            total -= cap is None or counts[gone] < cap
            first += 1
        total += cap is None or counts[place] < cap
        counts[place] += 1
        most = max(most, total)
    return most


def _is_storm(breaker: Storm, number: int, watched: int) -> bool:
    return number >= breaker.objectives and number >= breaker.share * watched


def _hold(breaker: Storm, number: int, watched: int, where: str) -> Hold:
    return Hold(
        "Storm",
        f"{number} of {plural(watched, 'objective')}{where} came at risk within "
        f"{format_duration(breaker.within)}, which "
        f"points to the monitoring or the cluster and not to each workload ({breaker.whose})",
    )
