"""No task outlives the call that started it.

The kind: siblings of a failed task ran on into the next cycle, and wrote there what the previous cycle had decided.
"""

import asyncio
import threading

import pytest
from tests.support.virtual_time import run

from forestall.engine.concurrency import aside, at_most, gather_all, within
from forestall.errors import ClusterError, Conflict, LostLease


async def fail(error, after=None):
    if after is not None:
        await after.wait()
    raise error


async def test_siblings_of_a_failed_task_have_ended_when_the_error_is_raised():
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


async def test_cancellation_leaves_no_task_behind():
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


async def test_lost_lease_is_raised_before_any_other_error():
    with pytest.raises(LostLease):
        await gather_all((fail(ClusterError("a")), fail(LostLease("b")), fail(ValueError("c"))))


async def test_results_are_in_order():
    async def number(n):
        for _ in range(3 - n):
            await asyncio.sleep(0)
        return n

    assert await gather_all(number(n) for n in range(3)) == [0, 1, 2]
    assert await gather_all(()) == []


async def test_thread_is_awaited_despite_repeated_cancellation():
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


async def after(seconds, result):
    await asyncio.sleep(seconds)
    return result


def test_result_of_a_task_that_missed_the_deadline_is_none():
    async def results():
        until = asyncio.get_running_loop().time() + 2.0
        return await within(until, (after(1.0, "a"), after(3.0, "b"), after(0.0, "c")))

    assert run(results()) == ["a", None, "c"]


async def test_timeout_raised_by_a_task_itself_is_raised():
    async def times_out():
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        await within(asyncio.get_running_loop().time() + 60.0, (times_out(),))


def test_deadline_of_a_part_is_no_later_than_that_of_the_whole():
    async def times():
        await asyncio.sleep(10.0)
        return at_most(5.0, 100.0), at_most(5.0, 12.0)

    assert run(times()) == (15.0, 12.0)


async def test_single_awaitable_runs_in_the_task_of_its_caller():
    async def task():
        return asyncio.current_task()

    assert await gather_all([task()]) == [asyncio.current_task()]
    first, second = await gather_all([task(), task()])
    assert asyncio.current_task() not in (first, second)
    assert first is not second


async def test_result_and_error_of_a_thread_are_passed_on():
    assert await aside(lambda a, b: a + b, 1, b=2) == 3
    with pytest.raises(Conflict, match="x"):
        await aside(lambda: (_ for _ in ()).throw(Conflict("x")))


async def test_the_first_error_of_several_is_raised():
    with pytest.raises(ClusterError, match="a"):
        await gather_all((fail(ClusterError("a")), fail(ValueError("c"))))
    with pytest.raises(LostLease):
        await gather_all((gather_all((fail(ValueError("a")), fail(LostLease("b")))), fail(ValueError("c"))))
