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
                    "change": "replicas: 3 -> 5",
                    "from": 3,
                    "to": 5,
                    "because": "0.9",
                    "done": True,
                },
                {"at": "2025-06-14T09:04:10Z", "change": "replicas: 5 -> 6", "from": 5, "to": 6},
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
        "Waits for approval",
        "  Scale Deployment/checkout 3 → 6 waits for approval for another 13m:",
        "    forestall approve -n shop checkout-scale-1",
        "    forestall reject -n shop checkout-scale-1 --comment WHY",
        "",
        "What the policies decided",
        "  •  early (Approve) holds. RemediationActive: checkout-scale-1 is under way on the same target",
        "",
        "What was done",
        "  •  Scale Deployment/checkout 3 → 6  (checkout-scale-1)",
        "     AwaitingApproval for 1m: waits for approval.",
        "     Because utilisation is forecast to pass 0.85 in 6m",
        "  •  Scale Deployment/checkout 3 → 6  (checkout-scale-0)",
        "     Succeeded 1d ago: helped. RiskFell: the breach probability fell to 4%",
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
    assert out.startswith("checkout in shop   NOT EVALUATED YET\n")
    assert "The operator has not evaluated it yet." in out
    assert "No policy selects this objective" in out


def test_a_policy_that_was_not_asked_yet(program, risky):
    risky.put("RemediationPolicy", "second", spec={"actions": [{"restart": {}}]})
    assert "  •  second: not evaluated yet." in program("explain", "checkout")[1].splitlines()


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


INDICATORS = [
    {
        "indicator": "sli",
        "value": "0.001",
        "limit": "0.072",
        "probability": "1%",
        "horizon": "15m",
        "query": 'sum(rate(http_seconds_count{app="checkout",namespace="shop"}[5m]))',
        "series": 1,
        "fresh": True,
    },
    {**CAUSE, "query": 'max by (pod) (busy{namespace="shop"})', "series": 3, "fresh": True},
    {
        "indicator": "queue",
        "limit": "50",
        "query": 'queue{namespace="shop"}',
        "series": 0,
        "fresh": False,
        "reason": "NoData",
        "message": "the query returns nothing",
    },
]


def test_every_indicator_is_told_with_the_query_that_was_sent(program, cluster):
    """Kind: only what is worst is shown, and nobody sees what was asked."""
    leading = [{"name": name, "query": name, "limit": 1} for name in ("utilisation", "queue", "late")]
    spec = cluster.objective_spec(leadingIndicators=leading)
    cluster.put_objective("checkout", "AtRisk", spec=spec, indicators=INDICATORS, cause=CAUSE)
    out = program("explain", "checkout")[1]
    section = out.partition("Its indicators\n")[2].partition("\n\n")[0]
    assert section.splitlines() == [
        "  •  The SLI's error ratio: 0.001, limit 0.072; passes it within 15m with probability 1%; fresh",
        '     asked: sum(rate(http_seconds_count{app="checkout",namespace="shop"}[5m]))',
        (
            "  •  utilisation of pod=checkout-1: 0.71, limit 0.85; passes it within 15m with probability 93%, "
            "likely in 6m (bounds 4m to 11m); the worst of 3 series; fresh"
        ),
        '     asked: max by (pod) (busy{namespace="shop"})',
        "  •  queue: no value, limit 50; not fresh. NoData: the query returns nothing",
        '     asked: queue{namespace="shop"}',
        "  •  late: not evaluated yet.",
    ]
    story = json.loads(program("explain", "checkout", "-o", "json")[1])
    assert story["objective"]["status"]["indicators"][2]["query"] == 'queue{namespace="shop"}'


def test_pauses_and_suspensions_are_told_whatever_else_was_decided(program, risky):
    """Kind: the first reason hides the one that a person gave."""
    risky.objects["RemediationPolicy", "shop", "early"]["spec"]["suspend"] = True
    risky.put("Guardrail", "pause", namespace="", spec={"paused": True, "pausedBy": "kim"})
    risky.put("Pause", "objective-checkout", spec={"objective": "checkout", "reason": "a test"})
    risky.put("Pause", "objective-cart", spec={"objective": "cart"})
    risky.put("Pause", "policy-elsewhere", spec={"policy": "elsewhere"})
    out = program("explain", "checkout")[1]
    section = out.partition("Held by\n")[2].partition("\n\n")[0]
    assert section.splitlines() == [
        "  !  paused: everything (Guardrail pause) by kim",
        "  !  paused: objective checkout in namespace shop: a test",
        "  !  policy early is suspended (`spec.suspend`): it starts nothing new, and reverts its actions",
    ]
    assert "RemediationActive" in out
    assert len(json.loads(program("explain", "checkout", "-o", "json")[1])["stopped"]) == 3


