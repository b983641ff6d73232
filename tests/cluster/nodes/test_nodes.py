"""Evictions of single bad pods; cordons of nodes within their limits, and none left cordoned."""

import json

from forestall.actions.node_action import CORDONED_BY

NODES = ("node-1", "node-2", "node-3")


async def test_only_the_bad_pod_is_evicted(world):
    world.run_pods(3)
    world.protect(2)
    bad, *others = [pod["metadata"] for pod in world.pods()]
    world.watch("pod", {"evict": {}}, {"restart": {}})
    values = {bad["name"]: 300.0, **{pod["name"]: 10.0 for pod in others}}
    await world.until(lambda: world.phase == "Verifying", **values)
    target = world.last.spec.intent.target
    assert (target.kind, target.name, target.uid) == ("Pod", bad["name"], bad["uid"])
    after = {pod["metadata"]["uid"] for pod in world.pods()}
    assert after > {pod["uid"] for pod in others}
    assert bad["uid"] not in after
    del world.script.says[bad["name"]]
    await world.until(lambda: world.phase == "Succeeded")
    assert len(world.remediations) == 1


async def test_two_bad_pods_are_evicted_and_verified_by_their_replacements(world):
    """The kind: the identity of a cause is lost after the decision."""
    world.run_pods(3)
    first, second, third = sorted(pod["metadata"]["name"] for pod in world.pods())
    world.watch("pod", {"evict": {}}, verification={"within": "30s"})
    await world.until(lambda: world.phase == "Verifying", **{first: 300.0, second: 300.0, third: 10.0})
    assert world.last.spec.intent.target.name == first
    del world.script.says[first]
    world.plane.kubectl("rollout", "status", "deployment/web", "-n", world.namespace, "--timeout=240s")
    (replacement,) = {pod["metadata"]["name"] for pod in world.pods()} - {first, second, third}
    await world.until(lambda: len(world.remediations) == 2, **{replacement: 10.0})
    assert world.remediations[0].status.phase == "Succeeded"
    assert world.last.spec.intent.target.name == second
    await world.until(lambda: world.phase == "Verifying")
    assert second not in {pod["metadata"]["name"] for pod in world.pods()}


async def test_eviction_with_a_bad_replacement_is_spent_for_it_but_not_for_older_pods(world):
    world.run_pods(3)
    first, second, third = sorted(pod["metadata"]["name"] for pod in world.pods())
    world.watch("pod", {"evict": {}}, verification={"within": "30s"})
    await world.until(lambda: world.phase == "Verifying", **{first: 300.0, second: 10.0, third: 10.0})
    del world.script.says[first]
    world.plane.kubectl("rollout", "status", "deployment/web", "-n", world.namespace, "--timeout=240s")
    (replacement,) = {pod["metadata"]["name"] for pod in world.pods()} - {first, second, third}
    await world.until(lambda: world.phase == "Failed", **{replacement: 300.0})
    await world.cycle(2)
    assert "LadderExhausted" in world.decisions[0]
    await world.until(lambda: len(world.remediations) == 2, **{second: 300.0})
    assert world.last.spec.intent.target.name == second


async def test_disruption_budget_holds_an_eviction_until_its_deadline(world):
    world.run_pods(2)
    world.protect(2)
    before = {pod["metadata"]["uid"] for pod in world.pods()}
    world.watch("pod", {"evict": {}}, deadline="1m")
    await world.until(lambda: world.phase == "Executing", **{world.pods()[0]["metadata"]["name"]: 300.0})
    assert world.last.status.reason == "Throttled"
    assert "The disruption budget web needs 2 healthy pods and has 2 currently" in world.last.status.message
    await world.until(lambda: world.phase == "Aborted")
    assert world.last.status.reason == "DeadlineExceeded"
    assert {pod["metadata"]["uid"] for pod in world.pods()} == before


async def test_pod_of_another_owner_is_not_evicted(world):
    world.run_pods(2)
    world.run_pods(1, name="other")
    theirs = next(pod["metadata"]["name"] for pod in world.pods() if pod["metadata"]["labels"]["app"] == "other")
    world.watch("pod", {"evict": {}})
    world.script.says = {theirs: 300.0}
    await world.cycle(3)
    assert "PodNotOfTarget" in world.decisions[0]
    assert world.remediations == []


async def test_nodes_at_risk_at_once_never_exceed_the_limit(world):
    world.allow(maxCordoned=2, maxCordonedPercent=50)
    world.run_pods(2)
    world.watch("node", {"cordon": {"healthyFor": "30s"}})
    for name in NODES:
        label = {"name": f"load-{name}", "query": f'max by (node) (load{{node="{name}"}})', "limit": 100, "per": "node"}
        raw = {"raw": {"errorRatio": "sum(errors)"}}
        spec = {"target": {"name": "web"}, "indicator": raw, "objective": 99.0, "leadingIndicators": [label]}
        world.apply("ServiceLevelObjective", name, spec)
    world.script.says = dict.fromkeys(NODES, 300.0)
    for _ in range(4):
        await world.cycle()
        assert len(world.cordoned()) <= 1, "half of three, rounded down"
    assert len(world.cordoned()) == 1


