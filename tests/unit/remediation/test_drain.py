"""The life of a drain: the node is cordoned, emptied as budgets allow, held, and given back whatever happens."""

from typing import Any

import pytest

from forestall.actions.node_action import CORDONED_BY
from forestall.core.decision import Hold
from forestall.errors import Denied, Forbidden, Throttled, Unavailable

NODE = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "n-1"}
DRAIN: dict[str, Any] = {"target": NODE, "action": {"drain": {"healthyFor": "1m"}}, "from": None, "to": None}
GONE = [("Pod", "checkout-1"), ("Pod", "checkout-2")]


def node(world):
    return world.objects["Node", "", "n1"]


def is_cordoned(world):
    return bool(node(world)["spec"].get("unschedulable"))


def evicted(world):
    return [name for kind, name in world.writes if kind == "Pod"]


def put(world, name, **metadata):
    metadata = {"name": name, "namespace": "shop", "uid": f"u-{name}", **metadata}
    world.put("Pod", metadata["namespace"], name, "", metadata=metadata, spec={"nodeName": "n1"}, status={})


async def test_a_node_is_emptied_held_and_given_back_when_it_has_been_healthy(run, world):
    await run.open(**DRAIN)
    after = await run.cycle()
    assert (after.status.phase, after.status.reason) == ("Executing", "Draining")
    assert evicted(world) == ["checkout-1", "checkout-2"]
    after = await run.cycle()
    assert (after.status.phase, is_cordoned(world)) == ("Verifying", True)
    await run.cycle(30, probability=0.1)
    after = await run.cycles(3, 30, probability=0.1)
    assert (after.status.phase, after.status.reason) == ("Succeeded", "Released")
    assert not is_cordoned(world)
    assert CORDONED_BY not in node(world)["metadata"]["annotations"]
    assert [(step.from_, step.to) for step in after.status.steps] == [(0, 1), (1, 0)]


async def test_without_an_outlook_it_does_not_go_on(run, world):
    world.unavailable = {"checkout-2"}
    await run.open(**DRAIN)
    await run.cycle()
    world.unavailable = set()
    run.now += 10
    after = await run.advance(None)
    assert (after.status.phase, after.status.reason, evicted(world)) == ("Executing", "RiskUnknown", ["checkout-1"])
    await run.cycle()
    assert evicted(world) == ["checkout-1", "checkout-2"]


async def test_a_budget_is_waited_for_and_named(run, world):
    world.unavailable = {"checkout-2"}
    await run.open(**DRAIN)
    after = await run.cycle()
    assert (after.status.phase, after.status.reason) == ("Executing", "Throttled")
    assert "Cannot evict pod checkout-2; The disruption budget needs it" in after.status.message
    await run.cycles(3, 10)
    assert evicted(world) == ["checkout-1"]
    world.unavailable = set()
    await run.cycle()
    assert (await run.cycle()).status.phase == "Verifying"
    assert evicted(world) == ["checkout-1", "checkout-2"]


async def test_a_budget_that_never_allows_it_gives_the_node_back_at_the_deadline(run, world):
    world.unavailable = {"checkout-2"}
    await run.open(**DRAIN)
    await run.cycles(3, 600)
    assert is_cordoned(world) is False
    after = await run.cycle()
    assert (after.status.phase, after.status.reason) == ("RolledBack", "DeadlineExceeded")
    assert "pods that are left: 1 to be evicted: shop/checkout-2" in after.status.message
    assert after.status.steps[-1].change == "uncordon node n1"


async def test_what_nobody_wants_any_more_is_given_back_in_the_middle(run, world):
    world.unavailable = {"checkout-2"}
    await run.open(**DRAIN)
    await run.cycle()
    world.unavailable = set()
    await run.cycle(withdrawn=Hold("Withdrawn", "policy checkout was suspended"))
    after = await run.cycle()
    assert (after.status.phase, after.status.reason, is_cordoned(world)) == ("RolledBack", "Withdrawn", False)
    assert evicted(world) == ["checkout-1"]


@pytest.mark.parametrize("how", ["hold", "stopped"])
async def test_a_guard_or_a_pause_stops_it_in_the_middle(run, world, how):
    world.unavailable = {"checkout-2"}
    await run.open(**DRAIN)
    await run.cycle()
    world.unavailable = set()
    setattr(run, how, Hold("Paused", "everything is paused"))
    after = await run.cycle()
    assert (after.status.phase, after.status.reason, evicted(world)) == ("Executing", "Paused", ["checkout-1"])


