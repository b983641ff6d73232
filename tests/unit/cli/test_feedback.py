"""`forestall feedback` and `forestall unlock`."""

import pytest

from forestall.errors import Conflict, Forbidden

NAME = "checkout-scale-1"
POLICY = {"apiVersion": "forestall.dev/v1alpha1", "kind": "RemediationPolicy", "name": "early", "uid": "uid-early"}


def said(cluster, name=NAME):
    return cluster.objects["Remediation", "shop", name]["spec"].get("feedback")


@pytest.mark.parametrize(
    ("word", "verdict"), [("helpful", "Helpful"), ("unhelpful", "Unhelpful"), ("false-alarm", "FalseAlarm")]
)
def test_feedback_records_who_when_and_why(program, cluster, word, verdict):
    cluster.put_remediation(NAME, "Succeeded")
    code, out, err = program("feedback", NAME, word, "--comment", "campaign")
    assert (code, err) == (0, "")
    assert out == f"remediation.forestall.dev/{NAME} {word}: Scale Deployment/checkout 3 → 6\n"
    at = "2025-06-15T15:06:40Z"
    assert said(cluster) == {"verdict": verdict, "by": "jo@example.org", "at": at, "comment": "campaign"}


def test_the_last_word_counts(program, cluster):
    cluster.put_remediation(NAME, "Failed", feedback={"verdict": "Helpful", "by": "kim"})
    assert program("feedback", NAME, "unhelpful")[0] == 0
    assert (said(cluster)["verdict"], said(cluster)["by"]) == ("Unhelpful", "jo@example.org")


def test_it_leaves_the_approval_alone(program, cluster):
    cluster.put_remediation(NAME, "Failed", approval={"decision": "Approved", "by": "kim"})
    program("feedback", NAME, "helpful")
    assert cluster.objects["Remediation", "shop", NAME]["spec"]["approval"] == {"decision": "Approved", "by": "kim"}


def test_another_word_is_wrong_usage(program, cluster):
    cluster.put_remediation(NAME, "Failed")
    code, _, err = program("feedback", NAME, "great")
    assert code == 2
    assert "'helpful', 'unhelpful', 'false-alarm'" in err


def test_without_the_right_it_says_which_right_and_who_asked(program, cluster):
    cluster.put_remediation(NAME, "Failed")
    cluster.failures["patch", "Remediation"] = Forbidden("PATCH: denied")
    code, _, err = program("feedback", NAME, "helpful")
    assert code == 1
    assert "You (jo@example.org) may not give feedback in namespace shop: it needs the verb `patch`" in err


def test_it_gives_up_on_an_object_that_never_rests(program, cluster):
    cluster.put_remediation(NAME, "Failed")
    cluster.failures["patch", "Remediation"] = Conflict("the object has been modified")
    assert program("feedback", NAME, "helpful")[0] == 1


@pytest.fixture
def locked(cluster):
    """The policy `early`, whose last remediation of `checkout` did not help."""
    cluster.put("RemediationPolicy", "early", spec={"actions": [{"restart": {}}]}, status={})

    def put(name, phase, ended, uid="uid-checkout", generation=1, **more):
        objective = {"apiVersion": "v1", "kind": "ServiceLevelObjective", "name": uid[4:], "uid": uid}
        cluster.put_remediation(
            name,
            phase,
            policy=POLICY,
            policyGeneration=generation,
            objective=objective,
            status={"ended": f"2025-06-15T15:0{ended}:00Z"} if ended else {},
            **more,
        )

    return put


def test_unlocking_is_feedback_on_what_locks(program, cluster, locked):
    locked("older", "Failed", 1)
    locked("last", "RolledBack", 2)
    locked("running", "Verifying", None)
    locked("search-last", "Failed", 1, uid="uid-search")
    code, out, err = program("unlock", "early", "--comment", "the database was the cause")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == [
        "remediation.forestall.dev/last",
        "remediation.forestall.dev/search-last",
    ]
    assert said(cluster, "last")["verdict"] == "Unhelpful"
    assert said(cluster, "search-last")["comment"] == "the database was the cause"
    assert said(cluster, "older") is None
    assert program("unlock", "early")[1] == "remediationpolicy.forestall.dev/early is not locked\n"


@pytest.mark.parametrize(
    "change", [{"generation": 0}, {"phase": "Succeeded"}, {"feedback": {"verdict": "Helpful", "by": "kim"}}]
)
def test_what_does_not_lock_is_left_alone(program, cluster, locked, change):
    locked("last", **{"phase": "Failed", "ended": 2, **change})
    assert program("unlock", "early")[:2] == (0, "remediationpolicy.forestall.dev/early is not locked\n")
    assert (said(cluster, "last") or {}).get("by") != "jo@example.org"


def test_a_policy_that_is_not_there(program):
    code, _, err = program("unlock", "late")
    assert code == 1
    assert "There is no RemediationPolicy late in namespace shop" in err


@pytest.mark.parametrize("kind", ["RemediationPolicy", "Remediation"])
def test_an_object_of_another_version_is_named(program, cluster, locked, kind):
    locked("last", "Failed", 1)
    name = {"RemediationPolicy": "early", "Remediation": "last"}[kind]
    cluster.objects[kind, "shop", name]["spec"] = {"of": "another version"}
    code, out, err = program("unlock", "early")
    assert (code, out) == (1, "")
    assert f"{kind} {name} does not fit this version of forestall." in err
    assert "Unexpected" not in err
