"""The result of a forecast, for all series at once and for one."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from forestall.core.precision import passes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from forestall.core.series import Key


_LEAST_RISE: Final = 0.1  # of the probability by the bounds alone, for its shape to count


@dataclass(frozen=True, slots=True)
class Limit:
    """The value past which a series is in breach."""

    value: float
    above: bool = True
    """Whether values above the limit are in breach (else those below)."""
    long_trend: bool = False
    """Whether the series fills up slowly, as memory and disks do, so that trends over many horizons matter."""

    def __post_init__(self) -> None:
        if not np.isfinite(self.value):
            raise ValueError(f"a limit must be a finite number, not {self.value}")


class Abstention(StrEnum):
    """Why there is no forecast for a series."""

    NO_LIMIT = "NoLimit"
    NO_DATA = "NoData"
    STALE = "StaleData"
    SHORT_HISTORY = "ShortHistory"
    UNRELIABLE = "Unreliable"
    CHANGE_POINT = "ChangePoint"


ABSTENTIONS: tuple[Abstention | None, ...] = (None, *Abstention)
"""The reasons by their code in :attr:`ForecastTable.abstained`."""


@dataclass(frozen=True, slots=True)
class ForecastTable:
    """Forecasts made at one time. Arrays are (rows, horizons) or (rows,), in the units of the series.

    The forecast is of the maximum for limits above and of the minimum for limits below; for the latter ``upper`` is the
    bound on the safe side. Always `lower <= median <= upper`. Where a row abstains its probability is 0, its times are
    infinite and its bounds are its last value.
    """

    made_at: float
    horizons: NDArray[np.float64]
    """Seconds, ascending."""
    coverage: float
    probability: NDArray[np.float64]
    """P(the limit is passed within the horizon); it does not fall from one horizon to the next."""
    lower: NDArray[np.float64]
    median: NDArray[np.float64]
    upper: NDArray[np.float64]
    time_to_breach: NDArray[np.float64]
    """(rows, 3): median, earliest and latest seconds, the last two at the coverage; inf: not within the horizons."""
    abstained: NDArray[np.int8]
    """Codes of :data:`ABSTENTIONS`; 0 where a forecast is made."""
    last: NDArray[np.float64]
    age: NDArray[np.float64]
    limit: NDArray[np.float64]
    above: NDArray[np.bool_]
    rows: Mapping[Key, int]

    def __contains__(self, key: Key) -> bool:
        row = self.rows.get(key)
        return row is not None and row < self.abstained.size

    def at(self, key: Key) -> SeriesForecast:
        """The forecast of one series.

        Raises:
            KeyError: the series was not known when the forecast was made.
        """
        row = self.rows[key]
        if row >= self.abstained.size:
            raise KeyError(key)
        return SeriesForecast(
            horizons=tuple(self.horizons.tolist()),
            coverage=self.coverage,
            probability=tuple(self.probability[row].tolist()),
            lower=tuple(self.lower[row].tolist()),
            median=tuple(self.median[row].tolist()),
            upper=tuple(self.upper[row].tolist()),
            time_to_breach=float(self.time_to_breach[row, 0]),
            earliest_breach=float(self.time_to_breach[row, 1]),
            latest_breach=float(self.time_to_breach[row, 2]),
            abstained=ABSTENTIONS[self.abstained[row]],
            last=float(self.last[row]),
            age=float(self.age[row]),
            limit=Limit(float(self.limit[row]), bool(self.above[row])) if np.isfinite(self.limit[row]) else None,
        )


@dataclass(frozen=True, slots=True)
class SeriesForecast:
    """The forecast of one series: plain numbers, one for each horizon where there are several."""

    horizons: tuple[float, ...]
    coverage: float
    probability: tuple[float, ...]
    lower: tuple[float, ...]
    median: tuple[float, ...]
    upper: tuple[float, ...]
    time_to_breach: float
    earliest_breach: float
    latest_breach: float
    abstained: Abstention | None
    last: float
    """The newest finite value; NaN when there was none."""
    age: float
    """Seconds since then."""
    limit: Limit | None

    @property
    def above(self) -> bool:
        """Whether values above the limit are in breach; True without a limit."""
        return self.limit is None or self.limit.above

    def probability_within(self, seconds: float) -> float:
        """P(the limit is passed within ``seconds``), constant after the last horizon.

        Between two horizons it rises as the bounds and the median come past the limit: a path that passes it half way
        between them is not half as likely to have passed it before.
        """
        if self._breached:
            return 1.0
        after = bisect_right(self.horizons, seconds)
        if after == len(self.horizons) or self.limit is None:
            return self.probability[-1]
        before = after - 1
        start, end = (0.0, self.horizons[after]) if before < 0 else self.horizons[before : after + 1]
        first, last = 0.0 if before < 0 else self.probability[before], self.probability[after]
        share = (seconds - start) / (end - start)
        low, now, high = (self._passed_at(time) for time in (start, seconds, end))
        if high - low > _LEAST_RISE:
            share = (now - low) / (high - low)
        return first + min(max(share, 0.0), 1.0) * (last - first)

    def upper_at(self, seconds: float) -> float:
        """Upper bound of the largest value within ``seconds`` (for limits below: lower bound of the smallest)."""
        return self._between(seconds, self.upper if self.above else self.lower)

    def quantile(self, within: float, q: float) -> float:
        """The ``q`` quantile of the extreme within ``within`` seconds, from the bounds and the median.

        It is linear in the log-odds between them, and continues the nearer half beyond the bounds.
        """
        if not 0 < q < 1:
            raise ValueError(f"a quantile lies between 0 and 1, not {q}")
        low, mid, high = (self._between(within, values) for values in (self.lower, self.median, self.upper))
        share = _logit(q) / _logit((1 + self.coverage) / 2)
        return mid + share * (high - mid if share > 0 else mid - low)

    def against(self, limit: float) -> SeriesForecast:
        """Return the forecast for another limit above, from the same quantiles."""
        probability: list[float] = []
        for low, mid, high in zip(self.lower, self.median, self.upper, strict=True):
            probability.append(max(self._beyond(limit, low, mid, high), *probability[-1:], 0.0))
        tail = (1 - self.coverage) / 2
        median, earliest, latest = (self._crossing(probability, share) for share in (0.5, tail, 1 - tail))
        return replace(
            self,
            probability=tuple(probability),
            time_to_breach=median,
            earliest_breach=earliest,
            latest_breach=latest,
            limit=replace(self.limit, value=limit) if self.limit else Limit(limit),
        )

    def _beyond(self, limit: float, low: float, mid: float, high: float) -> float:
        """P(the extreme passes `limit`): the inverse of :meth:`quantile`."""
        spread = high - mid if limit > mid else mid - low
        if not spread > 0:
            return 1.0 if limit < mid else 0.0 if limit > mid else 0.5
        exponent = (limit - mid) / spread * _logit((1 + self.coverage) / 2)
        return 1.0 / (1.0 + math.exp(min(exponent, 700.0)))

    def _passed_at(self, seconds: float) -> float:
        """P(the extreme within `seconds` is past the limit) by the bounds and the median alone."""
        if self.limit is None:
            return 0.0
        sign = 1 if self.limit.above else -1
        least = (
            sign * self.last if math.isfinite(self.last) else -math.inf
        )  # what is lower passes no limit later either
        paths = (max(sign * self._between(seconds, path), least) for path in (self.lower, self.median, self.upper))
        low, mid, high = sorted(paths)
        return self._beyond(sign * self.limit.value, low, mid, high)

    def _crossing(self, probability: Sequence[float], share: float) -> float:
        """Return the time (s) after which the probability reaches `share`; inf: not within the horizons."""
        before, at = 0.0, 0.0
        for horizon, reached in zip(self.horizons, probability, strict=True):
            if reached >= share:
                return at + (horizon - at) * (share - before) / (reached - before)
            before, at = reached, horizon
        return math.inf

    def cone(self) -> tuple[tuple[float, float, float, float], ...]:
        """For plots: (seconds from now, lower, median, upper), from now on."""
        start = (0.0, self.last, self.last, self.last)
        return (start, *zip(self.horizons, self.lower, self.median, self.upper, strict=True))

    def _between(self, seconds: float, values: tuple[float, ...]) -> float:
        start = self.last if math.isfinite(self.last) else values[0]
        return _level(seconds, (0.0, *self.horizons), (start, *values))

    @property
    def _breached(self) -> bool:
        if self.limit is None or self.abstained is not None:
            return False
        return passes(self.last, self.limit.value, above=self.limit.above)


def _level(at: float, times: Sequence[float], values: Sequence[float]) -> float:
    """Linear between the times, constant before the first and after the last: `numpy.interp` for one number."""
    index = bisect_right(times, at)
    if index == 0:
        return values[0]
    if index == len(times):
        return values[-1]
    slope = (values[index] - values[index - 1]) / (times[index] - times[index - 1])
    return slope * (at - times[index - 1]) + values[index - 1]


def _logit(share: float) -> float:
    return math.log(share) - math.log1p(-share)
