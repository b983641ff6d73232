"""Kind: a guarantee that depends on records which can be deleted: here a Remediation, while minReplicas is raised."""

import json
from dataclasses import replace

from forestall.registry import Registry


def delete(world) -> None:
    (remediation,) = world.remediations
    world.control.kubectl("delete", "remediation", remediation.name, "-n", world.namespace)


async def test_scale_out_is_reverted_although_its_remediation_was_deleted_while_no_operator_ran(world):
    world.policy(actions=[{"scale": {**world.scale["scale"], "stabilizationWindow": "1m", "holdAtMost": "10m"}}])
    await world.cycle(2)
    assert world.replicas == 6
    delete(world)
    world = replace(world, registry=Registry())
    await world.cycle()
    (remediation,) = world.remediations
    assert remediation.status.phase == "RollingBack"
    assert world.condition("Restored", remediation).reason == "Deleted"
    await world.is_only_reverted()


async def test_min_replicas_that_another_client_changed_since_are_left_alone(world):
    world.control.kubectl("autoscale", "deployment", "checkout", "--min=2", "--max=9", "-n", world.namespace)
    world.policy()
    await world.cycle(2)

    def floor() -> int:
        return int(world.control.get("hpa", "checkout", world.namespace)["spec"]["minReplicas"])

    assert floor() == 6
    delete(world)
    patch = json.dumps({"spec": {"minReplicas": 4}})
    world.control.kubectl("patch", "hpa", "checkout", "-n", world.namespace, "--type=merge", "-p", patch)
    world.say("load", 50.0)
    await world.until_ended()
    assert floor() == 4
    assert world.remediations[0].status.reason == "Superseded"