@pytest.mark.usefixtures("risky")
@pytest.mark.parametrize("name", ["policy/early", "rempol/early", "remediationpolicy.forestall.dev/early"])
def test_a_policy(program, risky, name):
    risky.put_remediation("checkout-scale-1", "Verifying")
    risky.put(
        "Guardrail",
        "limits",
        namespace="",
        spec={"namespaceBudget": {"actions": 4, "per": "1h"}, "budget": {"actions": 10, "per": "1h"}},
        status={"spent": [{"namespace": "", "used": 7.0, "at": "2025-06-15T15:06:40Z"}]},
    )
    risky.put("Pause", "policy-early", spec={"policy": "early"})
    code, out, err = program("explain", name)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "policy early in shop   Approve",
        "  Selects 1 of 1 objective: all of the namespace.",
        "  When a breach within the indicator's horizon has at least the probability 0.8, it does:",
        "    1. Scale up to 20 replicas",
        "  Cooldown 10m, deadline 30m, verified within 5m.",
        "",
        "Held by",
        "  !  paused: policy early in namespace shop",
        "",
        "What it selects, and decided last",
        "  •  checkout (Deployment/checkout): AT RISK, breach 93% by utilisation of pod=checkout-1",
        (
            "     •  early (Approve) for checkout holds. RemediationActive: checkout-scale-1 is under way on the "
            "same target"
        ),
        "",
        "What is left of the budgets",
        "  the cluster's budget (Guardrail limits): 3 of 10 actions per 1h",
        "  the namespace's budget (Guardrail limits): 3 of 4 actions per 1h",
        "",
        "What was done",
        "  •  Scale Deployment/checkout 3 → 6  (checkout-scale-1)",
        "     Verifying for 1m: executed; the operator checks whether the risk falls.",
        "     Because utilisation is forecast to pass 0.85 in 6m",
        "",
        "Checks",
        "  ✓  Ready=True Valid",
    ]


def test_a_policy_that_selects_nothing_in_a_closed_window(program, cluster):
    spec = {
        "objectives": {"matchLabels": {"team": "pay"}},
        "actions": [{"restart": {}}],
        "blackoutWindows": [{"cron": "0 15 * * *", "duration": "1h"}],
        "maintenanceWindows": [{"cron": "0 22 * * *", "duration": "1h"}],
    }
    cluster.put("RemediationPolicy", "early", spec=spec)
    cluster.put_objective("checkout", "Healthy")
    out = program("explain", "policy/early")[1]
    assert "Selects 0 of 1 objective: team=pay." in out
    assert "a blackout window of policy early forbids Restart until 2025-06-15 16:00 UTC" in out
    assert "the next opens at 2025-06-15 22:00 UTC" in out
    assert "Nothing: no objective of this namespace has these labels." in out
    assert "No Guardrail that you may read sets one." in out


@pytest.mark.parametrize(
    "name", ["deployment/checkout", "deploy/checkout", "Deployment/checkout", "deployment.apps/checkout"]
)
def test_a_workload(program, risky, name):
    risky.put_remediation("checkout-scale-1", "Verifying")
    risky.put_objective("cart", "Healthy", spec=risky.objective_spec(target={"name": "cart"}))
    code, out, err = program("explain", name)
    assert (code, err) == (0, "")
    assert out.splitlines()[:7] == [
        "Deployment/checkout in shop",
        "",
        "Which objectives are about it",
        "  •  checkout (Deployment/checkout): AT RISK, breach 93% by utilisation of pod=checkout-1",
        "",
        "Which policies may act on it",
        "  •  early (Approve) for checkout holds. RemediationActive: checkout-scale-1 is under way on the same target",
    ]
    assert "  •  Scale Deployment/checkout 3 → 6  (checkout-scale-1)" in out
    story = json.loads(program("explain", name, "-o", "json")[1])
    assert story["workload"] == "Deployment/checkout"
    assert [each["metadata"]["name"] for each in story["objectives"]] == ["checkout"]


def test_a_workload_of_any_kind(program, cluster):
    spec = cluster.objective_spec(target={"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "checkout"})
    cluster.put_objective("checkout", "Healthy", spec=spec)
    assert "checkout (Rollout/checkout): HEALTHY" in program("explain", "rollout/checkout")[1]


@pytest.mark.usefixtures("risky")
@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("deployment/chekout", 1, "Did you mean checkout?"),
        ("policy/erly", 1, "Did you mean early?"),
        ("polcy/early", 2, "Did you mean policy/early?"),
        ("deployment/qqqq", 1, "Is this the right --namespace?"),
        ("a/b/c", 2, "is not the name of"),
    ],
)
def test_what_is_not_there_gets_a_suggestion(program, name, code, said):
    found, out, err = program("explain", name)
    assert (found, out) == (code, "")
    assert said in err


def test_a_remediation_is_its_life(program, risky):
    risky.put_remediation("checkout-scale-1", "Verifying")
    assert "Its life" in program("explain", "remediation/checkout-scale-1")[1]
