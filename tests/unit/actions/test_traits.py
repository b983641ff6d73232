"""What an action is stands in its own file. Kind: a list of actions elsewhere, in which a new one is forgotten."""

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import yaml

from forestall.actions import ACTIONS, traits_of
from forestall.api.guardrail import ActionName
from forestall.api.remediation import ObjectRef, Remediation
from forestall.api.remediation_policy import ACTIONS as FIELDS
from forestall.api.remediation_policy import Rung
from forestall.core.traits import ActionTraits

NAMES = frozenset(get_args(ActionName))
KINDS_OF_KUBERNETES = {("adapters/kubernetes/names.py", "Scale")}
"""What is compared there is the kind of an object that has the same name."""
WEB = ObjectRef(api_version="apps/v1", kind="Deployment", namespace="shop", name="web")
NODE = ObjectRef(api_version="v1", kind="Node", name="n1")

every_action = pytest.mark.parametrize("name", ACTIONS)


def names_in(node: ast.AST) -> Iterator[str]:
    """Return the names of actions among the constants of an expression."""
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and part.value in NAMES:
            yield str(part.value)


def asked(tree: ast.AST) -> set[str]:
    """Return which actions a module asks for: by their names, or by the field of an intent's action."""
    return {name for node in ast.walk(tree) for name in (*by_name(node), *by_field(node))}


def by_name(node: ast.AST) -> Iterator[str]:
    """Return the names of actions that are compared or matched, or listed to be looked up."""
    match node:
        case ast.Compare() | ast.MatchValue() | ast.Set() | ast.Call(func=ast.Name(id="set" | "frozenset")):
            yield from names_in(node)
        case ast.Assign(value=ast.Tuple() | ast.List()) | ast.AnnAssign(value=ast.Tuple() | ast.List()):
            yield from names_in(node)
        case ast.Dict(keys=keys):
            for key in keys:
                yield from names_in(key) if key is not None else ()


def by_field(node: ast.AST) -> Iterator[str]:
    """Return the fields such as `intent.action.scale` that are tested for being there."""
    tests: list[ast.expr] = []
    match node:
        case ast.Compare(left=left, comparators=others):
            tests = [left, *others]
        case ast.BoolOp(values=tests) | ast.comprehension(ifs=tests):
            pass
        case ast.UnaryOp(operand=test) | ast.If(test=test) | ast.IfExp(test=test):
            tests = [test]
    for part in tests:
        if isinstance(part, ast.Attribute) and part.attr in FIELDS and ast.unparse(part.value).endswith("action"):
            yield part.attr


def test_each_action_is_held_to_be_independent_of_the_others():
    """The list in `pyproject.toml`: what a new action is missing from, import-linter does not look at."""
    contracts = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (modules,) = [contract["modules"] for contract in contracts if contract["name"] == "Actions are independent"]
    assert sorted(modules) == sorted(type(action).__module__ for action in ACTIONS.values())


@pytest.mark.parametrize(
    "text",
    [
        'act.action == "Scale"',
        'action not in ("Evict", "Restart")',
        'ROLLS = frozenset({"Restart"})',
        'SWITCHES = {"Job": "workloads.jobs"}',
        'ROLLS = ("Restart", "Evict")',
        'match action:\n    case "Drain":\n        pass',
        "intent.action.notify is None",
        "[one for one in live if one.spec.intent.action.drain]",
        "if not rung.action.scale:\n    pass",
    ],
)
def test_the_ways_to_ask_which_action_it_is_are_seen(text: str) -> None:
    assert asked(ast.parse(text))


@pytest.mark.parametrize(
    "text", ['document = {"actions": ["Scale"]}', "scale = intent.action.scale", 'title = "Scale"']
)
def test_what_carries_an_action_asks_nothing(text: str) -> None:
    assert not asked(ast.parse(text))


def test_no_module_but_the_actions_and_the_api_asks_which_action_it_is(root: Path) -> None:
    package = root / "operator" / "forestall"
    files = {str(file.relative_to(package)): file for file in sorted(package.rglob("*.py"))}
    others = {place: file for place, file in files.items() if not place.startswith(("actions/", "api/"))}
    assert len(others) > 100
    found = {(place, name) for place, file in others.items() for name in asked(ast.parse(file.read_text()))}
    assert found == KINDS_OF_KUBERNETES


def test_each_action_is_registered_has_a_field_and_can_be_allowed() -> None:
    assert set(ACTIONS) == NAMES == {field.capitalize() for field in FIELDS}


