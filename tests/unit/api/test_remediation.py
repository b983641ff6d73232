"""What is told of a Remediation."""

import pytest

from forestall.api.remediation import Intent, Step, change_of
from forestall.api.times import readable, stamp

REF = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"}


def intent(action, **more):
    return Intent.model_validate(
        {
            "policy": REF,
            "objective": REF,
            "episode": 1,
            "target": REF,
            "action": action,
            "mode": "Auto",
            "evidence": {"indicator": "load"},
            "created": "2026-01-31T03:15:07Z",
            "deadline": "2026-01-31T03:45:07Z",
            **more,
        }
    )


@pytest.mark.parametrize(
    ("asked", "shown"),
    [([], "3 → 5"), ([5], "3 → 5"), ([5, 8], "3 → 8"), ([5, 8, 6], "3 → 8 → 6"), ([5, 8, 6, 3], "3 → 8 → 3")],
)
def test_a_change_is_told_as_it_is_now_and_not_as_it_was_first_meant(asked, shown):
    """Kind: the intent's first figures are shown long after others hold."""
    steps = [Step(at="", change="", to=to) for to in asked]
    assert change_of(intent({"scale": {"maxReplicas": 20}}, **{"from": 3, "to": 5}), steps) == shown


def test_what_changes_no_number_has_no_change():
    done = [Step(at="", change="restart", from_=0, to=1, done=True)]
    assert change_of(intent({"restart": {}}), done) == ""
    assert change_of(intent({"rollback": {}}, **{"from": 7, "to": 6}), done) == "7 → 6"


def test_people_read_no_microseconds():
    assert readable(stamp(1_769_829_307.123456)) == "2026-01-31 03:15:07 UTC"
    assert readable("soon") == "soon"
    assert readable(None) == ""
