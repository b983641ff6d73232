"""Whether pods fit on nodes: no pod is placed where it does not fit, and simple placements are found."""

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


def node(name="a", labels=None, taints=(), **free):
    return NodeCapacity(name, free or {"cpu": 4}, labels or {}, taints)


def pod(name="p", tolerations=(), terms=((),), **needs):
    return PodRequest(name, needs or {"cpu": 1}, tolerations, terms)


def test_the_first_pod_that_does_not_fit_is_returned():
    nodes = [node("a"), node("b")]
    assert first_unschedulable([pod(f"p{number}") for number in range(8)], nodes) is None
    unplaced = first_unschedulable([pod(f"p{number}") for number in range(9)], nodes)
    assert unplaced is not None
    assert unplaced.name == "p8"


def test_the_largest_pod_is_placed_first():
    nodes = [node("a", cpu=3), node("b", cpu=2)]
    assert first_unschedulable([pod("small", cpu=2), pod("large", cpu=3)], nodes) is None


def test_every_resource_counts_also_one_that_no_node_has():
    assert first_unschedulable([pod(cpu=1, gpu=1)], [node()]) is not None
    assert first_unschedulable([pod(cpu=1, gpu=0)], [node()]) is None
    assert first_unschedulable([pod(cpu=1, memory=5)], [node(cpu=9, memory=4)]) is not None


def test_an_overcommitted_node_accepts_no_requests():
    assert first_unschedulable([pod(cpu=1)], [node(cpu=-3)]) is not None
    assert first_unschedulable([pod(cpu=0)], [node(cpu=-3)]) is None


def test_no_pods_fit_and_without_nodes_no_pod_fits():
    assert first_unschedulable([], []) is None
    assert first_unschedulable([pod()], []) is not None


def test_pending_pods_are_placed_first():
    nodes = [node("a", cpu=3), node("b", cpu=2)]
    assert first_unschedulable([pod("p", cpu=2)], nodes, [pod("waits", cpu=2)]) is None
    assert first_unschedulable([pod("p", cpu=2)], nodes, [pod("waits", cpu=3), pod("too", cpu=1)]) is not None


def test_a_pending_pod_that_fits_nowhere_takes_no_resources():
    west = [NodeSelectorRequirement("zone", "In", ("west",))]
    assert first_unschedulable([pod(cpu=4)], [node()], [pod("huge", cpu=5), pod("elsewhere", terms=[west])]) is None


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
    unplaced = first_unschedulable([pod(tolerations=[toleration] if toleration else [])], [node(taints=[taint])])
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
def test_requirements_match_labels(operator, values, fits):
    unplaced = first_unschedulable(
        [pod(terms=[[NodeSelectorRequirement("zone", operator, values)]])], [node(labels={"zone": "west"})]
    )
    assert (unplaced is None) is fits


@pytest.mark.parametrize(("operator", "bound", "fits"), [("Gt", "7", True), ("Gt", "8", False), ("Lt", "9", True)])
def test_requirements_compare_numbers(operator, bound, fits):
    unplaced = first_unschedulable(
        [pod(terms=[[NodeSelectorRequirement("cores", operator, (bound,))]])], [node(labels={"cores": "8"})]
    )
    assert (unplaced is None) is fits


def test_all_requirements_of_one_term_must_match():
    west, fast = NodeSelectorRequirement("zone", "In", ("west",)), NodeSelectorRequirement("disk", "In", ("fast",))
    nodes = [node(labels={"zone": "west"})]
    assert first_unschedulable([pod(terms=[[fast], [west]])], nodes) is None
    assert first_unschedulable([pod(terms=[[west, fast]])], nodes) is not None


amounts = st.dictionaries(st.sampled_from(["cpu", "memory"]), st.integers(0, 10), min_size=1)


@given(st.lists(amounts, max_size=12), st.lists(amounts, max_size=5), st.lists(amounts, max_size=4))
def test_what_fits_requests_no_more_than_is_free(needs, free, waiting):
    nodes = [NodeCapacity(f"h{number}", amount, {}) for number, amount in enumerate(free)]
    before = [PodRequest(f"w{number}", need) for number, need in enumerate(waiting)]
    if (
        first_unschedulable(
            [PodRequest(f"p{number}", need) for number, need in enumerate(map(dict, needs))], nodes, before
        )
        is None
    ):
        total = sum((Counter(amount) for amount in free), Counter())
        requested = sum((Counter(amount) for amount in needs), Counter())
        assert all(requested[name] <= total[name] for name in requested)


@given(st.lists(amounts, max_size=8), st.lists(amounts, max_size=5), amounts)
def test_another_pod_never_makes_pods_fit(needs, free, extra):
    nodes = [NodeCapacity(f"h{number}", amount, {}) for number, amount in enumerate(free)]
    pods = [PodRequest(f"p{number}", need) for number, need in enumerate(map(dict, needs))]
    huge = PodRequest("huge", {name: amount + 1000 for name, amount in extra.items()})
    assert first_unschedulable([*pods, huge], nodes) is not None
