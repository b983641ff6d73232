"""An aggregate that lost scrape targets is unknown, and never counts as a load that fell."""

from dataclasses import replace
from typing import Any, cast

import pytest

from forestall.core.plan import TargetScale
from forestall.engine.indicator_queries import IndicatorQuery
from forestall.engine.readings import read
from forestall.engine.target_counter import TargetCounter
from forestall.engine.target_resolver import ResolvedTarget, TargetResolver
from forestall.errors import NotFound
from forestall.ports import Answer, Cluster, Query, Sample

NOW = 1000.0


class Workload:
    """Implements `read` of the `Cluster` port: one Deployment, or none."""

    def __init__(self):
        self.ready = 4
        self.reads = 0

    async def read(self, ref):
        self.reads += 1
        if self.ready is None:
            raise NotFound(ref.name)
        return {"metadata": {"uid": "d-1"}, "spec": {"replicas": 4}, "status": {"readyReplicas": self.ready}}


@pytest.fixture
def workload():
    return Workload()


@pytest.fixture
def see(slo, workload):
    """Process one reading a cycle, with so many targets in each."""
    census = TargetCounter(TargetResolver(cast("Cluster", workload), 30.0, 16))

    async def see(*counts, per=None, selector="x{}"):
        watched = IndicatorQuery("o-1", "load", Query(("o-1", "load"), "sum(x)"), 10.0, True, 600.0, per, False)
        reading = None
        for count in counts:
            labels = (("pod", "a"),) if per else ()
            answer = Answer((Sample(labels, 4.0),), NOW, target_counts=((selector, count),) if count else ())
            (reading,) = (await census.take({"o-1": (read(watched, answer, 0.0),)}, {"o-1": slo}))["o-1"]
        return reading

    return see


@pytest.mark.parametrize(
    "counts", [(4, 4, 4, 1), (4, 1), (4,) * 30 + (3,), (10,) * 5 + (3,), (2, 1, 1), (4, 4, 4, 1, 2)]
)
async def test_sum_that_lost_targets_is_unknown(see, counts):
    reading = await see(*counts)
    assert not reading.fresh
    assert not reading.values
    assert reading.problem.reason == "PartialData"
    assert "4 pods are ready" in reading.problem.message


@pytest.mark.parametrize("counts", [(1,), (4, 4, 4), (1, 4), (10, 9), (4, 1, 4), (4, 0, 4), (1, 1, 1, 1, 2, 1)])
async def test_sum_of_the_usual_number_of_targets_is_used(see, counts, workload):
    reading = await see(*counts)
    assert reading.fresh
    assert reading.problem is None
    assert workload.reads <= 1


async def test_loss_is_explained_by_missing_pods(see, workload):
    await see(4, 4, 4)
    workload.ready = 1
    assert (await see(1)).fresh
    workload.ready = 4
    assert (await see(1, 1)).fresh  # the others are not yet scraped, and were not before


async def test_sum_stays_unknown_while_nothing_explains_the_loss(see, workload):
    assert not (await see(*[4] * 10, *[1] * 100)).fresh
    assert (await see(4)).fresh
    assert not (await see(*[1] * 50)).fresh
    workload.ready = 1
    assert (await see(1)).fresh


async def test_loss_is_accepted_in_time_where_pods_are_unknown(see, workload):
    workload.ready = None
    reading = await see(*[4] * 20, 1)
    assert "not known" in reading.problem.message
    assert not (await see(*[1] * 5)).fresh
    assert (await see(*[1] * 10)).fresh


async def test_separate_series_are_not_a_sum(see, workload):
    assert (await see(4, 4, 4, 1, per="pod")).fresh
    assert not workload.reads


async def test_loss_of_one_selector_is_not_offset_by_another(see):
    await see(4, 4, 4)
    assert (await see(1, selector="y{}")).fresh
    assert not (await see(1)).fresh


async def test_deleted_objectives_are_forgotten(slo, workload):
    census = TargetCounter(TargetResolver(cast("Cluster", workload), 30.0, 16))
    watched = IndicatorQuery("o-1", "load", Query(("o-1", "load"), "x"), 10.0, True, 600.0, None, False)
    reading = read(watched, Answer((Sample((), 4.0),), NOW, target_counts=(("x{}", 4),)), 0.0)
    await census.take({"o-1": (reading,)}, {"o-1": slo})
    await census.take({}, {})
    less = replace(reading, members=(("x{}", 1),))
    assert (await census.take({"o-1": (less,)}, {"o-1": slo}))["o-1"][0].fresh


@pytest.fixture
def cycles(slo, workload):
    """Process readings of a query with several selectors, while the workload is read periodically."""
    targets = TargetResolver(cast("Cluster", workload), 30.0, 16)
    census = TargetCounter(targets)

    async def cycles(*counts, ready=None, times=1):
        workload.ready = workload.ready if ready is None else ready
        reading = None
        for number in range(times):
            if ready is not None and not number:
                targets._checked.clear()
            await targets.check([slo], NOW)
            watched = IndicatorQuery("o-1", "load", Query(("o-1", "load"), "sum(x)"), 10.0, True, 600.0, None, False)
            members = tuple((f"{name}{{}}", count) for name, count in zip("xyz", counts, strict=False))
            reading = read(watched, Answer((Sample((), 4.0),), NOW, target_counts=members), 0.0)
            (reading,) = (await census.take({slo.uid: (replace(reading),)}, {slo.uid: slo}))[slo.uid]
        return reading

    return cycles


