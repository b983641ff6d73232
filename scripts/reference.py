"""Write docs/reference from the models, the commands and the reasons; `--check` fails when a page is not up to date."""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from forestall.adapters.prometheus.refusals import REFUSALS, REMARKS, Refusal
from forestall.adapters.prometheus.triage import MOST_FAILED
from forestall.api import API_VERSION, KINDS, Resource
from forestall.api.crd import crd
from forestall.cli import reasons
from forestall.cli.app import COMMANDS, USAGE, program

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "reference"
NOTE = "<!-- Written by scripts/reference.py; do not edit. -->\n"
COLUMNS = 100
COMMANDS_HEAD = f"""# Commands

`kubectl forestall` is the same program: kubectl finds `kubectl-forestall` on the PATH.

| exit code | meaning |
| --- | --- |
| 0 | done |
| 1 | failed; one line on standard error says why and what to do |
| {USAGE} | wrong usage |
| 3 | an objective is at risk or in breach (`status --exit-code`) |
| 130 | interrupted |

Output is colored on terminals only; `NO_COLOR` disables it. Other output does not depend on the width of the terminal.
"""
REASONS_HEAD = """# Reasons

Every decision, condition and outcome carries a reason: one word for programs, which these tables explain, and a message
for people, which says the particulars. `forestall explain` shows both, and what to do.
"""
SOURCES_HEAD = """# What sources say

What the kinds of metric sources answer in trouble, and what becomes of it. *Source*: no query is answered, and it is
asked again in the next cycle. *Query*: the others are answered. *Either*: some sources say the same of a bad query and
of their own trouble, so a harmless query is asked to tell which.

A request holds many queries. One that is refused is parted until the bad query is found; at most {most} requests of a
cycle may fail. That a query is bad is remembered for a minute, or ten where the source does not understand it, and only
where other queries were answered meanwhile.
"""
NOTES_HEAD = """
## Notes beside an answer

The meaning of `warnings`; the list `infos` has only hints, and `isPartial` means that the answer is not whole. What
the table does not have means so, too. Nothing is done on a part.

| source | note | means |
| --- | --- | --- |
"""
GROUPS = {
    "decisions": """## Decisions

Of what each policy decided: `status.decisions[].reason` of an objective. A decision is `Act`, `WouldAct` (in mode
Observe) or `Hold`.
""",
    "conditions": """## Conditions

Of `status.conditions[]`: `Ready`, `DataFresh`, `BudgetKnown`, `PredictionReady` and `AtRisk` of an objective, `Ready`
of a policy, a metric source and a guardrail.
""",
    "outcomes": """## The life of a Remediation

Of `status.reason` and of the conditions `Approved`, `Completed` and `Verified` of a Remediation. What holds an action
back before it is done appears here with the same reasons as among the decisions.
""",
}


def pages() -> dict[Path, str]:
    """Return every page with its text."""
    kinds = {FOLDER / f"{kind.SINGULAR}.md": _kind(kind) for kind in KINDS}
    return {
        **kinds,
        FOLDER / "cli.md": _commands(),
        FOLDER / "reasons.md": _reasons(),
        FOLDER.parent / "sources.md": _sources(),
    }


