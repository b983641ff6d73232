"""`forestall pause`, `forestall resume`, and what `forestall status` says of them."""

import pytest

from forestall.errors import Conflict, Forbidden, NotFound

GUARDRAIL = ("Guardrail", "", "pause")
WHOLE = ("Pause", "shop", "all")


def test_one_command_stops_everything(program, cluster):
    code, out, err = program("pause", "--for", "2h", "--reason", "an incident")
    assert (code, err) == (0, "")
    assert out == "everything is paused for 2h, until 2025-06-15T17:06:40Z\n"
    assert cluster.objects[GUARDRAIL]["spec"] == {
        "paused": True,
        "pausedBy": "jo@example.org",
        "pausedAt": "2025-06-15T15:06:40Z",
        "pauseUntil": "2025-06-15T17:06:40Z",
        "pauseReason": "an incident",
    }


def test_pausing_again_changes_the_end(program, cluster):
    program("pause", "--for", "2h")
    assert program("pause")[1] == "everything is paused until `forestall resume`\n"
    assert "pauseUntil" not in cluster.objects[GUARDRAIL]["spec"]


@pytest.mark.parametrize(
    ("words", "name", "said"),
    [
        (["-n", "shop"], "all", {}),
        (["slo/checkout"], "objective-checkout", {"objective": "checkout"}),
        (["servicelevelobjective.forestall.dev/checkout"], "objective-checkout", {"objective": "checkout"}),
        (["policy/early", "-n", "shop"], "policy-early", {"policy": "early"}),
    ],
)
def test_a_namespace_and_an_object(program, cluster, words, name, said):
    cluster.put_objective("checkout")
    cluster.put("RemediationPolicy", "early", spec={})
    assert program("pause", *words, "--reason", "x")[0] == 0
    spec = cluster.objects["Pause", "shop", name]["spec"]
    assert spec == {"by": "jo@example.org", "at": "2025-06-15T15:06:40Z", "reason": "x", **said}
    code, out, err = program("resume", *words)
    assert (code, err) == (0, "")
    assert out.endswith(" goes on\n")
    assert ("Pause", "shop", name) not in cluster.objects


def test_resuming_leaves_what_else_the_guardrail_says(program, cluster):
    program("pause")
    cluster.objects[GUARDRAIL]["spec"]["budget"] = {"actions": 1}
    assert program("resume")[:2] == (0, "everything goes on\n")
    assert cluster.objects[GUARDRAIL]["spec"] == {"paused": False, "budget": {"actions": 1}}


def test_resuming_what_was_not_paused(program):
    assert program("resume") == (0, "everything was not paused by `forestall pause`\n", "")
    assert program("resume", "-n", "shop")[:2] == (0, "namespace shop was not paused by `forestall pause`\n")


def test_resuming_says_what_still_pauses(program, cluster):
    cluster.put("RemediationPolicy", "early", spec={})
    cluster.put_objective("checkout")
    cluster.put("Guardrail", "cluster", namespace="", spec={"paused": True, "pauseReason": "migration"})
    program("pause", "policy/early")
    program("pause", "-n", "shop")
    code, out, err = program("resume", "-n", "shop")
    assert (code, out) == (1, "namespace shop goes on\n")
    assert err.splitlines() == [
        "still paused: everything (Guardrail cluster): migration",
        "still paused: policy early in namespace shop by jo@example.org since 0s",
    ]
    del cluster.objects["Guardrail", "", "cluster"]
    assert program("resume", "slo/checkout")[0] == 0, "another object is another matter"


def test_status_says_what_is_paused_by_whom_and_since_when(program, cluster):
    cluster.put_objective("checkout", "Healthy")
    told = {"by": "kim", "at": "2025-06-15T15:01:40Z", "until": "2025-06-15T16:06:40Z", "reason": "deploy"}
    cluster.put("Pause", "all", spec=told)
    cluster.put("Pause", "old", spec={**told, "until": "2025-06-15T15:06:40Z"})
    code, out, err = program("status")
    assert (code, err) == (0, "PAUSED: namespace shop for another 1h by kim since 5m: deploy\n")
    assert out.startswith("NAME ")
    assert program("status", "-o", "json")[2] == ""
    assert program("status", "-n", "other")[2].startswith("There are no")


