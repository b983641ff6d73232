"""Polls the probes and the metrics of an operator."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import psutil
from benchmarks.safety.environment import Operator

_INTERVAL_S = 0.25


@dataclass
class OperatorFigures:
    """Figures since the last reset."""

    cycles: int = 0
    """Completed cycles."""
    given_up: int = 0
    failed: int = 0
    not_ready: int = 0
    """Failures of `/readyz`."""
    dead: int = 0
    """Failures of `/livez`."""
    longest_wait: float = 0.0
    """Longest response time of a probe (s), while the event loop was blocked."""
    over_share: dict[str, float] = field(default_factory=dict)
    """Most indicators that a cycle left out, by namespace."""
    resident: int = 0
    """Most resident memory (bytes)."""


class ProbeMonitor:
    """Polls an operator."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self._process = psutil.Process(operator.process.pid)
        self._counted: dict[str, float] = {}
        self._newest: dict[str, float] = {}
        self.observation = OperatorFigures()

    def reset(self) -> None:
        """Reset the figures."""
        self._counted = dict(self._newest)
        self.observation = OperatorFigures()

    @asynccontextmanager
    async def watching(self) -> AsyncIterator["ProbeMonitor"]:
        """Poll during the body."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
            task = asyncio.create_task(self._watch(session))
            try:
                yield self
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _watch(self, session: aiohttp.ClientSession) -> None:
        while True:
            await asyncio.sleep(_INTERVAL_S)
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
