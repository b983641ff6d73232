"""Drains of nodes, as disruption budgets and policies allow; the node is always uncordoned in the end."""

import json
from typing import Any

from forestall.actions.node_action import CORDONED_BY
from forestall.actions.pods import is_terminating

DRAIN = {"drain": {"healthyFor": "30s"}}
NODES = ("node-1", "node-2", "node-3")


async def test_node_is_drained_and_uncordoned(world):
    world.allow()
    world.run_pods(6)
    world.run_pods(0, kind="DaemonSet", name="agent")
    world.protect(4)
    node = world.busiest()
    world.watch("node", DRAIN)
    await world.until(lambda: world.phase == "Verifying", **{node: 300.0})
    assert world.cordoned() == {node}
    assert {pod["metadata"]["labels"]["app"] for pod in world.pods(node)} == {"agent"}
    world.plane.kubectl("rollout", "status", "deployment/web", "-n", world.namespace, "--timeout=240s")
    await world.until(lambda: world.phase == "Succeeded", **{node: 0.0})
    assert world.cordoned() == set()
    assert CORDONED_BY not in world.node(node)["metadata"]["annotations"]
    assert len(world.remediations) == 1


async def test_disruption_budget_that_allows_nothing_stops_the_drain_and_the_node_is_uncordoned(world):
    world.allow()
    world.run_pods(3)
    world.protect(3)
    node = world.busiest()
    before = {pod["metadata"]["uid"] for pod in world.pods()}
    world.watch("node", DRAIN, deadline="2m")
    await world.until(lambda: world.phase == "Executing", **{node: 300.0})
    assert world.cordoned() == {node}
    assert world.last.status.reason == "Throttled"
    assert "The disruption budget web needs 3 healthy pods" in world.last.status.message
    await world.until(lambda: world.phase == "RolledBack")
    assert world.last.status.reason == "DeadlineExceeded"
    assert f"{world.namespace}/web-" in world.last.status.message
    assert world.cordoned() == set()
    assert {pod["metadata"]["uid"] for pod in world.pods()} == before


async def test_pod_selected_by_two_disruption_budgets_keeps_no_other_pod_on_its_node(world):
    """Kind: one bad item. The API server refuses its eviction with 500, and the other pods are still evicted."""
    world.allow()
    world.run_pods(6)
    world.run_pods(3, name="db")
    selector = {"selector": {"matchLabels": {"app": "db"}}, "maxUnavailable": 3}
    for name in ("one", "two"):
        world.apply("PodDisruptionBudget", name, selector, "policy/v1")
    node = max(NODES, key=lambda name: len({pod["metadata"]["labels"]["app"] for pod in world.pods(name)}))
    world.watch("node", DRAIN, deadline="10m")

    def only_it_is_left() -> bool:
        left = {pod["metadata"]["labels"]["app"] for pod in world.pods(node) if not is_terminating(pod)}
        return world.phase == "Executing" and left == {"db"}

    await world.until(only_it_is_left, **{node: 300.0})
    assert world.last.status.reason == "Throttled"
    assert "more than one PodDisruptionBudget" in world.last.status.message
    world.plane.kubectl("delete", "pdb", "two", "-n", world.namespace)
    await world.until(lambda: world.phase == "Verifying")


async def draining(world):
    """Begin a drain that a PodDisruptionBudget holds; return the node."""
    world.allow()
    world.run_pods(3)
    world.protect(3)
    node = world.busiest()
    world.watch("node", DRAIN)
    await world.until(lambda: world.phase == "Executing", **{node: 300.0})
    return node


async def test_new_leader_continues_a_drain(world):
    node = await draining(world)
    world.restart()
    world.plane.kubectl("delete", "pdb", "web", "-n", world.namespace)
    await world.until(lambda: world.phase == "Verifying")
    assert world.pods(node) == []
    assert len(world.remediations) == 1


async def test_unevictable_pods_pass_to_the_next_rung(world):
    world.allow()
    scratch = [{"name": "scratch", "emptyDir": {}}]
    world.run_pods(3, volumes=scratch)
    node = world.busiest()
    world.watch("node", DRAIN, {"cordon": {}})
    await world.until(lambda: world.phase == "Verifying", **{node: 300.0})
    assert world.last.spec.intent.action.cordon
    assert world.cordoned() == {node}
    assert len(world.pods(node)) > 0


