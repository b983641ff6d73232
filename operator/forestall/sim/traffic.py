"""Requests over time: traffic traces, and the arrivals of a run by step."""

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
class TrafficTrace:
    """Requests a second by minute; the minutes before `start` are the history that a run starts with."""

    name: str
    rate: Floats
    start: int
    """The first minute that is simulated."""
    at: float = 0.0
    """Start of the trace (s since the epoch)."""

    def __post_init__(self) -> None:
        if not 0 <= self.start < len(self.rate):
            raise InvalidInput(
                f"{self.name}: it is {plural(len(self.rate), 'minute')} long and can't start at minute {self.start}"
            )
        if not (np.isfinite(self.rate).all() and (self.rate >= 0).all()):
            raise InvalidInput(f"{self.name}: rates must be finite and not negative")

    @property
    def minutes(self) -> int:
        """Number of simulated minutes."""
        return len(self.rate) - self.start

    @property
    def history(self) -> Floats:
        """The minutes before the simulated ones."""
        return self.rate[: self.start]

    @property
    def simulated(self) -> Floats:
        """The minutes that are simulated."""
        return self.rate[self.start :]

    def scaled(self, peak: float) -> "TrafficTrace":
        """Return the same trace with `peak` requests a second in the busiest simulated minute."""
        peak_rate = float(self.simulated.max())
        if peak_rate <= 0:
            raise InvalidInput(f"{self.name}: there are no requests in the simulated time")
        return TrafficTrace(self.name, self.rate * (peak / peak_rate), self.start, self.at)

    def earlier(self, minutes: int) -> "TrafficTrace":
        """Return the same trace, simulated from up to `minutes` earlier, as far as there is history."""
        return replace(self, start=max(0, self.start - minutes))

    def part(self, days: float, past_days: float) -> "TrafficTrace":
        """Return the first simulated `days`, with `past_days` of history."""
        first = max(0, self.start - round(past_days * 1440))
        last = min(len(self.rate), self.start + round(days * 1440))
        return TrafficTrace(self.name, self.rate[first:last], self.start - first, self.at + first * MINUTE)


class Arrivals:
    """The requests that arrive at each service in each step of a run.

    Step 0 is the first simulated step; the history has negative steps. Traces of different lengths end with the
    shortest, and start with the longest history: a shorter one is extended by its first minute.
    """

    def __init__(self, traces: Sequence[TrafficTrace], step: float) -> None:
        per_minute = round(MINUTE / step)
        if per_minute < 1 or abs(per_minute * step - MINUTE) > 1e-9:
            raise InvalidInput(f"a step of {step:g} s does not divide a minute")
        distinct = list({id(trace): trace for trace in traces}.values())
        row_by_id = {id(trace): n for n, trace in enumerate(distinct)}
        self.service_rows = np.array([row_by_id[id(trace)] for trace in traces])
        """The row of each service."""
        self.step_s = step
        self.steps = min(trace.minutes for trace in distinct) * per_minute
        self._past = max(trace.start for trace in distinct) * per_minute
        rows = [_on_steps(trace, per_minute, self._past, self.steps) for trace in distinct]
        self._rate = np.stack(rows)
        self._sum = np.concatenate((np.zeros((len(rows), 1)), np.cumsum(self._rate, axis=1)), axis=1)

    @property
    def history_steps(self) -> int:
        """Number of steps before the first simulated one."""
        return self._past

    def rate_at(self, step: int) -> Floats:
        """Return the requests a second that arrive during `step`, for each service."""
        return np.asarray(self._rate[self.service_rows, self._past + step])

    def mean(self, step: int, window: float) -> Floats:
        """Return the mean rate in the `window` seconds before `step` begins, for each service."""
        return np.asarray(self._mean(step, window)[self.service_rows])

    def series(self, service: int, steps: NDArray[np.int64], window: float) -> Floats:
        """Return the mean rate in the `window` seconds before each of `steps`, for one service."""
        end = np.clip(self._past + steps, 0, self._rate.shape[1])
        first = np.maximum(end - max(1, round(window / self.step_s)), 0)
        row = self._sum[self.service_rows[service]]
        return np.asarray((row[end] - row[first]) / np.maximum(end - first, 1))

    def block_means(self, step: int, length: float, count: int) -> Floats:
        """Return the last `count` means over `length` seconds before `step`, oldest first, shape (traces, count).

        Blocks from before the history are NaN.
        """
        size = max(1, round(length / self.step_s))
        ends = self._past + step - size * np.arange(count - 1, -1, -1)
        available = ends - size >= 0
        result = np.full((len(self._rate), count), np.nan)
        result[:, available] = (self._sum[:, ends[available]] - self._sum[:, ends[available] - size]) / size
        return result

    def _mean(self, step: int, window: float) -> Floats:
        end = self._past + step
        first = max(0, end - max(1, round(window / self.step_s)))
        return np.asarray((self._sum[:, end] - self._sum[:, first]) / max(1, end - first))


def _on_steps(traffic: TrafficTrace, per_minute: int, past: int, steps: int) -> Floats:
    rate = np.repeat(traffic.rate, per_minute)
    start = traffic.start * per_minute
    missing = past - start
    return np.concatenate((np.full(missing, rate[0]), rate[: start + steps]))
