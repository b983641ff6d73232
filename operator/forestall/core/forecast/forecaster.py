"""Forecasts of breaches for all series of a matrix at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from forestall.core.forecast.bank import Bank, Censored
from forestall.core.forecast.event_log import PastEvents, past_events
from forestall.core.forecast.frame import Frame
from forestall.core.forecast.settings import ForecastSettings
from forestall.core.forecast.table import ABSTENTIONS, Abstention, ForecastTable, Limit
from forestall.core.precision import narrow, narrow_limits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from forestall.core.forecast.pending import HorizonForecasts
    from forestall.core.series import Key, SeriesMatrix

_CHUNK: Final = 2048  # rows of a bank: what is worked on at once stays in the cache
_LIMIT_MOVES: Final = 0.01  # share of the usual distance to the limit that it may move without learning again
_LEAST_SCORED: Final = 4  # forecasts of the shortest horizon, before any probability is given
_CODE: Final = {reason: code for code, reason in enumerate(ABSTENTIONS)}


class BreachForecaster:
    """The probability and the time of a breach for each series of ``matrix``, learned from its own past.

    ``horizons`` in seconds; they are rounded to steps of the matrix. The state needs no storage of its own: what
    the matrix holds is learned from again after a restart, and so is a series that is new or was backfilled.
    """

    def __init__(
        self,
        matrix: SeriesMatrix,
        horizons: Sequence[float],
        settings: ForecastSettings | None = None,
        remembered: Mapping[Key, tuple[Limit, PastEvents]] | None = None,
    ) -> None:
        steps = sorted({max(1, round(horizon / matrix.step)) for horizon in horizons})
        if not steps:
            raise ValueError("at least one horizon is needed")
        if steps[-1] >= matrix.capacity:
            raise ValueError(f"a horizon of {steps[-1]} steps needs more than {matrix.capacity} columns")
        self._matrix = matrix
        self._settings = settings or ForecastSettings()
        self._steps = steps
        self._history = matrix.capacity * matrix.step
        self._banks: list[Bank] = []
        self._versions = np.zeros(0, dtype=np.int64)
        self._limits: dict[Key, Limit] = {}
        self._limit = np.zeros(0)  # by row, NaN without one
        self._sign = np.ones(0, dtype=np.float32)
        self._long_trend = np.zeros(0, dtype=np.bool_)
        self.remembered = dict(remembered or {})
        """The breaches of series in a past that the matrix does not hold, with their limits."""
        self._column: int | None = None  # newest that was learned from
        self._censored: dict[Key, list[tuple[int, int]]] = {}

    @property
    def horizons(self) -> NDArray[np.float64]:
        """Seconds, ascending, as rounded to steps."""
        return np.array(self._steps) * self._matrix.step

    @property
    def censored_windows(self) -> int:
        """Forecasts that were not scored since an action changed what followed."""
        return sum(bank.censored_windows for bank in self._banks)

    def set_limits(self, limits: Mapping[Key, Limit]) -> None:
        """Set the limits; series without a limit are not forecast."""
        self._limits = dict(limits)
        self._apply_limits()

    def mark_censored(self, key: Key, since: float, until: float) -> None:
        """An action changed the series from ``since`` to ``until`` (seconds): do not score forecasts of that time."""
        start, end = self._matrix.column(since), self._matrix.column(until)
        disjoint = []
        for mark in self._censored.get(key, []):
            if mark[0] <= end and start <= mark[1]:
                start, end = min(start, mark[0]), max(end, mark[1])
            else:
                disjoint.append(mark)
        self._censored[key] = [*disjoint, (start, end)]

    def remember(self, key: Key, times: ArrayLike, values: ArrayLike, limit: Limit) -> None:
        """Learn when ``limit`` was passed in a past that is longer than what the matrix holds, so that it may recur.

        ``times`` (s) ascend; points may be farther apart than the matrix's. It is kept while the series and the limit
        are the same.
        """
        points, at = narrow(values), np.asarray(times, dtype=np.float64)
        finite = np.isfinite(points)
        sign = np.float32(1 if limit.above else -1)
        columns = self._matrix.columns(at[finite])
        max_gap = max(3, round(1.5 * float(np.median(np.diff(columns))))) if columns.size > 1 else 3
        past = past_events(
            columns, sign * points[finite], np.float32(sign * narrow_limits(limit.value)), max_gap, self._matrix.step
        )
        if past is None:
            return
        self.remembered[key] = (limit, past)
        row = self._matrix.rows.get(key)
        if row is not None and row < self._versions.size and self._versions[row] >= 0:
            self._banks[row // _CHUNK].recurring.precede(row % _CHUNK, past)

    def update(self, now: float) -> None:  # noqa: ARG002 - part of the interface: what is new is in the matrix
        """Learn from all columns that were not learned from yet, and from the whole past of series that are new."""
        head = self._matrix.head
        if head is None or not self._matrix.height:
            return
        self._cover_rows()
        self._drop_old_marks(head)
        if self._column is not None:
            for column in range(max(self._column + 1, head - self._matrix.capacity + 1), head + 1):
                for number, bank in enumerate(self._banks):
                    bank.advance(self._frame(number, column), self._marks(number))
        self._column = head
        renewed = np.flatnonzero(self._versions != self._matrix.versions)
        if renewed.size:
            self.remembered = {key: entry for key, entry in self.remembered.items() if key in self._matrix}
        for start in range(0, renewed.size, _CHUNK):
            self._relearn(renewed[start : start + _CHUNK])
        self._versions = self._matrix.versions.copy()

    def forecast(self, now: float) -> ForecastTable:
        """Forecast every series from what was learned so far; nothing is learned here."""
        height = self._versions.size
        shape = (len(self._steps), height)
        chance, lower, median, upper = (np.zeros(shape, dtype=np.float32) for _ in range(4))
        doubt = np.zeros(height, dtype=np.int8)
        asked_limit = self._sign * narrow_limits(_zero_for_nan(self._limit))
        for number, bank in enumerate(self._banks):
            part = slice(number * _CHUNK, min(number * _CHUNK + bank.size, height))
            bank_rows = slice(part.start, part.start + bank.size)
            count = part.stop - part.start
            frame = self._frame(number, self._column or 0)
            view = bank.outlook(frame)
            unseen = self._unseen(view, part, bank.size)
            chance[:, part] = bank.shifted(view, asked_limit[bank_rows] - unseen)[:, :count]
            lower[:, part], median[:, part] = (view.lower + unseen)[:, :count], (view.median + unseen)[:, :count]
            upper[:, part] = (view.upper + unseen)[:, :count]
            doubt[part] = _doubt(bank, frame, self._settings)[:count]
        return self._table(now, chance, np.stack((lower, median, upper)), doubt)

    def _unseen(self, view: HorizonForecasts, rows: slice, size: int) -> NDArray[np.float32] | np.float32:
        """How far clear trends have gone on since the source measured, before it was read: (horizons, ``size``)."""
        if view.slope is None:
            return np.float32(0)
        delay = np.zeros(size, dtype=np.float32)
        delay[: rows.stop - rows.start] = self._matrix.delays()[rows] / self._matrix.step
        return np.asarray(view.slope * delay, dtype=np.float32)

    def opinions(self) -> dict[str, NDArray[np.float32]]:
        """The forecast of each expert alone, by its name: P(breach), (horizons, rows)."""
        height = self._versions.size
        opinions: dict[str, NDArray[np.float32]] = {}
        for number, bank in enumerate(self._banks):
            frame = self._frame(number, self._column or 0)
            part = slice(number * _CHUNK, min(number * _CHUNK + bank.size, height))
            for expert, chance in zip(bank.names, bank.outlook(frame).probability, strict=True):
                table = opinions.setdefault(expert, np.zeros((len(self._steps), height), dtype=np.float32))
                table[:, part] = chance[:, : part.stop - part.start]
        return opinions

    def _table(
        self, now: float, chance: NDArray[np.float32], bounds: NDArray[np.float32], doubt: NDArray[np.int8]
    ) -> ForecastTable:
        height = self._versions.size
        age, last = self._matrix.age(now)[:height], self._matrix.latest()[:height].astype(np.float64)
        limit, sign = narrow_limits(self._limit[:height]).astype(np.float64), self._sign[:height].astype(np.float64)
        reason = doubt
        reason[age > self._settings.stale_after * self._matrix.step] = _CODE[Abstention.STALE]
        reason[np.isinf(age)] = _CODE[Abstention.NO_DATA]
        reason[np.isnan(limit)] = _CODE[Abstention.NO_LIMIT]
        silent = reason > 0
        breached = ~silent & (sign * last > sign * limit)
        probability = _rising(np.clip(chance.T.astype(np.float64), 0, 1))
        probability[breached] = 1
        probability[silent] = 0
        last_value = _zero_for_nan(last)[:, None]
        ordered = np.sort(bounds.astype(np.float64).transpose(0, 2, 1), axis=0)
        lower, median, upper = np.where(silent[:, None], last_value, sign[:, None] * ordered)
        below = sign[:, None] < 0
        # The limit is reached early along the bound that is nearer to it.
        paths = np.stack((ordered[1], ordered[2], ordered[0]))
        start = np.broadcast_to((sign * _zero_for_nan(last))[None, :, None], (3, height, 1))
        gaps = (sign * _zero_for_nan(limit))[None, :, None] - np.concatenate((start, paths), axis=2)
        return ForecastTable(
            made_at=now,
            horizons=self.horizons,
            coverage=self._settings.coverage,
            probability=probability,
            lower=np.where(below, upper, lower),
            median=median,
            upper=np.where(below, lower, upper),
            time_to_breach=_time_to_breach(probability, breached, gaps, self.horizons, self._settings.coverage),
            abstained=reason,
            last=last,
            age=age,
            limit=self._limit[:height].copy(),
            above=sign > 0,
            rows=dict(self._matrix.rows),
        )

    def _cover_rows(self) -> None:
        """Add banks until each row has one; the last one doubles when it grows, up to the size of the matrix."""
        height = self._matrix.height
        while (missing := height - sum(bank.size for bank in self._banks)) > 0:
            last = self._banks[-1] if self._banks else None
            if last is not None and last.size < _CHUNK:
                unused = self._matrix.width - (len(self._banks) - 1) * _CHUNK
                size = min(_CHUNK, unused, last.size + max(last.size, missing))
                bank = Bank(size, self._steps, self._settings, self._history)
                bank.put(np.arange(last.size), last, np.arange(last.size))
                bank.censored_windows = last.censored_windows
                self._banks[-1] = bank
            else:
                self._banks.append(Bank(min(_CHUNK, missing), self._steps, self._settings, self._history))
        added = height - self._versions.size
        self._versions = np.concatenate((self._versions, np.full(added, -1)))
        if not np.array_equal(self._versions, self._matrix.versions):
            self._apply_limits()

    def _apply_limits(self) -> None:
        total = sum(bank.size for bank in self._banks)
        limit, sign = np.full(total, np.nan), np.ones(total, dtype=np.float32)
        long_trend = np.zeros(total, dtype=np.bool_)
        rows = self._matrix.rows
        for key, wanted in self._limits.items():
            row = rows.get(key)
            if row is not None and row < total:
                limit[row], sign[row], long_trend[row] = wanted.value, 1 if wanted.above else -1, wanted.long_trend
        self._limit, self._sign, self._long_trend = limit, sign, long_trend
        self._forget_turned()

    def _forget_turned(self) -> None:
        """Mark the series for learning again whose limit has changed since they were learned."""
        for number, bank in enumerate(self._banks):
            part = slice(number * _CHUNK, min(number * _CHUNK + bank.size, self._versions.size))
            sign, limit = self._sign[part], narrow_limits(_zero_for_nan(self._limit[part]))
            size = sign.size
            moved = np.abs(sign * limit - bank.limit[:size]) > _LIMIT_MOVES * bank.usual[:size]
            turned = (sign != bank.sign[:size]) | (self._long_trend[part] != bank.long_trend[:size])
            self._versions[part][moved | turned] = -1

    def _relearn(self, rows: NDArray[np.intp]) -> None:
        """Learn the whole past of some rows, as if they had always existed."""
        part = self._matrix.extract(rows)
        first, head = part.first_column(), self._matrix.head
        bank = Bank(rows.size, self._steps, self._settings, self._history)
        bank.sign[:], bank.limit[:] = (
            self._sign[rows],
            self._sign[rows] * narrow_limits(_zero_for_nan(self._limit[rows])),
        )
        bank.long_trend[:] = self._long_trend[rows]
        if first is not None and head is not None:
            index_of = {row: index for index, row in enumerate(rows.tolist())}
            marks = [mark._replace(row=index_of[mark.row]) for mark in self._all_marks() if mark.row in index_of]
            for column in range(first, head + 1):
                bank.advance(Frame(part, slice(0, rows.size), column, bank.sign), marks, head - column)
        self._precede(bank, rows)
        for number in range(rows[0] // _CHUNK, rows[-1] // _CHUNK + 1):
            in_bank = np.flatnonzero(rows // _CHUNK == number)
            self._banks[number].put(rows[in_bank] - number * _CHUNK, bank, in_bank)

    def _precede(self, bank: Bank, rows: NDArray[np.intp]) -> None:
        if self.remembered:
            position = {row: index for index, row in enumerate(rows.tolist())}
            for key, (limit, past) in self.remembered.items():
                row = self._matrix.rows.get(key)
                if row in position and limit == self._limits.get(key):
                    bank.recurring.precede(position[row], past)

    def _frame(self, number: int, column: int) -> Frame:
        bank = self._banks[number]
        return Frame(self._matrix, slice(number * _CHUNK, number * _CHUNK + bank.size), column, bank.sign)

    def _all_marks(self) -> list[Censored]:
        rows = self._matrix.rows
        return [Censored(rows[key], *mark) for key, marks in self._censored.items() if key in rows for mark in marks]

    def _marks(self, number: int) -> list[Censored]:
        return [m._replace(row=m.row % _CHUNK) for m in self._all_marks() if m.row // _CHUNK == number]

    def _drop_old_marks(self, head: int) -> None:
        oldest = head - self._matrix.capacity
        recent = {key: [mark for mark in marks if mark[1] > oldest] for key, marks in self._censored.items()}
        self._censored = {key: marks for key, marks in recent.items() if marks and key in self._matrix}


def _doubt(bank: Bank, frame: Frame, settings: ForecastSettings) -> NDArray[np.int8]:
    """Codes of the reasons to abstain that follow from the learned state; later ones override: (rows,)."""
    reason = np.zeros(bank.size, dtype=np.int8)
    reason[bank.unreliable()] = _CODE[Abstention.UNRELIABLE]
    reason[bank.stepped(frame)] = _CODE[Abstention.CHANGE_POINT]
    reason[(bank.points < settings.min_points) | (bank.evidence(0) < _LEAST_SCORED)] = _CODE[Abstention.SHORT_HISTORY]
    return reason


def _zero_for_nan(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """``values`` with 0 for NaN; none is infinite."""
    return np.where(np.isnan(values), 0.0, values)


def _rising(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """``values`` (..., horizons) made monotonic: the mean of the running maximum and the reversed running minimum."""
    up = np.maximum.accumulate(values, axis=-1)
    down = np.minimum.accumulate(values[..., ::-1], axis=-1)[..., ::-1]
    return np.asarray((up + down) / 2)


def _time_to_breach(
    probability: NDArray[np.float64],
    breached: NDArray[np.bool_],
    gaps: NDArray[np.float64],
    horizons: NDArray[np.float64],
    coverage: float,
) -> NDArray[np.float64]:
    """When the probability reaches one half and the two tails: (rows, 3) seconds.

    The probabilities show between which horizons, and the path to the limit where between them: ``gaps``
    (3, rows, 1 + horizons) is how far the median and the bounds are from it, now and at each horizon, negative past it.
    """
    time = np.concatenate(([0.0], horizons))
    chance = np.concatenate((breached[:, None].astype(np.float64), probability), axis=1)
    tail = (1 - coverage) / 2
    shares = np.array([0.5, tail, 1 - tail])
    after = (chance < shares[:, None, None]).sum(axis=2)
    share_index, row = np.nonzero(after < len(time))
    end = after[share_index, row]
    start = np.maximum(end - 1, 0)
    rise = chance[row, end] - chance[row, start]
    part = np.where(rise > 0, (shares[share_index] - chance[row, start]) / np.where(rise > 0, rise, 1), 0)
    near, far = gaps[share_index, row, start], gaps[share_index, row, end]
    crossed = (near > 0) & (far < 0)
    part = np.where(crossed, near / np.where(crossed, near - far, 1), part)
    result = np.full((len(chance), 3), np.inf)
    result[row, share_index] = time[start] + part * (time[end] - time[start])
    result[:, 1] = np.minimum(result[:, 1], result[:, 0])
    result[:, 2] = np.maximum(result[:, 2], result[:, 0])
    return result
