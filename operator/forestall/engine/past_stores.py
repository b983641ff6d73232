"""What of the past of series is fetched, and where it goes: all points of the last day, the breaches of weeks."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Protocol

from forestall.core.forecast import Limit
from forestall.core.series import SeriesMatrix
from forestall.engine.forecasting import Forecasting
from forestall.engine.indicator_queries import IndicatorQuery
from forestall.ports import RangeSeries

_LONG_PAST = 28 * 86400.0
_LONG_STEP = 300.0
"""The step (s) of the long past: sources answer with at most 11,000 points of a series."""


class PastStore(Protocol):
    """A part of the past of series."""

    @property
    def interval(self) -> float:
        """The time (s) between two cycles."""

    @property
    def points(self) -> int:
        """The number of points of a series at the most."""

    def span(self, at: float) -> tuple[float, float, float]:
        """Return start, end and step (s) of the past as of ``at``."""

    def identity(self, query: IndicatorQuery) -> Hashable:
        """Return what the past is fetched once for; None where it is of no use."""

    def store(self, query: IndicatorQuery, series: RangeSeries) -> None:
        """Keep the past of one series."""


@dataclass(frozen=True, slots=True)
class MatrixPast:
    """The past that the matrix of series holds, at its own step."""

    matrix: SeriesMatrix

    @property
    def interval(self) -> float:
        """The step of the matrix."""
        return self.matrix.step

    @property
    def points(self) -> int:
        """The columns of the matrix."""
        return self.matrix.capacity

    def span(self, at: float) -> tuple[float, float, float]:
        """Return the span of the matrix without its newest column, which is this cycle's own."""
        step = self.matrix.step
        return at - step * (self.matrix.capacity - 1), at - step, step

    def identity(self, query: IndicatorQuery) -> Hashable:
        """Return the query."""
        return query.query

    def store(self, query: IndicatorQuery, series: RangeSeries) -> None:
        """Write the points into the matrix."""
        self.matrix.backfill(query.key(series.labels), series.times, series.values)


@dataclass(frozen=True, slots=True)
class BreachPast:
    """The last four weeks, of which only the breaches are kept, so that what recurs is foreseen after a restart too."""

    forecasting: Forecasting

    @property
    def interval(self) -> float:
        """The step of the matrix."""
        return self.forecasting.matrix.step

    @property
    def points(self) -> int:
        """As many as the source is asked for."""
        return round(_LONG_PAST / _LONG_STEP)

    def span(self, at: float) -> tuple[float, float, float]:
        """Return the last four weeks, on the step, so that sources can answer from what they computed before."""
        end = at // _LONG_STEP * _LONG_STEP
        return end - _LONG_PAST + _LONG_STEP, end, _LONG_STEP

    def identity(self, query: IndicatorQuery) -> Hashable:
        """Return the query with its limit; None for pods, which come and go, and for what fills up slowly."""
        return None if query.per == "pod" or query.long_trend else (query.query, query.limit, query.above)

    def store(self, query: IndicatorQuery, series: RangeSeries) -> None:
        """Let the forecaster keep when the limit was passed."""
        limit = Limit(query.limit, query.above, query.long_trend)
        self.forecasting.remember(query.key(series.labels), series.times, series.values, limit)
