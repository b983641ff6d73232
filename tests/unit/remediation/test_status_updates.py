"""How the status of a Remediation changes."""

from typing import Any

import pytest

from forestall.actions import Change, ObservedState
from forestall.api import Remediation
from forestall.api.meta import Condition, condition
from forestall.api.remediation import ObjectRef, RemediationStatus
from forestall.api.times import stamp
from forestall.core.decision import Hold
from forestall.core.sizing import LoadSample
from forestall.remediation import status_updates as updates

NOW = 1_000_000.0
BEFORE = stamp(NOW - 300)
SUBJECT = ObjectRef(api_version="apps/v1", kind="Deployment", namespace="shop", name="checkout")
REFUSED = Hold("Forbidden", "no right")


def status(**fields: Any) -> RemediationStatus:
    return RemediationStatus.model_validate(fields)


@pytest.mark.parametrize(
    ("before", "phase", "since", "ended"),
    [
        ({"phase": "Pending", "since": BEFORE}, "Pending", BEFORE, None),
        ({"phase": "Pending", "since": BEFORE}, "Executing", stamp(NOW), None),
        ({"phase": "Pending"}, "Pending", stamp(NOW), None),
        ({"phase": "Verifying", "since": BEFORE}, "Succeeded", stamp(NOW), stamp(NOW)),
    ],
)
def test_a_phase_begins_when_it_is_another_one(before, phase, since, ended):
    after = updates.moved(status(**before), phase, "Reason", "message", NOW)
    assert (after.phase, after.reason, after.message) == (phase, "Reason", "message")
    assert (after.since, after.ended) == (since, ended)


def test_a_condition_takes_the_place_of_that_of_its_type():
    first, other, new = (Condition.since(NOW, kind, "True", reason, "") for kind, reason in ("aX", "bY", "aZ"))
    after = updates.with_condition(updates.with_condition(status(), first), other)
    assert [each.reason for each in updates.with_condition(after, new).conditions] == ["Y", "Z"]


def move(**changes: Any) -> Change:
    return Change(**{"to": 5, "description": "replicas 3 -> 5", "because": "load", "increases": True, **changes})


def test_a_step_says_what_was_there_and_takes_the_place_of_one_that_was_never_made(run):
    world = ObservedState(level=3, subject=SUBJECT, resource_version="7", current_value="3")
    done = updates.with_step_done(updates.with_step(status(), move(), world, None, NOW))
    twice = updates.with_step(updates.with_step(done, move(to=6), world, None, NOW), move(to=7), world, None, NOW)
    assert [(step.to, step.done) for step in twice.steps] == [(5, True), (7, False)]
    (step,) = done.steps
    assert (step.from_, step.subject, step.previous, step.because, step.at) == (3, SUBJECT, "3", "load", stamp(NOW))
    assert [each.done for each in updates.without_open_step(twice).steps] == [True]


@pytest.mark.parametrize(("raises", "seen"), [(True, (3, 40.0)), (False, None)])
def test_a_raise_says_by_which_load_it_was_sized(run, raises, seen):
    world = ObservedState(level=3, subject=SUBJECT, resource_version="7")
    outlook = run.foresee(load=LoadSample(ready=3, value=40.0))
    (step,) = updates.with_step(status(), move(increases=raises), world, outlook, NOW).steps
    assert (step.load and (step.load.ready, step.load.value)) == seen
    (unknown,) = updates.with_step(status(), move(), world, run.foresee(), NOW).steps
    assert unknown.load is None


def test_only_the_newest_steps_are_kept():
    world, steps = ObservedState(level=3, subject=SUBJECT, resource_version="7"), status()
    for number in range(updates.KEPT_STEPS + 3):
        steps = updates.with_step_done(updates.with_step(steps, move(to=number), world, None, NOW))
    assert [step.to for step in steps.steps] == list(range(3, updates.KEPT_STEPS + 3))


@pytest.mark.parametrize(
    ("outlook", "calm", "blind"),
    [
        (None, None, BEFORE),
        ({"probability": 0.9}, None, None),
        ({"probability": 0.1}, BEFORE, None),
        ({"probability": 0.1, "breached": True}, None, None),
        ({"fresh": False, "probability": float("nan")}, None, BEFORE),
    ],
)
def test_how_long_the_risk_is_gone_or_unknown(run, outlook, calm, blind):
    """Without an outlook neither is known; without fresh data the risk is not gone."""
    known = status(calmSince=BEFORE, blindSince=BEFORE)
    after = updates.with_risk(known, outlook and run.foresee(**outlook), 0.5, NOW)
    assert (after.calm_since, after.blind_since) == (calm, blind)
    first = updates.with_risk(status(), outlook and run.foresee(**outlook), 0.5, NOW)
    now = stamp(NOW)
    assert (first.calm_since, first.blind_since) == (calm and now, blind and outlook and now)


def test_since_when_it_cannot_be_given_back_outlasts_the_reason():
    first = updates.with_rollback_refused(status(), REFUSED, NOW)
    later = updates.with_rollback_refused(first, Hold("Paused", "paused"), NOW + 60)
    refusal = condition(later.conditions, updates.GIVEN_BACK)
    assert refusal is not None
    assert (refusal.status, refusal.reason, refusal.last_transition_time) == ("False", "Paused", stamp(NOW))
    assert updates.without_rollback_refused(later).conditions == []
    nothing = status()
    assert updates.without_rollback_refused(nothing) is nothing


@pytest.mark.parametrize(
    ("approval", "message"),
    [
        ({"by": "kim", "comment": "go"}, "by kim: go"),
        ({"by": "kim"}, "by kim"),
        ({"comment": "go"}, "by somebody: go"),
    ],
)
def test_who_approved_is_recorded(run, approval, message):
    spec = {"intent": run.intend().dump(), "approval": {"decision": "Approved", **approval}}
    approved = updates.approved_condition(Remediation.read({"metadata": {"name": "one"}, "spec": spec}), NOW)
    assert (approved.type, approved.status, approved.message) == ("Approved", "True", message)


@pytest.mark.parametrize(
    ("phase", "reason", "expected"),
    [
        ("RollingBack", "NotHelped", "Holding"),
        ("RollingBack", "Holding", "RollingBack"),
        ("Verifying", "NotHelped", "Verifying"),
    ],
)
def test_what_did_not_help_and_still_serves_is_held_again(phase, reason, expected):
    assert updates.back_to_holding(status(phase=phase), Hold(reason, "kept"), NOW).phase == expected
