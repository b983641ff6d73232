"""Two leaders at once, and decisions of people, in time or too late."""

import asyncio
import json
from typing import Any

import pytest

from forestall.api import Remediation
from forestall.api.times import stamp
from forestall.remediation import RemediationReconciler, RiskOutlook


async def unguarded(_: Remediation) -> None:
    """No guard holds."""


async def test_two_leaders_at_once_repeat_no_action(kubernetes, lives, action):
    before = await lives.before()
    life = await lives.open(action)
    other = RemediationReconciler(kubernetes)
    outlook = RiskOutlook(**lives.view())
    for _ in range(3):
        lives.now += 10
        await asyncio.gather(
            *(reconciler.reconcile(life, outlook, unguarded, lives.now) for reconciler in (lives.reconciler, other) * 2)
        )
    await lives.check(action, await lives.finish(life), before)


async def test_the_same_intent_opened_twice_is_one_remediation(lives):
    first = await lives.open("Scale")
    again = await lives.reconciler.open(first.spec.intent)
    assert again.uid == first.uid


def decide(lives, life: Remediation, decision: str) -> None:
    """Approve or reject as a person does without the command-line tool."""
    patch = json.dumps({"spec": {"approval": {"decision": decision, "by": "kim", "comment": "so be it"}}})
    lives.cluster.kubectl("patch", "remediation", life.name, "-n", lives.namespace, "--type=merge", "-p", patch)


async def waiting(lives) -> Any:
    """Return a Remediation that waits for approval."""
    life = await lives.open("Scale", mode="Approve", approvalExpires=stamp(lives.now + 10_900))
    life = await lives.cycle(life)
    assert life.status.phase == "AwaitingApproval"
    return life


async def test_approved_remediation_is_executed(lives):
    life = await waiting(lives)
    decide(lives, life, "Approved")
    life = await lives.cycle(life)
    assert life.status.phase == "Verifying"
    assert any(each.type == "Approved" and "kim" in each.message for each in life.status.conditions)


async def test_rejected_remediation_is_not_executed(lives):
    before = await lives.generation()
    life = await waiting(lives)
    decide(lives, life, "Rejected")
    life = await lives.cycle(life)
    assert (life.status.phase, life.status.reason, await lives.generation()) == ("Aborted", "Rejected", before)


@pytest.mark.parametrize("late", [False, True])
async def test_remediation_without_timely_approval_is_not_executed(lives, late):
    before = await lives.generation()
    life = await waiting(lives)
    if late:
        decide(lives, life, "Approved")
    life = await lives.cycle(life, 900)
    assert (life.status.phase, life.status.reason, await lives.generation()) == ("Aborted", "ApprovalExpired", before)
