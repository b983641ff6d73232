"""Which rollout a workload has behind it."""

from typing import Any

import pytest

from forestall.actions.revisions import Revision, is_current, rollout

RESTARTED = {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}


def revision(number: int, image: str, created: float, annotations: dict[str, str] | None = None) -> Revision:
    return Revision(number, created, template(image, annotations))


def template(image: str, annotations: dict[str, str] | None = None) -> dict[str, Any]:
    return {"metadata": {"annotations": annotations}, "spec": {"containers": [{"name": "main", "image": image}]}}


def test_the_previous_revision_is_the_one_before_the_newest():
    found = rollout([revision(3, "c", 30), revision(2, "b", 20), revision(1, "a", 10)])
    assert found is not None
    assert found.previous is not None
    assert (found.newest.number, found.previous.number, found.created) == (3, 2, 30)


def test_a_restart_is_no_rollout():
    known = [revision(4, "b", 40, RESTARTED), revision(3, "b", 30), revision(2, "a", 20)]
    found = rollout(known)
    assert found is not None
    assert found.previous is not None
    assert (found.newest.number, found.previous.number, found.created) == (4, 2, 30)


@pytest.mark.parametrize("known", [[revision(1, "a", 10)], [revision(2, "a", 20, RESTARTED), revision(1, "a", 1)]])
def test_without_another_template_there_is_no_previous_revision(known):
    found = rollout(known)
    assert found is not None
    assert found.previous is None


def test_a_revision_that_is_older_than_the_one_before_it_was_rolled_back_to():
    found = rollout([revision(3, "a", 10), revision(2, "b", 20)])
    assert found is not None
    assert found.reused
    fresh = rollout([revision(2, "b", 20), revision(1, "a", 10)])
    assert fresh is not None
    assert not fresh.reused


def test_a_workload_without_revisions_has_no_rollout():
    assert rollout([]) is None


def test_a_revision_is_current_when_the_workload_asks_for_it():
    asked = template("a") | {"extra": None}
    assert is_current(revision(1, "a", 0), {"spec": {"template": asked}})
    assert not is_current(revision(1, "b", 0), {"spec": {"template": asked}})