async def test_a_pause_between_two_evictions_stops_the_second(run, world):
    def pause(_):
        run.stopped = Hold("Paused", "everything is paused")

    world.before_evict = pause
    await run.open(**DRAIN)
    after = await run.cycle()
    assert (after.status.phase, after.status.reason, evicted(world)) == ("Executing", "Paused", ["checkout-1"])
    run.stopped, world.before_evict = None, lambda _: None
    await run.cycle()
    assert (await run.cycle()).status.phase == "Verifying"


NO_RIGHT = Forbidden('User "x" cannot create resource "pods/eviction"')


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Denied('admission webhook "w" denied the request: not today'), "EvictionRefused"),
        (Throttled("This pod has more than one PodDisruptionBudget"), "Throttled"),
        (Unavailable("failed calling webhook", answered=True), "EvictionRefused"),
        (Unavailable("no answer within 4 s"), "EvictionRefused"),
        (NO_RIGHT, "EvictionRefused"),
    ],
)
async def test_a_pod_that_is_refused_keeps_no_other_pod_on_the_node(run, world, error, reason):
    """Kind: one bad item. What is said of one pod ends neither the round for those behind it nor the drain."""

    def refuse(pod):
        if pod.name == "a-bad-one":
            raise error

    put(
        world,
        "a-bad-one",
        namespace="bad",
        ownerReferences=[{"kind": "Job", "name": "j", "uid": "j", "controller": True}],
    )
    world.objects = dict(sorted(world.objects.items(), key=lambda entry: entry[0][2]))
    world.before_evict = refuse
    await run.open(**DRAIN)
    after = await run.cycle()
    assert (after.status.phase, after.status.reason) == ("Executing", reason)
    assert "of another namespace" in after.status.message
    assert str(error) not in after.status.message, "it may name what is not the author's to know"
    assert evicted(world) == ["checkout-1", "checkout-2"]


@pytest.mark.parametrize(
    "error", [Denied('admission webhook "w" denied the request: not today'), Throttled("budget b")]
)
async def test_of_a_pod_of_the_own_namespace_the_words_of_the_api_server_are_told(run, world, error):
    def refuse(pod):
        if pod.name == "checkout-1":
            raise error

    world.before_evict = refuse
    await run.open(**DRAIN)
    assert str(error) in (await run.cycle()).status.message


async def test_a_server_that_answers_nothing_is_not_asked_for_every_pod(run, world):
    tried = []

    def hang(pod):
        tried.append(pod.name)
        raise Unavailable("no answer within 4 s")

    for number in range(9):
        owners = [{"kind": "Job", "name": "j", "uid": "j", "controller": True}]
        put(world, f"job-{number}", namespace=f"team-{number}", ownerReferences=owners)
    world.before_evict = hang
    await run.open(**DRAIN)
    after = await run.cycle()
    assert (after.status.phase, after.status.reason) == ("Executing", "NotConfirmed")
    assert "no answer within 4 s" in after.status.message
    assert len(tried) == 3


async def test_a_right_that_is_missing_gives_the_node_back(run, world):
    world.errors["evict"] = Forbidden('cannot create resource "pods/eviction"')
    await run.open(**DRAIN)
    await run.cycle()
    assert not is_cordoned(world)
    after = await run.cycle()
    assert (after.status.phase, after.status.reason) == ("RolledBack", "Forbidden")
    assert "nodes.drain=true" in after.status.message
    assert evicted(world) == []


async def test_a_right_that_is_taken_away_in_the_middle_may_come_back_until_the_deadline(run, world):
    world.unavailable = {"checkout-2"}
    await run.open(**DRAIN)
    await run.cycle()
    world.errors["find"] = Forbidden('cannot list resource "pods"')
    after = await run.cycle()
    assert (after.status.phase, after.status.reason) == ("Executing", "Forbidden")
    world.errors.clear()
    world.unavailable = set()
    await run.cycle()
    assert (await run.cycle()).status.phase == "Verifying"


async def test_a_cluster_that_does_not_answer_is_asked_again(run, world):
    world.errors["evict"] = Unavailable("no answer within 4 s")
    await run.open(**DRAIN)
    assert (await run.cycle()).status.phase == "Executing"
    world.errors.clear()
    await run.cycle()
    assert (await run.cycle()).status.phase == "Verifying"


