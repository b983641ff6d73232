"""Which remediations lock a policy."""

import pytest

from forestall.api import Remediation, RemediationPolicy
from forestall.engine import policy_limits
from forestall.remediation.lockouts import locked_condition, locking_remediations, policy_changed, was_refused

POLICY = RemediationPolicy.read(
    {"metadata": {"name": "early", "uid": "p-1", "generation": 2}, "spec": {"actions": [{"restart": {}}]}}
)


@pytest.fixture
def make(run):
    """Return a Remediation that ended at a minute."""

    def make(name, minute, phase="Failed", **changes):
        feedback, undo = changes.pop("feedback", None), changes.pop("undo", None)
        more = {name: changes.pop(name) for name in ("reason", "conditions") if name in changes}
        intent = run.intend(**{"policyGeneration": 2, **changes}).dump()
        spec = {"intent": intent, **({"feedback": feedback} if feedback else {}), **({"undo": undo} if undo else {})}
        ended = {"ended": f"2026-01-01T00:{minute:02}:00Z"} if phase in ("Failed", "RolledBack", "Succeeded") else {}
        return Remediation.read({"metadata": {"name": name}, "spec": spec, "status": {"phase": phase, **ended, **more}})

    return make


def names(*remediations):
    return [one.name for one in locking_remediations(POLICY, remediations)]


def test_the_last_one_locks_if_it_did_not_help(make):
    assert names(make("late", 2, "RolledBack"), make("early", 1)) == ["late"]
    assert names(make("good", 2, "Succeeded"), make("early", 1)) == []
    assert names(make("early", 1), make("live", 0, "Executing")) == ["early"]


def test_an_action_that_is_not_meant_to_lower_the_risk_locks_nothing_when_it_stays(make):
    """Kind: a verdict that asks of an action what it can't do. A cordon does not empty a disk."""
    assert names(make("cordon", 2, "RolledBack", reason="Contained")) == []
    assert names(make("drain", 2, "RolledBack", reason="NotHelped")) == ["drain"]


NODE = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "n-1"}
COMPLETED = {"type": "Completed", "status": "True", "reason": "Completed", "lastTransitionTime": "2026-01-01T00:01:00Z"}
UNFINISHED = {**COMPLETED, "status": "False", "reason": "DeadlineExceeded"}


@pytest.mark.parametrize(
    ("action", "completed", "locks"),
    [
        ("cordon", COMPLETED, False),
        ("drain", COMPLETED, False),
        ("drain", UNFINISHED, True),
        ("restart", COMPLETED, True),
    ],
)
def test_silence_about_a_node_until_the_deadline_is_no_failure_of_what_was_done_to_it(make, action, completed, locks):
    """Kind: a verdict without evidence locks a policy. A node that fails is often silent: its kubelet measures it."""
    target = {"target": NODE} if action != "restart" else {}
    ended = make(
        "late", 2, "RolledBack", reason="DeadlineExceeded", conditions=[completed], action={action: {}}, **target
    )
    assert names(ended) == (["late"] if locks else [])
    assert policy_limits.ended([ended], POLICY)[0].contained is not locks


@pytest.mark.parametrize(("reason", "contained"), [("Contained", True), ("NotHelped", False)])
def test_the_guard_goes_by_the_same_rule(make, reason, contained):
    (ended,) = policy_limits.ended([make("cordon", 2, "RolledBack", reason=reason)], POLICY)
    assert ended.contained is contained


def test_each_objective_by_itself(make):
    other = {"kind": "ServiceLevelObjective", "apiVersion": "v1", "name": "search", "uid": "o-2"}
    assert names(make("one", 1), make("two", 2, objective=other)) == ["one", "two"]


@pytest.mark.parametrize(
    "change",
    [
        {"feedback": {"verdict": "Unhelpful"}},
        {"policyGeneration": 1},
        {"policy": {"kind": "RemediationPolicy", "apiVersion": "v1", "name": "early", "uid": "another"}},
        {"action": {"notify": {"channel": "pager"}}},
    ],
)
def test_what_unlocks(make, change):
    assert names(make("one", 1, **change)) == []


