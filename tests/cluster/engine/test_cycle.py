"""Cycles of the engine on a real API server."""

import asyncio
import json
from dataclasses import replace

from forestall.api import ServiceLevelObjective
from forestall.registry import Registry


async def test_workload_is_scaled_and_objects_explain_why(world):
    world.policy()
    await world.cycle(2)
    assert world.replicas == 6  # 300 at 50 a replica
    (remediation,) = world.remediations
    assert remediation.status.phase == "Verifying"
    assert (remediation.spec.intent.from_, remediation.spec.intent.to) == (2, 6)
    # Six replicas carry what comes; of what will come nothing is forecast yet without a past.
    assert world.slo.status.state == "Healthy"
    assert world.reason("AtRisk") == "CapacitySufficient"
    assert world.episode == 1
    assert world.reason("Ready") == "Monitoring"
    assert "load" in remediation.spec.intent.evidence.reason
    await world.cycle(3)
    assert len(world.remediations) == 1, "one risk, one remediation"
    assert world.decision == "CapacitySufficient"  # it is no risk any more that would ask for more


async def test_mode_observe_reports_the_action_without_acting(world):
    world.policy(mode="Observe")
    await world.cycle(3)
    assert world.slo.status.decisions[0].verdict == "WouldAct"
    assert (world.replicas, world.remediations) == (2, [])


async def test_standby_writes_nothing(world):
    world.policy()
    await world.cycle(3, leading=False)
    assert world.slo.status.state is None
    assert (world.replicas, world.remediations) == (2, [])


async def test_victim_is_not_remediated(world):
    world.apply("ServiceLevelObjective", "database", world.spec())
    world.apply(
        "ServiceLevelObjective", "checkout", {**world.spec(), "dependsOn": ["database"]}, labels={"team": "shop"}
    )
    world.policy(objectives={"matchLabels": {"team": "shop"}})
    await world.cycle(2)
    assert world.decision == "DependencyAtRisk"
    assert world.remediations == []


async def test_approved_action_waits_while_a_dependency_is_at_risk(world):
    """The kind: the context of a decision is lost after it."""
    world.now -= 5
    world.say("burn", 0.0)
    calm = {**world.spec(), "leadingIndicators": [{"name": "burn", "query": "x", "limit": 100, "horizon": "5m"}]}
    world.apply("ServiceLevelObjective", "database", calm)
    world.apply(
        "ServiceLevelObjective", "checkout", {**world.spec(), "dependsOn": ["database"]}, labels={"team": "shop"}
    )
    world.policy(mode="Approve", objectives={"matchLabels": {"team": "shop"}})
    await world.cycle(2)
    (remediation,) = world.remediations
    world.say("burn", 300.0)
    approval = {"spec": {"approval": {"decision": "Approved", "by": "jo"}}}
    merge = ("--type=merge", "-p", json.dumps(approval))
    world.control.kubectl("patch", "remediation", remediation.name, "-n", world.namespace, *merge)
    await world.cycle(2)
    assert world.replicas == 2
    assert world.remediations[0].status.reason == "DependencyAtRisk"
    world.say("burn", 0.0)
    await world.cycle(2)
    assert world.replicas == 6, "it is only put off"


async def test_two_objectives_of_one_workload_cause_one_remediation(world):
    world.apply("ServiceLevelObjective", "payment", world.spec())
    world.policy()
    await world.cycle(3)
    assert len(world.remediations) == 1
    assert world.replicas == 6


async def test_budget_holds_when_many_objectives_are_at_risk_at_once(world):
    for number in range(5):
        world.control.kubectl("create", "deployment", f"app-{number}", "--image=x", "-n", world.namespace)
        world.apply("ServiceLevelObjective", f"app-{number}", {**world.spec(), "target": {"name": f"app-{number}"}})
    guardrail = f"budget-{world.namespace}"
    world.apply("Guardrail", guardrail, {"budget": {"actions": 2, "per": "1h"}})
    world.policy()
    try:
        await world.cycle(3)
        assert len(world.remediations) == 2
        held = [slo for slo in world.registry.all(ServiceLevelObjective) if slo.status.decisions[0].verdict == "Hold"]
        assert {slo.status.decisions[0].reason for slo in held} >= {"BudgetExhausted"}
    finally:
        world.control.kubectl("delete", "guardrail", guardrail)


