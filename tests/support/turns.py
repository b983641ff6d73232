"""Counts how often other tasks run on the event loop during some work."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass
class Turns:
    """The number of turns."""

    count: int = 0


@asynccontextmanager
async def counted_turns() -> AsyncIterator[Turns]:
    """Count the turns of a task that is always ready to run, as the renewal of the lease may be."""
    turns = Turns()

    async def renew() -> None:
        while True:
            turns.count += 1
            await asyncio.sleep(0)

    renewing = asyncio.ensure_future(renew())
    try:
        yield turns
    finally:
        renewing.cancel()
