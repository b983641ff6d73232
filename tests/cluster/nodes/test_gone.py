"""The last value of a pod or a node that is gone: the API server is asked, with the rights that the chart gives."""

from typing import Any

from forestall.api import ServiceLevelObjective
from forestall.api.service_level_objective import ServiceLevelObjectiveStatus

EVICT: dict[str, Any] = {"evict": {}}


def names(world) -> set[str]:
    return {pod["metadata"]["name"] for pod in world.pods()}


def status(world) -> ServiceLevelObjectiveStatus:
    objective = world.registry.get(ServiceLevelObjective, "web", world.namespace)
    return objective.status if objective else ServiceLevelObjectiveStatus()


def ready(world) -> str:
    """Return the message of the objective's condition Ready."""
    return next(condition.message for condition in status(world).conditions if condition.type == "Ready")


async def test_a_pod_that_is_gone_is_no_risk_and_an_eviction_is_not_judged_by_it(world):
    """Its last value, three times the limit, is found for minutes, as with the kubelet's own timestamps."""
    world.allow()
    world.run_pods(3)
    before, bad = names(world), min(names(world))
    world.plane.delete("Pod", bad, world.namespace)
    world.plane.kubectl("rollout", "status", "deployment/web", "-n", world.namespace, "--timeout=240s")
    world.watch("pod", EVICT, verification={"within": "30s"})
    world.script.says = {bad: 300.0, **dict.fromkeys(names(world), 10.0)}
    await world.cycle(3)
    assert world.remediations == []
    assert f"the last series of pod {bad}, which is gone, is left out" in ready(world)

    worse = min(names(world) & before)
    await world.until(lambda: world.phase == "Verifying", **{worse: 300.0})
    assert world.last.spec.intent.target.name == worse
    await world.until(lambda: world.phase != "Verifying")  # past the policy's time, with a last value as bad as before
    assert world.phase == "Succeeded"
    assert len(world.remediations) == 1


async def test_a_node_that_is_gone_is_no_risk(world):
    world.allow()
    world.run_pods(3)
    world.apply("Node", "node-9", {}, "v1")
    world.watch("node", {"cordon": {}}, mode="Observe")
    world.script.says = {"node-9": 300.0, "node-1": 10.0}
    await world.until(lambda: status(world).state == "AtRisk")
    world.plane.delete("Node", "node-9")
    await world.cycle()
    assert status(world).state != "AtRisk"
    assert "the last series of node node-9, which is gone, is left out" in ready(world)
