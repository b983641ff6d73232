"""Fair scheduling by namespace: the order, the concurrency and the time of a cycle's work for each."""

import asyncio
import math
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import zip_longest
from typing import Final, TypeVar

from forestall.core.decision import Hold
from forestall.core.duration import format_duration
from forestall.engine.concurrency import at_most

T = TypeVar("T")

_MISSING: Final = object()


def round_robin(items: Iterable[T], owner: Callable[[T], Hashable]) -> list[T]:
    """Return the items in round-robin order of their owners: the first item of every owner, then the second ones, and
    so on.
    """
    lanes: dict[Hashable, list[T]] = defaultdict(list)
    for item in items:
        lanes[owner(item)].append(item)
    rounds = zip_longest(*lanes.values(), fillvalue=_MISSING)
    return [item for items_of_round in rounds for item in items_of_round if item is not _MISSING]  # type: ignore[misc]


def batches(items: Sequence[T], size: Callable[[T], int], max_size: int, max_items: int) -> Iterator[list[T]]:
    """Yield the items in runs of no more than `max_items`, and of no more than `max_size` by their sizes together."""
    batch: list[T] = []
    total = 0
    for item in items:
        if batch and (len(batch) >= max_items or total + size(item) > max_size):
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += size(item)
    if batch:
        yield batch


class NamespaceLimit:
    """Limits how many objects are processed at once, and gives one namespace at most half of the slots."""

    def __init__(self, max_concurrent: int) -> None:
        self._max_per_namespace = max(1, max_concurrent // 2)
        self._limit = asyncio.Semaphore(max_concurrent)
        self._limits: dict[str, asyncio.Semaphore] = {}

    def clear(self) -> None:
        """Forget the namespaces of which nothing is being processed."""
        self._limits.clear()

    @asynccontextmanager
    async def slot(self, namespace: str) -> AsyncIterator[None]:
        """Wait until one more object of this namespace may be processed."""
        namespace_limit = self._limits.setdefault(namespace, asyncio.Semaphore(self._max_per_namespace))
        async with namespace_limit, self._limit:
            yield


class FairScheduler:
    """Limits how many objects are processed at once, at most half of them of one namespace, and each namespace's
    time.
    """

    def __init__(self, max_concurrent: int, share: float) -> None:
        """At most `max_concurrent` at once; `share` (s) is a namespace's time in a phase; the phase has twice that."""
        self._share = share
        self._limit = NamespaceLimit(max_concurrent)
        self._began: dict[str, float] = {}
        self._until = math.inf
        self.end = math.inf
        """When (s, of the event loop) the phase ends."""
        self._postponed: set[str] = set()
        self.postponed: frozenset[str] = frozenset()
        """The UIDs of objects that had no turn in the previous cycle: they come first."""

    def begin_cycle(self) -> None:
        """Begin a cycle."""
        self.postponed, self._postponed = frozenset(self._postponed), set()

    def postpone(self, uid: str) -> None:
        """Record that an object had no turn in this cycle."""
        self._postponed.add(uid)

    def begin_phase(self, end: float = math.inf) -> None:
        """Begin a phase of the cycle, which ends at `end` (s, of the event loop)."""
        self._limit.clear()
        self._began.clear()
        self._until = at_most(2 * self._share, end)
        self.end = end

    def part_of_rest(self, part: float) -> float:
        """Return when (s, of the event loop) this share of the remaining time of the phase has passed."""
        now = asyncio.get_running_loop().time()
        return now + part * max(0.0, self.end - now) if math.isfinite(self.end) else math.inf

    @asynccontextmanager
    async def slot(self, namespace: str) -> AsyncIterator[Hold | None]:
        """Wait for a slot of the namespace; yield why it must not be used if the namespace's time has passed."""
        async with self._limit.slot(namespace):
            now = asyncio.get_running_loop().time()
            began = self._began.setdefault(namespace, now)
            yield self._over(namespace, now, began)

    def _over(self, namespace: str, now: float, began: float) -> Hold | None:
        if now - began > self._share:
            return Hold(
                "ShareExhausted",
                f"what was decided for namespace {namespace} took more than {format_duration(self._share)} of the "
                "cycle: this one comes first in the next",
            )
        if now > self._until:
            return Hold("CycleTimeExhausted", "there was no time left in this cycle: this one comes first in the next")
        return None
