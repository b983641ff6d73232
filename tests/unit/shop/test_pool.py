"""Requests wait for worker slots in one queue."""

import asyncio

import pytest
from shop.pool import Lease, Pod, PodDied, Pool, QueueFull, QueueTimeout


@pytest.fixture
def pool():
    return Pool(longest_queue=3, patience=0.2)


async def test_a_slot_is_given_at_once_while_one_is_free(pool):
    pool.add(Pod("a", slots=2))
    leases = [await pool.acquire(), await pool.acquire()]
    assert [lease.pod.name for lease in leases] == ["a", "a"]
    assert (pool.slots, pool.busy, pool.queued) == (2, 2, 0)


async def test_requests_go_where_most_slots_are_free(pool):
    pool.add(Pod("a", slots=3))
    pool.add(Pod("b", slots=3))
    leases = [await pool.acquire() for _ in range(4)]
    assert sorted(lease.pod.name for lease in leases) == ["a", "a", "b", "b"]


async def test_the_queue_is_first_in_first_out(pool):
    pool.add(Pod("a", slots=1))
    lease = await pool.acquire()
    served = []

    async def wait(name: str) -> None:
        mine = await pool.acquire()
        served.append(name)
        pool.release(mine)

    waiting = [asyncio.create_task(wait(name)) for name in ("first", "second", "third")]
    await asyncio.sleep(0)
    assert pool.queued == 3
    pool.release(lease)
    await asyncio.gather(*waiting)
    assert served == ["first", "second", "third"]
    assert (pool.busy, pool.queued) == (0, 0)


async def test_a_full_queue_rejects_requests(pool):
    waiting = [asyncio.create_task(pool.acquire()) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(QueueFull):
        await pool.acquire()
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_request_times_out_in_the_queue(pool):
    with pytest.raises(QueueTimeout):
        await pool.acquire()
    pool.add(Pod("a", slots=1))
    assert (await pool.acquire()).pod.name == "a"


async def test_a_disconnected_client_releases_its_slot(pool):
    pool.add(Pod("a", slots=1))
    lease = await pool.acquire()
    waiting = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)
    pool.release(lease)  # hands the slot to the one who waits, who goes away in the same turn
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert pool.busy == 0


async def test_a_new_pod_takes_from_the_queue(pool):
    waiting = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)
    pool.add(Pod("a", slots=1))
    assert (await waiting).pod.name == "a"


async def test_a_retired_pod_finishes_its_requests(pool):
    pool.add(Pod("a", slots=2))
    lease = await pool.acquire()
    pool.retire("a")
    await lease.work(0.001)
    pool.release(lease)
    assert pool.slots == 0
    with pytest.raises(QueueTimeout):
        await pool.acquire()


async def test_a_killed_pod_fails_its_requests_until_it_is_revived(pool):
    pod = Pod("a", slots=1)
    pool.add(pod)
    lease = await pool.acquire()
    work = asyncio.create_task(_work(pool, lease))
    await asyncio.sleep(0)
    pool.kill(pod)
    with pytest.raises(PodDied):
        await work
    assert pool.slots == 0
    waiting = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)
    assert pool.queued == 1
    pool.revive(pod)
    assert (await waiting).pod is pod


async def _work(pool: Pool, lease: Lease) -> None:
    try:
        await lease.work(60)
    finally:
        pool.release(lease)
