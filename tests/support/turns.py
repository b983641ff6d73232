"""How often others get their turn on the event loop while something works."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass
class Turns:
    """How many turns there were."""

    count: int = 0


@asynccontextmanager
async def counted_turns() -> AsyncIterator[Turns]:
    """Count the turns of a task that wants one whenever it can have it, as the renewal of the lease does."""
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