@every_action
def test_each_action_declares_all_of_its_traits(name: str) -> None:
    traits = ACTIONS[name].traits
    assert "traits" in vars(type(ACTIONS[name])), "those of another action are not its own"
    assert traits.name == name
    for kind, value in get_type_hints(ActionTraits).items():
        allowed = get_args(value)
        assert getattr(traits, kind) in allowed if allowed else isinstance(getattr(traits, kind), value)
    assert traits.undo


def test_no_trait_has_a_default() -> None:
    with pytest.raises(TypeError, match=f"missing {len(fields(ActionTraits))} required"):
        ActionTraits()  # type: ignore[call-arg]


@every_action
def test_the_traits_of_an_action_agree(name: str) -> None:
    """What the words of one trait promise, the others keep."""
    traits = ACTIONS[name].traits
    rights = ACTIONS[name].rights(NODE if traits.scope == "node" else WEB)
    assert bool(rights) == traits.changes_cluster
    assert (traits.verification != "none") == traits.changes_cluster
    assert traits.cause_label == (traits.scope if traits.scope in ("pod", "node") else "")
    assert (traits.scope == "node") == (traits.verification == "node")
    if traits.scope == "node":
        assert traits.chart_value.startswith("nodes."), "no workload role grants it"
        assert not traits.allowed_by_default
    if traits.disruption != "none":
        assert traits.changes_cluster


@every_action
def test_the_chart_has_the_value_that_grants_an_action(root: Path, name: str) -> None:
    value = ACTIONS[name].traits.chart_value
    there: Any = yaml.safe_load((root / "charts" / "forestall" / "values.yaml").read_text())
    for part in value.split(".") if value else ():
        assert part in there, value
        there = there[part]
    assert not there or not value, "what an action needs beyond the workload role is asked for"


def test_the_admission_policy_asks_for_the_rights_of_each_action(root: Path) -> None:
    """Nobody gets through forestall what they could not do themselves."""
    template = (root / "charts" / "forestall" / "templates" / "admission.yaml").read_text()
    _, _, rights = template.partition("$rights := dict\n")
    asked_for = re.findall(r'^  "(\w+)" ', rights.partition("}}")[0], re.MULTILINE)
    by_rung = ["patch"] if "!has({{ $rung }}.patch) ||" in template else []  # whose rights the rung itself says
    assert {*asked_for, *by_rung} == {name.lower() for name, action in ACTIONS.items() if action.traits.changes_cluster}


def test_the_schema_lets_people_undo_just_what_is_kept() -> None:
    kept = [name.lower() for name, action in ACTIONS.items() if action.traits.kept_while_at_risk]
    schema = json.dumps(Remediation.model_json_schema())
    (rule,) = re.findall(r'"(!has\(self\.spec\.undo\) [^"]*has\(self\.spec\.intent\.action[^"]*)"', schema)
    assert re.findall(r"intent\.action\.(\w+)", rule) == kept
    assert f"only {', '.join(kept[:-1])} and {kept[-1]} can" in schema


def rows(page: str, heading: str) -> dict[str, list[str]]:
    """Return the cells of the table whose header begins with `heading`, by what stands in the first column."""
    _, _, table = page.partition(f"\n| {heading}")
    lines = table.partition("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0].strip("`"): row[1:] for row in cells}


def test_the_docs_say_the_same(root: Path) -> None:
    page = (root / "docs" / "actions.md").read_text()
    told = rows(page, "action | aimed at |")
    assert told == {
        name.lower(): [
            action.traits.scope,
            action.traits.disruption,
            action.traits.cause_label and f"`{action.traits.cause_label}`",
            action.traits.verification,
            "yes" if action.traits.allowed_by_default else "no",
        ]
        for name, action in ACTIONS.items()
    }
    changes = rows(page, "action | changes |")
    assert list(changes) == [name.lower() for name in ACTIONS]
    for name, (_, undone, needs) in changes.items():
        traits = ACTIONS[name.capitalize()].traits
        granted = re.findall(r"(?<!for KEDA )`([a-z]+\.\w+)`", needs)
        assert granted == ([traits.chart_value] if traits.chart_value else []), name
        assert ("Guardrail" in needs) == (not traits.allowed_by_default), name
        assert undone.startswith("no") != traits.kept_while_at_risk, name


def test_a_rung_tells_the_traits_of_its_action() -> None:
    assert traits_of(Rung.model_validate({"restart": {}})) == ACTIONS["Restart"].traits
