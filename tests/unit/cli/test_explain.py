"""`forestall explain`."""

import json

import pytest

from forestall.cli import reasons
from forestall.errors import Forbidden

CAUSE = {
    "indicator": "utilisation",
    "labels": {"pod": "checkout-1"},
    "value": "0.71",
    "limit": "0.85",
    "probability": "93%",
    "timeToBreach": "6m",
    "timeToBreachBounds": "4m to 11m",
    "forecast": "1.32",
    "horizon": "15m",
}


@pytest.fixture
def risky(cluster):
    cluster.put(
        "RemediationPolicy",
        "early",
        spec={"mode": "Approve", "actions": [{"scale": {"maxReplicas": 20}}]},
        status={"conditions": [{"type": "Ready", "status": "True", "reason": "Valid"}]},
    )
    cluster.put(
        "RemediationPolicy",
        "elsewhere",
        spec={"objectives": {"matchLabels": {"team": "pay"}}, "actions": [{"restart": {}}]},
    )
    cluster.put_objective(
        "checkout",
        "AtRisk",
        sli="99.71%",
        budgetRemaining="42%",
        burnRate="3.1",
        breachProbability="93%",
        cause=CAUSE,
        decisions=[
            {
                "policy": "early",
                "verdict": "Hold",
                "reason": "RemediationActive",
                "message": "checkout-scale-1 is under way on the same target",
            }
        ],
        episode={"number": 3, "since": "2025-06-15T15:04:40Z"},
        conditions=[
            {"type": "Ready", "status": "True", "reason": "Valid"},
            {"type": "AtRisk", "status": "True", "reason": "BreachForecast", "message": "soon"},
        ],
    )
    return cluster


def test_it_tells_the_whole_story(program, risky):
    risky.put_remediation("checkout-scale-1", "AwaitingApproval")
    risky.put_remediation(
        "checkout-scale-0",
        "Succeeded",
        created="2025-06-14T09:00:00Z",
        approval={"decision": "Approved", "by": "kim", "at": "2025-06-14T09:01:00Z", "comment": "go"},
        status={
            "reason": "RiskFell",
            "message": "the breach probability fell to 4%",
            "ended": "2025-06-14T15:06:40Z",
            "steps": [
                {
                    "at": "2025-06-14T09:01:10Z",
                    "what": "replicas: 3 -> 5",
                    "from": 3,
                    "to": 5,
                    "because": "0.9",
                    "done": True,
                },
                {"at": "2025-06-14T09:04:10Z", "what": "replicas: 5 -> 6", "from": 5, "to": 6},
            ],
        },
    )
    code, out, err = program("explain", "checkout")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "checkout in shop   AT RISK",
        '  Deployment/checkout: 99.5 % over 30d of requests within 300ms (http_seconds{app="checkout"}).',
        "  SLI 99.71%, error budget left 42%, burn rate 3.1.",
        "",
        "Why it is at risk",
        (
            "  utilisation of pod=checkout-1 is 0.71; its limit is 0.85. It passes the limit within 15m with "
            "probability 93%, likely in 6m (bounds 4m to 11m). Within its horizon it may reach 1.32."
        ),
        "  At risk for 2m (episode 3).",
        "",
        "It waits for you",
        "  Scale Deployment/checkout 3 → 6 waits for approval for another 13m:",
        "    forestall approve -n shop checkout-scale-1",
        "    forestall reject -n shop checkout-scale-1 --comment WHY",
        "",
        "What the policies decided",
        "  •  early (Approve) holds. RemediationActive: checkout-scale-1 is under way on the same target",
        "",
        "What was done",
        "  •  Scale Deployment/checkout 3 → 6  (checkout-scale-1)",
        "     AwaitingApproval for 1m: a person has to approve it.",
        "     Because utilisation is forecast to pass 0.85 in 6m",
        "  •  Scale Deployment/checkout 3 → 6  (checkout-scale-0)",
        "     Succeeded 1d ago: it helped. RiskFell: the breach probability fell to 4%",
        "     Because utilisation is forecast to pass 0.85 in 6m",
        "     Approved by kim at 2025-06-14 09:01:00 UTC: go",
        "       09:01:10 UTC  replicas: 3 -> 5: 0.9",
        "       09:04:10 UTC  replicas: 5 -> 6 (not known to be done)",
        "",
        "Checks",
        "  ✓  Ready=True Valid",
        "  !  AtRisk=True BreachForecast: soon",
    ]


