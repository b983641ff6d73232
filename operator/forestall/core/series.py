"""The matrix of recent points: all series of all sources on one regular time grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forestall.core.precision import narrow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import ArrayLike, NDArray

Key = Any
"""The key of a series: any hashable value. (`Mapping` is invariant in its keys, so `Hashable` would fit no dict.)"""

_FIRST_ROWS: Final = 64
_LONGEST_DELAY: Final = 300.0
"""How old (s) a measurement may be when it is read: the lookback of Prometheus."""
_DELAY_RATE: Final = 0.3
"""How much the newest delay counts against those before."""


class SeriesMatrix:
    """A ring buffer of the newest ``capacity`` columns of a grid with ``step`` seconds, one row for each series.

    Columns are numbered from the epoch, ``round(time / step)``, so that points of different queries are in the same
    column. Gaps are NaN. The clock may jump: a jump ahead leaves gaps, and after a jump back the columns continue where
    they were, since a point that was read later is newer whatever the clock says.

    Values are float32 (relative error 6e-8); a value larger than 1e36 is a gap, like NaN and infinity.
    """

    def __init__(self, step: float, capacity: int) -> None:
        if not (np.isfinite(step) and step > 0):
            raise ValueError(f"step must be a positive number of seconds, not {step}")
        if capacity < 2:
            raise ValueError(f"capacity must be at least two columns, not {capacity}")
        self.step = float(step)
        self.capacity = int(capacity)
        self.head: int | None = None
        """Number of the newest column; None before the first point."""
        self._shift = 0  # columns that the clock was turned back by
        self._rows: dict[Key, int] = {}
        self._free: list[int] = []
        # Time first: a column is contiguous, and so is what all experts read of it.
        self._data = np.full((self.capacity, _FIRST_ROWS), np.nan, dtype=np.float32)
        self._last = np.full(_FIRST_ROWS, np.nan, dtype=np.float32)
        self._sampled_at = np.full(_FIRST_ROWS, -np.inf)
        self._delay = np.full(_FIRST_ROWS, np.nan)
        self._version = np.zeros(_FIRST_ROWS, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: Key) -> bool:
        return key in self._rows

    @property
    def rows(self) -> Mapping[Key, int]:
        """The row of each series."""
        return self._rows

    @property
    def height(self) -> int:
        """One more than the highest row ever used, rows of removed series included."""
        return len(self._rows) + len(self._free)

    @property
    def width(self) -> int:
        """How many rows fit before the matrix grows."""
        return self._last.size

    @property
    def versions(self) -> NDArray[np.int64]:
        """For each row a number that changes with its history: a new series, a backfill."""
        return self._version[: self.height]

    def row(self, key: Key) -> int:
        """The row of ``key``, added where it is new; rows of removed series are reused."""
        row = self._rows.get(key)
        if row is None:
            row = self._free.pop() if self._free else self.height
            if row >= self._last.size:
                self._grow()
            self._rows[key] = row
            self._clear(row)
        return row

    def retain(self, keys: Iterable[Key]) -> None:
        """Remove all other series."""
        retained = set(keys)
        for key in [key for key in self._rows if key not in retained]:
            row = self._rows.pop(key)
            self._clear(row)
            self._free.append(row)

    def column(self, time: float) -> int:
        """The number of the column of ``time`` (s since the epoch)."""
        return round(time / self.step) + self._shift

    def columns(self, times: NDArray[np.float64]) -> NDArray[np.int64]:
        """As :meth:`column`, of many times."""
        return np.rint(times / self.step).astype(np.int64) + self._shift

    def backfill(self, key: Key, times: ArrayLike, values: ArrayLike) -> None:
        """Write the history of a series: ``times`` (s) in any order; points older than the ring are dropped."""
        time = np.asarray(times, dtype=np.float64).ravel()
        value = narrow(np.asarray(values, dtype=np.float64).ravel())
        if time.size != value.size:
            raise ValueError(f"{time.size} times for {value.size} values")
        row = self.row(key)
        finite = np.isfinite(value) & np.isfinite(time)
        time, value = time[finite], value[finite]
        if not time.size:
            return
        order = np.argsort(time, kind="stable")
        time, value = time[order], value[order]
        columns = self.columns(time)
        head = int(columns[-1]) if self.head is None else max(self.head, int(columns[-1]))
        self._advance(head)
        in_ring = columns > head - self.capacity
        self._data[columns[in_ring] % self.capacity, row] = value[in_ring]
        newest = time[-1] + self._shift * self.step
        if newest >= self._sampled_at[row]:
            self._sampled_at[row], self._last[row] = newest, value[-1]
        self._version[row] += 1

    def push(self, now: float, values: Mapping[Key, float], sampled_at: Mapping[Key, float] | None = None) -> None:
        """Write one column: the value of each series at ``now`` (s). An absent or non-finite value is a gap.

        ``sampled_at``: when the source measured the values (s), with the keys of ``values``; where it is not given
        they are as old as ``now``.
        """
        rows = np.fromiter((self.row(key) for key in values), dtype=np.intp, count=len(values))
        times = None
        if sampled_at is not None:
            times = np.fromiter((sampled_at[key] for key in values), dtype=np.float64, count=len(values))
        self.push_rows(now, rows, np.fromiter(values.values(), dtype=np.float64, count=len(values)), times)

    def push_rows(
        self, now: float, rows: NDArray[np.intp], values: ArrayLike, sampled_at: NDArray[np.float64] | None = None
    ) -> None:
        """As :meth:`push`, by row instead of key: ``rows``, ``values`` and ``sampled_at`` have one length."""
        column = self.column(now)
        if self.head is not None and column < self.head:
            self._shift += self.head + 1 - column
            column = self.head + 1
        self._advance(column)
        value = narrow(np.asarray(values, dtype=np.float64))
        finite = np.isfinite(value)
        row = rows[finite]
        self._data[column % self.capacity, row] = value[finite]
        if sampled_at is not None:
            self._learn_delay(row, now - sampled_at[finite], value[finite])
        self._last[row] = value[finite]
        self._sampled_at[row] = now + self._shift * self.step

    def age(self, now: float) -> NDArray[np.float64]:
        """The age (s) of the last finite point of each row; infinite where there was none."""
        time = now + self._shift * self.step
        if self.head is not None and self.column(now) < self.head:  # turned back since the last push
            time = self.head * self.step
        return np.maximum(time - self._sampled_at[: self.height], 0.0)

    def delays(self) -> NDArray[np.float64]:
        """How old (s) a value usually was when it was first read: (rows,), 0 where that is not known."""
        return np.asarray(np.nan_to_num(self._delay[: self.height]))

    def latest(self) -> NDArray[np.float32]:
        """The last finite value of each row, however old; NaN where there was none."""
        return self._last[: self.height]

    def window(self, newest: int, length: int, rows: slice | NDArray[np.intp]) -> NDArray[np.float32]:
        """The ``length`` columns up to column ``newest``, oldest first: an array (length, rows) to read, not to write.

        Columns that are not in the ring are NaN.
        """
        if self.head is None:
            raise ValueError("the matrix is empty")
        first, oldest = newest - length + 1, self.head - self.capacity + 1
        if first >= oldest and newest <= self.head:
            start, stop = first % self.capacity, newest % self.capacity + 1
            if start < stop:
                return self._data[start:stop, rows]
            return np.concatenate((self._data[start:, rows], self._data[:stop, rows]))
        columns = np.arange(first, newest + 1)
        part = self._data[columns % self.capacity][:, rows]
        part[(columns < oldest) | (columns > self.head)] = np.nan
        return part

    def extract(self, rows: NDArray[np.intp]) -> SeriesMatrix:
        """A read-only copy of some rows, without keys: row ``i`` of the copy is ``rows[i]`` here."""
        copy = SeriesMatrix(self.step, self.capacity)
        copy.head, copy._shift = self.head, self._shift
        copy._data = self._data[:, rows]
        return copy

    def subset(self, keys: Iterable[Key]) -> SeriesMatrix:
        """A copy with those of ``keys`` that are in the matrix."""
        present = [key for key in keys if key in self._rows]
        rows = np.array([self._rows[key] for key in present], dtype=np.intp)
        copy = SeriesMatrix(self.step, self.capacity)
        copy.head, copy._shift, copy._data = self.head, self._shift, self._data[:, rows]
        copy._rows = {key: row for row, key in enumerate(present)}
        copy._last, copy._sampled_at, copy._version = self._last[rows], self._sampled_at[rows], self._version[rows]
        copy._delay = self._delay[rows]
        return copy

    def first_column(self) -> int | None:
        """The number of the oldest column with a finite point; None where there is none."""
        filled = np.flatnonzero(np.isfinite(self._data).any(axis=1))
        if self.head is None or not filled.size:
            return None
        return int((self.head - (self.head - filled) % self.capacity).min())

    def _advance(self, column: int) -> None:
        if self.head is None or column - self.head >= self.capacity:
            self._data[:] = np.nan
        elif column > self.head:
            self._data[np.arange(self.head + 1, column + 1) % self.capacity] = np.nan
        self.head = column

    def _learn_delay(self, row: NDArray[np.intp], age: NDArray[np.float64], value: NDArray[np.float32]) -> None:
        """Take in the ages of values that differ from the last ones: one that is repeated was read before."""
        is_new = (value != self._last[row]) & np.isfinite(age)
        row, age = row[is_new], np.clip(age[is_new], 0, _LONGEST_DELAY)
        before = self._delay[row]
        self._delay[row] = np.where(np.isnan(before), age, before + _DELAY_RATE * (age - before))

    def _clear(self, row: int) -> None:
        self._data[:, row] = np.nan
        self._delay[row] = np.nan
        self._last[row], self._sampled_at[row] = np.nan, -np.inf
        self._version[row] += 1

    def _grow(self) -> None:
        added = max(_FIRST_ROWS, self._last.size // 4)  # doubling would leave up to half of a large matrix unused
        self._data = np.concatenate((self._data, np.full((self.capacity, added), np.nan, dtype=np.float32)), axis=1)
        self._last = np.concatenate((self._last, np.full(added, np.nan, dtype=np.float32)))
        self._sampled_at = np.concatenate((self._sampled_at, np.full(added, -np.inf)))
        self._delay = np.concatenate((self._delay, np.full(added, np.nan)))
        self._version = np.concatenate((self._version, np.zeros(added, dtype=np.int64)))