def test_status_works_for_who_may_not_see_guardrails(program, cluster):
    cluster.put_objective("checkout", "Healthy")
    cluster.failures["find", "Guardrail"] = Forbidden("no")
    assert program("status")[::2] == (0, "")


def test_an_invalid_pause_is_said(program, cluster):
    cluster.put_objective("checkout", "Healthy")
    cluster.put("Pause", "odd", spec={"until": "tomorrow"})
    assert program("status")[2] == "warning: Pause odd in namespace shop is invalid, which pauses it\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--for", "soon"], "'soon' is not a duration"),
        (["--for", "0s"], "a pause lasts from 1s to 366d"),
        (["checkout"], "'checkout' is not slo/NAME or policy/NAME"),
        (["deployment/checkout"], "'deployment/checkout' is not"),
        (["policy/"], "'policy/' is not"),
        (["polcy/early"], "Did you mean policy/early?"),
        (["-n", ""], "is not the name of a namespace"),
    ],
)
def test_wrong_words(program, cluster, words, said):
    code, _, err = program("pause", *words)
    assert code == 2
    assert said in err
    assert not cluster.objects


def test_without_the_right_it_says_what_one_may_do(program, cluster):
    cluster.failures["create", "Guardrail"] = Forbidden("POST: denied")
    code, _, err = program("pause")
    assert code == 1
    assert "You (jo@example.org) may not pause the whole cluster" in err
    assert "With -n you can pause your own namespace" in err
    cluster.failures["create", "Pause"] = Forbidden("POST: denied")
    assert "`create`, `patch` and `delete` on pauses.forestall.dev" in program("pause", "-n", "shop")[2]


def test_somebody_who_writes_at_the_same_time_is_no_matter(program, cluster):
    program("pause")
    versions = iter(["2", "3"])

    def write() -> None:
        cluster.objects[GUARDRAIL]["metadata"]["resourceVersion"] = next(versions, "3")

    cluster.on_patch = write
    assert program("pause", "--for", "1h")[0] == 0
    assert cluster.objects[GUARDRAIL]["spec"]["pauseUntil"] == "2025-06-15T16:06:40Z"
    cluster.failures["patch", "Guardrail"] = Conflict("the object has been modified")
    assert program("pause")[0] == 1


def test_without_the_definitions_it_says_so(program, cluster):
    cluster.kinds = set()
    code, _, err = program("pause")
    assert code == 1
    assert "forestall crds | kubectl apply" in err


@pytest.mark.parametrize("command", ["pause", "resume"])
@pytest.mark.parametrize(
    ("typed", "kind", "meant"), [("policy/leek", "RemediationPolicy", "leak"), ("slo/chekout", "SLO", "checkout")]
)
def test_a_mistyped_name_pauses_nothing_and_says_what_was_meant(program, cluster, command, typed, kind, meant):
    """Kind: a command that writes about an object that is not there, and says that it is done."""
    cluster.put_objective("checkout")
    cluster.put("RemediationPolicy", "leak", spec={})
    code, out, err = program(command, "-n", "shop", typed)
    assert (code, out) == (1, "")
    assert f"Did you mean {meant}?" in err
    assert not [key for key in cluster.objects if key[0] == "Pause"], kind


def test_who_may_not_read_what_is_paused_pauses_it_all_the_same(program, cluster):
    cluster.failures["read", "RemediationPolicy"] = Forbidden("GET: denied")
    assert program("pause", "-n", "shop", "policy/early")[0] == 0


def test_a_namespace_that_is_not_there_is_named(program, cluster):
    cluster.failures["create", "Pause"] = NotFound("namespaces nihgt not found")
    code, _, err = program("pause", "-n", "nihgt")
    assert code == 1
    assert "There is no namespace nihgt." in err
