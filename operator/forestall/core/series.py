"""The matrix of recent points: all series of all sources on one regular grid of time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forestall.core.precision import narrow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import ArrayLike, NDArray

Key = Any
"""What names a series: anything hashable. (`Mapping` is invariant in its keys, so `Hashable` would fit no dict.)"""

_FIRST_ROWS: Final = 64


class SeriesMatrix:
    """A ring of the newest ``capacity`` columns of a grid with ``step`` seconds, one row for each series.

    Columns are numbered from the epoch, ``round(time / step)``, so that points of different queries meet in the same
    column. Gaps are NaN. The clock may jump: a jump ahead leaves gaps, and after a jump back the columns go on where
    they were, since a point that was read later is newer whatever the clock says.

    Values are kept as float32 (relative error 6e-8); what is larger than 1e36 is a gap, as NaN and infinity are.
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
        self._seen = np.full(_FIRST_ROWS, -np.inf)
        self._version = np.zeros(_FIRST_ROWS, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: Key) -> bool:
        return key in self._rows

    @property
    def rows(self) -> Mapping[Key, int]:
        """Row of each known series."""
        return self._rows

    @property
    def height(self) -> int:
        """One more than the highest row ever used; rows of forgotten series lie between."""
        return len(self._rows) + len(self._free)

    @property
    def width(self) -> int:
        """How many rows there is room for until the matrix grows."""
        return self._last.size

    @property
    def versions(self) -> NDArray[np.int64]:
        """For each row a number that changes when its past does: a new series, a backfill."""
        return self._version[: self.height]

    def row(self, key: Key) -> int:
        """Row of ``key``, made if need be, in the place of a forgotten series where there is one."""
        row = self._rows.get(key)
        if row is None:
            row = self._free.pop() if self._free else self.height
            if row >= self._last.size:
                self._grow()
            self._rows[key] = row
            self._clear(row)
        return row

    def retain(self, keys: Iterable[Key]) -> None:
        """Forget all other series."""
        kept = set(keys)
        for key in [key for key in self._rows if key not in kept]:
            row = self._rows.pop(key)
            self._clear(row)
            self._free.append(row)

    def column(self, time: float) -> int:
        """Number of the column that ``time`` (seconds since the epoch) falls into."""
        return round(time / self.step) + self._shift

    def backfill(self, key: Key, times: ArrayLike, values: ArrayLike) -> None:
        """Write the past of one series; ``times`` in seconds, in any order; points older than the ring are dropped."""
        time = np.asarray(times, dtype=np.float64).ravel()
        value = narrow(np.asarray(values, dtype=np.float64).ravel())
        if time.size != value.size:
            raise ValueError(f"{time.size} times for {value.size} values")
        row = self.row(key)
        good = np.isfinite(value) & np.isfinite(time)
        time, value = time[good], value[good]
        if not time.size:
            return
        order = np.argsort(time, kind="stable")
        time, value = time[order], value[order]
        columns = np.rint(time / self.step).astype(np.int64) + self._shift
        head = int(columns[-1]) if self.head is None else max(self.head, int(columns[-1]))
        self._advance(head)
        kept = columns > head - self.capacity
        self._data[columns[kept] % self.capacity, row] = value[kept]
        seen = time[-1] + self._shift * self.step
        if seen >= self._seen[row]:
            self._seen[row], self._last[row] = seen, value[-1]
        self._version[row] += 1

    def push(self, now: float, values: Mapping[Key, float]) -> None:
        """Write one column: what each series is at ``now`` (seconds). An absent or non-finite value is a gap."""
        rows = np.fromiter((self.row(key) for key in values), dtype=np.intp, count=len(values))
        self.push_rows(now, rows, np.fromiter(values.values(), dtype=np.float64, count=len(values)))

    def push_rows(self, now: float, rows: NDArray[np.intp], values: ArrayLike) -> None:
        """As :meth:`push`, for callers that keep the rows of their series: ``rows`` and ``values`` of one length."""
        column = self.column(now)
        if self.head is not None and column < self.head:
            self._shift += self.head + 1 - column
            column = self.head + 1
        self._advance(column)
        value = narrow(np.asarray(values, dtype=np.float64))
        good = np.isfinite(value)
        row = rows[good]
        self._data[column % self.capacity, row] = value[good]
        self._last[row] = value[good]
        self._seen[row] = now + self._shift * self.step

    def age(self, now: float) -> NDArray[np.float64]:
        """Seconds since the last finite point, for each row; infinite where there was none."""
        moment = now + self._shift * self.step
        if self.head is not None and self.column(now) < self.head:  # turned back since the last push
            moment = self.head * self.step
        return np.maximum(moment - self._seen[: self.height], 0.0)

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
        """A copy of some rows, to be read only: row ``i`` of it is ``rows[i]`` here. It knows no keys."""
        copy = SeriesMatrix(self.step, self.capacity)
        copy.head, copy._shift = self.head, self._shift
        copy._data = self._data[:, rows]
        return copy

    def part(self, keys: Iterable[Key]) -> SeriesMatrix:
        """A copy with some of the series that are here."""
        here = [key for key in keys if key in self._rows]
        rows = np.array([self._rows[key] for key in here], dtype=np.intp)
        copy = SeriesMatrix(self.step, self.capacity)
        copy.head, copy._shift, copy._data = self.head, self._shift, self._data[:, rows]
        copy._rows = {key: row for row, key in enumerate(here)}
        copy._last, copy._seen, copy._version = self._last[rows], self._seen[rows], self._version[rows]
        return copy

    def first_column(self) -> int | None:
        """Number of the oldest column with a finite point; None when there is none."""
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

    def _clear(self, row: int) -> None:
        self._data[:, row] = np.nan
        self._last[row], self._seen[row] = np.nan, -np.inf
        self._version[row] += 1

    def _grow(self) -> None:
        more = max(_FIRST_ROWS, self._last.size // 4)  # doubling would leave up to half of a large matrix unused
        self._data = np.concatenate((self._data, np.full((self.capacity, more), np.nan, dtype=np.float32)), axis=1)
        self._last = np.concatenate((self._last, np.full(more, np.nan, dtype=np.float32)))
        self._seen = np.concatenate((self._seen, np.full(more, -np.inf)))
        self._version = np.concatenate((self._version, np.zeros(more, dtype=np.int64)))