async def test_policy_may_allow_data_loss_and_protected_pods_stay(world):
    world.allow()
    scratch = [{"name": "scratch", "emptyDir": {}}]
    world.run_pods(3, volumes=scratch)
    node = world.busiest()
    kept = world.pods(node)[0]["metadata"]["name"]
    world.plane.kubectl("annotate", "pod", kept, "forestall.dev/protected=true", "-n", world.namespace)
    alone = {"containers": [{"name": "main", "image": "example.com/web"}], "nodeName": node}
    world.apply("Pod", "alone", alone, "v1")
    world.run_pods(1, name="db", nodeSelector={"kubernetes.io/hostname": node})
    world.plane.kubectl("annotate", "deployment", "db", "forestall.dev/protected=true", "-n", world.namespace)
    world.watch("node", {"drain": {"deleteEmptyDirData": True, "force": True}})
    await world.until(lambda: world.phase == "Verifying", **{node: 300.0})
    names = {pod["metadata"]["name"]: pod["metadata"].get("labels", {}).get("app") for pod in world.pods(node)}
    assert names.pop(kept) == "web"
    assert list(names.values()) == ["db"]


async def test_node_is_not_drained_without_capacity_on_others(world):
    world.allow()
    request = {"resources": {"requests": {"cpu": "5"}}}  # of 8 that a node has
    world.run_pods(3, containers=[{"name": "main", "image": "example.com/web", **request}])
    world.watch("node", DRAIN)
    world.script.says = {"node-1": 300.0}
    await world.cycle(3)
    assert "InsufficientCapacity" in world.decisions[0]
    assert (world.cordoned(), world.remediations) == (set(), [])


async def test_node_is_not_drained_where_pending_pods_need_the_capacity(world):
    def asking(cpu: str) -> list[dict[str, Any]]:
        return [{"name": "main", "image": "example.com/web", "resources": {"requests": {"cpu": cpu}}}]

    world.allow()
    world.run_pods(3, containers=asking("3"))  # of 8 that a node has
    for name, cpu in (("waits-1", "3"), ("waits-2", "3"), ("in-vain", "100")):
        world.apply("Pod", name, {"containers": asking(cpu), "schedulerName": "slow"}, "v1")
    world.watch("node", DRAIN)
    world.script.says = {world.busiest(): 300.0}
    await world.cycle(3)
    assert "InsufficientCapacity" in world.decisions[0]
    assert (world.cordoned(), world.remediations) == (set(), [])
    world.plane.kubectl("delete", "pod", "waits-1", "waits-2", "-n", world.namespace, "--grace-period=0", "--force")
    await world.until(lambda: world.phase == "Verifying")


async def test_node_recreated_during_a_drain_is_left_alone(world):
    node = await draining(world)
    body = world.node(node)
    world.plane.kubectl("delete", "node", node)
    metadata = {key: body["metadata"][key] for key in ("name", "labels")}
    metadata["annotations"] = {"kwok.x-k8s.io/node": "fake"}
    new = {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": body["status"]}
    world.plane.kubectl("create", "-f", "-", stdin=json.dumps(new))
    world.plane.kubectl("wait", "--for=condition=Ready", f"node/{node}", "--timeout=180s")
    await world.until(lambda: world.phase == "Aborted")
    assert world.remediations[0].status.reason in {"TargetReplaced", "TargetGone"}
    assert world.cordoned() == set()


async def test_node_is_drained_after_cordoning_did_not_help(world):
    world.allow()
    world.run_pods(3)
    node = world.busiest()
    check = {"within": "20s"}
    world.watch("node", {"cordon": {"healthyFor": "30s"}}, DRAIN, verification=check)
    await world.until(lambda: len(world.remediations) == 2 and world.phase == "Verifying", **{node: 300.0})
    first, second = world.remediations
    assert (first.spec.intent.action.name, second.spec.intent.action.name) == ("Cordon", "Drain")
    assert world.node(node)["metadata"]["annotations"][CORDONED_BY] == second.uid
    assert world.pods(node) == []
    await world.until(lambda: world.phase == "Succeeded", **{node: 0.0})
    assert (world.remediations[0].status.phase, world.remediations[0].status.reason) == ("Aborted", "TakenOver")
    assert world.cordoned() == set()


async def test_pods_of_other_namespaces_are_counted_but_not_named(world):
    """The kind: a message reveals more than its readers may know. Policies in mode Observe must not reveal pods of
    others.
    """
    world.allow()
    world.run_pods(1)
    node = world.busiest()
    alone = {"containers": [{"name": "main", "image": "example.com/web"}], "nodeName": node}
    name = f"secret-{world.namespace}"
    world.plane.apply(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": alone}, namespace="default"
    )
    try:
        world.watch("node", DRAIN, mode="Observe")
        world.script.says = {node: 300.0}
        await world.cycle(3)
        assert "PodsNotEvictable" in world.decisions[0]
        assert "1 of other namespaces: no controller replaces it" in world.decisions[0]
        told = world.plane.kubectl("get", "events,fslo,remediations", "-n", world.namespace, "-o", "json").stdout
        assert "PodsNotEvictable" in told
        assert "secret-" not in told
    finally:
        world.plane.kubectl("delete", "pod", name, "-n", "default", "--grace-period=0", "--force")
