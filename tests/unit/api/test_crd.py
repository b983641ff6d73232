"""The CRD generator: its files are committed, its schemas are complete, and the models read what the schemas admit."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.examples import examples

from forestall.api import KINDS, Guardrail, Resource
from forestall.api.crd import crd, files, main, render, render_template, write
from forestall.api.remediation_policy import ACTIONS

Node = dict[str, Any]
ROOT = Path(__file__).resolve().parents[3]
kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.KIND)


@cache
def schema(kind: type[Resource]) -> Node:
    found: Node = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def nodes(node: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    yield path, node
    for name, inner in node.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in node:
            yield from nodes(node[key], f"{path}[]")


def test_generated_files_are_committed() -> None:
    stale = [path.relative_to(ROOT) for path, text in files(ROOT).items() if path.read_text() != text]
    assert not stale, "run `python -m forestall.api.crd --write`"


def test_there_are_no_other_files_beside_the_generated_ones() -> None:
    generated = set(files(ROOT))
    folders = {path.parent for path in generated}
    assert {path for folder in folders for path in folder.iterdir()} == generated


def test_check_and_write_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(option: str) -> int:
        return main([option, "--root", str(tmp_path)])

    assert run("--check") == 1
    assert run("--write") == 0
    assert run("--check") == 0
    assert write(tmp_path) == []
    changed = tmp_path / "crds" / "guardrails.yaml"
    changed.write_text(changed.read_text() + "# by hand\n")
    capsys.readouterr()
    assert run("--check") == 1
    assert capsys.readouterr().out == f"not up to date: {changed}\n"
    assert write(tmp_path) == [changed]


@kinds
def test_schema_uses_only_what_a_structural_schema_may_have(kind: type[Resource]) -> None:
    for path, node in nodes(schema(kind)):
        assert node.get("type"), path
        assert not node.keys() & {"$ref", "anyOf", "oneOf", "allOf", "const", "title", "patternProperties"}, path
        assert node.get("default", 0) is not None, path


@kinds
def test_every_field_is_described(kind: type[Resource]) -> None:
    bare = [
        path
        for path, node in nodes(schema(kind))
        if not path.endswith("[]") and path != ".metadata" and not node.get("description", "").endswith(".")
    ]
    assert not bare


@kinds
def test_a_description_stands_without_its_parent(kind: type[Resource]) -> None:
    """`kubectl explain` shows a field alone, so its text needs no parent. Actions are reverted, not released."""
    needs_parent = re.compile(r"(Its?|Who|What|When|Why|Which|Where|How|The same)\b|\W*\w+\W*$")
    glued = re.compile(r"[a-z]\.[A-Z][a-z]+\b(?!`)")
    texts = {path: re.sub(r"`[^`]*`", "", node.get("description", "")) for path, node in nodes(schema(kind))}
    assert len(texts) > 10
    assert {path: text for path, text in texts.items() if needs_parent.match(text)} == {}
    assert {path: text for path, text in texts.items() if glued.search(text)} == {}
    assert {path: text for path, text in texts.items() if "releas" in text.lower()} == {}
    assert texts[".status"] == f"The observed state of the {kind.KIND}. Read-only."
    assert texts[".status.conditions"].startswith("The latest observations of the object's state. Known types: ")


@kinds
def test_what_people_write_is_bounded(kind: type[Resource]) -> None:
    """Without bounds the API server can't tell what a CEL rule costs, and one object could be as large as a request."""
    unbounded = []
    for path, node in nodes(schema(kind)):
        if not path.startswith(".spec") or path.startswith(".spec.intent"):
            continue
        match node["type"]:
            case "string" if "maxLength" not in node and "enum" not in node:
                unbounded.append(path)
            case "array" if "maxItems" not in node:
                unbounded.append(path)
            case "object" if "additionalProperties" in node and "maxProperties" not in node:
                unbounded.append(path)
    assert not unbounded


@kinds
def test_the_server_fills_nothing_into_a_status(kind: type[Resource]) -> None:
    assert not [path for path, node in nodes(schema(kind)["properties"]["status"]) if "default" in node]


@kinds
def test_printer_columns_read_fields_that_exist(kind: type[Resource]) -> None:
    known = {path for path, _ in nodes(schema(kind))}
    for column in kind.COLUMNS:
        path = str(column["jsonPath"])
        if not path.startswith(".metadata") and "?(@" not in path:
            assert path in known


def test_names_are_the_kinds_own() -> None:
    short = [name for kind in KINDS for name in kind.SHORT_NAMES]
    assert len(set(short)) == len(short)
    assert not set(short) & {"slo", "rem", "pol", "ms", "gr"}, "taken by others"


