"""Recorded series, and a `Metrics` port that answers queries from them as of any time in the past."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forestall.ports import Answer, Labels, Query, QueryFailure, RangeSeries, Sample

Floats = NDArray[np.float64]

_JITTER = 1.5
"""How old a sample may be, in sample intervals, to count as present: clocks and scrapes are not exact."""


@dataclass(frozen=True, slots=True)
class History:
    """Series by the key of their query. Times ascend within a series; values are finite."""

    series: Mapping[Hashable, tuple[RangeSeries, ...]]

    @property
    def first(self) -> float:
        """Time of the oldest sample (s); infinite without samples."""
        return min(
            (series.times[0] for answer in self.series.values() for series in answer if series.times), default=np.inf
        )

    @property
    def last(self) -> float:
        """Time of the newest sample (s); minus infinity without samples."""
        return max(
            (series.times[-1] for answer in self.series.values() for series in answer if series.times), default=-np.inf
        )

    @property
    def spacing(self) -> float:
        """The interval between samples (s): the median over all series."""
        gaps = [np.diff(series.times) for answer in self.series.values() for series in answer if len(series.times) > 1]
        gaps = [gap[gap > 0] for gap in gaps]
        return float(np.median(np.concatenate(gaps))) if any(gap.size for gap in gaps) else 0.0


@dataclass(frozen=True, slots=True)
class _Grid:
    """The series of one query on the steps of a replay: row ``n`` uses only samples up to step ``n``."""

    labels: tuple[Labels, ...]
    values: Floats
    """Shape (steps, series); NaN where no sample is recent enough."""
    newest: Floats
    """Time of the newest sample of any series, shape (steps,); -inf before the first."""


class HistoryMetrics:
    """The port `Metrics` on a history: a query at a time sees only the samples up to that time.

    The history is resampled to a grid of `step` seconds from `start` on; queries must be at times of that grid.
    """

    def __init__(self, history: History, start: float, end: float, step: float) -> None:
        self._start, self._step = start, step
        self._times = start + step * np.arange(round((end - start) / step) + 1)
        self.lookback = _JITTER * max(step, history.spacing)
        """How old (s) the newest sample of a series may be to be its value."""
        self._grids = {key: self._on_grid(answer) for key, answer in history.series.items()}

    async def instant(
        self,
        source: str,  # noqa: ARG002 -- the port's: one history serves every source
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
        finite = np.isfinite(values)
        columns = np.flatnonzero(finite.any(axis=0))
        if columns.size > query.max_series:
            return _too_many(columns.size, query)
        return tuple(
            RangeSeries(
                grid.labels[column],
                tuple(times[finite[:, column]].tolist()),
                tuple(values[finite[:, column], column].tolist()),
            )
            for column in columns
        )

    def _step_of(self, at: float) -> int:
        return int(np.floor((at - self._start) / self._step + 1e-6))

    def _on_grid(self, answer: Sequence[RangeSeries]) -> _Grid:
        values = np.full((len(self._times), len(answer)), np.nan)
        newest = np.full(len(self._times), -np.inf)
        for column, series in enumerate(answer):
            if not series.times:
                continue
            times = np.asarray(series.times)
            index = np.searchsorted(times, self._times + 1e-6, side="right") - 1
            sampled_at = np.where(index >= 0, times[index], -np.inf)
            recent = self._times - sampled_at <= self.lookback
            values[recent, column] = np.asarray(series.values)[index[recent]]
            newest = np.maximum(newest, sampled_at)
        return _Grid(tuple(series.labels for series in answer), values, newest)


def _too_many(count: int, query: Query) -> QueryFailure:
    return QueryFailure("TooManySeries", f"the query returns {count} series, more than the limit of {query.max_series}")
