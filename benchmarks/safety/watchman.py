"""What an operator says of itself while it is tried: its probes and its metrics, asked again and again."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import psutil
from benchmarks.safety.arena import Operator

_EVERY = 0.25


@dataclass
class OperatorFigures:
    """What it said since the last look began."""

    cycles: int = 0
    """How many cycles came to their end."""
    given_up: int = 0
    failed: int = 0
    not_ready: int = 0
    """How often `/readyz` did not say yes."""
    dead: int = 0
    """How often `/livez` did not."""
    longest_wait: float = 0.0
    """The longest that a probe waited (s): as long as the event loop stood still."""
    over_share: dict[str, float] = field(default_factory=dict)
    """The most that was left out of a cycle, by namespace."""
    resident: int = 0
    """The most memory (bytes)."""


class Watchman:
    """Asks an operator."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self._process = psutil.Process(operator.process.pid)
        self._counted: dict[str, float] = {}
        self._newest: dict[str, float] = {}
        self.observation = OperatorFigures()

    def begin(self) -> None:
        """Begin anew."""
        self._counted = dict(self._newest)
        self.observation = OperatorFigures()

    @asynccontextmanager
    async def watching(self) -> AsyncIterator["Watchman"]:
        """Ask while the body runs."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
            task = asyncio.create_task(self._watch(session))
            try:
                yield self
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _watch(self, session: aiohttp.ClientSession) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            try:
                began = time.monotonic()
                async with session.get(f"{self._operator.url}/livez") as answer:
                    dead = answer.status != 200
                self.observation.longest_wait = max(self.observation.longest_wait, time.monotonic() - began)
                async with session.get(f"{self._operator.url}/readyz") as answer:
                    not_ready = answer.status != 200
                async with session.get(f"{self._operator.url}/metrics") as answer:
                    self._read(await answer.text())
            except aiohttp.ClientError:
                continue
            self.observation.dead += dead
            self.observation.not_ready += not_ready
            self.observation.resident = max(self.observation.resident, self._process.memory_info().rss)

    def _read(self, text: str) -> None:
        values = dict(re.findall(r"^(\w+(?:\{[^\n]*\})?) (\S+)$", text, re.MULTILINE))
        values_by_name = {name: float(value) for name, value in values.items()}
        self._newest = values_by_name
        self.observation.cycles = int(self._since("forestall_cycle_seconds_count"))
        self.observation.given_up = int(self._since("forestall_cycles_given_up_total"))
        self.observation.failed = int(self._since("forestall_cycle_failures_total"))
        for name, value in values_by_name.items():
            if name.startswith("forestall_share_exhausted{"):
                namespace = name.split('"')[1]
                self.observation.over_share[namespace] = max(value, self.observation.over_share.get(namespace, 0.0))

    def _since(self, name: str) -> float:
        return self._newest.get(name, 0.0) - self._counted.get(name, 0.0)
