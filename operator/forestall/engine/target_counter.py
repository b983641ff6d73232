"""Detects aggregates that have lost some of the scrape targets behind them.

A sum falls when targets are not scraped any more, as it does when the load falls. The number of targets tells the two
apart: where it falls but the workload has lost no pods, the reading is incomplete and is not used.

Not every pod has series, some have several targets, and some series are of other workloads. So a loss is compared with
the usual number of pods: as many targets may be missing as the missing pods had.
"""

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median_high

from forestall.api import ServiceLevelObjective
from forestall.core.wording import is_or_are, plural
from forestall.engine.concurrency import within
from forestall.engine.readings import Reading
from forestall.engine.target_resolver import ResolvedTarget, TargetResolver
from forestall.ports import QueryFailure

LOST_SHARE = 0.2
"""The share of the targets, but at least one, whose loss makes a reading incomplete."""
_REMEMBERED = 20
"""The usual number of targets is the median over this many cycles, so that the overlap of a rollout does not count."""
_SETTLED = 10
"""For how many cycles a loss is never accepted as usual while the workload has more ready pods."""
_LONG = 240
"""After how many cycles a loss is accepted as usual where targets never matched pods, so that no pod explains it."""
_AT_ONCE = 200
"""How many workloads are read in one cycle at the most."""

Key = tuple[str, str, str]
"""Objective, indicator, selector."""


@dataclass(frozen=True, slots=True)
class _Count:
    """The number of targets of a selector, and of ready pods at the time; None where that is unknown or not needed."""

    targets: int
    ready: int | None


class TargetCounter:
    """Remembers the usual number of targets of each query, and reads the workload's pods where some are missing."""

    def __init__(self, targets: TargetResolver) -> None:
        self._targets = targets
        self._counts: dict[Key, deque[_Count]] = {}
        self._unexplained: Counter[Key] = Counter()

    async def take(
        self,
        readings: Mapping[str, tuple[Reading, ...]],
        objectives: Mapping[str, ServiceLevelObjective],
        until: float = math.inf,
    ) -> dict[str, tuple[Reading, ...]]:
        """Return the readings by objective; those with an unexplained loss of targets are replaced by the reason.

        Pods are read until `until` (s, of the event loop); later reads are skipped, and the pods are unknown.
        """
        suspects = {
            uid: lost
            for uid, readings_of_objective in readings.items()
            if uid in objectives and (lost := list(self._lost(readings_of_objective)))
        }
        pods: dict[str, int | None] = {}
        if suspects:
            due = list(suspects)[:_AT_ONCE]
            pods = dict(zip(due, await within(until, (self._ready(objectives[uid]) for uid in due)), strict=True))
        checked = {
            uid: tuple(
                self._checked(reading, suspects.get(uid, ()), pods.get(uid)) for reading in readings_of_objective
            )
            for uid, readings_of_objective in readings.items()
        }
        watched = {
            (reading.watched.objective, reading.watched.indicator)
            for readings_of_objective in readings.values()
            for reading in readings_of_objective
        }
        self._counts = {key: counts for key, counts in self._counts.items() if key[:2] in watched}
        self._unexplained = Counter({key: n for key, n in self._unexplained.items() if key in self._counts})
        return checked

    def _lost(self, readings: Iterable[Reading]) -> Iterable[Key]:
        for reading in readings:
            counts = _keys(reading)
            usual = {key: _usual(self._counts[key]) if self._counts.get(key) else 0 for key in counts}
            for key, count in counts.items():
                if not _is_lost(count, usual[key]):
                    continue
                # What has another name now, or other labels, comes as the old goes.
                come = sum(max(0, counts[other] - usual[other]) for other in counts if other != key)
                if count or come < usual[key]:
                    yield key

    def _checked(self, reading: Reading, lost: Sequence[Key], ready: int | None) -> Reading:
        problem = None
        for key, count in _keys(reading).items():
            counts = self._counts.setdefault(key, deque(maxlen=_REMEMBERED))
            if key not in lost:
                self._unexplained.pop(key, None)
                counts.append(_Count(count, self._targets.ready(key[0])))
            elif _is_explained(count, counts, ready) or self._is_usual(key, counts):
                self._unexplained.pop(key, None)
                counts.clear()
                counts.append(_Count(count, ready))
            else:
                self._unexplained[key] += 1
                problem = _problem(key[2], count, _usual(counts), ready)
                if ready is None or len(counts) < _SETTLED:
                    counts.append(_Count(count, None))
        return reading if problem is None else replace(reading, values={}, fresh=False, problem=problem)

    def _is_usual(self, key: Key, counts: Iterable[_Count]) -> bool:
        always_equal = all(count.targets == count.ready for count in counts if count.ready is not None)
        return not always_equal and self._unexplained[key] >= _LONG

    async def _ready(self, slo: ServiceLevelObjective) -> int | None:
        resolved = await self._targets.read(slo, with_scale=False)
        return resolved.size.ready if isinstance(resolved, ResolvedTarget) else None


def _keys(reading: Reading) -> dict[Key, int]:
    """Return the number of targets of each selector of a usable reading that aggregates them."""
    watched = reading.watched
    if not reading.fresh or watched.per is not None:
        return {}
    return {(watched.objective, watched.indicator, selector): count for selector, count in reading.members}


def _usual(counts: Iterable[_Count]) -> int:
    return median_high(count.targets for count in counts)


def _is_explained(count: int, counts: Iterable[_Count], ready: int | None) -> bool:
    """Say whether the missing pods explain the missing targets, with `ready` pods left."""
    if ready is None:
        return False
    before = [(past.targets, past.ready) for past in counts if past.ready]
    if not before or not ready:
        return count >= ready
    if any(count * pods >= targets * ready for targets, pods in before):  # as many of each pod as ever
        return True
    usual, pods = median_high(targets for targets, _ in before), median_high(pods for _, pods in before)
    return usual - count <= (pods - ready) * math.ceil(usual / pods)


def _is_lost(count: int, usual: int) -> bool:
    return usual - count >= max(1.0, LOST_SHARE * usual)


def _problem(selector: str, count: int, usual: int, ready: int | None) -> QueryFailure:
    pods = (
        "it is not known how many pods are ready"
        if ready is None
        else f"{plural(ready, 'pod')} {is_or_are(ready)} ready"
    )
    return QueryFailure(
        "PartialData",
        f"{count} of {plural(usual, 'target')} {is_or_are(count)} left that {selector} comes from, and {pods}",
    )
