"""Fairness: the objects, queries and cost of one namespace must not delay another one."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.virtual_time import run

from forestall.api.metric_source import NamespaceShare
from forestall.core.series import SeriesMatrix
from forestall.engine.fair_scheduling import FairScheduler, batches, round_robin
from forestall.engine.indicator_queries import IndicatorQuery, ObjectiveQueries
from forestall.engine.observe import Observer
from forestall.engine.readings import Reading
from forestall.engine.series_quota import within_series
from forestall.ports import Labels, Query, QueryFailure, RangeSeries


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers())))
def test_round_robin_order(items):
    ordered = round_robin(items, lambda item: item[0])
    assert Counter(ordered) == Counter(items)
    for owner in "abcd":
        assert [item for item in ordered if item[0] == owner] == [item for item in items if item[0] == owner]
    rounds = []
    seen: Counter[str] = Counter()
    for owner, _ in ordered:
        rounds.append(seen[owner])
        seen[owner] += 1
    assert rounds == sorted(rounds)


@given(st.lists(st.integers(1, 30)), st.integers(1, 50), st.integers(1, 5))
def test_batches_are_bounded(items, most, at_once):
    found = list(batches(items, lambda item: item, most, at_once))
    assert [item for batch in found for item in batch] == items
    assert all(len(batch) <= at_once and (sum(batch) <= most or len(batch) == 1) for batch in found)


def watched(uid, name, namespace):
    return IndicatorQuery(uid, name, Query((uid, name), "x", owner=namespace), 10.0, True, 600.0, "pod", False)


def reading(uid, name, namespace, count):
    values: dict[Labels, float] = {(("pod", str(number)),): 1.0 for number in range(count)}
    return Reading(watched(uid, name, namespace), values, 0.0, fresh=True)


def asked(namespace, *readings, **share):
    each = tuple(one.watched for one in readings)
    query = each[0].query
    return ObjectiveQueries("default", each, query, query, 60.0, namespace=namespace, share=NamespaceShare(**share))


def test_query_with_very_many_series_affects_no_other_query_or_namespace():
    greedy = (reading("o-1", "sli", "greedy", 1), reading("o-1", "huge", "greedy", 900))
    small = (reading("o-2", "sli", "greedy", 1), reading("o-2", "pods", "greedy", 90))
    other = (reading("o-3", "pods", "other", 100),)
    questions = {
        "o-1": asked("greedy", *greedy, series=100),
        "o-2": asked("greedy", *small, series=100),
        "o-3": asked("other", *other, series=100),
    }
    kept = within_series({"o-1": greedy, "o-2": small, "o-3": other}, questions)
    assert kept["o-2"] == small
    assert kept["o-3"] == other
    assert kept["o-1"][0] == greedy[0]
    cut = kept["o-1"][1]
    assert (cut.values, cut.fresh) == ({}, False)
    assert cut.problem is not None
    assert cut.problem.reason == "ShareExhausted"
    assert "900 series" in cut.problem.message
    assert "namespace greedy" in cut.problem.message
    assert "spec.perNamespace.series" in cut.problem.message


class Past:
    """Answers range queries, and records them."""

    def __init__(self, refused=()):
        self.asked = []
        self.refused = refused

    async def instant(self, source, queries, at):
        raise NotImplementedError

    async def range(self, source, queries, start, end, step):
        self.asked.append([query.key for query in queries])
        found = (RangeSeries((), (start, end), (1.0, 2.0)),)
        return {q.key: QueryFailure("SourceTimeout", "x") if q.owner in self.refused else found for q in queries}


async def test_history_of_one_namespace_does_not_delay_that_of_another():
    many = tuple(reading("o-1", f"i-{number}", "greedy", 10) for number in range(200))
    few = (reading("o-2", "sli", "other", 1),)
    questions = {"o-1": asked("greedy", *many), "o-2": asked("other", *few)}
    past = Past()
    observer = Observer(past, SeriesMatrix(10.0, 20))
    await observer.backfill(questions, 1000.0, 0.0, {"o-1": many, "o-2": few})
    assert ("o-2", "sli") in past.asked[0]


async def test_points_fetched_at_once_are_bounded_by_memory_and_share():
    """Kind: the history of 8,000 series was held in memory at once: 1 GiB for four objectives."""
    some = tuple(reading("o-1", f"i-{number}", "greedy", 500) for number in range(16))
    columns = 3240
    questions = {"o-1": asked("greedy", *some, points=5_000_000)}
    past = Past()
    observer = Observer(past, SeriesMatrix(30.0, columns))
    waiting = await observer.backfill(questions, 1000.0, 60.0, {"o-1": some})
    assert {len(keys) for keys in past.asked} == {1}
    assert len(past.asked) == 5_000_000 // (500 * columns)
    assert waiting == 16 - len(past.asked)


async def test_no_history_is_fetched_beyond_the_share():
    cut = replace(reading("o-1", "huge", "greedy", 0), fresh=False, problem=QueryFailure("ShareExhausted", "x"))
    past = Past()
    assert (
        await Observer(past, SeriesMatrix(10.0, 20)).backfill({"o-1": asked("g", cut)}, 1.0, 9.0, {"o-1": (cut,)}) == 0
    )
    assert past.asked == []


async def test_refused_history_is_requested_at_growing_intervals():
    some = (reading("o-1", "slow", "greedy", 1),)
    past = Past(refused=("greedy",))
    observer = Observer(past, SeriesMatrix(10.0, 20))
    for cycle in range(200):
        await observer.backfill({"o-1": asked("greedy", *some)}, 10.0 * cycle, 0.0, {"o-1": some})
    assert 3 < len(past.asked) < 20


async def test_one_namespace_gets_at_most_half_of_the_slots():
    scheduler = FairScheduler(8, 60.0)
    going: Counter[str] = Counter()
    most: Counter[str] = Counter()
    scheduler.begin_phase()
    released = asyncio.Event()

    async def work(namespace):
        async with scheduler.slot(namespace) as over:
            assert over is None
            going[namespace] += 1
            most[namespace] = max(most[namespace], going[namespace])
            if namespace == "greedy":
                await released.wait()
            going[namespace] -= 1

    greedy = [asyncio.ensure_future(work("greedy")) for _ in range(50)]
    async with asyncio.timeout(10):
        await asyncio.gather(*(work("other") for _ in range(50)))
    released.set()
    await asyncio.gather(*greedy)
    assert most["greedy"] == 4


@pytest.mark.parametrize(("seconds", "reason"), [(0.0, "ShareExhausted"), (60.0, None)])
async def test_namespace_out_of_time_is_held_and_comes_first_in_the_next_cycle(seconds, reason):
    scheduler = FairScheduler(8, seconds)
    scheduler.begin_phase()
    async with scheduler.slot("greedy"):
        await asyncio.sleep(0.01)
    async with scheduler.slot("greedy") as over:
        assert (over and over.reason) == reason
    async with scheduler.slot("other") as over:
        assert over is None or over.reason == "CycleTimeExhausted"
    scheduler.postpone("o-1")
    assert scheduler.postponed == frozenset()
    scheduler.begin_cycle()
    assert scheduler.postponed == {"o-1"}


def test_series_of_all_namespaces_together_are_bounded():
    """The kind: each namespace has its share, and people can create any number of namespaces."""
    readings = {
        f"o-{number}": (reading(f"o-{number}", "pods", f"ns-{number}", count),)
        for number, count in enumerate([10, 300, 400, 500])
    } | {"o-4": (reading("o-4", "pods", "ns-3", 30),)}
    questions = {uid: asked(some[0].watched.query.owner, *some, series=500) for uid, some in readings.items()}
    assert within_series(readings, questions, 10_000)["o-2"] == readings["o-2"]
    kept = within_series(readings, questions, 700)
    assert [uid for uid, some in kept.items() if not some[0].values] == ["o-2", "o-3"]
    assert sum(len(one.values) for some in kept.values() for one in some) <= 700
    told = [kept[uid][0].problem for uid in ("o-2", "o-3")]
    assert all(each is not None and each.reason == "ShareExhausted" for each in told)
    assert "360 are left for it of the 700 that the operator has memory for" in str(told[0])
    assert "spec.perNamespace.series" in str(told[1])


def in_turns(times, share=10.0, until=1000.0, namespace="shop"):
    """Return what is told at these times (s) after a phase began to who wants a turn."""

    async def told():
        scheduler, loop = FairScheduler(4, share), asyncio.get_running_loop()
        scheduler.begin_phase(loop.time() + until)
        began, holds = loop.time(), []
        for at in times:
            await asyncio.sleep(began + at - loop.time())
            async with scheduler.slot(namespace) as over:
                holds.append(over and over.reason)
        return holds

    return run(told())


def test_a_namespace_has_its_share_from_its_first_turn_on():
    assert in_turns([3.0, 13.0, 13.5]) == [None, None, "ShareExhausted"]


def test_a_phase_has_twice_the_share_and_ends_with_its_time():
    assert in_turns([20.0]) == [None]
    assert in_turns([20.5]) == ["CycleTimeExhausted"]
    assert in_turns([5.0], until=5.0) == [None]
    assert in_turns([5.5], until=5.0) == ["CycleTimeExhausted"]


def test_each_phase_begins_anew():
    async def told():
        scheduler = FairScheduler(4, 10.0)
        reasons = []
        for _ in range(2):
            scheduler.begin_phase()
            for seconds in (0.0, 11.0):
                await asyncio.sleep(seconds)
                async with scheduler.slot("shop") as over:
                    reasons.append(over and over.reason)
        return reasons

    assert run(told()) == [None, "ShareExhausted"] * 2


@pytest.mark.parametrize(("most", "of_one"), [(1, 1), (2, 1), (3, 1), (4, 2), (9, 4)])
def test_half_of_the_turns_are_one_namespaces(most, of_one):
    async def counted(namespaces):
        scheduler = FairScheduler(most, 10.0)
        scheduler.begin_phase()
        now = highest = 0

        async def work(namespace):
            nonlocal now, highest
            async with scheduler.slot(namespace):
                now += 1
                highest = max(highest, now)
                await asyncio.sleep(1.0)
                now -= 1

        await asyncio.gather(*map(work, namespaces))
        return highest

    assert run(counted(["shop"] * 20)) == of_one
    assert run(counted([f"n{number}" for number in range(20)])) == most


@pytest.mark.parametrize(("part", "waited", "seconds"), [(0.25, 0.0, 25.0), (0.5, 60.0, 80.0), (0.5, 120.0, 120.0)])
def test_a_part_of_the_rest_is_over_before_the_phase(part, waited, seconds):
    async def told():
        scheduler, loop = FairScheduler(4, 10.0), asyncio.get_running_loop()
        scheduler.begin_phase(loop.time() + 100.0)
        began = loop.time()
        await asyncio.sleep(waited)
        return scheduler.part_of_rest(part) - began

    assert run(told()) == seconds


def test_a_phase_without_an_end_has_no_parts():
    async def told():
        scheduler = FairScheduler(4, 10.0)
        scheduler.begin_phase()
        return scheduler.part_of_rest(0.25), scheduler.end

    assert run(told()) == (float("inf"), float("inf"))


def test_hold_of_a_namespace_out_of_time_says_how_long_it_had():
    async def told():
        scheduler = FairScheduler(4, 10.0)
        scheduler.begin_phase()
        messages = []
        for namespace, seconds in (("shop", 0.0), ("shop", 11.0), ("bank", 10.0)):
            await asyncio.sleep(seconds)
            async with scheduler.slot(namespace) as over:
                messages.append(over and over.message)
        return messages

    assert run(told()) == [
        None,
        "what was decided for namespace shop took more than 10s of the cycle: this one comes first in the next",
        "there was no time left in this cycle: this one comes first in the next",
    ]


def test_batches_are_as_large_as_they_may_be():
    assert list(batches([1, 1, 1, 2, 5, 1], lambda item: item, 3, 2)) == [[1, 1], [1, 2], [5], [1]]
    assert list(batches([], lambda item: item, 3, 2)) == []
