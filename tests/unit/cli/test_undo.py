"""`forestall undo`."""

import pytest

from forestall.errors import Forbidden

NAME = "checkout-scale-1"
STEP = {
    "at": "2025-06-15T15:05:40Z",
    "change": "replicas of deployment shop/checkout: 3 -> 6",
    "from": 3,
    "to": 6,
    "done": True,
}
WHY = ("--comment", "the load was a test")


def request(cluster):
    return cluster.objects["Remediation", "shop", NAME]["spec"].get("undo")


@pytest.mark.parametrize("phase", ["Executing", "Verifying", "RollingBack"])
def test_undo_records_who_when_and_why(program, cluster, phase):
    cluster.put_remediation(NAME, phase, status={"steps": [STEP]})
    code, out, err = program("undo", NAME, *WHY)
    assert code == 0
    assert out == (
        f"remediation.forestall.dev/{NAME} will be reverted in the operator's next cycle: "
        "Deployment/checkout goes back to 3\n"
    )
    assert "until `forestall unlock -n shop early`" in err
    assert request(cluster) == {"by": "jo@example.org", "at": "2025-06-15T15:06:40Z", "comment": "the load was a test"}


def test_what_is_decided_and_not_begun_is_given_up(program, cluster):
    cluster.put_remediation(NAME, "Authorized")
    assert "is not begun any more" in program("undo", NAME, *WHY)[1]
    assert request(cluster)


def test_of_a_pause_it_says_that_it_holds_the_undo_too(program, cluster):
    cluster.put_remediation(NAME, "Verifying", status={"steps": [STEP]})
    cluster.put("Pause", "policy-early", spec={"policy": "early", "by": "kim"})
    cluster.put("Pause", "policy-other", spec={"policy": "other"})
    code, _, err = program("undo", NAME, *WHY)
    assert code == 0
    assert err.count("not before the pause ends") == 1
    assert "policy early in namespace shop by kim" in err


@pytest.mark.parametrize(
    ("phase", "more", "said"),
    [
        (
            "Succeeded",
            {"status": {"reason": "Released", "ended": "2025-06-15T15:05:10Z"}},
            "has ended 1m30s ago: Succeeded, Released. There is nothing to revert.",
        ),
        ("AwaitingApproval", {}, f"`forestall reject -n shop {NAME}` ends it"),
        (
            "Verifying",
            {"action": {"restart": {}}, "rollback": "none: a restart can't be undone", "from": None, "to": None},
            "Restart Deployment/checkout can't be undone. By itself: none: a restart can't be undone.",
        ),
        ("Verifying", {"action": {"rollback": {}}, "rollback": "none: roll forward"}, "can't be undone"),
    ],
)
def test_where_nothing_can_be_undone_it_says_why_and_what_to_do(program, cluster, phase, more, said):
    cluster.put_remediation(NAME, phase, **more)
    code, out, err = program("undo", NAME, *WHY)
    assert (code, out) == (1, "")
    assert said in err
    assert request(cluster) is None


def test_a_second_request_says_how_far_the_first_is(program, cluster):
    cluster.put_remediation(NAME, "RollingBack", status={"steps": [STEP], "reason": "Releasing"})
    assert program("undo", NAME, *WHY)[0] == 0
    code, _, err = program("undo", NAME, *WHY)
    assert code == 1
    assert "jo@example.org already requested it 0s ago: RollingBack" in err


@pytest.mark.parametrize("words", [[], ["--comment", " "]])
def test_it_asks_for_a_reason(program, cluster, words):
    cluster.put_remediation(NAME, "Verifying", status={"steps": [STEP]})
    code, _, err = program("undo", NAME, *words)
    assert code == 2
    assert "comment" in err
    assert request(cluster) is None


def test_without_the_right_it_says_which_right_and_who_asked(program, cluster):
    cluster.put_remediation(NAME, "Verifying", status={"steps": [STEP]})
    cluster.failures["patch", "Remediation"] = Forbidden("PATCH: denied")
    code, _, err = program("undo", NAME, *WHY)
    assert code == 1
    assert "You (jo@example.org) may not undo" in err
    assert "`approve` and `patch`" in err
