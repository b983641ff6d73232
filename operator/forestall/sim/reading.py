"""Traffic from a file or a metric source, checked: a run on traffic that is not what it seems would say nothing."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from forestall.api.times import clock
from forestall.backtest import tables
from forestall.core.duration import format_duration
from forestall.core.wording import are, plural
from forestall.errors import InvalidInput
from forestall.ports import RangeSeries
from forestall.sim.traffic import MINUTE, Floats, Traffic

_LONGEST_GAP: Final = 1.5
"""Spacings between two rows that are no gap."""
_COARSEST: Final = 3600.0
_LEAST_MINUTES: Final = 60


def from_file(path: Path) -> tuple[Traffic, tuple[str, ...]]:
    """Return the traffic in a file with the columns time and requests a second, and what a person should know of it.

    Raises:
        InvalidInput: the file can't be read, holds not just one series, or has a line that can't be used; the message
            names it.
    """
    series = [each for column in tables.read(path) for each in column.series]
    return from_series(str(path), series, path.stem)


def from_series(
    where: str, series: Sequence[RangeSeries], name: str = "the traffic"
) -> tuple[Traffic, tuple[str, ...]]:
    """Return the traffic of the only series that a file or a query has.

    Raises:
        InvalidInput: it has no series, or several, or one with gaps.
    """
    if len(series) != 1:
        raise InvalidInput(
            f"{where}: there are {len(series)} series in it, and not one, the requests a second: add them up, as sum() "
            "does"
        )
    for at, rate in zip(series[0].times, series[0].values, strict=True):
        if rate < 0:
            raise InvalidInput(f"{where}, at {clock(at)}: there can't be {rate:g} requests a second")
    return _traffic(name, np.array(series[0].times), np.array(series[0].values), where)


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
            f"{format_duration(wanted * MINUTE)} would be simulated: give at least an hour, and no more than all"
        )
    return Traffic(traffic.name, traffic.rate, minutes - wanted, traffic.at)


def _traffic(name: str, times: Floats, rates: Floats, where: str) -> tuple[Traffic, tuple[str, ...]]:
    if len(times) < 2:
        raise InvalidInput(f"{where}: there {are(len(times))} {plural(len(times), 'row')} in it, which is no traffic")
    gaps = np.diff(times)
    spacing = float(np.median(gaps))
    if spacing > _COARSEST:
        raise InvalidInput(f"{where}: a row every {format_duration(spacing)} is too coarse: at most one hour")
    wide = np.flatnonzero(gaps > _LONGEST_GAP * max(spacing, MINUTE))
    if wide.size:
        raise InvalidInput(
            f"{where}: {format_duration(float(gaps[wide[0]]))} are missing before {clock(float(times[wide[0] + 1]))}: "
            f"fill the gap, or cut the traffic there"
        )
    if not rates.any():
        raise InvalidInput(f"{where}: all rows are zero")
    return Traffic(name, _by_minutes(times, rates, spacing), 0, float(times[0])), _notes(times, rates, where)


def _by_minutes(times: Floats, rates: Floats, spacing: float) -> Floats:
    """Return the mean of each minute; rows that are further apart are joined by straight lines."""
    count = math.floor((times[-1] - times[0] + spacing) / MINUTE + 1e-6)
    if spacing >= MINUTE:
        return np.asarray(np.interp(times[0] + MINUTE * np.arange(count), times, rates))
    minute = np.minimum(((times - times[0]) // MINUTE).astype(np.int64), max(count - 1, 0))
    total, rows = np.bincount(minute, rates), np.bincount(minute)
    known = rows > 0
    return np.asarray(np.interp(np.arange(len(rows)), np.flatnonzero(known), total[known] / rows[known]))


def _notes(times: Floats, rates: Floats, where: str) -> tuple[str, ...]:
    zeros = np.flatnonzero(rates == 0)
    if not zeros.size:
        return ()
    first = clock(float(times[zeros[0]]))
    return (
        f"{where}: {plural(zeros.size, 'row')} {are(zeros.size)} zero, from {first} on: taken as time without requests",
    )