async def test_last_node_is_never_cordoned(world):
    world.allow(maxCordoned=3)
    world.run_pods(2)
    world.plane.kubectl("cordon", "node-2", "node-3")
    world.watch("node", {"cordon": {}})
    world.script.says = {"node-1": 300.0}
    await world.cycle(3)
    assert "LastNode" in world.decisions[0]
    assert world.cordoned() == {"node-2", "node-3"}


async def test_node_of_a_deleted_remediation_is_uncordoned(world):
    world.allow()
    world.run_pods(2)
    world.watch("node", {"cordon": {"healthyFor": "1h"}})
    await world.until(lambda: world.phase == "Verifying", **{"node-1": 300.0})
    assert world.cordoned() == {"node-1"}
    world.script.says = {}
    world.plane.kubectl("cordon", "node-2")
    world.plane.kubectl("delete", "remediationpolicy,remediation", "--all", "-n", world.namespace)
    await world.cycle(2)
    assert world.cordoned() == {"node-2"}, "what a person cordoned stays"
    assert CORDONED_BY not in world.node("node-1")["metadata"]["annotations"]


async def test_nodes_are_listed_once_a_cycle_and_only_on_demand(world):
    world.allow(maxCordoned=3)
    world.run_pods(2)
    world.watch("node", {"cordon": {"healthyFor": "1h"}})
    world.script.says = {"node-1": 0.0}
    await world.cycle(2)  # an operator that begins to lead looks for nodes that were left behind
    world.cluster.listed.clear()
    await world.cycle(3)
    assert world.cluster.listed["Node"] == 0
    world.script.says = {"node-1": 300.0}
    await world.cycle()
    assert world.phase == "Verifying"
    assert world.cluster.listed["Node"] == 1, "decided, confirmed, authorized and begun on one list"
    await world.cycle(5)
    assert world.phase == "Verifying"
    assert world.cluster.listed["Node"] <= 6, "the policy is asked anew in each cycle at risk"
    world.script.says = {"node-1": 0.0}
    world.cluster.listed.clear()
    await world.cycle(5)
    assert world.phase == "Verifying"
    assert world.cluster.listed["Node"] == 0, "what is held needs no guard"


def distrust(world) -> None:
    """Let the source vouch for no label."""
    world.plane.apply(
        {"apiVersion": "forestall.dev/v1alpha1", "kind": "MetricSource", "metadata": {"name": "default"},
         "spec": {"url": "http://x", "trustedLabels": []}}
    )  # fmt: skip


async def test_untrusted_node_is_left_alone_and_the_next_rung_is_tried(world):
    """The kind: the author of a series with a label `node` chooses the node."""
    distrust(world)
    world.allow()
    world.run_pods(1)
    world.run_pods(3, name="other")
    (own,) = {pod["spec"]["nodeName"] for pod in world.pods() if pod["metadata"]["labels"]["app"] == "web"}
    foreign = next(name for name in NODES if name != own)
    world.watch("node", {"cordon": {"healthyFor": "30s"}})
    world.script.says = {foreign: 300.0}
    await world.cycle(3)
    assert "NodeNotTrusted" in world.decisions[0]
    assert (world.cordoned(), world.remediations) == (set(), [])
    world.watch("node", {"cordon": {"healthyFor": "30s"}}, {"restart": {}})
    await world.until(lambda: bool(world.remediations))
    assert world.last.spec.intent.action.name == "Restart"
    assert world.cordoned() == set()


async def test_node_is_cordoned_only_while_a_pod_of_the_target_runs_on_it(world):
    distrust(world)
    world.allow()
    world.run_pods(1)
    node = world.busiest()
    world.watch("node", {"cordon": {"healthyFor": "30s"}}, mode="Approve")
    world.script.says = {node: 300.0}
    await world.until(lambda: world.phase == "AwaitingApproval")
    pod = {"template": {"spec": {"nodeSelector": {"kubernetes.io/hostname": next(n for n in NODES if n != node)}}}}
    world.plane.kubectl("patch", "deployment", "web", "-n", world.namespace, "-p", json.dumps({"spec": pod}))
    world.plane.kubectl("rollout", "status", "deployment/web", "-n", world.namespace, "--timeout=240s")
    world.plane.kubectl("wait", "--for=delete", "pod", "-l", "app=web", "-n", world.namespace,
                        f"--field-selector=spec.nodeName={node}", "--timeout=240s")  # fmt: skip
    approval = json.dumps({"spec": {"approval": {"decision": "Approved", "by": "kwok-admin"}}})
    world.plane.kubectl("patch", "remediation", world.last.name, "-n", world.namespace, "--type=merge", "-p", approval)
    await world.cycle(3)
    assert world.last.status.reason == "NodeNotTrusted"
    assert world.cordoned() == set()


async def test_ladder_continues_where_the_cause_names_no_node(world):
    """The kind: a cause without its label holds the ladder in one action and gives way in another."""
    world.allow()
    world.run_pods(2)
    world.watch("zone", {"drain": {}}, {"cordon": {}}, {"restart": {}})
    await world.until(lambda: bool(world.remediations), a=300.0)
    assert world.last.spec.intent.action.name == "Restart"