async def test_budget_holds_after_deleted_remediations_and_a_new_leader(world):
    """Kind: a guarantee that depends on records which can be deleted."""
    for number in range(5):
        world.control.kubectl("create", "deployment", f"app-{number}", "--image=x", "-n", world.namespace)
        world.apply("ServiceLevelObjective", f"app-{number}", {**world.spec(), "target": {"name": f"app-{number}"}})
    guardrail = f"budget-{world.namespace}"
    world.apply("Guardrail", guardrail, {"budget": {"actions": 2, "per": "1d"}})
    world.policy()
    seen: set[str] = set()
    try:
        for _ in range(3):
            await world.cycle(2)
            seen |= {one.signature for one in world.remediations}
            world.control.kubectl("delete", "remediations", "--all", "-n", world.namespace)
            world = replace(world, registry=Registry())
        assert len(seen) == 2
        status = world.control.get("guardrail", guardrail)["status"]
        assert status["spent"][0]["used"] >= 1.9
    finally:
        world.control.kubectl("delete", "guardrail", guardrail)


async def test_node_limit_holds_when_many_nodes_are_at_risk_at_once(world):
    allow = [{"actions": ["Cordon"]}]
    world.guard(nodes={"maxCordoned": 1}, allow=allow)
    for number in (1, 2, 3):
        indicator = {"name": f"disk-{number}", "query": "disk", "limit": 100}
        world.say(f"disk-{number}", 300.0, node=f"node-{number}")
        world.apply("ServiceLevelObjective", f"disk-{number}", {**world.spec(), "leadingIndicators": [indicator]})
    world.policy(actions=[{"cordon": {}}])
    try:
        await world.cycle(3)
        nodes = world.control.items("nodes")
        assert sum(bool(node["spec"].get("unschedulable")) for node in nodes) == 1
        assert len(world.remediations) == 1
    finally:
        world.control.kubectl("uncordon", "node-1", "node-2", "node-3")


async def test_new_leader_continues_remediations(world):
    world.policy()
    await world.cycle(2)
    successor = replace(world, registry=Registry())
    await successor.cycle(2)
    assert len(successor.remediations) == 1
    assert successor.episode == 1
    assert successor.replicas == 6


async def test_status_is_written_on_change_only(world):
    await world.cycle(3)
    before = world.slo.metadata.resource_version
    await world.cycle(4)
    assert world.slo.metadata.resource_version == before


async def test_every_rung_is_tried_once_until_the_ladder_is_exhausted(world):
    rungs = [
        {"indicators": ["sli"], "evict": {}},
        {"restart": {}},
        {"indicators": ["load"], "scale": {"maxReplicas": 4}},
    ]
    world.policy(actions=rungs, verification={"within": "20s"})
    for _ in range(100):
        await world.cycle()
        if world.decision == "LadderExhausted":
            break
        await asyncio.sleep(0.1)  # the cluster's own controllers take their time
    assert world.decision == "LadderExhausted", world.slo.status.decisions
    done = {one.spec.intent.action.name: one for one in world.remediations}
    assert done.keys() == {"Restart", "Scale"}, "the rung for another cause is passed over"
    assert (done["Restart"].status.phase, done["Restart"].status.reason) == ("Failed", "NotHelped")
    assert done["Scale"].status.phase == "Holding"
    assert world.replicas == 4, "capacity is not taken away while the risk lasts"
    await world.cycle(3)
    assert len(world.remediations) == 2


async def test_rung_can_be_for_the_sli_itself(world):
    world.say("load", 0.0)
    world.say("sli", 1.0)
    rungs = [{"indicators": ["load"], **world.scale}, {"indicators": ["sli"], "restart": {}}]
    world.policy(actions=rungs)
    await world.cycle(2)
    (remediation,) = world.remediations
    assert (remediation.spec.intent.evidence.indicator, remediation.spec.intent.action.name) == ("sli", "Restart")