@pytest.mark.parametrize(
    ("change", "locks"),
    [
        ({"suspend": True}, True),
        ({"mode": "Observe"}, True),
        ({"mode": "Auto"}, True),
        ({"suspend": False}, True),
        ({"actions": [{"scale": {"maxReplicas": 3}}]}, False),
        ({"when": {"probability": 0.9}}, False),
        ({"cooldown": "1h"}, False),
        ({"objectives": {"matchLabels": {"app": "web"}}}, False),
    ],
)
def test_only_a_change_of_what_the_policy_does_unlocks(make, change, locks):
    """Kind: a promise that rests on a record which something else changes. Who undoes, suspends and resumes has not
    looked at the policy, but its generation is another one.
    """
    failed = make("one", 1, policyGeneration=1, policyHash=POLICY.spec.content_hash)
    spec = {**POLICY.spec.dump(), **change}
    changed = RemediationPolicy.read({"metadata": {"name": "early", "uid": "p-1", "generation": 9}, "spec": spec})
    assert bool(locking_remediations(changed, [failed])) is locks
    (ended,) = policy_limits.ended([failed], changed)
    assert ended.reviewed is not locks


def test_telling_people_is_no_attempt_that_helped(make):
    assert names(make("one", 1), make("page", 2, "Succeeded", action={"notify": {"channel": "pager"}})) == ["one"]


NOT_VERIFIED = {"conditions": [{"type": "Verified", "status": "False", "reason": "NotHelped", "message": "no"}]}


@pytest.mark.parametrize(
    ("phase", "status", "refused"),
    [
        ("Failed", {"reason": "Forbidden"}, True),
        ("Failed", {"reason": "Refused"}, True),
        ("Failed", {"reason": "NotHelped"}, False),
        ("Executing", {"reason": "Forbidden"}, False),
        ("Failed", {"reason": "Forbidden", **NOT_VERIFIED}, False),
    ],
)
def test_what_the_api_server_refused_was_not_tried_and_locks_nothing(make, phase, status, refused):
    """Where it had not helped, the refusal only kept it from being given back."""
    remediation = make("one", 1, phase, **status)
    assert was_refused(remediation) is refused
    assert (names(remediation) == ["one"]) is (phase == "Failed" and not refused)


@pytest.mark.parametrize(
    ("changes", "open_episodes", "locks"),
    [
        ({}, set(), True),
        ({}, {("o-1", 2)}, True),
        ({}, {("o-2", 1)}, True),
        ({}, {("o-1", 1)}, False),
        ({"undo": {"by": "kim", "comment": "worse"}}, {("o-1", 1)}, True),
        ({"feedback": {"verdict": "Unhelpful"}}, set(), False),
    ],
)
def test_a_policy_is_locked_once_the_episode_is_over_or_a_person_undid_it(make, changes, open_episodes, locks):
    """In the episode itself the rest of the ladder is still to be tried."""
    condition = locked_condition(POLICY, [make("one", 1, **changes)], open_episodes)
    assert (condition.type, condition.status) == ("Locked", "True" if locks else "False")
    assert condition.reason == ("Locked" if locks else "NotLocked")


def test_who_is_locked_is_named(make):
    other = {"kind": "ServiceLevelObjective", "apiVersion": "v1", "name": "a-search", "uid": "o-2"}
    condition = locked_condition(POLICY, [make("one", 1), make("two", 2, objective=other)], [])
    assert "remediation for a-search, checkout did not help" in condition.message


def test_what_an_older_version_wrote_is_compared_by_its_generation(make):
    """It wrote no hash of what the policy did."""
    old, same = make("old", 1, policyGeneration=1), make("same", 1, policyGeneration=2)
    assert policy_changed(POLICY, old.spec.intent)
    assert not policy_changed(POLICY, same.spec.intent)
