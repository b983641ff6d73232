"""The past breaches of each series: when they began, and how high they went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forestall.core.forecast.frame import Floats, Frame

    Columns = NDArray[np.int64]

NEVER: Final = np.int64(-(2**62))
"""A column before all others."""
_EVENTS: Final = 64  # kept of each series
_GAPS: Final = 8  # newest gaps kept of each series
_RISE: Final = 1200.0  # seconds within which a sudden breach rises
_APART: Final = 300.0  # seconds below the limit after which a breach is an event of its own


class PastEvents(NamedTuple):
    """The breaches of one series in a past that is not kept in points."""

    starts: Columns
    peaks: Floats
    since: int
    """The first column of that past."""
    gaps: Columns
    """Columns of the last point before a gap, and of the first after it: (2, gaps)."""


def past_events(
    columns: Columns, values: Floats, limit: np.float32, max_gap: int, matrix_step: float
) -> PastEvents | None:
    """Find the sudden breaches of ``limit`` in the finite points of a series (turned with its sign), which ascend.

    ``max_gap``: columns from one point past the limit to the next from which they are two events; ``matrix_step``:
    seconds of a column. As points of the far past may be far apart, a breach began half way from the point before.
    None where there is no point.
    """
    if not columns.size:
        return None
    step = np.diff(columns, prepend=columns[0])
    past = np.flatnonzero(values > limit)
    first = past[np.diff(columns[past], prepend=NEVER // 2) > max_gap]
    earliest = np.minimum(
        np.searchsorted(columns, columns[first] - _rise_columns(matrix_step)), np.maximum(first - 2, 0)
    )
    lowest = np.array(
        [values[begin:end].min() if end > begin else np.nan for begin, end in zip(earliest, first, strict=True)]
    )
    first = first[_is_sudden(values[first], lowest, np.abs(limit - values).mean())]
    usual = int(np.median(step[1:])) if columns.size > 1 else 1
    starts = columns[first] - np.minimum(step[first], usual) // 2
    peaks = np.maximum.reduceat(np.where(values > limit, values, limit), first) if first.size else np.zeros(0)
    after = np.flatnonzero(step > 2 * usual)
    return PastEvents(starts, peaks.astype(np.float32), int(columns[0]), np.stack((columns[after - 1], columns[after])))


def _rise_columns(step: float) -> int:
    """The columns within which a sudden breach rises."""
    return max(2, round(_RISE / step))


def _is_sudden(value: Floats, lowest: Floats, usual: Floats | np.floating[Any]) -> NDArray[np.bool_]:
    """Whether breaches came from afar: the rise from the lowest point before is half the usual distance to the limit.

    Those that come slowly are foreseen by their path.
    """
    return np.asarray(~(value - lowest < np.float32(0.5) * usual))


class EventLog:
    """The newest 64 sudden breaches of ``rows`` series, to the step, and the newest gaps in what is known of them."""

    def __init__(self, rows: int, longest_gap: int) -> None:
        """``longest_gap``: steps without a point that are no gap yet."""
        self._longest_gap = longest_gap
        self.starts = np.full((_EVENTS, rows), NEVER, dtype=np.int64)
        self.peaks = np.full((_EVENTS, rows), np.nan, dtype=np.float32)
        self._newest = np.full(rows, -1, dtype=np.int64)
        """The slot of the newest event."""
        self._passed = np.full(rows, NEVER, dtype=np.int64)
        """The last column past the limit."""
        self._is_kept = np.zeros(rows, dtype=np.bool_)
        """Whether the newest breach was sudden, so that it is among the events."""
        self.since = np.full(rows, -NEVER, dtype=np.int64)
        """The first column."""
        self._last_known = np.full(rows, NEVER, dtype=np.int64)
        """The last column whose point is known and was not changed by an action."""
        self.gaps = np.full((2, _GAPS, rows), NEVER, dtype=np.int64)
        """Starts and ends of gaps."""

    @property
    def newest(self) -> Columns:
        """When the newest event of each row began: (rows,)."""
        return np.asarray(self.starts[self._newest, np.arange(self._newest.size)])

    def state(self) -> list[NDArray[np.generic]]:
        return [
            self.starts,
            self.peaks,
            self.since,
            self.gaps,
            self._newest,
            self._passed,
            self._is_kept,
            self._last_known,
        ]

    def oldest(self, rows: NDArray[np.intp]) -> Columns:
        """Since when all events are known: (rows,)."""
        starts = self.starts[:, rows]
        return np.where((starts > NEVER).all(axis=0), starts.min(axis=0), self.since[rows])

    def precede(self, row: int, past: PastEvents) -> None:
        """Put the events before those of a row that are from before its first column."""
        first = self.since[row]
        slots = np.argsort(self.starts[:, row], kind="stable")
        slots = slots[self.starts[slots, row] > NEVER]
        older = past.starts < first
        starts = np.concatenate((past.starts[older], self.starts[slots, row]))[-_EVENTS:]
        peaks = np.concatenate((past.peaks[older], self.peaks[slots, row]))[-_EVENTS:]
        self.starts[:, row], self.peaks[:, row] = NEVER, np.nan
        self.starts[: starts.size, row], self.peaks[: starts.size, row] = starts, peaks
        self._newest[row] = starts.size - 1
        # Of the gaps, those that are empty come first.
        gaps = np.concatenate((past.gaps[:, past.gaps[0] < first], self.gaps[:, :, row]), axis=1)
        self.gaps[:, :, row] = gaps[:, np.argsort(gaps[0], kind="stable")][:, -_GAPS:]
        self.since[row] = min(first, past.since)

    def observe(self, frame: Frame, natural: Floats, limit: Floats) -> NDArray[np.intp]:
        """Take in the newest column, and return the rows with a new event.

        ``natural``: its values, NaN where an action changed them.
        """
        column, fresh = frame.column, frame.fresh
        np.minimum(self.since, column, out=self.since, where=fresh)
        self._note_gaps(frame, np.isfinite(natural))
        passed = fresh & (frame.values > limit)
        rows = np.flatnonzero(passed)
        new = rows[column - self._passed[rows] > max(3, round(_APART / frame.step))]
        self._passed[rows] = column
        if new.size:
            lowest = np.fmin.reduce(frame.window(_rise_columns(frame.step), 1)[:, new], axis=0)
            self._is_kept[new] = _is_sudden(frame.values[new], lowest, frame.usual[new])
            new = new[self._is_kept[new]]
        self._newest[new] = (self._newest[new] + 1) % _EVENTS
        self.starts[self._newest[new], new] = column
        self.peaks[self._newest[new], new] = frame.values[new]
        rows = rows[self._is_kept[rows]]
        slots = self._newest[rows]
        self.peaks[slots, rows] = np.fmax(self.peaks[slots, rows], frame.values[rows])
        return np.asarray(new)

    def _note_gaps(self, frame: Frame, is_known: NDArray[np.bool_]) -> None:
        """Keep the gaps: nobody knows what came in them."""
        column = frame.column
        ended = np.flatnonzero(
            is_known & (self._last_known > NEVER) & (column - self._last_known > 1 + self._longest_gap)
        )
        if ended.size:
            self.gaps[:, :-1, ended] = self.gaps[:, 1:, ended]
            self.gaps[0, -1, ended], self.gaps[1, -1, ended] = self._last_known[ended], column
        self._last_known[is_known] = column
