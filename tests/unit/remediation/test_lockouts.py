"""Which remediations lock a policy."""

import pytest

from forestall.api import Remediation, RemediationPolicy
from forestall.engine import terms
from forestall.remediation.lockouts import locking_remediations

POLICY = RemediationPolicy.read(
    {"metadata": {"name": "early", "uid": "p-1", "generation": 2}, "spec": {"actions": [{"restart": {}}]}}
)


@pytest.fixture
def make(run):
    """Return a Remediation that ended at a minute."""

    def make(name, minute, phase="Failed", **changes):
        feedback = changes.pop("feedback", None)
        intent = run.intend(**{"policyGeneration": 2, **changes}).dump()
        spec = {"intent": intent, **({"feedback": feedback} if feedback else {})}
        ended = {"ended": f"2026-01-01T00:{minute:02}:00Z"} if phase in ("Failed", "RolledBack", "Succeeded") else {}
        return Remediation.read({"metadata": {"name": name}, "spec": spec, "status": {"phase": phase, **ended}})

    return make


def names(*remediations):
    return [one.name for one in locking_remediations(POLICY, remediations)]


def test_the_last_one_locks_if_it_did_not_help(make):
    assert names(make("late", 2, "RolledBack"), make("early", 1)) == ["late"]
    assert names(make("good", 2, "Succeeded"), make("early", 1)) == []
    assert names(make("early", 1), make("live", 0, "Executing")) == ["early"]


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
    (ended,) = terms.ended([failed], changed)
    assert ended.reviewed is not locks


def test_telling_people_is_no_attempt_that_helped(make):
    assert names(make("one", 1), make("page", 2, "Succeeded", action={"notify": {"channel": "pager"}})) == ["one"]