async def test_what_stays_and_what_goes(run, world):
    put(world, "daemon", ownerReferences=[{"kind": "DaemonSet", "name": "d", "uid": "d", "controller": True}])
    put(world, "mirror", annotations={"kubernetes.io/config.mirror": "x"})
    put(world, "protected", annotations={"forestall.dev/protected": "true"})
    await run.open(**DRAIN)
    await run.cycle()
    assert (await run.cycle()).status.phase == "Verifying"
    assert evicted(world) == ["checkout-1", "checkout-2"]


PROTECTED = {"annotations": {"forestall.dev/protected": "true"}}


@pytest.mark.parametrize("what", ["Namespace", "ReplicaSet", "Deployment"])
async def test_pods_of_a_protected_workload_or_namespace_stay(run, world, what):
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout", "uid": "d-1", "controller": True}
    metadata = {"name": "checkout", "namespace": "shop", "uid": "rs-1", "ownerReferences": [owner]}
    world.put("ReplicaSet", "shop", "checkout", "rs-1", metadata=metadata)
    world.put("Namespace", "", "shop", "ns")
    place, name = ("", "shop") if what == "Namespace" else ("shop", "checkout")
    world.change(what, name, {"metadata": PROTECTED}, namespace=place)
    put(world, "other", ownerReferences=[{**owner, "kind": "Job", "name": "other"}])
    await run.open(**DRAIN)
    await run.cycle()
    assert (await run.cycle()).status.phase == "Verifying"
    assert evicted(world) == ([] if what == "Namespace" else ["other"])


async def test_a_pod_that_nothing_replaces_refuses_the_drain_unless_the_policy_says_so(run, world):
    put(world, "alone")
    await run.open(**DRAIN)
    after = await run.cycle()
    assert (after.status.phase, after.status.reason) == ("Aborted", "PodsNotEvictable")
    assert "shop/alone: no controller replaces it" in after.status.message
    assert not is_cordoned(world)


async def test_force_evicts_a_pod_that_nothing_replaces(run, world):
    put(world, "alone")
    await run.open(**{**DRAIN, "action": {"drain": {"force": True}}})
    await run.cycle()
    assert set(evicted(world)) == {"checkout-1", "checkout-2", "alone"}


async def test_pods_that_take_their_time_to_go_are_waited_for(run, world):
    world.unavailable = {"checkout-2"}
    await run.open(**DRAIN)
    await run.cycle()
    world.change("Pod", "checkout-2", {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})
    after = await run.cycle()
    assert (after.status.phase, after.status.reason) == ("Executing", "Draining")
    del world.objects["Pod", "shop", "checkout-2"]
    assert (await run.cycle()).status.phase == "Verifying"


async def test_a_pod_that_ignores_being_asked_to_end_is_named_at_the_deadline_with_its_time(run, world):
    world.unavailable = {"checkout-2"}
    await run.open(**DRAIN)
    await run.cycle()
    world.change("Pod", "checkout-2", {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})
    after = await run.cycle(1800)
    assert after.status.phase == "RollingBack"
    assert "about to go, the last by 2026-01-01 00:00:00 UTC: shop/checkout-2" in after.status.message


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda world: world.objects.pop(("Node", "", "n1")), "TargetGone"),
        (lambda world: world.put("Node", "", "n1", "n-2", spec={}, status={}), "TargetReplaced"),
        (lambda world: world.change("Node", "n1", {"spec": {"unschedulable": None}}, namespace=""), "Superseded"),
    ],
)
async def test_a_node_that_is_gone_or_taken_over_in_the_middle_is_left_alone(run, world, change, reason):
    world.unavailable = {"checkout-2"}
    await run.open(**DRAIN)
    await run.cycle()
    world.unavailable = set()
    change(world)
    after = await run.cycle()
    assert (after.status.phase, after.status.reason) == ("Aborted", reason)
    assert evicted(world) == ["checkout-1"]


async def test_a_new_leader_goes_on_in_the_middle(run, world):
    world.unavailable = {"checkout-2"}
    await run.open(**DRAIN)
    await run.cycle()
    run.restart()
    world.unavailable = set()
    await run.cycle()
    assert (await run.cycle()).status.phase == "Verifying"
    assert world.writes[1:] == GONE


