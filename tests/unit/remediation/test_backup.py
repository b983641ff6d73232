"""Kind: a promise that rests on records which something else deletes.

A Remediation alone knew what was there before. Here it is deleted at each point of its life, and what it held is given
back by what its objective remembers: by the very record that outlives the process.
"""

from typing import Any

import pytest

from forestall.actions.node_action import CORDONED_BY
from forestall.actions.patch import PATCHED_BY
from forestall.api.remediation import Remediation
from forestall.api.service_level_objective import MOST_RECORDS
from forestall.api.times import stamp
from forestall.core.decision import Hold
from forestall.errors import Conflict, Unavailable
from forestall.remediation import RetentionNeeds
from forestall.remediation.backup import draft_of, from_records, restored_status, to_back_up, to_records

DELETED = Hold("Deleted", "somebody deleted it")
PATCH = {
    "patch": {
        "target": {"apiVersion": "v1", "kind": "ConfigMap", "name": "flags", "resource": "configmaps"},
        "field": "/data/flag",
        "value": "off",
    }
}
FLAGS = {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "shop", "name": "flags", "uid": "m-1"}
NODE = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "n-1"}


class Deleting:
    """Keeps the record that is written before each step, deletes the Remediation, and writes it again."""

    def __init__(self, run: Any, world: Any) -> None:
        self.run, self.world = run, world
        self.records: list[Any] = []
        run.reconciler._step_backup = self.remember

    async def remember(self, remediation: Remediation, now: float) -> None:
        self.records = to_records([remediation])

    async def deleted(self) -> Remediation:
        """Delete it, let a new process come, and return what that writes again."""
        one = self.world.remediation()
        del self.world.objects["Remediation", one.namespace, one.name]
        self.run.restart()
        self.run.reconciler._step_backup = self.remember
        (known,) = from_records(self.records, "o-1", "shop")
        restored = await self.run.reconciler.restore(known, self.run.now)
        # The API server would give it a UID of its own.
        self.world.objects["Remediation", one.namespace, one.name]["metadata"]["uid"] = "another"
        assert restored.signature == one.signature
        stored: Remediation = self.world.remediation()
        return stored

    async def finish(self, *, cycles: int = 60, **outlook: Any) -> Remediation:
        for _ in range(cycles):
            after: Remediation = await self.run.cycle(60, **{"withdrawn": DELETED, **outlook})
            if after.ended:
                return after
        raise AssertionError(f"it does not end: {self.world.remediation().status}")


@pytest.fixture
def deleting(run, world):
    return Deleting(run, world)


async def test_a_floor_is_kept_while_it_is_needed_raised_no_more_and_given_back_as_usual(run, deleting):
    await run.open()
    await run.cycle()
    assert run.replicas == 5
    restored = await deleting.deleted()
    assert (restored.status.phase, restored.status.reason) == ("RollingBack", "Deleted")
    await run.cycles(3, 10.0, withdrawn=DELETED, replicas_forecast=11)
    assert run.replicas == 5
    after = await deleting.finish(probability=0.0, replicas_forecast=1, replicas_observed=1)
    assert (run.replicas, after.status.phase) == (3, "Succeeded")


@pytest.mark.parametrize("number", [2, 4, 9])
async def test_what_somebody_has_changed_since_is_left_alone(run, world, deleting, number):
    await run.open()
    await run.cycle()
    world.change("Deployment", "checkout", {"spec": {"replicas": number}})
    await deleting.deleted()
    after = await deleting.finish(probability=0.0, replicas_forecast=1, replicas_observed=1)
    assert (run.replicas, after.status.reason) == (number, "Superseded")


async def test_it_is_given_back_however_often_it_is_deleted(run, deleting):
    await run.open()
    await run.cycle()
    for _ in range(4):
        await deleting.deleted()
        await run.cycles(6, 60.0, withdrawn=DELETED, probability=0.0, replicas_forecast=1, replicas_observed=1)
        if run.replicas == 3:
            break
    assert run.replicas == 3


async def test_a_step_that_was_never_made_is_not_made(run, world, deleting):
    world.errors["write_scale"] = Unavailable("no answer")
    await run.open()
    await run.cycle()
    del world.errors["write_scale"]
    await deleting.deleted()
    after = await deleting.finish()
    assert (run.replicas, after.status.phase, after.status.reason) == (3, "Aborted", "Deleted")


