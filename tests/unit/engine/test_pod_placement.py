"""What a node out of service would mean, read from objects as the API server gives them."""

from typing import Any

import pytest

from forestall.engine import pod_placement

CONTROL_PLANE = {"node-role.kubernetes.io/control-plane": ""}
POOL = {"key": "pool", "value": "db", "effect": "NoSchedule"}


def node(name, *, ready="True", unschedulable=False, labels=None, taints=(), **allocatable):
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"unschedulable": unschedulable, "taints": list(taints)},
        "status": {
            "conditions": [{"type": "Ready", "status": ready}],
            "allocatable": allocatable or {"cpu": "4", "memory": "8Gi", "pods": "10"},
        },
    }


def pod(name="web-1", *, cpu="1", **spec):
    containers = [{"resources": {"requests": {"cpu": cpu}}}]
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": {"containers": containers, **spec}}


def assess(*others, target=None, soon=()):
    return pod_placement.assess("n1", [target or node("n1"), *others], soon, max_cordoned=1)


def test_what_is_out_of_service_and_what_is_left():
    nodes = [
        node("n2", ready="False"),
        node("n3", unschedulable=True),
        node("n4", ready="Unknown"),
        node("n5"),
        node("n6"),
        {"metadata": {"name": "n7"}},
    ]
    found = assess(*nodes, soon={"n6", "n1"})
    assert found is not None
    assert (found.target, found.max_unavailable, found.equivalent_nodes) == ("n1", 1, 1)
    assert found.unavailable == ["n2", "n3", "n4", "n6", "n7"]


def test_the_node_itself_is_not_among_those_that_are_out():
    found = assess(node("n2"), target=node("n1", unschedulable=True, ready="False"), soon={"n1"})
    assert found is not None
    assert (found.unavailable, found.equivalent_nodes) == ([], 1)


def test_a_node_that_is_not_there_is_not_known():
    assert pod_placement.assess("gone", [node("n1")], (), 1) is None


def test_only_a_node_without_further_taints_stands_in():
    tainted = node("n2", taints=[POOL])
    soft = node("n3", taints=[{**POOL, "effect": "PreferNoSchedule"}])
    assert [assess(tainted).equivalent_nodes, assess(soft).equivalent_nodes] == [0, 1]
    assert assess(tainted, target=node("n1", taints=[POOL])).equivalent_nodes == 1


def test_nodes_of_the_control_plane_are_told_apart():
    found = assess(
        node("n2", unschedulable=True, labels=CONTROL_PLANE),
        node("n3", unschedulable=True),
        node("n4", labels=CONTROL_PLANE),
        target=node("n1", labels={"node-role.kubernetes.io/master": ""}),
    )
    assert found is not None
    assert (found.control_plane, found.control_planes_unavailable) == (True, ["n2"])


def test_pods_that_move_need_what_is_free():
    hosts = [node("n2")]
    three = {"n2": [pod("a", cpu="3")]}
    assert pod_placement.without_room([pod("b", cpu="1")], hosts, three) is None
    assert pod_placement.without_room([pod("b", cpu="1001m")], hosts, three) == "shop/b"


def test_what_waits_for_a_node_needs_its_room_too():
    hosts, three = [node("n2")], {"n2": [pod("a", cpu="2")]}
    assert pod_placement.without_room([pod("b", cpu="1")], hosts, three, [pod("c", cpu="1")]) is None
    assert pod_placement.without_room([pod("b", cpu="1")], hosts, three, [pod("c", cpu="1500m")]) == "shop/b"


def test_the_number_of_pods_is_bounded_too():
    full = {"n2": [pod(f"p{number}", cpu="0") for number in range(10)]}
    assert pod_placement.without_room([pod("b", cpu="0")], [node("n2")], full) == "shop/b"


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({"nodeSelector": {"zone": "west"}}, True),
        ({"nodeSelector": {"zone": "east"}}, False),
        ({"tolerations": [{"operator": "Exists"}]}, True),
    ],
)
def test_where_a_pod_may_run_counts(spec, found):
    hosts = [node("n2", labels={"zone": "west"}, taints=[POOL] if "tolerations" in spec else ())]
    assert (pod_placement.without_room([pod(**spec)], hosts, {"n2": []}) is None) is found


def required(*terms):
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}}


def test_required_affinity_counts_and_who_wants_this_very_node_fits_no_other():
    hosts = [node("n2", labels={"zone": "west"})]
    west = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["west"]}]}
    this = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}
    assert pod_placement.without_room([pod(affinity=required(this, west))], hosts, {"n2": []}) is None
    assert pod_placement.without_room([pod(affinity=required(this))], hosts, {"n2": []}) == "shop/web-1"


def requests(**amounts):
    return {"resources": {"requests": amounts}}


def test_requests_are_counted_as_the_scheduler_does():
    spec: dict[str, Any] = {
        "containers": [requests(cpu="100m", memory="1Ki"), requests(cpu="200m")],
        "initContainers": [
            requests(cpu="1"),
            {**requests(cpu="50m"), "restartPolicy": "Always"},
            requests(cpu="900m"),
        ],
        "overhead": {"cpu": "5m"},
    }
    assert pod_placement.needs_of(spec) == {"cpu": 1005, "memory": 1_024_000, "pods": 1000}
    assert pod_placement.needs_of({**spec, "initContainers": spec["initContainers"][1:2]})["cpu"] == 355
    assert pod_placement.needs_of({**spec, **requests(cpu="2")})["cpu"] == 2000
    assert pod_placement.needs_of({}) == {"pods": 1000}


def test_of_many_nodes_the_most_alike_are_asked():
    west, east = {"zone": "west", "pool": "a"}, {"zone": "east", "pool": "a"}
    many = [node(f"e{number:03}", labels=east) for number in range(100)] + [node("w", labels=west), node("out")]
    hosts = pod_placement.hosts_for("n1", [node("n1", labels=west), *many], {"out"})
    assert len(hosts) == pod_placement.MOST_HOSTS
    assert [each["metadata"]["name"] for each in hosts[:2]] == ["w", "e000"]
