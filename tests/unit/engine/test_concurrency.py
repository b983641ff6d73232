"""No task outlives what started it.

The kind: siblings of a task that fails went on into the next cycle, and wrote there what was decided in the one before.
"""

import asyncio
import threading

import pytest

from forestall.engine.concurrency import aside, gather_all
from forestall.errors import ClusterError, Conflict, LostLease


async def fail(error, after=None):
    if after is not None:
        await after.wait()
    raise error


async def test_a_slow_sibling_of_one_that_fails_is_over_when_the_failure_is_told():
    writes = []
    begun, over = asyncio.Event(), asyncio.Event()

    async def slow():
        begun.set()
        try:
            await asyncio.sleep(3600)
            writes.append("into the next cycle")
        finally:
            await asyncio.sleep(0)  # what it cleans up takes its time, too
            over.set()

    with pytest.raises(Conflict, match="first"):
        await gather_all((slow(), fail(Conflict("first"), begun)))
    assert over.is_set()
    assert writes == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_what_is_cancelled_leaves_nothing_behind():
    over = []

    async def slow():
        try:
            await asyncio.sleep(3600)
        finally:
            over.append(1)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await gather_all(slow() for _ in range(3))
    assert over == [1, 1, 1]


async def test_the_loss_of_the_lease_is_told_before_any_other_error():
    with pytest.raises(LostLease):
        await gather_all((fail(ClusterError("a")), fail(LostLease("b")), fail(ValueError("c"))))


async def test_results_come_in_order():
    async def number(n):
        for _ in range(3 - n):
            await asyncio.sleep(0)
        return n

    assert await gather_all(number(n) for n in range(3)) == [0, 1, 2]
    assert await gather_all(()) == []


async def test_a_thread_is_waited_for_however_often_it_is_cancelled():
    begun, go_on, done = threading.Event(), threading.Event(), []

    def work():
        begun.set()
        go_on.wait(20)
        done.append(1)

    task = asyncio.create_task(aside(work))
    assert await asyncio.to_thread(begun.wait, 20)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == [1]
