"""`forestall status`."""

import json

import pytest
import yaml

from forestall.errors import Forbidden


def names(out: str) -> list[str]:
    return [line.split()[0] for line in out.splitlines()[1:]]


def test_the_most_urgent_comes_first(program, cluster):
    cluster.put_objective("fine", "Healthy", breachProbability="1%", sli="99.99%")
    cluster.put_objective("soon", "AtRisk", breachProbability="0.93", timeToBreach="4m")
    cluster.put_objective("later", "AtRisk", breachProbability="93%", timeToBreach="1h5m")
    cluster.put_objective("likelier", "AtRisk", breachProbability="99%", timeToBreach="2h")
    cluster.put_objective("broken", "Breached", breachProbability="100%")
    cluster.put_objective("blind", "Unknown")
    cluster.put_objective("new")
    code, out, err = program("status")
    assert (code, err) == (0, "")
    assert names(out) == ["broken", "likelier", "soon", "later", "blind", "new", "fine"]


def test_the_table_says_state_risk_budget_cause_and_decision(program, cluster):
    cluster.put_objective(
        "checkout",
        "AtRisk",
        sli="99.71%",
        budgetRemaining="42%",
        breachProbability="93%",
        timeToBreach="6m",
        cause={"indicator": "utilisation"},
        decisions=[
            {"policy": "leaks", "verdict": "Hold", "reason": "NoRungForCause", "message": "no"},
            {"policy": "early", "verdict": "Act", "reason": "BreachForecast", "message": "yes", "action": "Scale"},
        ],
    )
    out = program("status")[1]
    assert out.splitlines() == [
        "NAME       STATE    BREACH   IN   CAUSE         DECISION    BUDGET   SLI",
        "checkout   AtRisk   93%      6m   utilisation   Act Scale   42%      99.71%",
    ]
    wide = program("status", "-o", "wide")[1].splitlines()
    assert wide[0].split()[-4:] == ["OBJECTIVE", "BURN", "TARGET", "WHY"]
    assert "99.5%" in wide[1]
    assert "Deployment/checkout" in wide[1]
    assert wide[1].endswith("   yes")


def test_wide_says_first_what_is_wrong_with_the_objective(program, cluster):
    cluster.put_objective(
        "checkout",
        "Unknown",
        conditions=[
            {"type": "AtRisk", "status": "False", "reason": "Unknown"},
            {"type": "DataFresh", "status": "False", "reason": "NoData", "message": "the query returns nothing"},
        ],
    )
    assert program("status", "-o", "wide")[1].splitlines()[1].endswith("   the query returns nothing")


def test_namespaces(program, cluster):
    cluster.put_objective("here", "Healthy")
    cluster.put_objective("there", "Healthy", namespace="pay")
    assert names(program("status")[1]) == ["here"]
    assert names(program("status", "-n", "pay")[1]) == ["there"]
    everything = program("status", "-A")[1]
    assert everything.splitlines()[0].startswith("NAMESPACE   NAME")
    assert names(everything) == ["pay", "shop"]


def test_nothing_there_is_said_and_is_no_error(program):
    assert program("status", "-n", "pay") == (0, "", "There are no ServiceLevelObjectives in namespace pay.\n")
    assert program("status", "-A") == (0, "", "There are no ServiceLevelObjectives in this cluster.\n")


def test_json_and_yaml_are_lists_in_the_order_of_risk(program, cluster):
    cluster.put_objective("fine", "Healthy")
    cluster.put_objective("bad", "AtRisk")
    as_json = json.loads(program("status", "-o", "json")[1])
    as_yaml = yaml.safe_load(program("status", "-o", "yaml")[1])
    assert as_json == as_yaml
    assert as_json["kind"] == "List"
    assert [item["metadata"]["name"] for item in as_json["items"]] == ["bad", "fine"]
    assert "managedFields" not in as_json["items"][0]["metadata"]
    assert as_json["items"][0]["spec"]["objective"] == 99.5


