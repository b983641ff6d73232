"""Calls that hang occupy a limited number of threads of their owner. The kind: one slow thing in a cycle delays all."""

import asyncio
import threading

import pytest

from forestall.adapters.threads import Threads, ThreadsClosed, TooManyHang


class Hang:
    """A call that does not return before the test ends."""

    def __init__(self):
        self.over = threading.Event()
        self.begun = threading.Semaphore(0)

    def __call__(self):
        self.begun.release()
        return self.over.wait()

    def wait_until_begun(self, calls):
        """Wait until so many calls run: a thread that was started may not run yet."""
        assert all(self.begun.acquire(timeout=60) for _ in range(calls))


@pytest.fixture
def hang():
    call = Hang()
    yield call
    call.over.set()


async def test_hanging_calls_occupy_a_limited_number_of_threads_of_their_owner(hang):
    before = threading.active_count()
    stuck, well = Threads(2, "stuck"), Threads(1, "well")
    futures = [stuck.submit(hang) for _ in range(10)]
    assert await asyncio.wait_for(well.run(lambda: "done"), 60) == "done"
    assert threading.active_count() <= before + 3
    assert not any(future.done() for future in futures)
    hang.wait_until_begun(2)
    stuck.close()
    well.close()
    ended = [future for future in futures if future.done()]
    assert [type(future.exception()) for future in ended] == [ThreadsClosed] * 8


async def test_call_is_refused_at_once_where_too_many_wait(hang):
    stuck = Threads(1, "stuck")

    def submit_many():
        for _ in range(100):
            stuck.submit(hang)

    with pytest.raises(TooManyHang):
        submit_many()


async def test_cancelled_call_is_not_begun(hang):
    threads, begun = Threads(1, "stuck"), threading.Event()
    first, second = threads.submit(hang), threads.submit(begun.set)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await asyncio.wrap_future(second)
    assert second.cancelled()
    hang.wait_until_begun(1)
    assert not begun.is_set()
    threads.close()
    assert not first.cancelled()


async def test_thread_is_reused_and_its_error_is_raised_to_the_caller():
    threads, names = Threads(1, "one"), set()
    for _ in range(3):
        await threads.run(lambda: names.add(threading.get_ident()))
    assert len(names) == 1
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0)
    assert await threads.run(lambda: 7) == 7


async def test_no_call_begins_after_close_and_hanging_calls_are_not_awaited(hang):
    threads = Threads(1, "last")
    threads.submit(hang)
    hang.wait_until_begun(1)
    threads.close()
    with pytest.raises(ThreadsClosed):
        threads.submit(hang)
    (thread,) = (each for each in threading.enumerate() if each.name == "last")
    assert thread.daemon


async def test_waiting_call_raises_threads_closed_and_is_not_cancelled(hang):
    """A cancelled call would cancel the whole cycle that waits for it."""
    threads = Threads(1, "last")
    threads.submit(hang)
    hang.wait_until_begun(1)
    waiting = asyncio.create_task(threads.run(hang))
    await asyncio.sleep(0)
    threads.close()
    with pytest.raises(ThreadsClosed):
        await waiting
