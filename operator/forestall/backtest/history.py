"""What was measured, and a source that answers from it as it would have answered then."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forestall.ports import Answer, Query, QueryFailure, RangeSeries, Sample

Labels = tuple[tuple[str, str], ...]
Floats = NDArray[np.float64]

_JITTER = 1.5
"""How many spacings old a sample may be to still count as present: clocks and scrapes are not exact."""


@dataclass(frozen=True, slots=True)
class History:
    """Series by the key of the query that they answer. Times ascend within a series; values are finite."""

    series: Mapping[Hashable, tuple[RangeSeries, ...]]

    @property
    def first(self) -> float:
        """When the oldest sample was taken (s); infinite without any."""
        return min((one.times[0] for some in self.series.values() for one in some if one.times), default=np.inf)

    @property
    def last(self) -> float:
        """When the newest sample was taken (s)."""
        return max((one.times[-1] for some in self.series.values() for one in some if one.times), default=-np.inf)

    @property
    def spacing(self) -> float:
        """The usual distance of two samples (s): the median over all series."""
        gaps = [np.diff(one.times) for some in self.series.values() for one in some if len(one.times) > 1]
        gaps = [gap[gap > 0] for gap in gaps]
        return float(np.median(np.concatenate(gaps))) if any(gap.size for gap in gaps) else 0.0


@dataclass(frozen=True, slots=True)
class _Grid:
    """The series of one query on the steps of a replay: row ``n`` knows only of samples up to step ``n``."""

    labels: tuple[Labels, ...]
    values: Floats
    """(steps, series), NaN where no sample is recent enough."""
    newest: Floats
    """When the newest sample of any series was taken (steps,), -inf before the first."""


class HistoryMetrics:
    """The port `Metrics` on a history: at each moment it knows what was measured until then, and nothing of later.

    The history is looked at on a grid of `step` seconds from `start` on, which must be the moments that are asked for.
    """

    def __init__(self, history: History, start: float, end: float, step: float) -> None:
        self._start, self._step = start, step
        self._times = start + step * np.arange(round((end - start) / step) + 1)
        self.lookback = _JITTER * max(step, history.spacing)
        """How old (s) a sample may be to be the value of a series."""
        self._grids = {key: self._on_grid(some) for key, some in history.series.items()}

    async def instant(
        self,
        source: str,  # noqa: ARG002 -- the port's: one history stands for every source
        queries: Sequence[Query],
        at: float,
    ) -> Mapping[Hashable, Answer | QueryFailure]:
        """See the port."""
        step = self._step_of(at)
        return {query.key: self._answer(query, step) for query in queries}

    async def range(
        self,
        source: str,  # noqa: ARG002 -- the port's
        queries: Sequence[Query],
        start: float,
        end: float,
        step: float,  # noqa: ARG002 -- that of the grid
    ) -> Mapping[Hashable, tuple[RangeSeries, ...] | QueryFailure]:
        """See the port."""
        part = slice(max(0, self._step_of(start)), max(0, self._step_of(end) + 1))
        return {query.key: self._past(query, part) for query in queries}

    def _answer(self, query: Query, step: int) -> Answer | QueryFailure:
        grid = self._grids.get(query.key)
        if grid is None or not 0 <= step < len(self._times) or not np.isfinite(grid.newest[step]):
            return Answer((), None)
        row = grid.values[step].tolist()
        samples = [
            Sample(labels, value) for labels, value in zip(grid.labels, row, strict=True) if math.isfinite(value)
        ]
        if len(samples) > query.max_series:
            return _too_many(len(samples), query)
        return Answer(tuple(samples), float(grid.newest[step]))

    def _past(self, query: Query, part: slice) -> tuple[RangeSeries, ...] | QueryFailure:
        grid = self._grids.get(query.key)
        if grid is None:
            return ()
        times, values = self._times[part], grid.values[part]
        kept = np.isfinite(values)
        there = np.flatnonzero(kept.any(axis=0))
        if there.size > query.max_series:
            return _too_many(there.size, query)
        return tuple(
            RangeSeries(
                grid.labels[one], tuple(times[kept[:, one]].tolist()), tuple(values[kept[:, one], one].tolist())
            )
            for one in there
        )

    def _step_of(self, at: float) -> int:
        return int(np.floor((at - self._start) / self._step + 1e-6))

    def _on_grid(self, series: Sequence[RangeSeries]) -> _Grid:
        values = np.full((len(self._times), len(series)), np.nan)
        newest = np.full(len(self._times), -np.inf)
        for place, one in enumerate(series):
            if not one.times:
                continue
            times = np.asarray(one.times)
            index = np.searchsorted(times, self._times + 1e-6, side="right") - 1
            taken = np.where(index >= 0, times[index], -np.inf)
            recent = self._times - taken <= self.lookback
            values[recent, place] = np.asarray(one.values)[index[recent]]
            newest = np.maximum(newest, taken)
        return _Grid(tuple(one.labels for one in series), values, newest)


def _too_many(count: int, query: Query) -> QueryFailure:
    return QueryFailure("TooManySeries", f"the query returns {count} series: {query.max_series} are the most")