def test_json_of_nothing_is_an_empty_list(program):
    code, out, err = program("status", "-o", "json")
    assert (code, err) == (0, "")
    assert json.loads(out)["items"] == []


def test_names_can_be_piped_into_kubectl(program, cluster):
    cluster.put_objective("checkout", "Healthy")
    assert program("status", "-o", "name")[1] == "servicelevelobjective.forestall.dev/checkout\n"


@pytest.mark.parametrize(
    ("state", "expected"), [("Healthy", 0), ("Unknown", 0), (None, 0), ("AtRisk", 3), ("Breached", 3)]
)
def test_the_exit_code_tells_of_risk_where_asked(program, cluster, state, expected):
    cluster.put_objective("fine", "Healthy")
    cluster.put_objective("checkout", state)
    assert program("status")[0] == 0
    assert program("status", "--exit-code")[0] == expected
    assert program("status", "--exit-code", "-o", "json")[0] == expected


def test_one_object_that_does_not_fit_hides_no_other(program, cluster):
    cluster.put_objective("fine", "Healthy")
    cluster.put_objective("strange", "AtRisk", spec=cluster.objective_spec(objective="much"))
    out = program("status")[1]
    assert names(out) == ["strange", "fine"]
    assert "Invalid" in out


def test_crds_that_are_not_installed(program, cluster):
    cluster.kinds.clear()
    code, out, err = program("status")
    assert (code, out) == (1, "")
    assert "forestall crds | kubectl apply" in err


def test_forbidden(program, cluster):
    cluster.failures["find", "ServiceLevelObjective"] = Forbidden("you may not list servicelevelobjectives")
    code, _, err = program("status")
    assert code == 1
    assert "may not list" in err


def test_text_of_others_does_not_control_the_terminal(program, cluster):
    cluster.put_objective("checkout", "AtRisk", cause={"indicator": "x\x1b[31m\nSECOND LINE"})
    out = program("status")[1]
    assert "\x1b" not in out
    assert len(out.splitlines()) == 2


def test_on_a_narrow_terminal_no_line_wraps(program, cluster, monkeypatch):
    cluster.put_objective("checkout-with-a-rather-long-name", "AtRisk", cause={"indicator": "utilisation" * 5})
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    lines = program("status", "-o", "wide")[1].splitlines()
    assert len(lines) == 2
    assert all(len(line) <= 80 for line in lines)
    assert lines[1].startswith("checkout-with-a-rather-long-name   AtRisk")


def test_watch_without_a_terminal_writes_only_what_changed(program, cluster, monkeypatch):
    cluster.put_objective("checkout", "Healthy")
    cluster.put_objective("cart", "Healthy")
    rounds = iter(["Healthy", "AtRisk", "AtRisk"])

    async def next_round(seconds: float) -> None:
        assert seconds > 0
        state = next(rounds, None)
        if state is None:
            raise KeyboardInterrupt
        cluster.objects["ServiceLevelObjective", "shop", "cart"]["status"]["state"] = state

    monkeypatch.setattr("asyncio.sleep", next_round)
    code, out, _ = program("status", "--watch")
    assert code == 130
    assert [line.split("\t")[:2] for line in out.splitlines()] == [
        ["NAME", "STATE"],
        ["cart", "Healthy"],
        ["checkout", "Healthy"],
        ["cart", "AtRisk"],
    ]


@pytest.mark.parametrize("how", [(), ("-o", "wide"), ("--watch",)])
def test_objectives_are_listed_once(program, cluster, monkeypatch, how):
    """The kind: what a screen says first and what it shows each read the same objects."""

    async def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("asyncio.sleep", interrupt)
    cluster.put_objective("checkout", "Healthy")
    program("status", *how)
    assert [request.kind for request in cluster.requests].count("ServiceLevelObjective") == 1
