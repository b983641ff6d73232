"""A day of traffic: how many requests a second arrive at each time of it."""

import bisect
import csv
import math
import random
from dataclasses import dataclass
from pathlib import Path

DAY = 86_400.0
_STEP = 300.0


class BadTraffic(Exception):
    """The file with the recorded traffic cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests a second at evenly spaced times of a recorded day; straight lines in between.

    `rates[n]` is the rate at `n * step` seconds of the day.
    """

    step: float
    rates: tuple[float, ...]

    def __call__(self, at: float) -> float:
        """Return the rate at `at` seconds of the day; before the first and after the last point it stays the same."""
        place = min(max(at / self.step, 0.0), len(self.rates) - 1.0)
        low = min(int(place), len(self.rates) - 2)
        part = place - low
        return self.rates[low] * (1 - part) + self.rates[low + 1] * part

    @property
    def length(self) -> float:
        """How many seconds were recorded."""
        return self.step * (len(self.rates) - 1)

    def peaking_at(self, peak: float) -> "Traffic":
        """Return the same curve, scaled so that its highest rate is `peak`."""
        highest = max(self.rates)
        return Traffic(self.step, tuple(rate * peak / highest for rate in self.rates))


# Share of the day's peak at each hour, as shops see it: a quiet night, a rise through the morning, a calmer
# afternoon, and the evening's peak.
_HOURS = (
    (0.0, 0.20), (1.5, 0.15), (4.0, 0.13), (6.0, 0.16), (8.0, 0.34), (10.0, 0.56), (12.0, 0.74), (13.0, 0.78),
    (15.0, 0.68), (17.0, 0.72), (19.0, 0.93), (20.0, 1.00), (21.0, 0.94), (22.5, 0.55), (24.0, 0.22),
)  # fmt: skip


def generated_day(seed: int) -> Traffic:
    """Return a generated day in steps of five minutes whose peak is about 1.

    The daily curve times noise that lasts for about an hour (an autoregressive process of order 1).
    """
    rng = random.Random(seed)  # noqa: S311 - traffic, not secrets
    keep = math.exp(-_STEP / 3600)
    noise, rates = 0.0, []
    for n in range(int(DAY / _STEP) + 1):
        noise = keep * noise + math.sqrt(1 - keep * keep) * rng.gauss(0, 0.035)
        rates.append(_daily(n * _STEP / 3600) * math.exp(noise))
    return Traffic(_STEP, tuple(rates))


def _daily(hour: float) -> float:
    index = min(bisect.bisect_right(_HOURS, hour, key=lambda point: point[0]), len(_HOURS) - 1)
    (start, low), (end, high) = _HOURS[index - 1], _HOURS[index]
    # Half a cosine between the points: no kinks.
    part = (1 - math.cos(math.pi * (hour - start) / (end - start))) / 2
    return low + part * (high - low)


def recorded_day(path: Path, column: str, step: float) -> Traffic:
    """Return the traffic in a CSV file with a header: `column` has one number every `step` seconds.

    Raises BadTraffic when the file cannot be read, has no such column, or has no usable numbers in it.
    """
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadTraffic(f"{path} cannot be read: {error}") from error
    if not rows or column not in rows[0]:
        names = ", ".join(rows[0]) if rows else "no rows at all"
        raise BadTraffic(f"{path} has no column `{column}` (it has {names})")
    try:
        rates = tuple(float(row[column]) for row in rows)
    except (TypeError, ValueError) as error:
        raise BadTraffic(f"column `{column}` of {path} is not all numbers: {error}") from error
    if len(rates) < 2 or step <= 0:
        raise BadTraffic(f"{path} needs two points or more, a positive number of seconds apart")
    if not all(math.isfinite(rate) and rate >= 0 for rate in rates) or max(rates) <= 0:
        raise BadTraffic(f"column `{column}` of {path} must have finite numbers of 0 or more, and not only zeros")
    return Traffic(step, rates)
