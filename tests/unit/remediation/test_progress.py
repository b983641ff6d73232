"""How far a Remediation is, by its status and the time; each limit from both sides."""

from typing import Any

import pytest

from forestall.api import Remediation
from forestall.api.times import stamp
from forestall.remediation.progress import (
    IN_FLIGHT,
    REFUSED_ROLLBACK,
    deadline,
    has_changed,
    has_write_in_flight,
    is_newly_created,
    rollback_deadline,
)

NOW = 1_000_000.0


def step(at: float | str = NOW, *, done: bool = False) -> dict[str, Any]:
    return {"at": at if isinstance(at, str) else stamp(at), "change": "replicas 3 -> 5", "done": done}


@pytest.fixture
def make(run):
    """Return a Remediation with this status, of an intent with these changes."""

    def make(intent: dict[str, Any] | None = None, **status: Any) -> Remediation:
        spec = {"intent": run.intend(**(intent or {})).dump()}
        return Remediation.read({"metadata": {"name": "one", "namespace": "shop"}, "spec": spec, "status": status})

    return make


@pytest.mark.parametrize(
    ("steps", "in_flight"),
    [
        ([], False),
        ([step(NOW - IN_FLIGHT)], False),
        ([step(NOW - IN_FLIGHT + 1)], True),
        ([step(NOW, done=True)], False),
        ([step(NOW), step(NOW, done=True)], False),
        ([step(NOW - 99, done=True), step(NOW)], True),
        ([step("no time")], False),
    ],
)
def test_a_write_whose_answer_was_lost_may_take_effect_for_a_while(make, steps, in_flight):
    assert has_write_in_flight(make(steps=steps).status, NOW) is in_flight


@pytest.mark.parametrize(("steps", "changed"), [([], False), ([step()], False), ([step(done=True), step()], True)])
def test_only_what_was_done_has_to_be_given_back(make, steps, changed):
    assert has_changed(make(steps=steps).status) is changed


def test_a_deadline_that_cannot_be_read_has_passed(make):
    assert deadline(make({"deadline": stamp(NOW + 60)}), NOW) == NOW + 60
    assert deadline(make({"deadline": "some day"}), NOW) == NOW


@pytest.mark.parametrize(
    ("first", "until", "expected"),
    [
        (None, NOW + 60, NOW + REFUSED_ROLLBACK),
        (None, NOW + 2 * REFUSED_ROLLBACK, NOW + 2 * REFUSED_ROLLBACK),
        (NOW - 3600, NOW + 60, NOW - 3600 + REFUSED_ROLLBACK),
    ],
)
def test_giving_back_is_tried_for_a_day_and_until_the_deadline(make, first, until, expected):
    reverted = {"type": "Reverted", "status": "False", "reason": "Forbidden", "message": "no right"}
    refused = [] if first is None else [{**reverted, "lastTransitionTime": stamp(first)}]
    assert rollback_deadline(make({"deadline": stamp(until)}, conditions=refused), NOW) == expected


@pytest.mark.parametrize(
    ("created", "phase", "new"),
    [(NOW, "Pending", True), (NOW - 30, "Pending", False), (NOW, "Executing", False)],
)
def test_only_what_this_cycle_wrote_down_need_not_be_read(make, created, phase, new):
    assert is_newly_created(make({"created": stamp(created)}, phase=phase), NOW) is new
