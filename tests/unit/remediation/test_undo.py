"""What was done is given back when a person asks for it, whatever the risk, the policy and the data say."""

from typing import Any

import pytest

from forestall.actions.node_action import CORDONED_BY
from forestall.core.decision import Hold
from forestall.errors import Unavailable

NODE = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "n-1"}
CORDON = {"target": NODE, "action": {"cordon": {"healthyFor": "1m"}}, "from": None, "to": None}
WITHDRAWN = Hold("Withdrawn", "policy early was suspended")


def ask(world, comment="it made things worse"):
    """Ask as `forestall undo` does."""
    world.change("Remediation", world.remediation().name, {"spec": {"undo": {"by": "kim", "comment": comment}}})


def end(remediation):
    return remediation.status.phase, remediation.status.reason


@pytest.mark.parametrize(
    "outlook",
    [
        {},
        {"probability": 0.1},
        {"fresh": False, "probability": float("nan"), "replicas_forecast": None, "replicas_observed": None},
        {"withdrawn": WITHDRAWN},
        {"replicas_forecast": 11},
    ],
    ids=["at risk", "calm", "blind", "suspended", "asks for more"],
)
async def test_a_scale_out_is_given_back_at_once_and_in_one_step(run, world, outlook: dict[str, Any]):
    """Kind: what is promised to be undone, and is kept by a rule that was made for another case."""
    await run.open(action={"scale": {"maxReplicas": 12, "stabilizationWindow": "1h"}}, to=11)
    raised = await run.cycle()
    assert run.replicas == 11
    ask(world)
    after = await run.cycle(**outlook)
    assert (run.replicas, after.status.phase, after.status.completed) == (3, "RollingBack", raised.status.completed)
    after = await run.cycle(**outlook)
    assert end(after) == ("RolledBack", "UndoRequested")
    assert after.status.message == "kim asked to undo it: it made things worse; deployment shop/checkout is back at 3"


async def test_what_is_not_complete_yet_is_given_back_too(run, world):
    """A scale-out whose pods have not started, or a drain that goes on, is undone like any other."""
    await run.open()
    await run.cycle()
    body = world.remediation().status.model_copy(update={"phase": "Executing", "completed": None}).dump()
    world.change("Remediation", world.remediation().name, {"status": body})
    ask(world)
    await run.cycle()
    assert end(await run.cycle()) == ("RolledBack", "UndoRequested")
    assert run.replicas == 3


async def test_a_step_that_was_not_made_is_made_no_more(run, world):
    """There is nothing to give back, once a write whose answer was lost has had its time."""
    await run.open()
    world.errors["write_scale"] = Unavailable("gone")
    await run.cycle()
    world.errors.clear()
    ask(world)
    assert end(await run.cycle()) == ("Executing", "NotConfirmed")
    assert end(await run.cycle()) == ("Aborted", "UndoRequested")
    assert run.replicas == 3


async def test_what_did_not_help_and_is_kept_is_given_back(run, world):
    await run.open()
    await run.cycle()
    assert end(await run.cycles(4, 120)) == ("Holding", "NotHelped")
    assert run.replicas == 5, "it is kept while the risk lasts"
    ask(world)
    assert end(await run.cycles(2, 10)) == ("RolledBack", "UndoRequested")
    assert run.replicas == 3


async def test_a_cordon_is_given_back(run, world):
    await run.open(**CORDON)
    await run.cycle()
    assert world.objects["Node", "", "n1"]["spec"]["unschedulable"]
    ask(world)
    assert end(await run.cycles(2, 10)) == ("RolledBack", "UndoRequested")
    node = world.objects["Node", "", "n1"]
    assert "unschedulable" not in node["spec"]
    assert CORDONED_BY not in node["metadata"].get("annotations", {})


async def test_a_patch_is_set_back_also_where_it_helped(run, world):
    target = {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "shop", "name": "flags", "uid": "m-1"}
    field = {"apiVersion": "v1", "kind": "ConfigMap", "resource": "configmaps", "name": "flags"}
    patch = {"target": field, "field": "/data/flag", "value": "off"}
    await run.open(target=target, action={"patch": patch}, **{"from": None, "to": None})
    await run.cycle()
    await run.cycle(probability=0.1)
    assert world.objects["ConfigMap", "shop", "flags"]["data"]["flag"] == "off"
    ask(world)
    assert end(await run.cycles(2, 10, probability=0.1)) == ("RolledBack", "UndoRequested")
    assert world.objects["ConfigMap", "shop", "flags"]["data"]["flag"] == "on"


async def test_what_has_changed_nothing_ends(run, world):
    await run.open()
    ask(world)
    assert end(await run.cycle()) == ("Aborted", "UndoRequested")
    assert run.replicas == 3


async def test_a_pause_holds_it_until_it_ends(run, world):
    """A pause freezes everything, also what a person wants back; it is done as soon as the pause is over."""
    await run.open()
    await run.cycle()
    ask(world)
    run.stopped = Hold("Paused", "namespace shop is paused")
    assert end(await run.cycles(2, 10)) == ("RollingBack", "Paused")
    assert run.replicas == 5
    run.stopped = None
    assert end(await run.cycles(2, 10)) == ("RolledBack", "UndoRequested")
    assert run.replicas == 3


async def test_what_somebody_else_has_changed_is_left_alone(run, world):
    await run.open()
    await run.cycle()
    world.change("Deployment", "checkout", {"spec": {"replicas": 9}})
    ask(world)
    assert end(await run.cycle()) == ("Aborted", "Superseded")
    assert run.replicas == 9


async def test_no_step_is_made_on_what_was_read_before_it_was_asked_back(run, world):
    """Kind: what a person writes between reading and writing counts for the step that is about to be made."""
    await run.open()
    await run.cycle()
    asked = False

    def first_read_passed(call: str) -> None:
        nonlocal asked
        if call == "read" and not asked:
            asked = True
            ask(world)

    world.after_call = first_read_passed
    await run.cycle(replicas_forecast=9)
    assert run.replicas == 5, "not raised"
    assert end(await run.cycles(2, 10, replicas_forecast=9)) == ("RolledBack", "UndoRequested")
    assert run.replicas == 3


async def test_what_cannot_be_undone_goes_on_as_before(run, world):
    await run.open(action={"restart": {}}, **{"from": None, "to": None})
    await run.cycle()
    ask(world)
    assert (await run.cycle()).status.phase == "Verifying"
