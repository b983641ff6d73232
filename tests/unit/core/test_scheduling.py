"""Whether pods find room: nothing is placed where it does not fit, and what is easy to place is."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.core.scheduling import (
    NodeCapacity,
    NodeSelectorRequirement,
    PodRequest,
    Taint,
    Toleration,
    first_unschedulable,
)


def host(name="a", labels=None, taints=(), **free):
    return NodeCapacity(name, free or {"cpu": 4}, labels or {}, taints)


def lodger(name="p", tolerations=(), wishes=((),), **needs):
    return PodRequest(name, needs or {"cpu": 1}, tolerations, wishes)


def test_pods_fill_nodes_and_the_one_too_many_is_named():
    hosts = [host("a"), host("b")]
    assert first_unschedulable([lodger(f"p{number}") for number in range(8)], hosts) is None
    unplaced = first_unschedulable([lodger(f"p{number}") for number in range(9)], hosts)
    assert unplaced is not None
    assert unplaced.name == "p8"


def test_the_largest_is_placed_first():
    hosts = [host("a", cpu=3), host("b", cpu=2)]
    assert first_unschedulable([lodger("small", cpu=2), lodger("large", cpu=3)], hosts) is None


def test_every_resource_counts_also_one_that_no_node_has():
    assert first_unschedulable([lodger(cpu=1, gpu=1)], [host()]) is not None
    assert first_unschedulable([lodger(cpu=1, gpu=0)], [host()]) is None
    assert first_unschedulable([lodger(cpu=1, memory=5)], [host(cpu=9, memory=4)]) is not None


def test_a_node_that_is_overfull_takes_nothing():
    assert first_unschedulable([lodger(cpu=1)], [host(cpu=-3)]) is not None
    assert first_unschedulable([lodger(cpu=0)], [host(cpu=-3)]) is None


def test_without_pods_there_is_room_and_without_nodes_there_is_none():
    assert first_unschedulable([], []) is None
    assert first_unschedulable([lodger()], []) is not None


def test_who_waits_for_a_node_is_placed_first():
    hosts = [host("a", cpu=3), host("b", cpu=2)]
    assert first_unschedulable([lodger("p", cpu=2)], hosts, [lodger("waits", cpu=2)]) is None
    assert first_unschedulable([lodger("p", cpu=2)], hosts, [lodger("waits", cpu=3), lodger("too", cpu=1)]) is not None


def test_who_waits_in_vain_takes_no_room():
    west = [NodeSelectorRequirement("zone", "In", ("west",))]
    assert (
        first_unschedulable([lodger(cpu=4)], [host()], [lodger("huge", cpu=5), lodger("elsewhere", wishes=[west])])
        is None
    )


POOL = Taint("pool", "db", "NoSchedule")


@pytest.mark.parametrize(
    ("taint", "toleration", "fits"),
    [
        (POOL, None, False),
        (Taint("pool", "db", "PreferNoSchedule"), None, True),
        (POOL, Toleration("pool", "Equal", "db", "NoSchedule"), True),
        (POOL, Toleration("pool", "Equal", "db", ""), True),
        (POOL, Toleration("pool", "Equal", "web", ""), False),
        (POOL, Toleration("pool", "Exists", "", ""), True),
        (POOL, Toleration("", "Exists", "", ""), True),
        (POOL, Toleration("", "Exists", "", "NoExecute"), False),
        (POOL, Toleration("other", "Exists", "", ""), False),
    ],
)
def test_taints_keep_pods_away_that_do_not_tolerate_them(taint, toleration, fits):
    unplaced = first_unschedulable([lodger(tolerations=[toleration] if toleration else [])], [host(taints=[taint])])
    assert (unplaced is None) is fits


@pytest.mark.parametrize(
    ("operator", "values", "fits"),
    [
        ("In", ("west", "east"), True),
        ("In", ("north",), False),
        ("NotIn", ("north",), True),
        ("NotIn", ("west",), False),
        ("Exists", (), True),
        ("DoesNotExist", (), False),
        ("Gt", ("1",), False),
        ("Unheard", ("west",), False),
    ],
)
def test_wishes_are_met_by_labels(operator, values, fits):
    unplaced = first_unschedulable(
        [lodger(wishes=[[NodeSelectorRequirement("zone", operator, values)]])], [host(labels={"zone": "west"})]
    )
    assert (unplaced is None) is fits


@pytest.mark.parametrize(("operator", "bound", "fits"), [("Gt", "7", True), ("Gt", "8", False), ("Lt", "9", True)])
def test_wishes_compare_numbers(operator, bound, fits):
    unplaced = first_unschedulable(
        [lodger(wishes=[[NodeSelectorRequirement("cores", operator, (bound,))]])], [host(labels={"cores": "8"})]
    )
    assert (unplaced is None) is fits


def test_one_group_of_wishes_suffices_but_as_a_whole():
    west, fast = NodeSelectorRequirement("zone", "In", ("west",)), NodeSelectorRequirement("disk", "In", ("fast",))
    hosts = [host(labels={"zone": "west"})]
    assert first_unschedulable([lodger(wishes=[[fast], [west]])], hosts) is None
    assert first_unschedulable([lodger(wishes=[[west, fast]])], hosts) is not None


amounts = st.dictionaries(st.sampled_from(["cpu", "memory"]), st.integers(0, 10), min_size=1)


@given(st.lists(amounts, max_size=12), st.lists(amounts, max_size=5), st.lists(amounts, max_size=4))
def test_what_is_said_to_fit_takes_no_more_than_there_is(needs, free, waiting):
    hosts = [NodeCapacity(f"h{number}", amount, {}) for number, amount in enumerate(free)]
    before = [PodRequest(f"w{number}", need) for number, need in enumerate(waiting)]
    if (
        first_unschedulable(
            [PodRequest(f"p{number}", need) for number, need in enumerate(map(dict, needs))], hosts, before
        )
        is None
    ):
        total = sum((Counter(amount) for amount in free), Counter())
        requested = sum((Counter(amount) for amount in needs), Counter())
        assert all(requested[name] <= total[name] for name in requested)


@given(st.lists(amounts, max_size=8), st.lists(amounts, max_size=5), amounts)
def test_a_pod_more_never_makes_room(needs, free, more):
    hosts = [NodeCapacity(f"h{number}", amount, {}) for number, amount in enumerate(free)]
    lodgers = [PodRequest(f"p{number}", need) for number, need in enumerate(map(dict, needs))]
    huge = PodRequest("huge", {name: amount + 1000 for name, amount in more.items()})
    assert first_unschedulable([*lodgers, huge], hosts) is not None
