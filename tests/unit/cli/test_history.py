"""`forestall history`."""

import json

import pytest

LIFE = {
    "approval": {"decision": "Approved", "by": "kim", "at": "2025-06-15T15:05:10Z", "comment": "campaign"},
    "feedback": {"verdict": "Helpful", "by": "jo", "at": "2025-06-15T15:06:30Z"},
    "status": {
        "reason": "Released",
        "message": "the risk is over",
        "ended": "2025-06-15T15:06:10Z",
        "steps": [
            {"at": "2025-06-15T15:05:20.123456Z", "change": "replicas: 3 -> 6", "because": "load", "done": True},
            {"at": "2025-06-15T15:06:00Z", "change": "replicas: 6 -> 3", "done": False},
        ],
        "conditions": [
            {"type": "Verified", "status": "True", "reason": "RiskFell", "lastTransitionTime": "2025-06-15T15:05:50Z"}
        ],
    },
}


def names(out):
    return [line.split()[2] for line in out.splitlines()[1:]]


@pytest.fixture
def some(cluster):
    cluster.put_remediation("old", "Failed", created="2025-06-13T15:06:40Z")
    cluster.put_remediation("live", "Verifying", created="2025-06-15T15:06:00Z")
    node = {"apiVersion": "v1", "kind": "Node", "name": "n1"}
    cluster.put_remediation("node", "Succeeded", target=node, policy={**node, "name": "nodes"}, **LIFE)


@pytest.mark.usefixtures("some")
def test_the_newest_comes_first(program):
    code, out, err = program("history")
    assert (code, err) == (0, "")
    head, live, *_ = out.splitlines()
    assert head.split() == ["DECIDED", "NAME", "WHAT", "PHASE", "REASON", "OBJECTIVE", "PEOPLE"]
    assert live.split("   ")[0] == "40s ago"
    assert names(out) == ["live", "node", "old"]
    assert "Approved by kim; Helpful by jo" in out


@pytest.mark.usefixtures("some")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["slo/checkout"], ["live", "node", "old"]),
        (["policy/nodes"], ["node"]),
        (["remediationpolicy.forestall.dev/nodes"], ["node"]),
        (["deployment/checkout"], ["live", "old"]),
        (["node/n1"], ["node"]),
        (["--since", "1d"], ["live", "node"]),
        (["--phase", "failed"], ["old"]),
        (["--phase", "live"], ["live"]),
        (["--phase", "ended", "--since", "1d"], ["node"]),
        (["-n", "other"], []),
    ],
)
def test_filters(program, words, found):
    code, out, err = program("history", *words)
    assert code == 0
    assert names(out) == found
    assert (err == "Nothing of that kind was done.\n") == (not found)


@pytest.mark.usefixtures("some")
def test_for_programs(program):
    items = json.loads(program("history", "-o", "json")[1])["items"]
    assert [each["metadata"]["name"] for each in items] == ["live", "node", "old"]
    assert "managedFields" not in items[0]["metadata"]
    assert program("history", "-o", "name", "--phase", "live")[1] == "remediation.forestall.dev/live\n"
    assert json.loads(program("history", "live", "-o", "json")[1])["metadata"]["name"] == "live"


def test_the_whole_life_of_one_in_order(program, cluster):
    cluster.put_remediation("checkout-scale-1", "Succeeded", **LIFE)
    code, out, err = program("history", "remediation.forestall.dev/checkout-scale-1")
    assert (code, err) == (0, "")
    life = [line.strip() for line in out.partition("Its life")[2].partition("How it ends")[0].splitlines() if line]
    assert life == [
        "2025-06-15 15:04:40  decided for objective checkout, episode 3",
        "2025-06-15 15:05:10  Approved by kim: campaign",
        "2025-06-15 15:05:20  replicas: 3 -> 6: load",
        "2025-06-15 15:05:50  Verified=True RiskFell",
        "2025-06-15 15:06:00  replicas: 6 -> 3 (not known to be done)",
        "2025-06-15 15:06:10  Succeeded, Released: the risk is over",
        "2025-06-15 15:06:30  Helpful by jo",
    ]
    assert "utilisation is forecast to pass 0.85 in 6m" in out
    assert "Was it right?" not in out


def test_it_says_what_is_left_to_people(program, cluster):
    cluster.put_remediation("waits", "AwaitingApproval")
    assert "forestall approve -n shop waits" in program("history", "waits")[1]
    cluster.put_remediation("over", "Failed", status={"ended": "2025-06-15T15:06:10Z"})
    assert "forestall feedback -n shop over helpful|unhelpful|false-alarm" in program("history", "over")[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["slo/"], "is neither the name of a remediation nor KIND/NAME"),
        (["/x"], "is neither the name of a remediation nor KIND/NAME"),
        (["--since", "soon"], "'soon' is not a duration"),
        (["--phase", "dead"], "is not one of"),
        (["checkout-scale-1", "-A"], "one remediation is in one namespace"),
    ],
)
def test_wrong_words(program, words, said):
    code, _, err = program("history", *words)
    assert code == 2
    assert said in err


def test_a_missing_one_names_what_is_like_it(program, cluster):
    cluster.put_remediation("checkout-scale-1", "Failed")
    code, _, err = program("history", "checkout-scale-l")
    assert code == 1
    assert "Did you mean checkout-scale-1?" in err


def test_a_misspelt_objective_or_policy_is_no_empty_history(program, cluster):
    """Kind: a typing error that looks like a true answer."""
    cluster.put_objective("two")
    assert "Did you mean two?" in program("history", "slo/tow")[2]
    assert program("history", "slo/two")[::2] == (0, "Nothing of that kind was done.\n")
    assert "There is none at all" in program("history", "policy/x")[2]


def test_a_change_is_shown_as_it_is_now(program, cluster):
    """Kind: the intent's first figures are shown long after others hold."""
    steps = [{"at": f"2025-06-15T15:0{n}:00.123456Z", "change": "", "to": to} for n, to in enumerate((6, 8, 5))]
    cluster.put_remediation("live", "Verifying", deadline="2025-06-15T15:34:40.123456Z", status={"steps": steps})
    assert "Scale Deployment/checkout 3 → 8 → 5" in program("history")[1]
    page = program("history", "live")[1]
    assert "3 → 8 → 5" in page
    assert ".123456" not in page
