"""Two leaders at once, and what people decide, in time or not."""

import asyncio
import json
from typing import Any

import pytest

from forestall.api import Remediation
from forestall.api.times import stamp
from forestall.remediation import RemediationReconciler, RiskOutlook


async def unguarded(_: Remediation) -> None:
    """No guard holds."""


async def test_two_leaders_at_once_do_nothing_twice(kubernetes, lives, action):
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
    """Decide as a person does without the command-line tool."""
    patch = json.dumps({"spec": {"approval": {"decision": decision, "by": "kim", "comment": "so be it"}}})
    lives.cluster.kubectl("patch", "remediation", life.name, "-n", lives.namespace, "--type=merge", "-p", patch)


async def waiting(lives) -> Any:
    """Return a Remediation that waits for approval."""
    life = await lives.open("Scale", mode="Approve", approvalExpires=stamp(lives.now + 10_900))
    life = await lives.cycle(life)
    assert life.status.phase == "AwaitingApproval"
    return life


async def test_what_is_approved_is_done(lives):
    life = await waiting(lives)
    decide(lives, life, "Approved")
    life = await lives.cycle(life)
    assert life.status.phase == "Verifying"
    assert any(each.type == "Approved" and "kim" in each.message for each in life.status.conditions)


async def test_what_is_rejected_is_not_done(lives):
    before = await lives.generation()
    life = await waiting(lives)
    decide(lives, life, "Rejected")
    life = await lives.cycle(life)
    assert (life.status.phase, life.status.reason, await lives.generation()) == ("Aborted", "Rejected", before)


@pytest.mark.parametrize("late", [False, True])
async def test_what_nobody_approves_in_time_is_not_done(lives, late):
    before = await lives.generation()
    life = await waiting(lives)
    if late:
        decide(lives, life, "Approved")
    life = await lives.cycle(life, 900)
    assert (life.status.phase, life.status.reason, await lives.generation()) == ("Aborted", "ApprovalExpired", before)
