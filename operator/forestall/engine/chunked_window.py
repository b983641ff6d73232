"""The share of bad time over a long window, summed from pieces that are each queried once.

A threshold is evaluated at every moment of the window, and a query over a month makes the source evaluate some hundred
thousand moments. So the window is split into hundreds of pieces. Each piece is queried once it has ended, and kept as
two numbers: the bad moments, and all moments with a value. The ratio is computed from their sums: exact, and as old as
the newest piece. A piece is evaluated at the interval at which its series are sampled, so that each sample counts once.
At first the pieces of the whole window are read in batches.
"""

import math
import zlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from forestall.core import promql
from forestall.core.duration import parse_duration
from forestall.ports import Answer, Metrics, Query, QueryFailure, RangeSeries

SAMPLED_OVER: Final = "1h"
"""The range over which samples are counted to find the interval between them."""
_AGAIN: Final = 60.0
"""Seconds after which failed pieces are requested again."""
_LATE: Final = 2
"""How many of the newest pieces may be missing from a window that was complete."""
_MOMENTS: Final = 10_000
"""How many moments a source evaluates in one request at the most."""
_USUAL: Final = (2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 45, 60, 90, 120, 150, 180, 240, 300, 600, 900, 1800)
"""Common scrape intervals (s), to which the interval is rounded: the count of an hour is off by a few samples."""
_ASIDE: Final = 0.123
"""Seconds by which the ends of pieces are off whole seconds."""
_PENDING: Final = QueryFailure("WindowPending", "the window is read piece by piece, and not whole yet")


@dataclass(frozen=True, slots=True)
class ErrorRatio:
    """An error ratio, or the failure that says why there is none."""

    value: float = math.nan
    problem: QueryFailure | None = None


@dataclass(frozen=True, slots=True)
class ChunkedWindow:
    """The window of one objective as pieces to query. Pieces are numbered from the epoch."""

    objective: str
    """Its UID."""
    owner: str
    """Its namespace."""
    bad: str
    """The expression that is 1 at bad moments, 0 at good ones, and empty where there is no value."""
    samples: tuple[Query, ...]
    """A query for the number of samples in `SAMPLED_OVER` of the densest series of each selector."""
    window: float
    longest: float
    """The length (s) of a piece at the most, and so the age of the ratio."""
    interval: float
    """The longest interval (s) between two evaluated moments."""

    @property
    def count(self) -> int:
        """The number of pieces in the window."""
        return max(1, math.ceil(self.window / self.longest))

    @property
    def length(self) -> float:
        """The length of a piece (s), in whole milliseconds as sources count time."""
        return round(self.window / self.count, 3)

    @property
    def _first(self) -> float:
        # Objectives that were met together part ways, and no piece ends at a moment that is looked at: whether the ends
        # of a range belong to it is not the same in all versions of Prometheus.
        return math.floor(self.length * zlib.crc32(self.objective.encode()) / 2**32) + _ASIDE

    def end(self, number: int) -> float:
        """Return when (s) a piece ends."""
        return round(self._first + number * self.length, 3)

    def newest(self, at: float) -> int:
        """Return the number of the newest piece that has ended at `at`."""
        return math.floor((at - self._first) / self.length)

    def number(self, end: float) -> int:
        """Return the number of the piece that ends at `end`."""
        return round((end - self._first) / self.length)

    def resolution(self, samples: float) -> float:
        """Return the interval (s) between evaluated moments for this number of samples in `SAMPLED_OVER`, so that every
        sample is evaluated equally often and none is missed.
        """
        if not samples > 0:
            return self.interval
        counted = parse_duration(SAMPLED_OVER) / samples
        usual = min(_USUAL, key=lambda candidate: abs(math.log(candidate / counted)))
        spacing = usual if abs(usual / counted - 1) < 0.1 else max(1.0, math.floor(counted))
        return spacing / math.ceil(spacing / self.interval)

    def queries(self, resolution: float) -> tuple[Query, Query]:
        """Return the queries for the bad moments of a piece and for all of them."""
        bad, total = promql.evaluation_counts(self.bad, length=self.length, resolution=resolution)
        return (
            Query((self.objective, "sli:bad"), bad, 1, owner=self.owner),
            Query((self.objective, "sli:all"), total, 1, owner=self.owner),
        )


