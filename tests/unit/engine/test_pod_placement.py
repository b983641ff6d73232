"""The effect of taking a node out of service, computed from objects as the API server returns them."""

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


def test_unavailable_and_remaining_nodes():
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


def test_target_node_does_not_count_as_unavailable():
    found = assess(node("n2"), target=node("n1", unschedulable=True, ready="False"), soon={"n1"})
    assert found is not None
    assert (found.unavailable, found.equivalent_nodes) == ([], 1)


def test_missing_node_is_unknown():
    assert pod_placement.assess("gone", [node("n1")], (), 1) is None


def test_only_nodes_without_further_taints_count_as_replacement():
    tainted = node("n2", taints=[POOL])
    soft = node("n3", taints=[{**POOL, "effect": "PreferNoSchedule"}])
    assert [assess(tainted).equivalent_nodes, assess(soft).equivalent_nodes] == [0, 1]
    assert assess(tainted, target=node("n1", taints=[POOL])).equivalent_nodes == 1


def test_control_plane_nodes_are_recognized():
    found = assess(
        node("n2", unschedulable=True, labels=CONTROL_PLANE),
        node("n3", unschedulable=True),
        node("n4", labels=CONTROL_PLANE),
        target=node("n1", labels={"node-role.kubernetes.io/master": ""}),
    )
    assert found is not None
    assert (found.control_plane, found.control_planes_unavailable) == (True, ["n2"])


def test_moving_pods_need_free_capacity():
    hosts = [node("n2")]
    three = {"n2": [pod("a", cpu="3")]}
    assert pod_placement.without_room([pod("b", cpu="1")], hosts, three) is None
    assert pod_placement.without_room([pod("b", cpu="1001m")], hosts, three) == "shop/b"


def test_pending_pods_count_against_free_capacity():
    hosts, three = [node("n2")], {"n2": [pod("a", cpu="2")]}
    assert pod_placement.without_room([pod("b", cpu="1")], hosts, three, [pod("c", cpu="1")]) is None
    assert pod_placement.without_room([pod("b", cpu="1")], hosts, three, [pod("c", cpu="1500m")]) == "shop/b"


def test_number_of_pods_on_a_node_is_bounded():
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
def test_node_constraints_of_a_pod_count(spec, found):
    hosts = [node("n2", labels={"zone": "west"}, taints=[POOL] if "tolerations" in spec else ())]
    assert (pod_placement.without_room([pod(**spec)], hosts, {"n2": []}) is None) is found


def required(*terms):
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}}


def test_required_affinity_counts_and_a_pod_bound_to_one_node_fits_no_other():
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


def test_most_similar_of_many_nodes_are_considered():
    west, east = {"zone": "west", "pool": "a"}, {"zone": "east", "pool": "a"}
    many = [node(f"e{number:03}", labels=east) for number in range(100)] + [node("w", labels=west), node("out")]
    hosts = pod_placement.hosts_for("n1", [node("n1", labels=west), *many], {"out"})
    assert len(hosts) == pod_placement.MOST_HOSTS
    assert [each["metadata"]["name"] for each in hosts[:2]] == ["w", "e000"]


def test_a_node_that_says_nothing_of_itself_takes_no_pods():
    for bare in (
        {"metadata": {"name": "n2"}},
        {"metadata": {"name": "n2"}, "status": {"conditions": None}, "spec": None},
    ):
        found = assess(bare)
        assert found is not None
        assert (found.unavailable, found.equivalent_nodes) == (["n2"], 0)
    other = node("n2")
    other["status"]["conditions"] = [
        {"type": "DiskPressure", "status": "True"},
        {"type": "Ready", "status": "False"},
    ]
    assert assess(other).unavailable == ["n2"]


@pytest.mark.parametrize(
    ("label", "is_control_plane"),
    [("node-role.kubernetes.io/control-plane", True), ("node-role.kubernetes.io/master", True), ("role", False)],
)
def test_a_control_plane_is_known_by_either_label(label, is_control_plane):
    assert assess(target=node("n1", labels={label: ""})).control_plane is is_control_plane


@pytest.mark.parametrize(("effect", "stands_in"), [("NoSchedule", 0), ("NoExecute", 0), ("PreferNoSchedule", 1)])
def test_a_hard_taint_keeps_pods_away(effect, stands_in):
    assert assess(node("n2", taints=[{"key": "pool", "effect": effect}])).equivalent_nodes == stands_in


