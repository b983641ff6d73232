"""A source that hangs delays one call, and the next ones hardly. The kind: one slow thing in a cycle delays all."""

import asyncio
import threading
import time
from unittest.mock import Mock

import pytest

from forestall.adapters.http import Endpoint
from forestall.adapters.prometheus import PrometheusMetrics, SourceConfig
from forestall.adapters.prometheus.connection import Connection
from forestall.adapters.prometheus.errors import SourceTrouble
from forestall.adapters.prometheus.lateness import Lateness
from forestall.adapters.prometheus.triage import CANARY
from forestall.adapters.threads import Threads
from forestall.ports import Answer, Query, QueryFailure

AT = 1_790_000_000.0
QUERIES = [Query(number, f"up + {number}", owner=f"team-{number % 2}") for number in range(20)]


class Hanging:
    """A connection whose calls hang regardless of their timeout, as a name's resolution does."""

    def __init__(self, other):
        self.other = other
        self.well = threading.Event()
        self.calls = 0

    def instant(self, expr, at, limit, timeout):
        self.calls += 1
        self.well.wait()
        return self.other.instant(expr, at, limit, timeout)

    def range(self, expr, span, limit, timeout):
        self.well.wait()
        return self.other.range(expr, span, limit, timeout)

    def close(self):
        pass


@pytest.fixture
def hanging(fake_source, monkeypatch):
    source = Hanging(fake_source)
    monkeypatch.setattr("forestall.adapters.prometheus.source.Connection", lambda config: source)
    yield source
    source.well.set()


@pytest.fixture
def metrics(hanging):
    adapter = PrometheusMetrics(budget=1.0)
    adapter.set_sources({"slow": SourceConfig(Endpoint("http://slow"))})
    return adapter


async def test_hanging_source_delays_one_call_and_the_next_ones_hardly(metrics, hanging):
    began = time.monotonic()
    answers = await metrics.instant("slow", QUERIES, AT)
    first = time.monotonic() - began
    assert {each.reason for each in answers.values()} == {"SourceTimeout"}
    calls = hanging.calls
    for number in range(5):
        again = await metrics.instant("slow", QUERIES, AT + number)
        past = await metrics.range("slow", QUERIES, AT - 60, AT, 15)
        for answer in (*again.values(), *past.values()):
            assert isinstance(answer, QueryFailure)
            assert answer.reason == "SourceTimeout"
            assert "beside the cycles" in answer.message
    assert hanging.calls == calls + 1, "one harmless query is under way at a time"
    assert first >= 0.5


async def test_recovered_source_gets_all_queries_again(metrics, hanging, fake_source):
    await metrics.instant("slow", QUERIES, AT)
    await metrics.instant("slow", QUERIES, AT)
    hanging.well.set()
    async with asyncio.timeout(60):
        while True:
            answers = await metrics.instant("slow", QUERIES, AT)
            if all(isinstance(each, Answer) for each in answers.values()):
                break
            await asyncio.sleep(0.01)
    assert CANARY in fake_source.requests


async def test_late_source_delays_no_other(metrics, hanging, monkeypatch):
    await metrics.instant("slow", QUERIES, AT)
    monkeypatch.setattr("forestall.adapters.prometheus.source.Connection", lambda config: hanging.other)
    metrics.set_sources({"slow": SourceConfig(Endpoint("http://slow")), "well": SourceConfig(Endpoint("http://well"))})
    late, well = await asyncio.gather(metrics.instant("slow", QUERIES, AT), metrics.instant("well", QUERIES, AT))
    assert all(isinstance(each, QueryFailure) for each in late.values())
    assert all(isinstance(each, Answer) for each in well.values())


async def test_threads_of_a_hanging_source_are_bounded(metrics, hanging):
    metrics.set_sources({"bounded": SourceConfig(Endpoint("http://slow"))})
    for number in range(20):
        await metrics.instant("bounded", QUERIES, AT + number)
        await metrics.range("bounded", QUERIES, AT - 60, AT, 15)
    assert 1 <= sum(each.name == "source-bounded" for each in threading.enumerate()) <= 8


async def test_source_whose_range_queries_hang_still_answers_instant_queries(metrics, hanging, monkeypatch):
    monkeypatch.setattr(hanging, "instant", hanging.other.instant)
    for number in range(3):
        past = await metrics.range("slow", QUERIES, AT - 60, AT, 15)
        assert all(isinstance(answer, QueryFailure) for answer in past.values())
        answers = await metrics.instant("slow", QUERIES, AT + number)
        assert all(isinstance(answer, Answer) for answer in answers.values())


async def test_late_source_removed_before_its_probe_begins_stays_late():
    """Its probe waits for a thread that hangs, and never begins."""
    threads, over = Threads(1, "late"), threading.Event()
    threads.submit(over.wait)
    lateness = Lateness(threads)
    lateness.note(SourceTrouble("SourceTimeout", "the source did not answer in time"), answered=0)
    asking = asyncio.create_task(lateness.why_not(Mock(spec=Connection), 60))
    await asyncio.sleep(0)
    threads.close()
    trouble = await asyncio.wait_for(asking, 60)
    over.set()
    assert trouble is not None
    assert trouble.reason == "SourceTimeout"