async def test_a_patch_is_set_back_at_once_by_the_signature_of_the_first(run, world, deleting):
    await run.open(target=FLAGS, action=PATCH, **{"from": None, "to": None})
    await run.cycle()
    flags = world.objects["ConfigMap", "shop", "flags"]
    assert flags["data"]["flag"] == "off"
    await deleting.deleted()
    after = await deleting.finish()
    flags = world.objects["ConfigMap", "shop", "flags"]
    assert (flags["data"]["flag"], after.status.phase) == ("on", "RolledBack")
    assert PATCHED_BY not in flags["metadata"].get("annotations", {})


async def test_a_restart_is_not_done_again_and_is_judged(run, world, deleting):
    await run.open(action={"restart": {}}, **{"from": None, "to": None})
    await run.cycle()
    writes = len(world.writes)
    restored = await deleting.deleted()
    assert restored.status.phase == "Executing"
    after = await deleting.finish()
    assert (after.status.phase, after.status.reason) == ("Failed", "NotHelped")
    assert len(world.writes) == writes


async def test_a_node_is_left_to_the_sweep(run, world, deleting):
    await run.open(target=NODE, action={"cordon": {}}, **{"from": None, "to": None})
    await run.cycle()
    assert CORDONED_BY in world.objects["Node", "", "n1"]["metadata"]["annotations"]
    restored = await deleting.deleted()
    assert (restored.status.phase, restored.status.reason) == ("Aborted", "Deleted")


async def test_a_node_that_stayed_at_risk_keeps_its_verdict(run):
    await run.open(target=NODE, action={"cordon": {}}, **{"from": None, "to": None})
    await run.cycle()
    held = await run.cycle(400)
    assert held.status.reason == "Contained"
    restored = restored_status(held, run.now)
    assert (restored.phase, restored.reason) == ("RolledBack", "Contained")


async def test_what_was_written_again_without_its_status_does_nothing(run, world, deleting):
    """A crash between the two writes leaves an intent that looks new."""
    await run.open()
    await run.cycle()
    restored = await deleting.deleted()
    bare = {**world.objects["Remediation", "shop", restored.name]}
    bare.pop("status")
    world.objects["Remediation", "shop", restored.name] = bare
    (known,) = from_records(deleting.records, "o-1", "shop")
    assert (await run.reconciler.restore(known, run.now)).status.phase == "RollingBack", "the next one completes it"
    world.objects["Remediation", "shop", restored.name] = bare
    writes = len(world.writes)
    after = await run.cycle()
    assert (after.status.phase, after.status.reason, len(world.writes)) == ("Aborted", "Deleted", writes)


async def test_nothing_is_raised_that_can_not_be_remembered_and_everything_given_back(run, deleting):
    async def refuse(remediation, now):
        raise Conflict("somebody else wrote it")

    await run.open()
    run.reconciler._step_backup = refuse
    after = await run.cycle()
    assert (run.replicas, after.status.reason) == (3, "NotRecorded")
    run.reconciler._step_backup = deleting.remember
    await run.cycle()
    assert run.replicas == 5
    run.reconciler._step_backup = refuse
    await run.cycles(30, 60.0, probability=0.0, replicas_forecast=1, replicas_observed=1)
    assert run.replicas == 3


def life(run: Any, phase: str = "Failed", **changes: Any) -> Remediation:
    body = draft_of(run.intend(**changes))
    step = {"at": "2026-01-01T00:00:00Z", "change": "x", "to": 1, "from": 0, "done": True}
    status = {"phase": phase, "since": "2026-01-01T00:00:00Z", "steps": [step]}
    return Remediation.read({**body, "metadata": {**body["metadata"], "uid": "u-1"}, "status": status})


def test_a_record_says_what_the_remediation_said(run):
    one = life(run)
    (back,) = from_records(to_records([one]), "o-1", "shop")
    assert (back.spec.intent, back.status, back.signature) == (one.spec.intent, one.status, one.uid)
    assert to_records([back]) == to_records([one])
    assert restored_status(one, run.now).phase == "Failed"