def _sources() -> str:
    lines = [NOTE, SOURCES_HEAD.format(most=MOST_FAILED)]
    lines += [
        "| source | trouble | HTTP status | `errorType` | about | reason |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [_refusal(row) for row in REFUSALS]
    notes = [
        f"| {row.products} | `{row.start + ': …' if row.start else '… ' + row.end}` | {row.note.value} |"
        for row in REMARKS
    ]
    return "\n".join([*lines, NOTES_HEAD + "\n".join(notes), ""])


def _refusal(row: Refusal) -> str:
    statuses = ", ".join(map(str, row.statuses)) or "any"
    kinds = ", ".join(f"`{kind}`" if kind not in ("", "none") else "none" for kind in dict.fromkeys(row.kinds)) or "any"
    about = "either" if row.ambiguous else row.scope
    return f"| {row.products} | {row.trouble} | {statuses} | {kinds} | {about} | {row.reason} |"


def _kind(kind: type[Resource]) -> str:
    version = crd(kind)["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    scope = "namespaced" if kind.NAMESPACED else "cluster-scoped"
    short = ", ".join(f"`{name}`" for name in kind.SHORT_NAMES)
    lines = [
        NOTE,
        f"# {kind.KIND}\n",
        f"{schema['description']}\n",
        f"`{API_VERSION}`, {scope}; `kubectl get {kind.PLURAL}`, short {short}.\n",
    ]
    for part in ("spec", "status"):
        lines += [f"## {part}\n", f"{schema['properties'][part]['description']}\n", *_fields(schema, part)]
    rules = list(_rules(schema["properties"]["spec"], "spec"))
    if rules:
        lines += ["## Refused at apply\n", *rules, ""]
    return "\n".join(lines)


def _fields(schema: Mapping[str, Any], part: str) -> Iterator[str]:
    yield "| field | type | what it says |"
    yield "| --- | --- | --- |"
    for path, node, required in _walk(schema["properties"][part], ""):
        default = node.get("default")
        kind = _type(node) + (", required" if required else "")
        kind += f", default `{_plain(default)}`" if default is not None and node.get("type") != "object" else ""
        yield f"| `{path}` | {kind} | {_cell(node.get('description', ''))} |"
    yield ""


def _walk(node: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    required = node.get("required", ())
    for name, field in node.get("properties", {}).items():
        path = f"{prefix}{name}"
        yield path, field, name in required
        if _is_known(field):
            continue
        if field.get("type") == "array":
            yield from _walk(field["items"], f"{path}[].")
        else:
            yield from _walk(field, f"{path}.")


def _is_known(node: Mapping[str, Any]) -> bool:
    """Whether the field is of a type that everybody who knows Kubernetes knows."""
    return _type(node) in ("label selector", "list of conditions", "object reference")


def _type(node: Mapping[str, Any]) -> str:
    names = set(node.get("items", node).get("properties", {}))
    if names == {"matchLabels", "matchExpressions"}:
        return "label selector"
    if {"type", "status", "reason", "lastTransitionTime"} <= names:
        return "list of conditions"
    if names == {"apiVersion", "kind", "namespace", "name", "uid"}:
        return "object reference"
    if node.get("type") == "array":
        return f"list of {_type(node['items'])}"
    if "enum" in node:
        return " or ".join(f"`{value}`" for value in node["enum"])
    if any("not a duration" in rule["message"] for rule in node.get("x-kubernetes-validations", ())):
        return "duration"
    if isinstance(node.get("additionalProperties"), dict):
        return "map"
    return f"{node.get('type', 'any')}{_range(node)}"


def _range(node: Mapping[str, Any]) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    if low is None and high is None:
        return ""
    above = "above" if node.get("exclusiveMinimum") else "from"
    below = "below" if node.get("exclusiveMaximum") else "to"
    parts = [f"{above} {low:g}"] if low is not None else []
    parts += [f"{below} {high:g}"] if high is not None else []
    return " " + " ".join(parts)


def _rules(node: Mapping[str, Any], path: str) -> Iterator[str]:
    for rule in node.get("x-kubernetes-validations", ()):
        if "not a duration" not in rule["message"]:
            yield f"- `{path}`: {rule['message']}"
    if node.get("type") == "array":
        yield from _rules(node["items"], f"{path}[]")
    for name, field in node.get("properties", {}).items():
        if not _is_known(field):
            yield from _rules(field, f"{path}.{name}")


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _commands() -> str:
    lines = [NOTE, COMMANDS_HEAD]
    for name in COMMANDS:
        command = program.get_command(click.Context(program), name)
        if command is None:
            raise LookupError(name)
        context = click.Context(command, info_name=f"forestall {name}", terminal_width=COLUMNS)
        lines += [f"## forestall {name}\n", "```text", command.get_help(context), "```\n"]
    return "\n".join(lines)


def _reasons() -> str:
    lines = [NOTE, REASONS_HEAD]
    for group, known in reasons.ALL.items():
        lines += [GROUPS[group], "| reason | what it means | what to do |", "| --- | --- | --- |"]
        lines += [f"| `{name}` | {_cell(one.meaning)} | {_cell(one.advice)} |" for name, one in sorted(known.items())]
        lines.append("")
    return "\n".join(lines)


def main() -> int:
    """Write the pages, or with `--check` say which are not up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = {
        path: text for path, text in pages().items() if not path.is_file() or path.read_text(encoding="utf-8") != text
    }
    for path, text in stale.items():
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        print(f"{'not up to date' if check else 'wrote'}: {path.relative_to(ROOT)}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