class _WindowState:
    """The pieces of one window read so far, as a ring buffer."""

    def __init__(self, pieces: ChunkedWindow, resolution: float, newest: int) -> None:
        self.pieces, self.resolution = pieces, resolution
        self.problem: QueryFailure | None = _PENDING
        self.last_query = -math.inf
        self.read = newest - pieces.count  # number of the newest that was read, all before it as well
        self.behind = pieces.count
        self._complete = False  # whether all were read once
        self._bad, self._all = np.zeros((2, pieces.count))

    def due(self, at: float, now: float) -> tuple[int, int] | None:
        """Return the first and the last piece to read next, of those that have ended at `at`."""
        newest = self.pieces.newest(at)
        if newest <= self.read or (self.problem not in (None, _PENDING) and 0 <= now - self.last_query < _AGAIN):
            return None
        chunk_count = max(1, int(_MOMENTS * self.resolution / self.pieces.length))
        first = max(self.read, newest - self.pieces.count) + 1
        return first, min(newest, first + chunk_count - 1)

    def add(self, span: tuple[int, int], bad: Sequence[RangeSeries], total: Sequence[RangeSeries], newest: int) -> None:
        """Add the counts of consecutive pieces; a piece without an answer had no values."""
        slots = np.arange(span[0], span[1] + 1) % self.pieces.count
        for mine, theirs in ((self._bad, bad), (self._all, total)):
            mine[slots] = 0.0
            for series in theirs:
                numbers = [self.pieces.number(time) % self.pieces.count for time in series.times]
                np.add.at(mine, numbers, np.nan_to_num(_floats(series.values)))
        self.read, self.behind = span[1], newest - span[1]
        self._complete |= self.behind <= 0
        self.problem = None if self.behind <= 0 else _PENDING

    def fail(self, problem: QueryFailure, newest: int) -> None:
        """Note that the next pieces could not be read."""
        self.problem, self.behind = problem, newest - self.read

    @property
    def share(self) -> ErrorRatio:
        """The bad share of all moments; failed pieces may be missing for a short time."""
        if not self._complete or self.behind > _LATE:
            return ErrorRatio(problem=self.problem or _PENDING)
        total = float(self._all.sum())
        if total <= 0:
            return ErrorRatio(problem=QueryFailure("NoData", "the query had no value in the whole window"))
        return ErrorRatio(min(1.0, float(self._bad.sum()) / total))


class ChunkedWindows:
    """The windows of all objectives that are read in pieces."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._by_objective: dict[str, _WindowState] = {}

    def questions(self, pieces: ChunkedWindow, oldest: float) -> tuple[Query, ...]:
        """Return the queries for the sampling intervals, which are sent with all other queries of the cycle."""
        window = self._by_objective.get(pieces.objective)
        fresh = window is not None and window.pieces == pieces and pieces.newest(oldest) <= window.read
        return () if fresh else pieces.samples

    def prepare(self, pieces: ChunkedWindow, answers: Mapping[Hashable, Answer | QueryFailure], oldest: float) -> None:
        """Process the answers to `questions`; a window whose sampling interval became shorter is read again from the
        start.
        """
        counts = [_count(answers.get(query.key)) for query in pieces.samples]
        resolution = pieces.resolution(max(counts, default=0.0))
        window = self._by_objective.get(pieces.objective)
        if window is None or window.pieces != pieces or resolution < window.resolution:
            self._by_objective[pieces.objective] = _WindowState(pieces, resolution, pieces.newest(oldest))

    def share(self, pieces: ChunkedWindow) -> ErrorRatio:
        """Return the bad share of the window, or why it is not known."""
        window = self._by_objective.get(pieces.objective)
        return ErrorRatio(problem=_PENDING) if window is None else window.share

    async def read(self, source: str, pieces: ChunkedWindow, oldest: float, now: float) -> bool:
        """Read the next pieces that have ended at `oldest`; return whether more can be read at once."""
        window = self._by_objective.get(pieces.objective)
        span = None if window is None else window.due(oldest, now)
        if window is None or span is None:
            return False
        window.last_query = now
        bad, total = pieces.queries(window.resolution)
        start, end = pieces.end(span[0]), pieces.end(span[1])
        answers = await self._metrics.range(source, (bad, total), start, end, pieces.length)
        mine, total_answer = answers[bad.key], answers[total.key]
        if isinstance(mine, QueryFailure) or isinstance(total_answer, QueryFailure):
            failures = [answer for answer in (mine, total_answer) if isinstance(answer, QueryFailure)]
            window.fail(failures[0], pieces.newest(oldest))
            return False
        window.add(span, mine, total_answer, pieces.newest(oldest))
        return window.problem is _PENDING

    def last_query(self, pieces: ChunkedWindow) -> float:
        """Return when (s) pieces were last requested."""
        window = self._by_objective.get(pieces.objective)
        return -math.inf if window is None else window.last_query

    def retain(self, objectives: frozenset[str]) -> None:
        """Forget the windows of all objectives but these."""
        self._by_objective = {uid: window for uid, window in self._by_objective.items() if uid in objectives}


def _floats(values: Sequence[float]) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)


def _count(answer: Answer | QueryFailure | None) -> float:
    if answer is None or isinstance(answer, QueryFailure):
        return 0.0
    return max((sample.value for sample in answer.samples if math.isfinite(sample.value)), default=0.0)
