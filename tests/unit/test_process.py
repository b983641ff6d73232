import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from forestall import process
from forestall.adapters.kubernetes import Elector
from forestall.adapters.kubernetes.lease import LeaseRecord
from forestall.engine import CycleReport, Settings
from forestall.engine.source_health import SourceHealth
from forestall.process import Loop, settings_of
from forestall.web import Health, Telemetry

LONG = 3600.0


class Lease:
    """A lease that somebody else holds until it is free."""

    free = False

    async def read(self, seconds):
        return LeaseRecord(holder="" if self.free else "another", duration=15, resource_version="1")

    async def create(self, record, seconds):
        return record

    async def update(self, record, seconds):
        return record


class Engine:
    """Notes how each cycle was begun."""

    def __init__(self):
        self.cycles = []
        self.begun = asyncio.Event()

    async def cycle(self, now, *, leading):
        self.cycles.append(leading)
        self.begun.set()
        return CycleReport({}, (), {}, (), 0, {})


class Deaf:
    """Takes every call and answers nothing."""

    def __getattr__(self, name):
        return lambda *_, **__: None


@pytest.mark.parametrize("led", [False, True])
async def test_who_comes_to_lead_begins_a_cycle_at_once_and_only_then(led):
    lease, engine = Lease(), Engine()
    lease.free = led
    elector = Elector(lease, "me", lambda _: None, sleep=lambda _: asyncio.sleep(0.01))
    electing = asyncio.create_task(elector.run())
    if led:
        await elector.elected()

    async def refresh(now):
        pass

    sources, registry = SimpleNamespace(refresh=refresh), SimpleNamespace(synced=True, invalid=list)
    parts: list[Any] = [engine, sources, registry, elector, Deaf(), Deaf()]
    loop = Loop(*parts)
    running = asyncio.create_task(loop.run(LONG))
    await engine.begun.wait()
    lease.free = True
    await elector.elected()
    for _ in range(100):  # long enough for one more cycle than there should be
        await asyncio.sleep(0)
    assert engine.cycles == ([True] if led else [False, True])
    for task in (running, electing):
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Stuck:
    """Never comes to the end of a cycle."""

    async def cycle(self, now, *, leading):
        await asyncio.Event().wait()


async def test_a_cycle_that_is_given_up_is_told_to_the_probes_and_counted():
    """Kind: no share per namespace. A cycle that was given up looked to the probes like one that was whole."""
    health = Health(0.01, tuple, lambda: True)
    counted = []
    telemetry = SimpleNamespace(cycle_failed=lambda **how: counted.append(how))

    async def refresh(now):
        pass

    lease = SimpleNamespace(is_leader=False, stands_by=False)
    sources, registry = SimpleNamespace(refresh=refresh), SimpleNamespace(synced=True, invalid=list)
    parts: list[Any] = [Stuck(), sources, registry, lease, telemetry, health]
    running = asyncio.create_task(Loop(*parts).run(0.01))
    async with asyncio.timeout(20):
        while not health.unready():  # noqa: ASYNC110 -- it polls
            await asyncio.sleep(0.01)
    assert "given up" in health.unready()
    assert counted[0] == {"given_up": True}
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


class Reporting:
    """Reports for each cycle how the sources did in it, and notes what the probe tells after it."""

    def __init__(self, health, *sources):
        self.health = health
        self.left = list(sources)
        self.notes = []
        self.over = asyncio.Event()

    async def cycle(self, now, *, leading):
        self.notes.append((self.health.unready(), self.health.note))
        if not self.left:
            self.over.set()
            await asyncio.Event().wait()
        return CycleReport({}, (), {}, (), 0, {}, sources=self.left.pop(0))


async def test_a_source_that_does_not_answer_is_told_by_the_probe_which_stays_green():
    """The kind: one slow thing in a cycle delays all; and so does a restart for what no restart can mend."""
    health = Health(LONG, tuple, lambda: True)
    engine = Reporting(health, {"main": SourceHealth(up=True, late=True), "far": SourceHealth(up=False, late=True)}, {})

    async def refresh(now):
        pass

    lease = SimpleNamespace(is_leader=False, stands_by=False)
    sources, registry = SimpleNamespace(refresh=refresh), SimpleNamespace(synced=True, invalid=list)
    parts: list[Any] = [engine, sources, registry, lease, Telemetry("1"), health]
    running = asyncio.create_task(Loop(*parts).run(0.01))
    await asyncio.wait_for(engine.over.wait(), 60)
    assert engine.notes[:3] == [("", ""), ("", "no answers from metric source far"), ("", "")]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize(
    ("interval", "seconds"), [(60, 20), (30, 20), (10, 6.67), (5, 4), (3, 4), (2, 3), (1, 1.5), (0.1, 0.15)]
)
def test_a_source_that_hangs_in_each_part_of_a_cycle_does_not_end_it(interval, seconds):
    """The kind: time limits that are each bearable, and together longer than what they are part of."""
    settings = Settings(interval=interval)
    assert settings.values == pytest.approx(seconds, abs=0.01)
    assert settings.limit == 4 * interval
    late = 1.25  # by so much may a thread outlast its time
    assert late * settings.values <= settings.limit / 2
    assert settings.values + settings.past <= 0.7 * settings.limit
    assert settings.past >= settings.values / 2


def test_the_engine_is_told_of_the_memory_of_its_container_and_of_its_lease(monkeypatch):
    """The kind: a bound that is tested where it is computed, and lost where the process is wired together."""
    monkeypatch.setattr(process, "most_series", lambda: 1234)
    options: Any = SimpleNamespace(interval=10.0, namespace="forestall-system")
    settings = settings_of(options)
    assert (settings.interval, settings.series, settings.lease) == (10.0, 1234, "forestall-system/forestall")