@kinds
def test_the_template_for_the_chart_holds_the_same_definition(kind: type[Resource]) -> None:
    first, *body, last = render_template(kind).splitlines()
    assert (first, last) == ("{{- if .Values.crds.install }}", "{{- end }}")
    kept = yaml.safe_load("\n".join(body))
    assert kept["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert kept == yaml.safe_load(render(kind))


def test_a_double_brace_does_not_reach_helm() -> None:
    class Braced(Guardrail):
        """Looks like {{ .Values.secret }}."""

    with pytest.raises(ValueError, match="double brace"):
        render_template(Braced)


# Objects that a schema admits, but for the rules that compare fields: these the cluster tests try.

_BOUNDS = re.compile(r"^must be from (\S+) to (\S+)$")
_TEXT = st.sampled_from(["a", "x-1", "größer", "two words", "line\nline", '"quoted"', "{{", "0"])
_WORDED = {
    "not a name": ["a", "0-a"],
    "not the name of an object": ["a", "0-a.b"],
    "not a Prometheus label": ["pod", "_1"],
    "not a series selector": ["up", 'x{a=~"b|c"}', '{__name__="up"}', " a:b \n{} "],
    "not a base URL": ["http://a:1/b", "https://a"],
    "not a URL": ["http://a:1/b?c=d", "https://a"],
    "not an API version": ["v1", "apps/v1", "a.b-c/v1beta2"],
    "not a duration": ["5m", "1h30m", "2w3d"],
    "not a schedule": ["0 22 * * 1-5", "*/15 0-6 1,15 JAN-mar *"],
    "not a time zone": ["UTC", "Europe/Berlin", "Etc/GMT+5"],
    "not a size": ["512Ki", "1Gi"],
    "not a time:": ["2026-01-31T18:00:00Z", "2026-01-31T18:00:00.5+01:00"],
}


def admitted(node: Node) -> st.SearchStrategy[Any]:
    if "enum" in node:
        return st.sampled_from(node["enum"])
    match node["type"]:
        case "object" if "properties" in node:
            required = set(node.get("required", []))
            fields = {name: admitted(inner) for name, inner in node["properties"].items()}
            if any(each["message"].startswith("give exactly one action") for each in _rules(node)):
                one = st.sampled_from(ACTIONS).flatmap(lambda action: st.fixed_dictionaries({action: fields[action]}))
                rest = {name: each for name, each in fields.items() if name not in ACTIONS}
                return st.builds(dict.__or__, one, st.fixed_dictionaries({}, optional=rest))
            return st.fixed_dictionaries(
                {name: each for name, each in fields.items() if name in required},
                optional={name: each for name, each in fields.items() if name not in required},
            )
        case "object":
            return st.dictionaries(_TEXT, admitted(node["additionalProperties"]), max_size=2)
        case "array":
            return st.lists(admitted(node["items"]), min_size=node.get("minItems", 0), max_size=2)
        case "string":
            return _string(node)
        case "integer":
            return st.integers(node.get("minimum", 0), node.get("maximum", 2**31))
        case "number":
            exclusive = {
                "exclude_min": node.get("exclusiveMinimum", False),
                "exclude_max": node.get("exclusiveMaximum", False),
            }
            return st.floats(node.get("minimum", -1e15), node.get("maximum", 1e15), **exclusive)
        case _:
            return st.booleans()


@cache
def admitted_part(kind: type[Resource], part: str) -> st.SearchStrategy[Any]:
    """Return what the schema of a kind admits as its spec or its status."""
    return admitted(schema(kind)["properties"][part])


def _rules(node: Node) -> list[dict[str, str]]:
    found: list[dict[str, str]] = node.get("x-kubernetes-validations", [])
    return found


def _string(node: Node) -> st.SearchStrategy[str]:
    messages = [rule["message"] for rule in _rules(node)]
    for message in reversed(messages):  # the bounds of a duration follow its form
        if bounds := _BOUNDS.match(message):
            return st.sampled_from(bounds.groups())
        (samples,) = [samples for start, samples in _WORDED.items() if message.startswith(start)]
        return st.sampled_from(samples)
    return _TEXT


@kinds
@settings(max_examples=examples(30))
@given(data=st.data())
def test_models_read_what_the_schema_admits_and_lose_nothing(kind: type[Resource], data: st.DataObject) -> None:
    body = {"metadata": {"name": "a", "uid": "u"}} | {
        part: data.draw(admitted_part(kind, part), label=part) for part in ("spec", "status")
    }
    model = kind.read(json.loads(json.dumps(body)))
    dumped = json.loads(json.dumps(model.dump()))
    assert kind.read(dumped) == model
    _kept(body, dumped)


def _kept(written: Any, dumped: Any, path: str = "") -> None:
    match written:
        case dict():
            for key, value in written.items():
                assert key in dumped, f"{path}.{key} is lost"
                _kept(value, dumped[key], f"{path}.{key}")
        case list():
            assert len(written) == len(dumped), path
            for number, (one, other) in enumerate(zip(written, dumped, strict=True)):
                _kept(one, other, f"{path}[{number}]")
        case _:
            assert written == dumped, path