def test_hosts_are_neither_the_node_itself_nor_those_that_are_out():
    nodes = [node("n1"), node("n2"), node("n3")]
    assert [host["metadata"]["name"] for host in pod_placement.hosts_for("n1", nodes, ["n3"])] == ["n2"]
    many = [node(f"n{number:02}") for number in range(60)]
    assert len(pod_placement.hosts_for("n00", many, [])) == 50


def test_what_a_node_does_not_offer_is_not_there():
    small = node("n2", cpu="1", pods="10")
    assert pod_placement.without_room([pod(cpu="1")], [small], {"n2": []}) is None
    wanting = pod(containers=[requests(**{"example.com/gpu": "1"})])
    assert pod_placement.without_room([wanting], [small], {"n2": []}) == "shop/web-1"
    bare = {"metadata": {"name": "n2"}}
    assert pod_placement.without_room([pod(cpu="0")], [bare], {"n2": []}) == "shop/web-1"


@pytest.mark.parametrize(
    ("toleration", "fits"),
    [
        ({"key": "pool", "value": "db"}, True),
        ({"key": "pool", "operator": "Equal", "value": "db"}, True),
        ({"key": "pool", "value": "web"}, False),
        ({"key": "pool", "operator": "Exists"}, True),
        ({"key": "pool", "value": "db", "effect": "NoSchedule"}, True),
        ({"key": "pool", "value": "db", "effect": "NoExecute"}, False),
        ({"key": "pool"}, False),
        ({"operator": "Exists", "effect": "NoSchedule"}, True),
    ],
)
def test_a_taint_keeps_out_what_does_not_tolerate_it(toleration, fits):
    hosts = [node("n2", taints=[POOL])]
    found = pod_placement.without_room([pod(tolerations=[toleration])], hosts, {"n2": []})
    assert (found is None) is fits


def expression(key, operator, *values):
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


@pytest.mark.parametrize(
    ("terms", "fits"),
    [
        ([{"matchExpressions": [expression("zone", "In", "west", "east")]}], True),
        ([{"matchExpressions": [expression("zone", "NotIn", "west")]}], False),
        ([{"matchExpressions": [expression("zone", "Exists")]}], True),
        ([{"matchExpressions": [expression("zone", "DoesNotExist")]}], False),
        ([{"matchExpressions": [expression("zone", "In", "west"), expression("disk", "Exists")]}], False),
        (
            [
                {"matchExpressions": [expression("disk", "Exists")]},
                {"matchExpressions": [expression("zone", "Exists")]},
            ],
            True,
        ),
    ],
)
def test_one_term_of_the_affinity_must_be_met_in_full(terms, fits):
    hosts = [node("n2", labels={"zone": "west"})]
    assert (pod_placement.without_room([pod(affinity=required(*terms))], hosts, {"n2": []}) is None) is fits


def test_a_node_selector_holds_beside_every_term():
    hosts = [node("n2", labels={"zone": "west"})]
    west = required({"matchExpressions": [expression("zone", "Exists")]})
    assert pod_placement.without_room([pod(affinity=west, nodeSelector={"disk": "ssd"})], hosts, {"n2": []}) is not None
    assert pod_placement.without_room([pod(affinity={}, nodeSelector={"zone": "west"})], hosts, {"n2": []}) is None


def test_what_is_used_of_a_node_is_not_free():
    hosts = [node("n2", cpu="4", memory="1Gi", pods="3")]
    used = {"n2": [pod("a", cpu="1"), pod("b", cpu="2")]}
    assert pod_placement.without_room([pod(cpu="1")], hosts, used) is None
    assert pod_placement.without_room([pod(cpu="1"), pod("web-2", cpu="0")], hosts, used) == "shop/web-2"


def test_a_sidecar_counts_with_what_starts_after_it():
    spec: dict[str, Any] = {
        "containers": [requests(cpu="100m")],
        "initContainers": [
            {**requests(cpu="200m"), "restartPolicy": "Always"},
            {**requests(cpu="300m"), "restartPolicy": "Always"},
        ],
    }
    assert pod_placement.needs_of(spec)["cpu"] == 600
    spec["initContainers"].append(requests(cpu="250m"))
    assert pod_placement.needs_of(spec)["cpu"] == 750
