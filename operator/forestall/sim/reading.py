"""Traffic from a file or a metric source, checked: a run on traffic that is not what it seems would say nothing."""

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from forestall.backtest.tables import moment_of
from forestall.core.duration import format_duration
from forestall.errors import InvalidInput
from forestall.ports import RangeSeries
from forestall.sim.traffic import MINUTE, Floats, Traffic

_LONGEST_GAP: Final = 1.5
"""Spacings between two rows that are no gap."""
_COARSEST: Final = 3600.0
_LEAST_MINUTES: Final = 60

Rows = list[tuple[float, float, str]]
"""Time (s), requests a second, and where it is written."""


def from_csv(path: Path) -> tuple[Traffic, tuple[str, ...]]:
    """Return the traffic in a file with the columns time and requests a second, and what a person should know of it.

    Raises:
        InvalidInput: the file can't be read, or a line of it can't be used; the message names both.
    """
    try:
        return _traffic(path.stem, list(_rows(path)), str(path))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        words = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise InvalidInput(f"{path} can't be read: {words}") from error


def from_series(name: str, series: Sequence[RangeSeries]) -> tuple[Traffic, tuple[str, ...]]:
    """Return the traffic that a query gave.

    Raises:
        InvalidInput: it gave no series, or several, or one with gaps.
    """
    if len(series) != 1:
        raise InvalidInput(f"{name}: the query gives {len(series)} series, not one: aggregate them, as by sum()")
    rows = [(at, value, f"{name}, at {at:.0f}") for at, value in zip(series[0].times, series[0].values, strict=True)]
    return _traffic(name, rows, name)


def split(traffic: Traffic, played: float | None) -> Traffic:
    """Return the traffic with the last `played` seconds to simulate; a third of it where nothing is said.

    Raises:
        InvalidInput: it is too short.
    """
    minutes = len(traffic.rate)
    wanted = round(played / MINUTE) if played is not None else min(minutes // 3, 2 * 1440)
    if not _LEAST_MINUTES <= wanted <= minutes:
        raise InvalidInput(
            f"{traffic.name}: {format_duration(minutes * MINUTE)} of traffic, of which "
            f"{format_duration(wanted * MINUTE)} would be simulated: at least an hour is needed"
        )
    return Traffic(traffic.name, traffic.rate, minutes - wanted, traffic.at)


def _rows(path: Path) -> Iterator[tuple[float, float, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        before = -math.inf
        for cells in reader:
            where = f"{path}, line {reader.line_num}"
            if not cells or (reader.line_num == 1 and not _is_number(cells[-1])):
                continue  # an empty line, or the names of the columns
            if len(cells) != 2:
                raise InvalidInput(f"{where}: there are {len(cells)} cells, and not two: time and requests a second")
            at = moment_of(cells[0], where)
            if not _is_number(cells[1]):
                raise InvalidInput(f"{where}: {cells[1]!r} is not a number of requests a second")
            rate = float(cells[1])
            if not math.isfinite(rate) or rate < 0:
                raise InvalidInput(f"{where}: there can't be {cells[1].strip()} requests a second")
            if at == before:
                raise InvalidInput(f"{where}: the same time as in the row before")
            if at < before:
                raise InvalidInput(f"{where}: it is earlier than the row before: sort the rows by time")
            before = at
            yield at, rate, where


def _traffic(name: str, rows: Rows, where: str) -> tuple[Traffic, tuple[str, ...]]:
    if len(rows) < 2:
        raise InvalidInput(f"{where}: there are {len(rows)} rows in it, which is no traffic")
    times = np.array([at for at, _, _ in rows])
    rates = np.array([rate for _, rate, _ in rows])
    gaps = np.diff(times)
    spacing = float(np.median(gaps))
    if spacing > _COARSEST:
        raise InvalidInput(f"{where}: a row every {format_duration(spacing)} is too coarse: at most one hour")
    wide = np.flatnonzero(gaps > _LONGEST_GAP * max(spacing, MINUTE))
    if wide.size:
        raise InvalidInput(
            f"{rows[wide[0] + 1][2]}: {format_duration(float(gaps[wide[0]]))} are missing before this row: fill the "
            f"gap, or cut the traffic there"
        )
    if not rates.any():
        raise InvalidInput(f"{where}: all rows are zero")
    return Traffic(name, _by_minutes(times, rates, spacing), 0, float(times[0])), _notes(rows, rates)


def _by_minutes(times: Floats, rates: Floats, spacing: float) -> Floats:
    """Return the mean of each minute; rows that are further apart are joined by straight lines."""
    count = math.floor((times[-1] - times[0] + spacing) / MINUTE + 1e-6)
    if spacing >= MINUTE:
        return np.asarray(np.interp(times[0] + MINUTE * np.arange(count), times, rates))
    minute = np.minimum(((times - times[0]) // MINUTE).astype(np.int64), max(count - 1, 0))
    total, rows = np.bincount(minute, rates), np.bincount(minute)
    known = rows > 0
    return np.asarray(np.interp(np.arange(len(rows)), np.flatnonzero(known), total[known] / rows[known]))


def _notes(rows: Rows, rates: Floats) -> tuple[str, ...]:
    zeros = np.flatnonzero(rates == 0)
    if not zeros.size:
        return ()
    return (f"{rows[zeros[0]][2]}: {zeros.size} rows are zero, from here on: they are taken as time without requests",)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
