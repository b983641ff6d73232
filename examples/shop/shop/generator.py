"""An open-loop load generator: requests are sent when they are due, whether or not earlier ones were answered."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import aiohttp

from shop.traffic import Traffic

_MOST_IN_FLIGHT = 2000
_LATE_SECONDS = 0.1
_GIVEN_UP_SECONDS = 1.0
_TIMEOUT = aiohttp.ClientTimeout(total=10)


@dataclass(frozen=True, slots=True)
class Plan:
    """Which part of the recorded day is played, and in which time."""

    traffic: Traffic
    start: float
    """Seconds of the day at which it begins."""
    end: float
    """Seconds of the day at which it ends."""
    duration: float
    """Seconds that it takes."""
    lead_in: float = 0.0
    """Seconds before that in which the rate is that of the start, so that everything is under way."""
    seed: int = 1

    def rate(self, elapsed: float) -> float:
        """Return the requests a second that are due `elapsed` seconds after the beginning."""
        played = max(0.0, elapsed - self.lead_in)
        return self.traffic(self.start + played * (self.end - self.start) / self.duration)

    def arrivals(self) -> Iterator[float]:
        """Yield the seconds at which requests are due: a Poisson process whose rate follows the day.

        By thinning. Source: Lewis & Shedler, Simulation of nonhomogeneous Poisson processes by thinning (1979).
        """
        rng = random.Random(self.seed)  # noqa: S311 - traffic, not secrets
        most = max(self.traffic.rates)
        at = 0.0
        while (at := at + rng.expovariate(most)) < self.lead_in + self.duration:
            if rng.random() * most < self.rate(at):
                yield at


@dataclass(slots=True)
class Tally:
    """What became of the requests."""

    codes: Counter[str] = field(default_factory=Counter)
    """By status code; `error` for those without an answer."""
    sent: int = 0
    late: int = 0
    """Sent more than 0.1 s after they were due: the machine was too slow for the generator."""
    not_sent: int = 0
    """Not sent, because 2,000 were in flight already, or because they were due more than a second ago: on a machine
    that is too slow the generator keeps to the clock, and ends when the day does."""

    def summary(self) -> dict[str, object]:
        """Return it as JSON has it."""
        return {"sent": self.sent, "late": self.late, "notSent": self.not_sent, "codes": dict(self.codes)}


async def generate(url: str, plan: Plan, behind: float = 0.0) -> Tally:
    """Send the plan's requests to `url` and return what became of them; the plan began `behind` seconds ago."""
    loop, tally = asyncio.get_running_loop(), Tally()
    pending: set[asyncio.Task[None]] = set()
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=_TIMEOUT, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        began = loop.time() - behind
        for due in plan.arrivals():
            wait = began + due - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            elif _LATE_SECONDS < -wait <= _GIVEN_UP_SECONDS:
                tally.late += 1
            if len(pending) >= _MOST_IN_FLIGHT or -wait > _GIVEN_UP_SECONDS:
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
    try:
        async with session.get(url) as response:
            await response.read()
            tally.codes[str(response.status)] += 1
    except (aiohttp.ClientError, OSError, TimeoutError):
        tally.codes["error"] += 1
