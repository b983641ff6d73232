"""Every reason that the code can give is explained to people."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import forestall
from forestall.api import KINDS
from forestall.cli import reasons

PACKAGE = Path(forestall.__file__).parent
ROOMS = ("core", "engine", "remediation", "actions", "adapters")
POSITION = {
    "Hold": 0,
    "NotSent": 0,
    "Halted": 0,
    "_Trouble": 0,
    "NotApplicable": 0,
    "Deferred": 0,
    "Problem": 0,
    "QueryFailure": 0,
    "SourceTrouble": 0,
    "MetricsError": 0,
    "Outcome": 1,
    "verified_condition": 1,
    "_ready": 1,
    "completed_condition": 1,
    "Act": 2,
    "moved": 2,
    "since": 3,
}
"""Where the calls that carry a reason have it, when not as the keyword `reason`."""
WORD = re.compile(r"[A-Z][A-Za-z]+")


def given(tree: ast.AST) -> Iterator[str]:
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        name = getattr(call.func, "id", getattr(call.func, "attr", ""))
        places = [keyword.value for keyword in call.keywords if keyword.arg == "reason"]
        position = POSITION.get(name)
        if position is not None:
            places += call.args[position : position + 1]
        for place in places:
            for node in ast.walk(place):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and WORD.fullmatch(node.value):
                    yield node.value


def reasons_in_the_code() -> dict[str, str]:
    """Return every reason with the file that gives it."""
    files = [path for room in ROOMS for path in (PACKAGE / room).rglob("*.py")]
    return {reason: path.name for path in files for reason in given(ast.parse(path.read_text(encoding="utf-8")))}


def test_the_search_finds_reasons_of_every_room():
    found = reasons_in_the_code()
    assert {"Cooldown", "BreachForecast", "NoData", "Rejected", "NotRestartable", "Monitoring"} <= found.keys()


def test_every_reason_is_explained():
    known = {reason for group in reasons.ALL.values() for reason in group}
    missing = {reason: where for reason, where in reasons_in_the_code().items() if reason not in known}
    assert not missing, f"explain these in cli/reasons: {missing}"


def test_no_reason_is_explained_that_the_code_never_gives():
    known = {reason for group in reasons.ALL.values() for reason in group}
    assert not known - reasons_in_the_code().keys()


def test_meanings_are_sentences():
    for group in reasons.ALL.values():
        for name, reason in group.items():
            assert reason.meaning.endswith("."), name
            assert not reason.advice or reason.advice.endswith("."), name


def test_advice_of_an_unknown_reason_is_empty():
    assert reasons.advice("NeverHeardOf") == ""


def test_advice_that_needs_a_role_in_the_whole_cluster_says_so():
    """Kind: advice that the reader's role, bound in a namespace, does not let them follow."""
    places = [kind.PLURAL for kind in KINDS if not kind.NAMESPACED]
    named = [
        (reason, known[reason].advice)
        for known in reasons.ALL.values()
        for reason in known
        if any(f"kubectl get {place}" in known[reason].advice for place in places)
    ]
    assert named
    for reason, advice in named:
        assert "needs a cluster-wide role" in " ".join(advice.split()), reason
