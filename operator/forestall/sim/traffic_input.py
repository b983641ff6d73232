"""Read and check the traffic from a file or a metric source."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from forestall.api.times import clock
from forestall.core.duration import format_duration
from forestall.core.wording import is_or_are, plural
from forestall.errors import InvalidInput
from forestall.inputs import tables
from forestall.ports import RangeSeries
from forestall.sim.traffic import MINUTE, Floats, TrafficTrace

_LONGEST_GAP: Final = 1.5
"""Longest distance of two rows, in sample intervals, that is not a gap."""
_COARSEST: Final = 3600.0
_LEAST_MINUTES: Final = 60


def from_file(path: Path) -> tuple[TrafficTrace, tuple[str, ...]]:
    """Return the traffic of a file with the columns time and requests a second, and notes for the user.

    Raises:
        InvalidInput: the file can't be read, does not have exactly one series, or has an invalid line; the message
            names it.
    """
    series = [entry for column in tables.read(path) for entry in column.series]
    return from_series(str(path), series, path.stem)


def from_series(
    location: str, series: Sequence[RangeSeries], name: str = "the traffic"
) -> tuple[TrafficTrace, tuple[str, ...]]:
    """Return the traffic of the only series of a file or a query, and notes for the user.

    Raises:
        InvalidInput: there is no series, there are several, or it has gaps.
    """
    if len(series) != 1:
        raise InvalidInput(
            f"{location}: there are {len(series)} series, and it needs exactly one, the requests a second: add them "
            "up, for example with sum()"
        )
    for at, rate in zip(series[0].times, series[0].values, strict=True):
        if rate < 0:
            raise InvalidInput(f"{location}, at {clock(at)}: {rate:g} requests a second is negative")
    return _traffic(name, np.array(series[0].times), np.array(series[0].values), location)


def split(traffic: TrafficTrace, duration: float | None) -> TrafficTrace:
    """Return the traffic with the last `duration` seconds to simulate; by default a third of it, at most two days.

    Raises:
        InvalidInput: the traffic is too short.
    """
    minutes = len(traffic.rate)
    simulated_minutes = round(duration / MINUTE) if duration is not None else min(minutes // 3, 2 * 1440)
    if not _LEAST_MINUTES <= simulated_minutes <= minutes:
        raise InvalidInput(
            f"{traffic.name}: {format_duration(minutes * MINUTE)} of traffic, of which "
            f"{format_duration(simulated_minutes * MINUTE)} would be simulated: give at least an hour, and at "
            "most the whole"
        )
    return TrafficTrace(traffic.name, traffic.rate, minutes - simulated_minutes, traffic.at)


def _traffic(name: str, times: Floats, rates: Floats, location: str) -> tuple[TrafficTrace, tuple[str, ...]]:
    if len(times) < 2:
        raise InvalidInput(f"{location}: there {is_or_are(len(times))} {plural(len(times), 'row')}, which is too few")
    gaps = np.diff(times)
    spacing = float(np.median(gaps))
    if spacing > _COARSEST:
        raise InvalidInput(f"{location}: a row every {format_duration(spacing)} is too coarse: at most one hour")
    long_gaps = np.flatnonzero(gaps > _LONGEST_GAP * max(spacing, MINUTE))
    if long_gaps.size:
        first = long_gaps[0]
        raise InvalidInput(
            f"{location}: {format_duration(float(gaps[first]))} are missing before {clock(float(times[first + 1]))}: "
            f"fill the gap, or cut the traffic there"
        )
    if not rates.any():
        raise InvalidInput(f"{location}: all rows are zero")
    return TrafficTrace(name, _by_minutes(times, rates, spacing), 0, float(times[0])), _notes(times, rates, location)


def _by_minutes(times: Floats, rates: Floats, spacing: float) -> Floats:
    """Return the mean of each minute; rows that are further apart are interpolated linearly."""
    count = math.floor((times[-1] - times[0] + spacing) / MINUTE + 1e-6)
    if spacing >= MINUTE:
        return np.asarray(np.interp(times[0] + MINUTE * np.arange(count), times, rates))
    minute = np.minimum(((times - times[0]) // MINUTE).astype(np.int64), max(count - 1, 0))
    total, rows = np.bincount(minute, rates), np.bincount(minute)
    has_rows = rows > 0
    return np.asarray(np.interp(np.arange(len(rows)), np.flatnonzero(has_rows), total[has_rows] / rows[has_rows]))


def _notes(times: Floats, rates: Floats, location: str) -> tuple[str, ...]:
    zeros = np.flatnonzero(rates == 0)
    if not zeros.size:
        return ()
    first = clock(float(times[zeros[0]]))
    return (
        f"{location}: {plural(zeros.size, 'row')} {is_or_are(zeros.size)} zero, from {first} on: taken as no requests",
    )