SEEN = [  # targets and ready pods before, after, and whether the number is still of all of them
    ((4, 4), (1, 4), False),
    ((4, 4), (1, 1), True),
    ((8, 4), (6, 4), False),  # two targets of each pod
    ((8, 4), (6, 3), True),
    ((8, 4), (4, 3), False),
    ((5, 2), (3, 2), False),  # of other workloads
    ((4, 10), (3, 10), False),  # pods that never had series
    ((4, 10), (2, 6), True),  # somebody else scales in
    ((10, 10), (9, 10), True),
    ((1, 3), (0, 3), False),
    ((4, 4), (2, 0), True),
]


@pytest.mark.parametrize(("before", "after", "whole"), SEEN)
async def test_missing_targets_must_be_those_of_the_missing_pods(cycles, before, after, whole):
    """The kind: an explanation must cover the whole loss, and be about the lost targets."""
    assert (await cycles(before[0], ready=before[1], times=5)).fresh
    assert (await cycles(after[0], ready=after[1])).fresh == whole


async def test_loss_is_noticed_although_other_series_take_their_place(cycles):
    """`sum(x or y)`: all of x is missing, and y is unchanged."""
    assert (await cycles(4, 4, ready=8, times=5)).fresh
    assert (await cycles(0, 4)).problem.reason == "PartialData"


async def test_series_renamed_in_a_rollout_are_not_lost(cycles):
    """`sum(old) or sum(new)`: the new one appears while the old one disappears; while both exist, the reading is
    incomplete.
    """
    assert (await cycles(4, 0, ready=4, times=5)).fresh
    assert not (await cycles(3, 1)).fresh
    assert not (await cycles(3, 4)).fresh
    assert (await cycles(0, 4, times=30)).fresh
    assert not (await cycles(0, 1)).fresh


@pytest.mark.parametrize(("before", "used"), [(5, True), (4, False)])
async def test_loss_that_no_pod_can_explain_is_accepted_in_time(cycles, before, used):
    """Series of other workloads, one of which is deleted for good; but never where each pod has a series."""
    assert (await cycles(before, ready=4, times=20)).fresh
    assert not (await cycles(2, times=200)).fresh
    assert (await cycles(2, times=100)).fresh == used


@pytest.mark.parametrize(("before", "used"), [(4, True), (5, False)])
async def test_what_was_seen_a_few_times_only_is_soon_replaced(see, before, used):
    """Ten cycles are remembered at the least before a loss never counts as usual."""
    assert (await see(*[4] * before, *[1] * 50)).fresh is used


async def test_a_loss_is_got_used_to_after_240_cycles(cycles):
    assert (await cycles(5, ready=4, times=20)).fresh
    assert not (await cycles(2, times=240)).fresh
    assert (await cycles(2)).fresh


async def test_a_loss_that_ends_and_returns_is_got_used_to_anew(cycles):
    assert (await cycles(5, ready=4, times=20)).fresh
    assert not (await cycles(2, times=200)).fresh
    assert (await cycles(5)).fresh
    assert not (await cycles(2, times=200)).fresh


async def test_after_a_loss_that_pods_explain_the_next_one_is_got_used_to_anew(cycles):
    assert (await cycles(5, ready=4, times=20)).fresh
    assert not (await cycles(2, times=239)).fresh
    assert (await cycles(2, ready=1)).fresh
    assert not (await cycles(0, times=2)).fresh


@pytest.mark.parametrize(("count", "fresh"), [(9, True), (8, False)])
async def test_a_fifth_of_the_targets_may_not_be_missing(see, workload, count, fresh):
    workload.ready = 10
    reading = await see(*[10] * 5, count)
    assert reading.fresh is fresh
    if not fresh:
        assert reading.problem.message == "8 of 10 targets are left that x{} comes from, and 10 pods are ready"


async def test_one_target_and_one_pod_are_named_as_such(cycles):
    assert (await cycles(1, ready=1, times=5)).fresh
    message = (await cycles(0)).problem.message
    assert message == "0 of 1 target are left that x{} comes from, and 1 pod is ready"


class Targets:
    """Stands for the resolver of targets: every workload has four pods."""

    def __init__(self):
        self.reads = 0

    async def read(self, slo, *, with_scale):
        assert not with_scale
        self.reads += 1
        return ResolvedTarget(cast("Any", None), TargetScale(4, 4), cast("Any", None))

    def ready(self, uid):
        return 4


async def test_no_more_than_200_workloads_are_read_in_one_cycle():
    targets = Targets()
    census = TargetCounter(cast("TargetResolver", targets))
    objectives: dict[str, Any] = dict.fromkeys(map(str, range(201)))

    async def see(count):
        answer = Answer((Sample((), 4.0),), NOW, target_counts=(("x{}", count),))
        readings = {}
        for uid in objectives:
            watched = IndicatorQuery(uid, "load", Query((uid, "load"), "x"), 10.0, True, 600.0, None, False)
            readings[uid] = (read(watched, answer, 0.0),)
        return await census.take(readings, objectives)

    await see(4)
    assert targets.reads == 0
    after = await see(1)
    assert targets.reads == 200
    messages = [reading.problem.message for (reading,) in after.values()]
    assert [("it is not known how many pods" in message) for message in messages] == [False] * 200 + [True]


async def test_an_objective_that_is_gone_is_not_read_for():
    targets = Targets()
    census = TargetCounter(cast("TargetResolver", targets))
    watched = IndicatorQuery("o-1", "load", Query(("o-1", "load"), "x"), 10.0, True, 600.0, None, False)
    fresh = []
    for count in (4, 1):
        answer = Answer((Sample((), 4.0),), NOW, target_counts=(("x{}", count),))
        fresh += [reading.fresh for reading in (await census.take({"o-1": (read(watched, answer, 0.0),)}, {}))["o-1"]]
    assert (targets.reads, fresh) == (0, [True, True])
