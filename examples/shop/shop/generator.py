"""An open-loop load generator: requests are sent when they are due, whether or not earlier ones were answered."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import aiohttp

from shop.client import ClientMetrics
from shop.traffic import Traffic

_MAX_IN_FLIGHT = 2000
_LATE_SECONDS = 0.1
_GIVEN_UP_SECONDS = 1.0
_TIMEOUT = aiohttp.ClientTimeout(total=10)


@dataclass(frozen=True, slots=True)
class Plan:
    """The part of the day to replay, and the length of the run."""

    traffic: Traffic
    start: float
    """Start (seconds of the day)."""
    end: float
    """End (seconds of the day)."""
    duration: float
    """Length of the run (s)."""
    lead_in: float = 0.0
    """Time before the start with the initial rate (s)."""
    seed: int = 1

    def rate(self, elapsed: float) -> float:
        """Return the requests a second that are due `elapsed` seconds after the start."""
        played = max(0.0, elapsed - self.lead_in)
        return self.traffic(self.start + played * (self.end - self.start) / self.duration)

    def arrivals(self) -> Iterator[float]:
        """Yield the times at which requests are due (s): a Poisson process with the rate of the day.

        By thinning. Source: Lewis & Shedler, Simulation of nonhomogeneous Poisson processes by thinning (1979).
        """
        rng = random.Random(self.seed)  # noqa: S311 - traffic, not secrets
        peak_rate = max(self.traffic.rates)
        at = 0.0
        while (at := at + rng.expovariate(peak_rate)) < self.lead_in + self.duration:
            if rng.random() * peak_rate < self.rate(at):
                yield at


@dataclass(slots=True)
class Tally:
    """The outcome of the requests."""

    codes: Counter[str] = field(default_factory=Counter)
    """Responses by status code; `error` without a response."""
    metrics: ClientMetrics = field(default_factory=ClientMetrics)
    """The same for Prometheus, with the durations."""
    sent: int = 0
    late: int = 0
    """Sent more than 0.1 s after they were due: the machine was too slow for the generator."""
    not_sent: int = 0
    """Not sent, because 2,000 were in flight already, or because they were due more than a second ago: on a machine
    that is too slow the generator keeps to the clock, and ends when the day does."""

    def summary(self) -> dict[str, object]:
        """Return the tally as JSON data."""
        return {"sent": self.sent, "late": self.late, "notSent": self.not_sent, "codes": dict(self.codes)}


async def generate(
    url: str, plan: Plan, behind: float = 0.0, *, tally: Tally | None = None, reconnect: bool = False
) -> Tally:
    """Send the plan's requests to `url` and return their tally; the plan began `behind` seconds ago.

    `reconnect`: with a connection for each request, as a Service distributes connections and not requests.
    """
    loop, tally = asyncio.get_running_loop(), tally or Tally()
    pending: set[asyncio.Task[None]] = set()
    connector = aiohttp.TCPConnector(limit=0, force_close=reconnect)
    async with aiohttp.ClientSession(
        connector=connector, timeout=_TIMEOUT, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        began = loop.time() - behind
        for due in plan.arrivals():
            wait = began + due - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            elif _LATE_SECONDS < -wait <= _GIVEN_UP_SECONDS:
                tally.late += 1
            if len(pending) >= _MAX_IN_FLIGHT or -wait > _GIVEN_UP_SECONDS:
                tally.not_sent += 1
                await asyncio.sleep(0)
                continue
            tally.sent += 1
            task = asyncio.create_task(_request(session, url, tally))
            pending.add(task)
            task.add_done_callback(pending.discard)
        await asyncio.gather(*pending)
    return tally


async def _request(session: aiohttp.ClientSession, url: str, tally: Tally) -> None:
    tally.metrics.arrivals.inc()
    began = time.perf_counter()
    try:
        async with session.get(url) as response:
            await response.read()
            code = str(response.status)
    except (aiohttp.ClientError, OSError, TimeoutError):
        code = "error"
    tally.codes[code] += 1
    tally.metrics.duration.labels(code).observe(time.perf_counter() - began)