def test_what_lives_and_has_begun_is_kept_and_what_a_promise_rests_on(run):
    """The live ones come first: should there be no room for all, they are there."""
    live = life(run, "Verifying", episode=4)
    begun_nothing = live.model_copy(update={"status": live.status.model_copy(update={"steps": []})})
    newest, old = life(run, episode=3, rung=1), life(run, episode=2)
    needs = RetentionNeeds({"o-1"}, {"p-1"})
    assert to_back_up([old, newest, live], needs, run.now) == [live, newest]
    assert to_back_up([begun_nothing], needs, run.now) == []
    assert to_back_up([newest], RetentionNeeds((), ()), run.now) == []


def test_the_phase_of_what_is_written_again_began_when_it_did(run):
    one = life(run)
    assert restored_status(one, run.now).since == "2026-01-01T00:00:00Z"
    unknown = one.model_copy(update={"status": one.status.model_copy(update={"since": ""})})
    assert restored_status(unknown, run.now).since == stamp(run.now)


def test_a_record_that_is_too_long_is_left_out_and_keeps_no_other_from_being_written(run):
    """Kind: the exception of one object ends the cycle for all. The labels of a series may be of any length."""
    other = life(run, rung=1)

    def labelled(value):
        intent = run.intend(evidence={"indicator": "load", "labels": {"pod": value}})
        one = life(run)
        return one.model_copy(update={"spec": one.spec.model_copy(update={"intent": intent})})

    (plain,) = to_records([labelled("")])
    room = 32768 - len(plain.body)
    assert [len(record.body) for record in to_records([labelled("ü" * room)])] == [32768]
    assert to_records([labelled("ü" * (room + 1)), other]) == to_records([other])


@pytest.mark.parametrize(("count", "kept"), [(32, 32), (33, 0)])
def test_a_record_has_up_to_32_pods_or_none(run, count, kept):
    pods = [f"p{number}" for number in range(count)]
    (back,) = from_records(to_records([life(run, evidence={"indicator": "load", "pods": pods})]), "o-1", "shop")
    assert len(back.spec.intent.evidence.pods) == kept


def test_the_last_two_steps_of_a_record_are_kept(run):
    one = life(run)
    steps = [one.status.steps[0].model_copy(update={"to": number}) for number in range(4)]
    many = one.model_copy(update={"status": one.status.model_copy(update={"steps": steps})})
    (back,) = from_records(to_records([many]), "o-1", "shop")
    assert [step.to for step in back.status.steps] == [2, 3]


def test_there_are_no_more_records_than_the_schema_allows(run):
    many = [life(run, episode=number) for number in range(MOST_RECORDS + 9)]
    assert [one.name for one in to_records(many)] == [one.name for one in many[:MOST_RECORDS]]
    pods = [f"{'p' * 240}-{number}" for number in range(250)]
    (back,) = from_records(
        to_records([life(run, evidence={"indicator": "load", "pods": pods, "reason": "x" * 9000})]), "o-1", "shop"
    )
    assert back.spec.intent.evidence.pods == [], "then every series speaks of it"


@pytest.mark.parametrize(
    "forge",
    [
        lambda record: {**record, "body": "{"},
        lambda record: {**record, "body": "[" * 20000},
        lambda record: {**record, "body": "null"},
        lambda record: {**record, "body": "{}"},
        lambda record: {**record, "name": "another"},
        lambda record: {**record, "body": record["body"].replace("o-1", "o-2")},
        lambda record: {**record, "body": record["body"].replace('"namespace":"shop"', '"namespace":"bank"')},
    ],
)
def test_what_is_no_record_of_the_objective_is_left_out(run, forge):
    (record,) = to_records([life(run)])
    assert from_records([type(record).model_validate(forge(record.dump()))], "o-1", "shop") == []


def test_a_record_leads_to_no_other_namespace(run):
    one = life(run)
    subject = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "namespace": "bank", "name": "web"}
    step = {**one.status.steps[0].dump(), "subject": subject}
    forged = one.model_copy(update={"status": one.status.model_validate({**one.status.dump(), "steps": [step]})})
    assert from_records(to_records([forged]), "o-1", "shop") == []
