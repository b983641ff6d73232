"""The leader elector, with a clock and a store that the tests control."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.adapters.kubernetes.lease import Elector, LeaseRecord, Timing
from forestall.errors import ClusterError, Conflict, LostLease, NotFound, Unavailable


class World:
    """A lease that two or more processes see, and the time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.record: LeaseRecord | None = None
        self.version = 0
        self.writes: list[LeaseRecord] = []


class Store:
    """What one process sees of the world: it may be cut off, slow, or lose answers."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.cut = False
        self.loses_answers = False
        self.delay = 0.0
        self.before_write: Callable[[], None] = lambda: None

    async def read(self, seconds: float) -> LeaseRecord:
        self._wait(seconds)
        if self.world.record is None:
            raise NotFound("no lease")
        return self.world.record

    async def create(self, record: LeaseRecord, seconds: float) -> LeaseRecord:
        self._wait(seconds)
        if self.world.record is not None:
            raise Conflict("exists")
        return self._write(record)

    async def update(self, record: LeaseRecord, seconds: float) -> LeaseRecord:
        self.before_write()
        self._wait(seconds)
        if self.world.record is None:
            raise NotFound("no lease")
        if self.world.record.resource_version != record.resource_version:
            raise Conflict("changed")
        return self._write(record)

    def _wait(self, seconds: float) -> None:
        if self.cut:
            self.world.now += seconds
            raise Unavailable("no answer")
        self.world.now += self.delay

    def _write(self, record: LeaseRecord) -> LeaseRecord:
        self.world.version += 1
        self.world.record = replace(record, resource_version=str(self.world.version))
        self.world.writes.append(self.world.record)
        if self.loses_answers:
            raise Unavailable("the answer was lost")
        return self.world.record


class Process:
    """One elector, stepped by hand."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.store = Store(world)
        self.lost: list[str] = []
        self.elector = Elector(
            self.store,
            name,
            self.lost.append,
            clock=lambda: world.now,
            wall=lambda: world.now,
            sleep=self._sleep,
        )
        self._resume = asyncio.Event()
        self._asleep = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def _sleep(self, _: float) -> None:
        self._asleep.set()
        await self._resume.wait()
        self._resume.clear()

    async def step(self) -> None:
        """Let the loop do one round."""
        self._asleep.clear()
        if self._task is None:
            self._task = asyncio.create_task(self.elector.run())
        else:
            self._resume.set()
        sleeper = asyncio.create_task(self._asleep.wait())
        await asyncio.wait({sleeper, self._task}, return_when=asyncio.FIRST_COMPLETED)
        sleeper.cancel()

    async def stop(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.elector.release()


@pytest.fixture
def world() -> World:
    return World()


async def leading(world: World, name: str = "a") -> Process:
    process = Process(world, name)
    await process.step()
    assert process.elector.is_leader
    return process


async def test_missing_lease_is_created(world):
    process = await leading(world)
    assert world.record is not None
    assert world.record.holder == "a"
    assert world.record.duration == 15
    await asyncio.wait_for(process.elector.elected(), 1)


async def test_no_write_before_the_election(world):
    process = Process(world, "a")
    with pytest.raises(LostLease):
        process.elector.fence()


async def test_second_candidate_waits(world):
    await leading(world)
    second = Process(world, "b")
    for _ in range(5):
        await second.step()
    assert not second.elector.is_leader
    assert second.elector.moves


async def test_leader_renews(world):
    first = await leading(world)
    second = Process(world, "b")
    for _ in range(30):
        world.now += 2
        await first.step()
        await second.step()
    assert first.elector.is_leader
    assert not second.elector.is_leader
    assert first.elector.fence() == 15


async def test_second_takes_over_after_no_renewal_for_the_whole_duration(world):
    await leading(world)
    second = Process(world, "b")
    await second.step()
    world.now += 14.9
    await second.step()
    assert world.record is not None
    assert world.record.holder == "a"
    world.now += 0.1
    await second.step()
    assert second.elector.is_leader
    assert world.record.transitions == 1


async def test_second_counts_from_its_observation_and_not_from_written_times(world):
    await leading(world)
    assert world.record is not None
    world.record = replace(world.record, renewed="1970-01-01T00:00:00Z", acquired="1970-01-01T00:00:00Z")
    second = Process(world, "b")
    await second.step()
    world.now += 14
    await second.step()
    assert not second.elector.is_leader


async def test_longer_lease_of_another_holder_is_respected(world):
    world.record = LeaseRecord(holder="x", duration=60, resource_version="1")
    second = Process(world, "b")
    await second.step()
    world.now += 59
    await second.step()
    assert not second.elector.is_leader
    world.now += 1
    await second.step()
    assert second.elector.is_leader


async def test_writing_stops_at_the_renew_deadline_although_the_loop_is_blocked(world):
    first = await leading(world)
    world.now += 9.9
    assert first.elector.fence() == pytest.approx(5.1)
    world.now += 0.1
    with pytest.raises(LostLease, match="not renewed in time"):
        first.elector.fence()
    assert first.lost == []


async def test_lease_is_lost_after_the_deadline_although_nobody_took_it(world):
    first = await leading(world)
    world.now += 60
    await first.step()
    assert first.lost == ["not renewed for 10 s"]
    assert len(world.writes) == 1
    with pytest.raises(LostLease):
        first.elector.fence()


async def test_deadline_counts_from_when_the_renewal_was_sent(world):
    first = await leading(world)
    world.now += 2
    first.store.delay = 3
    await first.step()
    assert first.elector.fence() == 12
    world.now += 7
    with pytest.raises(LostLease):
        first.elector.fence()


async def test_short_outage_of_the_server_keeps_the_lease(world):
    first = await leading(world)
    first.store.cut = True
    world.now += 2
    await first.step()
    assert first.elector.is_leader
    first.store.cut = False
    await first.step()
    assert first.elector.fence() == 15
    assert first.lost == []


async def test_long_outage_of_the_server_loses_the_lease(world):
    first = await leading(world)
    first.store.cut = True
    for _ in range(4):
        world.now += 2
        await first.step()
    assert len(first.lost) == 1


async def test_lost_response_of_a_renewal_is_detected(world):
    first = await leading(world)
    first.store.loses_answers = True
    world.now += 2
    await first.step()
    first.store.loses_answers = False
    await first.step()  # a conflict with its own write
    await first.step()
    assert first.elector.fence() == 15
    assert first.lost == []


async def test_lost_response_of_the_acquisition_is_detected(world):
    first = Process(world, "a")
    first.store.loses_answers = True
    await first.step()
    assert not first.elector.is_leader
    first.store.loses_answers = False
    await first.step()
    assert first.elector.is_leader


async def test_lease_held_by_another_is_lost_at_once(world):
    first = await leading(world)
    world.version += 1
    world.record = LeaseRecord(holder="b", duration=15, resource_version=str(world.version))
    await first.step()
    assert first.lost == ["b holds the lease"]


async def test_deleted_lease_is_lost(world):
    first = await leading(world)
    world.record = None
    await first.step()
    assert first.lost == ["the lease was deleted"]


async def test_two_candidates_at_the_same_moment(world):
    world.record = LeaseRecord(holder="", duration=1, resource_version="0")
    first, second = Process(world, "a"), Process(world, "b")

    def intrude() -> None:
        world.version += 1
        world.record = LeaseRecord(holder="b", duration=15, resource_version=str(world.version))

    first.store.before_write = intrude
    await first.step()
    assert not first.elector.is_leader
    assert first.lost == []
    assert not second.elector.is_leader


async def test_released_lease_is_taken_at_once(world):
    first = await leading(world)
    second = Process(world, "b")
    await second.step()
    await first.stop()
    assert not first.elector.is_leader
    assert first.lost == []
    await second.step()
    assert second.elector.is_leader


async def test_release_works_after_an_interrupted_renewal(world):
    first = await leading(world)
    world.version += 1
    assert world.record is not None
    world.record = replace(world.record, resource_version=str(world.version))
    await first.stop()
    assert world.record.holder == ""


async def test_release_does_not_take_the_lease_from_another(world):
    first = await leading(world)
    world.version += 1
    world.record = LeaseRecord(holder="b", duration=15, resource_version=str(world.version))
    await first.stop()
    assert world.record.holder == "b"


async def test_failed_release_raises_nothing(world):
    first = await leading(world)
    first.store.cut = True
    await first.stop()
    assert not first.elector.is_leader


async def test_candidate_that_never_led_releases_nothing(world):
    await leading(world)
    second = Process(world, "b")
    await second.step()
    await second.stop()
    assert world.record is not None
    assert world.record.holder == "a"


async def test_failed_loop_loses_the_lease(world):
    first = await leading(world)

    def explode() -> None:
        raise ZeroDivisionError

    first.store.before_write = explode
    await first.step()
    assert not first.elector.is_leader
    assert len(first.lost) == 1


async def test_blocked_loop_is_noticed(world):
    second = Process(world, "b")
    await second.step()
    assert second.elector.moves
    world.now += 15
    assert not second.elector.moves


def test_timing_that_would_allow_two_leaders_is_refused():
    with pytest.raises(ValueError, match="two could lead"):
        Timing(duration=15, renew_deadline=12)
    with pytest.raises(ValueError, match="two could lead"):
        Timing(retry=11)


happenings = st.sampled_from(["step a", "step b", "1 s", "5 s", "20 s", "cut a", "cut b", "mend a", "mend b", "lose a"])


@given(st.lists(happenings, min_size=20, max_size=60))
async def test_never_two_leaders(happened):
    """Whatever fails and however long either process is blocked, both may never write at the same time."""
    world = World()
    processes = {"a": Process(world, "a"), "b": Process(world, "b")}
    for each in happened:
        what, _, who = each.partition(" ")
        if who == "s":
            world.now += int(what)
        elif what == "step":
            if not processes[who].lost:
                await processes[who].step()
        elif what == "lose":
            processes[who].store.loses_answers ^= True
        else:
            processes[who].store.cut = what == "cut"
        assert not all(process.elector.is_leader for process in processes.values())
    for process in processes.values():
        if process._task is not None:
            process._task.cancel()
            await asyncio.gather(process._task, return_exceptions=True)


async def test_errors_of_the_store_are_cluster_errors(world):
    second = Process(world, "b")

    async def refuse(seconds: float) -> LeaseRecord:
        raise ClusterError("forbidden")

    second.store.read = refuse  # type: ignore[method-assign]
    await second.step()
    assert not second.elector.is_leader
    assert second.elector.moves


async def test_annotations_of_the_leader_are_written_with_renewals_and_survive_a_takeover(world):
    """The end of the last cycle needs no write of its own, and is kept when the leader changes."""
    first = await leading(world)
    first.elector.note("last-cycle", "03:00")
    writes = len(world.writes)
    await first.step()
    assert world.record is not None
    assert (dict(world.record.notes), len(world.writes)) == ({"last-cycle": "03:00"}, writes + 1)
    second = Process(world, "b")
    await second.step()
    world.now += 15
    await second.step()
    assert (world.record.holder, dict(world.record.notes)) == ("b", {"last-cycle": "03:00"})
