"""Cordoning and uncordoning a node, which people may cordon as well."""

from forestall.actions.node_action import CORDONED_BY

CALM = {"probability": 0.0}
CORDON = {"cordon": {"healthyFor": "1m"}}


def is_cordoned(life, node: str) -> bool:
    return bool(life.cluster.get("node", node)["spec"].get("unschedulable"))


async def test_node_is_cordoned_and_uncordoned(guarded, node):
    opened = await guarded.open(guarded.ref("v1", "Node", node), CORDON)
    assert (await guarded.cycle()).status.phase == "Verifying"
    assert is_cordoned(guarded, node)
    assert guarded.cluster.get("node", node)["metadata"]["annotations"][CORDONED_BY] == opened.uid
    await guarded.cycle(30, **CALM)
    assert is_cordoned(guarded, node)
    await guarded.cycle(60, **CALM)
    after = await guarded.until("Succeeded", **CALM)  # the node's heartbeat writes to it as well
    assert not is_cordoned(guarded, node)
    assert CORDONED_BY not in guarded.cluster.get("node", node)["metadata"]["annotations"]
    assert (after.status.phase, after.status.reason) == ("Succeeded", "Released")


async def test_node_that_a_person_cordoned_stays_cordoned(guarded, node):
    guarded.cluster.kubectl("cordon", node)
    await guarded.open(guarded.ref("v1", "Node", node), CORDON)
    after = await guarded.cycle()
    assert (after.status.phase, after.status.reason) == ("Aborted", "AlreadyCordoned")
    assert CORDONED_BY not in guarded.cluster.get("node", node)["metadata"]["annotations"]


async def test_node_that_a_person_took_over_stays_cordoned(guarded, node):
    await guarded.open(guarded.ref("v1", "Node", node), CORDON)
    await guarded.cycle()
    guarded.cluster.kubectl("uncordon", node)
    guarded.cluster.kubectl("cordon", node)
    after = await guarded.cycle(1900, **CALM)
    assert (after.status.phase, after.status.reason) == ("Aborted", "AlreadyCordoned")
    assert is_cordoned(guarded, node)


async def test_node_that_a_person_uncordoned_is_not_cordoned_again(guarded, node):
    await guarded.open(guarded.ref("v1", "Node", node), CORDON)
    await guarded.cycle()
    guarded.cluster.kubectl("uncordon", node)
    after = await guarded.cycle()
    assert (after.status.phase, after.status.reason) == ("Aborted", "Superseded")
    assert not is_cordoned(guarded, node)
