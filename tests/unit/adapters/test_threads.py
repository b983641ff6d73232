"""The kind: one slow thing in a cycle delays all. What hangs takes threads of its own, and so many."""

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


async def test_what_hangs_takes_no_more_threads_than_it_may_and_others_have_theirs(hang):
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


async def test_where_too_many_wait_for_what_hangs_the_next_is_refused_at_once(hang):
    stuck = Threads(1, "stuck")

    def submit_many():
        for _ in range(100):
            stuck.submit(hang)

    with pytest.raises(TooManyHang):
        submit_many()


async def test_what_is_waited_for_no_longer_is_not_begun(hang):
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


async def test_a_thread_is_used_again_and_its_error_is_raised_where_it_is_waited_for():
    threads, names = Threads(1, "one"), set()
    for _ in range(3):
        await threads.run(lambda: names.add(threading.get_ident()))
    assert len(names) == 1
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0)
    assert await threads.run(lambda: 7) == 7


async def test_nothing_is_begun_after_the_end_and_nobody_waits_for_what_hangs(hang):
    threads = Threads(1, "last")
    threads.submit(hang)
    hang.wait_until_begun(1)
    threads.close()
    with pytest.raises(ThreadsClosed):
        threads.submit(hang)
    (thread,) = (each for each in threading.enumerate() if each.name == "last")
    assert thread.daemon


async def test_a_call_that_waits_when_all_ends_is_told_so_and_not_cancelled(hang):
    """A cancelled call would cancel the whole cycle that waits for it."""
    threads = Threads(1, "last")
    threads.submit(hang)
    hang.wait_until_begun(1)
    waiting = asyncio.create_task(threads.run(hang))
    await asyncio.sleep(0)
    threads.close()
    with pytest.raises(ThreadsClosed):
        await waiting
