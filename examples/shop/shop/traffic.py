"""A day of traffic: the requests a second at each time of day."""

import csv
import math
import random
from dataclasses import dataclass
from pathlib import Path

DAY = 86_400.0
_STEP = 300.0


class BadTraffic(Exception):
    """The file with the recorded traffic is invalid; the message says why."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests a second at evenly spaced times of a recorded day; straight lines in between.

    `rates[n]` is the rate at `n * step` seconds of the day.
    """

    step: float
    rates: tuple[float, ...]

    def __call__(self, at: float) -> float:
        """Return the rate at `at` seconds of the day; before the first and after the last point it stays the same."""
        position = min(max(at / self.step, 0.0), len(self.rates) - 1.0)
        low = min(int(position), len(self.rates) - 2)
        part = position - low
        return self.rates[low] * (1 - part) + self.rates[low + 1] * part

    @property
    def length(self) -> float:
        """Length of the recording (s)."""
        return self.step * (len(self.rates) - 1)

    def peaking_at(self, peak: float) -> "Traffic":
        """Return the same curve, scaled to the highest rate `peak`."""
        highest = max(self.rates)
        return Traffic(self.step, tuple(rate * peak / highest for rate in self.rates))


# Share of the day's peak at each hour, as shops see it: a quiet night, a rise through the morning, a calmer
# afternoon, and the evening's peak.
_BY_HOUR = (
    0.22, 0.18, 0.15, 0.14, 0.14, 0.16, 0.20, 0.27, 0.36, 0.45, 0.54, 0.63,
    0.71, 0.75, 0.73, 0.70, 0.71, 0.77, 0.87, 0.96, 0.99, 0.91, 0.68, 0.40,
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
    # A Catmull-Rom spline: smooth, and through the points.
    n, t = int(hour), hour % 1
    before, low, high, after = (_BY_HOUR[(n + k) % 24] for k in (-1, 0, 1, 2))
    return 0.5 * (
        2 * low
        + (high - before) * t
        + (2 * before - 5 * low + 4 * high - after) * t**2
        + (3 * low - before - 3 * high + after) * t**3
    )


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
