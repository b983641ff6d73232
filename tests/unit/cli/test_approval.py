"""`forestall approve` and `forestall reject`."""

import pytest

from forestall.errors import Conflict, Forbidden, Unavailable

NAME = "checkout-scale-1"


def approval(cluster):
    return cluster.objects["Remediation", "shop", NAME]["spec"]["approval"]


def test_approve_records_who_when_and_why(program, cluster):
    cluster.put_remediation(NAME, "AwaitingApproval")
    code, out, err = program("approve", NAME, "--comment", "campaign started")
    assert (code, err) == (0, "")
    assert out == f"remediation.forestall.dev/{NAME} approved: Scale Deployment/checkout 3 → 6\n"
    assert approval(cluster) == {
        "decision": "Approved",
        "by": "jo@example.org",
        "at": "2025-06-15T15:06:40Z",
        "comment": "campaign started",
    }


def test_reject(program, cluster):
    cluster.put_remediation(NAME, "AwaitingApproval")
    assert program("reject", NAME)[:2] == (
        0,
        f"remediation.forestall.dev/{NAME} rejected: Scale Deployment/checkout 3 → 6\n",
    )
    assert approval(cluster)["decision"] == "Rejected"


def test_the_name_may_be_that_of_kubectl(program, cluster):
    """`forestall approve $(kubectl get remediations -o name)`."""
    cluster.put_remediation(NAME, "AwaitingApproval")
    assert program("approve", f"remediation.forestall.dev/{NAME}")[0] == 0
    assert program("approve", f"servicelevelobjective.forestall.dev/{NAME}")[0] == 2


def test_a_decision_before_the_operator_asked_for_it_counts(program, cluster):
    cluster.put_remediation(NAME, "Pending")
    assert program("approve", NAME)[0] == 0


def test_a_writer_in_between_is_no_matter(program, cluster):
    body = cluster.put_remediation(NAME, "Pending")
    versions = iter(["2", "3"])

    def write_status() -> None:
        body["metadata"]["resourceVersion"] = next(versions, "3")

    cluster.on_patch = write_status
    assert program("approve", NAME)[0] == 0
    assert approval(cluster)["decision"] == "Approved"


def test_somebody_elses_decision_in_between_stands(program, cluster):
    body = cluster.put_remediation(NAME, "AwaitingApproval")

    def decide() -> None:
        body["metadata"]["resourceVersion"] = "2"
        body["spec"]["approval"] = {"decision": "Rejected", "by": "kim", "at": "2025-06-15T15:06:30Z"}

    cluster.on_patch = decide
    code, out, err = program("approve", NAME)
    assert (code, out) == (1, "")
    assert "was rejected by kim 10s ago already" in err
    assert approval(cluster)["by"] == "kim"


def test_it_gives_up_on_an_object_that_never_rests(program, cluster):
    cluster.put_remediation(NAME, "AwaitingApproval")
    cluster.failures["patch", "Remediation"] = Conflict("the object has been modified")
    code, out, err = program("approve", NAME)
    assert (code, out) == (1, "")
    assert "has been modified" in err


@pytest.mark.parametrize(
    ("phase", "more", "said"),
    [
        (
            "AwaitingApproval",
            {"approval": {"decision": "Approved", "by": "kim", "at": "2025-06-15T15:01:40Z"}},
            "was approved by kim 5m ago already; that stands.",
        ),
        (
            "Aborted",
            {"status": {"reason": "RiskGone", "ended": "2025-06-15T15:05:10Z"}},
            "has ended 1m30s ago: Aborted, RiskGone.",
        ),
        ("AwaitingApproval", {"approvalExpires": "2025-06-15T15:04:40Z"}, "expired 2m ago. If the risk lasts"),
        ("Executing", {"mode": "Auto"}, "waits for nobody: its policy's mode is Auto, its phase Executing."),
    ],
)
@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_what_can_no_longer_be_decided_says_why(program, cluster, verb, phase, more, said):
    cluster.put_remediation(NAME, phase, **more)
    before = cluster.objects["Remediation", "shop", NAME]["spec"].get("approval")
    code, out, err = program(verb, NAME)
    assert (code, out) == (1, "")
    assert said in err
    assert cluster.objects["Remediation", "shop", NAME]["spec"].get("approval") == before


def test_a_missing_one_names_what_is_like_it(program, cluster):
    cluster.put_remediation(NAME, "AwaitingApproval")
    code, _, err = program("approve", "checkout-scale-l")
    assert code == 1
    assert f"There is no Remediation checkout-scale-l in namespace shop. Did you mean {NAME}?" in err
    assert "There is none at all: is this the right --namespace?" in program("approve", NAME, "-n", "pay")[2]


def test_without_the_right_it_says_which_right_and_who_asked(program, cluster):
    cluster.put_remediation(NAME, "AwaitingApproval")
    cluster.failures["patch", "Remediation"] = Forbidden("PATCH: denied")
    code, _, err = program("approve", NAME)
    assert code == 1
    assert "You (jo@example.org) may not decide" in err
    assert "`approve` and `patch`" in err


def test_an_unknown_outcome_is_said_and_not_tried_again(program, cluster):
    cluster.put_remediation(NAME, "AwaitingApproval")
    calls = []
    cluster.on_patch = lambda: calls.append(1)
    cluster.failures["patch", "Remediation"] = Unavailable("no answer within 4 s")
    code, _, err = program("approve", NAME)
    assert code == 1
    assert "no answer within 4 s" in err
    assert len(calls) == 1
