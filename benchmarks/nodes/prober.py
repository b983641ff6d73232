"""`python -m benchmarks.nodes.prober TARGETS RESULTS`: ask each target every other second, as a user does.

TARGETS is a JSON file, a URL by name, and is read again every second. A line of RESULTS has the time (s), the name,
whether there was an answer without an error within five seconds, and how many seconds that took.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import TextIO

import aiohttp

EVERY_S = 2.0
_TIMEOUT = aiohttp.ClientTimeout(total=5.0)


async def probe(targets: Path, results: TextIO) -> None:
    """Ask forever."""
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT, trust_env=False) as session:
        probing: dict[str, asyncio.Task[None]] = {}
        while True:
            urls: dict[str, str] = json.loads(await asyncio.to_thread(targets.read_text))
            for name, url in urls.items():
                if name not in probing:
                    probing[name] = asyncio.create_task(_probe_one(session, name, url, results))
            await asyncio.sleep(1.0)
            results.flush()


async def _probe_one(session: aiohttp.ClientSession, name: str, url: str, results: TextIO) -> None:
    while True:
        at, began = time.time(), time.monotonic()
        good = await _good(session, url)
        took = time.monotonic() - began
        results.write(json.dumps([round(at, 1), name, good, round(took, 2)]) + "\n")
        await asyncio.sleep(max(0.0, EVERY_S - took))


async def _good(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            await response.read()
            return response.status == 200
    except (aiohttp.ClientError, OSError, TimeoutError):
        return False


if __name__ == "__main__":
    with Path(sys.argv[2]).open("w") as file:
        asyncio.run(probe(Path(sys.argv[1]), file))
