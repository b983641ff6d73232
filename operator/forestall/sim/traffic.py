"""Requests over time: what arrives, and what was seen of it at each moment."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from forestall.core.wording import plural
from forestall.errors import InvalidInput

Floats = NDArray[np.float64]

MINUTE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests a second in each minute; the minutes before `start` are the past, which is known when a run begins."""

    name: str
    rate: Floats
    start: int
    """The first minute that is simulated."""
    at: float = 0.0
    """When the first minute of all begins (s since the epoch)."""

    def __post_init__(self) -> None:
        if not 0 <= self.start < len(self.rate):
            raise InvalidInput(
                f"{self.name}: it is {plural(len(self.rate), 'minute')} long and can't begin at minute {self.start}"
            )
        if not (np.isfinite(self.rate).all() and (self.rate >= 0).all()):
            raise InvalidInput(f"{self.name}: rates must be finite and not negative")

    @property
    def minutes(self) -> int:
        """How many minutes are simulated."""
        return len(self.rate) - self.start

    @property
    def past(self) -> Floats:
        """The minutes that are known from the beginning."""
        return self.rate[: self.start]

    @property
    def played(self) -> Floats:
        """The minutes that are simulated."""
        return self.rate[self.start :]

    def scaled(self, peak: float) -> "Traffic":
        """Return the same traffic with so many requests a second in the fullest minute that is simulated."""
        most = float(self.played.max())
        if most <= 0:
            raise InvalidInput(f"{self.name}: no request arrives in the time to simulate")
        return Traffic(self.name, self.rate * (peak / most), self.start, self.at)

    def earlier(self, minutes: int) -> "Traffic":
        """Return the same traffic, simulated from so many minutes before, as far as there is a past."""
        return replace(self, start=max(0, self.start - minutes))

    def part(self, days: float, past_days: float) -> "Traffic":
        """Return the first `days` that are simulated, with `past_days` before them."""
        first = max(0, self.start - round(past_days * 1440))
        last = min(len(self.rate), self.start + round(days * 1440))
        return Traffic(self.name, self.rate[first:last], self.start - first, self.at + first * MINUTE)


class Loads:
    """The traffics of some services on the steps of a run, and what of them had been seen at each step.

    Step 0 is the first that is simulated; the past has negative steps. Traffics of different lengths end with the
    shortest, and begin with the longest past: before its own, a traffic is taken to be as in its first minute.
    """

    def __init__(self, traffics: Sequence[Traffic], step: float) -> None:
        per_minute = round(MINUTE / step)
        if per_minute < 1 or abs(per_minute * step - MINUTE) > 1e-9:
            raise InvalidInput(f"a step of {step:g} s does not divide a minute")
        distinct = list({id(one): one for one in traffics}.values())
        place = {id(one): n for n, one in enumerate(distinct)}
        self.of = np.array([place[id(one)] for one in traffics])
        """Which row is whose."""
        self.step_s = step
        self.steps = min(one.minutes for one in distinct) * per_minute
        self._past = max(one.start for one in distinct) * per_minute
        rows = [_on_steps(one, per_minute, self._past, self.steps) for one in distinct]
        self._rate = np.stack(rows)
        self._sum = np.concatenate((np.zeros((len(rows), 1)), np.cumsum(self._rate, axis=1)), axis=1)

    @property
    def past_steps(self) -> int:
        """How many steps lie before the first that is simulated."""
        return self._past

    def arriving(self, step: int) -> Floats:
        """Return the requests a second that arrive during `step`, for each service."""
        return np.asarray(self._rate[self.of, self._past + step])

    def mean(self, step: int, window: float) -> Floats:
        """Return the mean rate in the `window` seconds before `step` begins, for each service."""
        return np.asarray(self._mean(step, window)[self.of])

    def series(self, service: int, steps: NDArray[np.int64], window: float) -> Floats:
        """Return the mean rate in the `window` seconds before each of some steps, for one service."""
        end = np.clip(self._past + steps, 0, self._rate.shape[1])
        first = np.maximum(end - max(1, round(window / self.step_s)), 0)
        row = self._sum[self.of[service]]
        return np.asarray((row[end] - row[first]) / np.maximum(end - first, 1))

    def blocks(self, step: int, length: float, count: int) -> Floats:
        """Return the last `count` means over `length` seconds each before `step`, oldest first: (traffics, count).

        What lies before the past is NaN.
        """
        size = max(1, round(length / self.step_s))
        ends = self._past + step - size * np.arange(count - 1, -1, -1)
        known = ends - size >= 0
        result = np.full((len(self._rate), count), np.nan)
        result[:, known] = (self._sum[:, ends[known]] - self._sum[:, ends[known] - size]) / size
        return result

    def _mean(self, step: int, window: float) -> Floats:
        end = self._past + step
        first = max(0, end - max(1, round(window / self.step_s)))
        return np.asarray((self._sum[:, end] - self._sum[:, first]) / max(1, end - first))


def _on_steps(traffic: Traffic, per_minute: int, past: int, steps: int) -> Floats:
    rate = np.repeat(traffic.rate, per_minute)
    start = traffic.start * per_minute
    missing = past - start
    return np.concatenate((np.full(missing, rate[0]), rate[: start + steps]))