def test_a_hold_and_a_bad_condition_come_with_advice(program, cluster):
    cluster.put(
        "RemediationPolicy",
        "early",
        spec={"mode": "Auto", "actions": [{"restart": {}}]},
        status={"conditions": [{"type": "Locked", "status": "True", "reason": "Locked", "message": "look"}]},
    )
    decisions = [{"policy": "early", "verdict": "Hold", "reason": "Suspended", "message": "spec.suspend"}]
    cluster.put_objective("checkout", "AtRisk", decisions=decisions)
    out = program("explain", "checkout")[1]
    assert f"     → {reasons.advice('Suspended')}" in out.splitlines()
    assert f"     → {reasons.advice('Locked')}" in out.splitlines()


def test_only_remediations_of_this_objective_count(program, risky):
    other = risky.put_remediation("cart-scale-1", "AwaitingApproval")
    other["spec"]["intent"]["objective"] |= {"name": "cart", "uid": "uid-cart"}
    out = program("explain", "checkout")[1]
    assert "cart-scale-1" not in out
    assert "What was done" not in out


def test_the_oldest_ended_ones_are_only_counted_and_those_under_way_come_first(program, risky):
    for number in range(5):
        risky.put_remediation(f"done-{number}", "Succeeded", created=f"2025-06-15T15:0{number}:00Z")
    risky.put_remediation("live", "Executing", created="2025-06-15T14:00:00Z")
    out = program("explain", "checkout")[1]
    shown = [line.rsplit("(", 1)[1].rstrip(")") for line in out.splitlines() if "→ 6  (" in line]
    assert shown == ["live", "done-4", "done-3", "done-2"]
    assert "… and 2 earlier ones" in out


def test_a_new_objective_without_policy(program, cluster):
    cluster.put_objective("checkout")
    out = program("explain", "checkout")[1]
    assert out.startswith("checkout in shop   NOT LOOKED AT YET\n")
    assert "The operator has not looked at it yet." in out
    assert "No policy selects this objective" in out


def test_a_policy_that_was_not_asked_yet(program, risky):
    risky.put("RemediationPolicy", "second", spec={"actions": [{"restart": {}}]})
    assert "  •  second: not asked yet." in program("explain", "checkout")[1].splitlines()


def test_a_change_that_was_not_looked_at_yet(program, cluster):
    body = cluster.put_objective("checkout", "Healthy", observedGeneration=1)
    body["metadata"]["generation"] = 2
    assert "The last change of the objective has not been looked at yet." in program("explain", "checkout")[1]


def test_json_holds_the_objects_themselves(program, risky):
    risky.put_remediation("checkout-scale-1", "AwaitingApproval")
    code, out, _ = program("explain", "checkout", "-o", "json")
    story = json.loads(out)
    assert code == 0
    assert story["objective"]["status"]["cause"] == CAUSE
    assert [each["metadata"]["name"] for each in story["policies"]] == ["early"]
    assert [each["metadata"]["name"] for each in story["remediations"]] == ["checkout-scale-1"]


def test_json_has_its_keys_also_where_nothing_is_there(program, cluster):
    cluster.put_objective("checkout")
    story = json.loads(program("explain", "checkout", "-o", "json")[1])
    assert story["policies"] == []
    assert story["remediations"] == []


def test_what_may_not_be_read_is_said_and_the_rest_is_shown(program, risky):
    risky.failures["find", "Remediation"] = Forbidden("you may not list remediations")
    code, out, _ = program("explain", "checkout")
    assert code == 0
    assert "Why it is at risk" in out
    assert "could not be read: remediations: you may not list remediations" in out


def test_a_policy_of_another_version_is_named(program, risky):
    risky.put("RemediationPolicy", "odd", spec={"actions": "all of them"})
    out = program("explain", "checkout")[1]
    assert "RemediationPolicy odd: does not fit this version of forestall" in out


def test_a_limit_that_is_passed_already_is_not_forecast(program, cluster):
    cluster.put_objective("checkout", "AtRisk", cause={**CAUSE, "value": "0.9", "timeToBreach": "0s"})
    assert "  utilisation of pod=checkout-1 is 0.9, past its limit of 0.85." in program("explain", "checkout")[1]


def test_as_a_plugin_it_shows_commands_of_kubectl(program, risky):
    risky.put_remediation("checkout-scale-1", "AwaitingApproval")
    out = program("explain", "checkout", name="kubectl forestall")[1]
    assert "    kubectl forestall approve -n shop checkout-scale-1" in out.splitlines()


@pytest.mark.usefixtures("risky")
def test_a_missing_objective_names_what_is_like_it(program):
    code, out, err = program("explain", "chekout")
    assert (code, out) == (1, "")
    assert "Did you mean checkout?" in err


@pytest.mark.usefixtures("risky")
def test_on_a_terminal_it_fits_the_width(program, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    out = program("explain", "checkout")[1]
    assert all(len(line) <= 60 for line in out.splitlines())
    assert "\n     " in out, "what belongs to a mark is indented behind it"