async def test_a_drained_node_that_does_not_recover_is_given_back_at_the_deadline(run, world):
    await run.open(**DRAIN)
    await run.cycles(3, 10)
    await run.cycle(1800)
    after = await run.cycle()
    assert (after.status.phase, is_cordoned(world)) == ("RolledBack", False)


async def test_a_drain_of_a_node_whose_risk_stays_has_contained_it(run, world):
    """Kind: a verdict that asks of an action what it can't do. What fills a disk need not be of a pod that moved."""
    await run.open(**DRAIN)
    await run.cycles(2, 10)
    after = await run.cycle(400)
    assert (after.status.phase, after.status.reason, is_cordoned(world)) == ("Holding", "Contained", True)
    assert {item.type: item.reason for item in after.status.conditions}["Verified"] == "Contained"
    await run.cycles(2, 30, probability=0.1)
    after = await run.cycles(3, 30, probability=0.1)
    assert (after.status.phase, after.status.reason, is_cordoned(world)) == ("RolledBack", "Contained", False)
    assert "its pods ran elsewhere" in after.status.message


async def test_a_drain_that_lowered_the_risk_has_helped(run):
    await run.open(**DRAIN)
    await run.cycles(2, 10)
    after = await run.cycle(30, probability=0.1)
    assert {item.type: item.reason for item in after.status.conditions}["Verified"] == "RiskFell"


async def test_a_drain_takes_over_the_node_that_a_cordon_held_without_helping(run, world):
    held = await run.open(target=NODE, action={"cordon": {"healthyFor": "1m"}}, **{"from": None, "to": None})
    await run.cycle()
    after = await run.cycle(400)
    assert after.status.reason == "Contained"
    drain = await run.open(**DRAIN, rung=1)

    async def advance(life, **outlook):
        return await run.reconciler.reconcile(life, run.foresee(sampled_at=run.now, **outlook), run.guard, run.now)

    for _ in range(2):
        run.now += 10
        drain = await advance(drain)
    assert (drain.status.phase, node(world)["metadata"]["annotations"][CORDONED_BY]) == ("Verifying", drain.uid)
    held = await advance(held)
    assert (held.status.phase, held.status.reason, is_cordoned(world)) == ("Aborted", "TakenOver", True)
    for _ in range(4):
        run.now += 30
        drain = await advance(drain, probability=0.1)
    assert (drain.status.phase, is_cordoned(world)) == ("Succeeded", False)


OTHERS = ("other/secret-1", "other/secret-2")


def put_foreign(world, **metadata):
    """Put pods of the namespace `other` on the node; a controller replaces them unless `metadata` says otherwise."""
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "secret", "uid": "j-1", "controller": True}
    for name in OTHERS:
        put(world, name.partition("/")[2], **{"namespace": "other", "ownerReferences": [owner], **metadata})


@pytest.mark.parametrize("begun", [False, True])
async def test_pods_of_other_namespaces_are_counted_and_not_named(run, world, begun):
    """The kind: what is told must be the author's to know."""
    if begun:
        world.unavailable = {"checkout-2"}
        await run.open(**DRAIN)
        await run.cycle()
    put_foreign(world, ownerReferences=[])
    if not begun:
        put(world, "alone")
        await run.open(**DRAIN)
    after = await (run.cycles(3, 600) if begun else run.cycle())
    said = "2 of other namespaces" if begun else "shop/alone and 2 of other namespaces: no controller replaces it"
    assert said in after.status.message
    assert "secret" not in str(after.dump())
    assert not any("secret" in event.message for event in world.events)


async def test_a_budget_of_another_namespace_is_not_told(run, world):
    put_foreign(world)
    world.unavailable = {"secret-1", "secret-2"}
    await run.open(**DRAIN)
    after = await run.cycle()
    assert (after.status.phase, after.status.reason) == ("Executing", "Throttled")
    assert "a pod has to wait (and so do 1 more): it is of another namespace" in after.status.message
    assert "secret" not in str(after.dump())


async def test_what_refuses_pods_of_another_namespace_is_not_told(run, world):
    def refuse(pod):
        if pod.namespace == "other":
            raise Denied(f"policy p denies pod other/{pod.name}")

    put_foreign(world)
    world.before_evict = refuse
    await run.open(**DRAIN)
    after = await run.cycle()
    assert after.status.reason == "EvictionRefused"
    assert "its eviction is refused; the operator's log says more" in after.status.message
    assert "secret" not in str(after.dump())
