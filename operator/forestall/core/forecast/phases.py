"""What came at the same phase of past hours, days and weeks, for some series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from forestall.core.forecast.event_log import NEVER
from forestall.core.forecast.recurrence_filter import LONGEST, PhaseEvidence, Recurring, mixed, range_bits, recurs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from forestall.core.forecast.event_log import Columns, EventLog
    from forestall.core.forecast.frame import Floats, Frame


PERIODS: Final = (3600.0, 86400.0, 604800.0)
"""Periods (s) at which events recur; of days, working days and those of the weekend may differ."""
_BY_KIND: Final = 1
"""The index of the period whose repetitions are of two kinds."""
SLACK: Final = 4
"""An event may be late by this part of the horizon."""
_HOUR: Final = 3600.0
_DAY: Final = 86400.0


class PhaseWindow(NamedTuple):
    """A time relative to the newest column, in steps: from after ``start`` (rows,) to ``end``."""

    start: Columns
    end: int


class _Position(NamedTuple):
    """Indices of a period and of a horizon."""

    period: int
    horizon: int


class _Phase(NamedTuple):
    """The evidence of a period for a horizon."""

    position: _Position
    complete: NDArray[np.intp]
    """The rows of which a whole period is known."""
    active: NDArray[np.intp]
    """Those that the evidence is of."""
    variants: list[PhaseEvidence]
    """Of all repetitions, and where they are of two kinds, of this kind alone, and of the other."""


class Phases:
    """What came at the phases of the coming horizons, for some rows of a log."""

    def __init__(self, log: EventLog, frame: Frame, rows: NDArray[np.intp]) -> None:
        used = np.flatnonzero((log.starts[:, rows] > NEVER).any(axis=1))
        self.until = np.full(rows.size, -NEVER, dtype=np.int64)
        """The column from which on something changes: (rows,)."""
        self._log, self._frame, self._rows = log, frame, rows
        self._starts, self._peaks = log.starts[np.ix_(used, rows)], log.peaks[np.ix_(used, rows)]
        self._is_event = self._starts > NEVER
        self._oldest = log.oldest(rows)
        self._newest = log.newest[rows]
        self._rate = self._is_event.sum(axis=0) / np.maximum(frame.column - self._oldest, 1)
        self._phases: list[_Phase] = []
        self._matched: list[NDArray[np.bool_]] = []
        """By horizon: which events came at its phase."""

    def look(self, index: int, horizon: int) -> None:
        """Gather what came within a horizon at each period."""
        window = self._window(horizon)
        hour = round(_HOUR / self._frame.step)
        matched = np.zeros(self._starts.shape, dtype=np.bool_)
        for number, seconds in enumerate(PERIODS):
            period = round(seconds / self._frame.step)
            if 2 * (horizon - int(window.start.min())) <= period:
                came, in_window = self._came(window, period)
                matched |= in_window
                if period > 2 * hour:
                    came = self._unchanged(came, window, period, hour)
                self._add(_Position(number, index), window, period, came)
        self._matched.append(matched)

    def conclude(self, chance: Floats, peak: Floats, highest: Floats) -> None:
        """Write what was found into arrays of all rows."""
        rows = self._rows
        is_active = np.zeros(rows.size, dtype=np.bool_)
        for phase, result in zip(self._phases, self._filtered(), strict=True):
            chance[phase.position.period, phase.position.horizon, rows[phase.complete]] = 0
            chance[phase.position.period, phase.position.horizon, rows[phase.active]] = result
            is_active[phase.active] = True
        # What comes within a horizon comes within all that are longer.
        chance[:, :, rows] = np.fmax.accumulate(chance[:, :, rows], axis=1)
        for index, matched in enumerate(self._matched):
            came = np.flatnonzero(matched.any(axis=0) & is_active)
            if came.size:
                peaks = np.where(matched[:, came], self._peaks[:, came], np.float32(np.nan))
                peak[index, rows[came]] = np.nanmedian(peaks, axis=0)
                highest[index, rows[came]] = np.nanmax(peaks, axis=0)

    def _filtered(self) -> Iterator[Floats]:
        """P(event) of the active rows of each phase."""
        variants = [evidence for phase in self._phases for evidence in phase.variants]
        if not variants:
            return
        joint = recurs(PhaseEvidence(*(np.concatenate(parts) for parts in zip(*variants, strict=True))))
        ends = np.cumsum([evidence.came.size for evidence in variants])[:-1]
        results = map(Recurring, np.split(joint.chance, ends), np.split(joint.log_likelihood, ends))
        for phase in self._phases:
            kinds = [next(results) for _ in phase.variants]
            yield mixed(*kinds) if len(kinds) > 1 else kinds[0].chance

    def _window(self, horizon: int) -> PhaseWindow:
        """The time in which events of past periods, moved to now, count: an event may still come that is late.

        Right after an event only those count that are plainly later.
        """
        slack = max(1, horizon // SLACK)
        just_came = self._frame.column - self._newest <= 2 * slack
        self._change(np.where(just_came, self._newest + 2 * slack + 1, -NEVER))
        return PhaseWindow(np.where(just_came, slack, -slack), horizon)

    def _came(self, window: PhaseWindow, period: int, shift: int = 0) -> tuple[Columns, NDArray[np.bool_]]:
        """Bit k: an event came in this window k periods ago, (rows,); and which did: (events, rows).

        The window is moved by ``shift`` steps. Notes when that changes.
        """
        length = window.end - window.start
        since = np.where(self._is_event, self._frame.column + window.end + shift - self._starts, 0)
        number, offset = np.divmod(since, period)
        is_inside = self._is_event & (offset < length)
        change = np.where(is_inside, length, period) - offset
        self._change(
            self._frame.column + np.where(self._is_event & (number <= LONGEST), change, -NEVER // 2).min(axis=0)
        )
        matched = is_inside & (number >= 1) & (number <= LONGEST)
        bits = np.where(matched, np.int64(1) << np.minimum(number, LONGEST), 0)
        return np.asarray(np.bitwise_or.reduce(bits, axis=0)), matched

    def _unchanged(self, came: Columns, window: PhaseWindow, period: int, hour: int) -> Columns:
        """The bits with those of an hour earlier or later before them, where a clock change explains the difference.

        Events that came at the new time lately, each time instead of at the old one, are those of the old time.
        """
        for shift in (hour, -hour):
            before, _ = self._came(window, period, shift)
            newest = ~(came >> 1) & -~(came >> 1)  # the first period, counted from the newest, without an event
            recent = (newest - 1) << 1
            explains = (recent != 0) & (before & recent == 0) & (before != 0)
            came = np.where(explains, came | before & ~recent, came)
        return came

    def _add(self, position: _Position, window: PhaseWindow, period: int, came: Columns) -> None:
        """Add the evidence for a period; rows of which at most one event came are not active."""
        since = np.maximum(self._frame.column + window.start - self._oldest, 0)
        periods = np.minimum(since // period, LONGEST)
        self._change(self._frame.column + np.where(periods < LONGEST, period - since % period, -NEVER // 2))
        active = np.flatnonzero((periods > 0) & (came & (came - 1) != 0))
        came = came[active]
        length = (window.end - window.start)[active]
        by_chance = 1 - np.exp(-self._rate[active] * length)
        ignored = self._gaps(window, period, active) & ~came
        evidence = PhaseEvidence(came, ignored, periods[active], by_chance, length / period)
        variants = [evidence]
        if position.period == _BY_KIND:
            other = _other_days(self._frame.time + window.end * self._frame.step)
            variants += [evidence.without(other), evidence.without(~other)]
        self._phases.append(_Phase(position, np.flatnonzero(periods > 0), active, variants))

    def _gaps(self, window: PhaseWindow, period: int, active: NDArray[np.intp]) -> Columns:
        """Bit k: k periods ago this window was in a gap: (rows,)."""
        begins, ends = self._log.gaps[:, :, self._rows[active]]
        is_gap = begins > NEVER
        if not is_gap.any():
            return np.zeros(active.size, dtype=np.int64)
        first = np.where(is_gap, self._frame.column + window.start[active] - ends, 0) // period + 1
        last = -(-np.where(is_gap, self._frame.column + window.end - begins, 0) // period) - 1
        bits = np.where(is_gap, range_bits(first, last), 0)
        return np.asarray(np.bitwise_or.reduce(bits, axis=0))

    def _change(self, column: Columns) -> None:
        np.minimum(self.until, column, out=self.until)


def _other_days(time: float) -> int:
    """Bits of the days before ``time`` (s since the epoch, a Thursday) that are of another kind than its own."""
    today = int(time // _DAY)
    is_weekend = [(today - number + 3) % 7 >= 5 for number in range(LONGEST + 1)]
    return sum(1 << number for number, weekend in enumerate(is_weekend) if weekend != is_weekend[0])
