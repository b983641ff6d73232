"""Whether a number that is made of many targets' series is still made of all of them.

A sum falls when targets are not scraped any more, as it does when the load falls. The number of targets tells the two
apart: where it falls without pods of the workload being gone, the reading is of a part, and nothing rests on it.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import median_high

from forestall.api import ServiceLevelObjective
from forestall.core.wording import are, plural
from forestall.engine.observe import Reading
from forestall.engine.targets import Found, Targets
from forestall.engine.together import together
from forestall.ports import QueryFailure

LOST_SHARE = 0.2
"""The share of the targets, but at least one, whose loss makes a reading one of a part."""
_REMEMBERED = 20
"""Over how many cycles the usual number of targets is the median: those that overlap in a rollout do not count."""
_SETTLED = 10
"""After how many cycles a loss is not got used to, as long as the workload has more pods that are ready."""
_AT_ONCE = 200
"""How many workloads are looked at in one cycle at the most."""

Key = tuple[str, str, str]
"""Objective, indicator, selector."""


class Census:
    """Knows how many targets usually feed each query, and asks for the workload's pods where some are lost."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets
        self._counts: dict[Key, deque[int]] = {}

    async def take(
        self, readings: Mapping[str, tuple[Reading, ...]], objectives: Mapping[str, ServiceLevelObjective]
    ) -> dict[str, tuple[Reading, ...]]:
        """Return the readings by objective; those that lost targets which nothing explains can't be used."""
        suspects = {
            uid: lost for uid, some in readings.items() if uid in objectives and (lost := list(self._lost(some)))
        }
        pods: dict[str, int | None] = {}
        if suspects:
            due = list(suspects)[:_AT_ONCE]
            pods = dict(zip(due, await together(self._ready(objectives[uid]) for uid in due), strict=True))
        checked = {
            uid: tuple(self._checked(each, suspects.get(uid, ()), pods.get(uid)) for each in some)
            for uid, some in readings.items()
        }
        watched = {(each.watched.objective, each.watched.indicator) for some in readings.values() for each in some}
        self._counts = {key: counts for key, counts in self._counts.items() if key[:2] in watched}
        return checked

    def _lost(self, readings: Iterable[Reading]) -> Iterable[Key]:
        for reading in readings:
            for key, count in _keys(reading).items():
                known = self._counts.get(key)
                if known and _is_lost(count, median_high(known)):
                    yield key

    def _checked(self, reading: Reading, lost: Sequence[Key], ready: int | None) -> Reading:
        problem = None
        for key, count in _keys(reading).items():
            known = self._counts.setdefault(key, deque(maxlen=_REMEMBERED))
            if key not in lost:
                known.append(count)
            elif ready is not None and count >= ready:  # the pods are gone, and their series with them
                known.clear()
                known.append(count)
            else:
                usual = median_high(known)
                problem = _problem(key[2], count, usual, ready)
                if ready is None or len(known) < _SETTLED:
                    known.append(count)
        return reading if problem is None else replace(reading, values={}, fresh=False, problem=problem)

    async def _ready(self, slo: ServiceLevelObjective) -> int | None:
        found = await self._targets.read(slo, with_scale=False)
        return found.size.ready if isinstance(found, Found) else None


def _keys(reading: Reading) -> dict[Key, int]:
    """Return how many targets feed each selector of a usable reading that puts them together."""
    watched = reading.watched
    if not reading.fresh or watched.per is not None:
        return {}
    return {(watched.objective, watched.indicator, selector): count for selector, count in reading.members}


def _is_lost(count: int, usual: int) -> bool:
    return usual - count >= max(1.0, LOST_SHARE * usual)


def _problem(selector: str, count: int, usual: int, ready: int | None) -> QueryFailure:
    pods = "it is not known how many pods are ready" if ready is None else f"{plural(ready, 'pod')} {are(ready)} ready"
    return QueryFailure(
        "PartialData", f"{count} of {plural(usual, 'target')} {are(count)} left that {selector} comes from, and {pods}"
    )
