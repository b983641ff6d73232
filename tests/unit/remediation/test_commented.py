"""Conflicts without end: what is given back must not lose against who comments all the time."""

import pytest

from forestall.core.decision import Hold
from forestall.errors import Denied

NODE = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "n-1"}
CORDON = {"target": NODE, "action": {"cordon": {"healthyFor": "1m"}}, "from": None, "to": None}


class Commenter:
    """Writes feedback or labels on the Remediation right after each time it is read, so many times without a pause."""

    def __init__(self, world, in_a_row):
        self.world, self.in_a_row, self.count = world, in_a_row, 0
        world.after_call = self

    def __call__(self, name):
        if name == "read":
            self.count += 1
            if self.count % self.in_a_row:
                said = {"verdict": "Unhelpful", "by": "somebody", "comment": str(self.count)}
                self.world.change("Remediation", self.world.remediation().name, {"spec": {"feedback": said}})


async def test_a_node_is_given_back_at_its_deadline_while_somebody_comments_without_end(run, world):
    await run.open(**CORDON)
    await run.cycle()
    assert world.objects["Node", "", "n1"]["spec"]["unschedulable"]
    commenter = Commenter(world, 15)
    after = await run.cycle(3600)
    assert not world.objects["Node", "", "n1"]["spec"].get("unschedulable")
    for _ in range(5):
        after = await run.cycle(30)
    assert after.ended
    assert after.spec.feedback is not None
    assert commenter.count > 15


async def test_what_another_process_wrote_is_never_written_over(run, world):
    await run.open(**CORDON)
    await run.cycle()
    reconciler, run.hold = run.reconciler, Hold("Test", "it waits")

    def other(name):
        if name == "read":
            world.after_call = lambda _: None
            world.change("Remediation", world.remediation().name, {"status": {"reason": "Other", "message": "I am"}})

    world.after_call = other
    after = await run.cycle(3600)
    assert reconciler is run.reconciler
    assert after.status.reason == "Other"


async def test_there_is_an_end_to_writing_over_who_comments(run, world):
    await run.open(**CORDON)
    commenter = Commenter(world, 10**9)
    before = world.remediation().status
    await run.cycle()
    assert world.remediation().status == before
    assert commenter.count < 100


async def test_a_status_that_nobody_may_write_is_told_by_an_event(run, world):
    """Kind: whose 'no' it is, where the API server's words can stand nowhere else."""
    await run.open()
    world.errors["replace_status"] = Denied("ValidatingAdmissionPolicy 'freeze' denied request: no statuses here")
    with pytest.raises(Denied):
        await run.cycle()
    assert [(event.reason, event.regarding.kind) for event in world.events] == [("NotRecorded", "Remediation")]
    assert "no statuses here" in world.events[0].message
