"""The shop as the process of a real pod: its probes, its shutdown, and allocated memory."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from forestall.devcluster.ports import free_ports

SHOP = Path(__file__).resolve().parents[3] / "examples" / "shop"


@contextlib.asynccontextmanager
async def served(*options: str, **environment: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Start the shop as its own pod, and yield the process and its URL once it is ready."""
    (port,) = free_ports(1)
    address = environment.get("SHOP_ADDRESS", "127.0.0.1")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "shop", "serve", "--own-pod", "--port", str(port), *options),
        env={**environment, "PYTHONPATH": str(SHOP)},
    )
    url = f"http://{address}:{port}"
    try:
        await until(lambda: status(url + "/readyz"), lambda code: code == 200)
        yield process, url
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def until(reading: Callable[[], Awaitable[Any]], is_reached: Callable[[Any], bool]) -> None:
    async with asyncio.timeout(60):
        while not is_reached(await reading()):  # noqa: ASYNC110 -- another process has no event for it
            await asyncio.sleep(0.02)


async def written(folder: Path) -> int:
    return size(folder)


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


async def status(url: str) -> int | None:
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status
    except aiohttp.ClientError:
        return None


async def memory(url: str) -> float:
    async with aiohttp.ClientSession() as session, session.get(url + "/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith('shop_pod_memory_bytes{pod="shop-abc"}'))


async def test_after_sigterm_the_shop_is_unready_and_drains():
    """It is unready at once, so that the Service sends no more requests, serves the rest, and then ends."""
    async with served("--drain", "600") as (process, url):
        process.send_signal(signal.SIGTERM)
        await until(lambda: status(url + "/readyz"), lambda code: code == 503)
        assert [await status(url + path) for path in ("/livez", "/", "/metrics")] == [200, 200, 200]
    async with served() as (process, _):
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            assert await process.wait() == 0


async def test_requests_in_progress_finish_at_shutdown():
    async with served("--slots", "1") as (process, url):
        waiting = [asyncio.create_task(status(url)) for _ in range(5)]
        async with asyncio.timeout(60), aiohttp.ClientSession() as session:
            busy = ""
            while "shop_slots_busy 1.0" not in busy:
                busy = await (await session.get(url + "/metrics")).text()
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            assert await process.wait() == 0
        answers = await asyncio.gather(*waiting)
    assert answers.count(200) >= 1
    assert set(answers) <= {200, None}, "what was not taken any more is refused, and nothing breaks off with an error"


async def test_the_listen_address_comes_from_the_environment():
    async with served(SHOP_ADDRESS="127.0.0.2") as (_, url):
        assert await status(url + "/livez") == 200
        assert await status(url.replace("127.0.0.2", "127.0.0.1") + "/livez") is None


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs Linux")  # noqa: PTH110
async def test_a_real_pod_allocates_leaked_memory(tmp_path):
    options = ("--leak-per-second", "20", "--fill", str(tmp_path / "cache"), "--fill-per-second", "4")
    async with served(*options, POD_NAME="shop-abc") as (_, url):
        before = await memory(url)
        await until(lambda: memory(url), lambda now: now > before + 20 * 1024 * 1024)
        await until(lambda: written(tmp_path / "cache"), lambda now: now > 2 * 1024 * 1024)
