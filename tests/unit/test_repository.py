"""What keeps the repository's own files in step: versions, workflows, the menu of the site, decision records."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from forestall import __version__

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
RECORDS = sorted((ROOT / "docs" / "adr").glob("0*.md"))
PINNED = re.compile(r"^uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
workflows = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def commands(path: Path) -> Iterator[str]:
    for job in load(path)["jobs"].values():
        yield from (step["run"] for step in job["steps"] if "run" in step)


def test_package_chart_and_image_have_the_same_version():
    chart = load(ROOT / "charts" / "forestall" / "Chart.yaml")
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


def test_the_image_s_tag_is_the_version_by_default():
    """An empty tag is filled by the template with the chart's appVersion; a tag here would have to be kept in step."""
    assert load(ROOT / "charts" / "forestall" / "values.yaml")["image"]["tag"] == ""
    helpers = (ROOT / "charts" / "forestall" / "templates" / "_helpers.tpl").read_text()
    assert "$image.tag | default .Chart.AppVersion" in helpers


def test_the_readme_builds_the_image_with_the_version_s_tag():
    tags = re.findall(r"docker build -t \S+:(\S+)", (ROOT / "README.md").read_text())
    assert set(tags) <= {__version__}


def test_ci_runs_on_every_python_that_the_package_supports():
    classifiers = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text())
    assert load(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]["checks"]["strategy"]["matrix"] == {
        "python": classifiers
    }


def test_the_nightly_run_has_every_benchmark():
    folder = ROOT / "benchmarks"
    names = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__main__.py")}
    matrix = load(ROOT / ".github" / "workflows" / "nightly.yml")["jobs"]["benchmark"]["strategy"]["matrix"]
    assert set(matrix["benchmark"]) == names - {"__init__"}


@workflows
def test_workflows_call_targets_that_exist(path):
    targets = set(re.findall(r"^([a-z0-9-]+)[%:]", (ROOT / "Makefile").read_text(), re.MULTILINE))
    called = {match[1] for command in commands(path) if (match := re.match(r"make ([\w-]+)", command))}
    assert called
    assert called <= targets


PUBLISHES = {"contents": "read", "packages": "write"}
RIGHTS = {
    ("release", "image"): PUBLISHES,
    ("release", "chart"): PUBLISHES,
    ("release", "sign"): {**PUBLISHES, "attestations": "write", "id-token": "write"},
}
"""What jobs may do beyond reading the code. Only the job that signs has an identity, and it runs none of the code."""


@workflows
def test_workflows_may_only_read_and_end(path):
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert "group" in workflow["concurrency"]
    assert [name for name, job in workflow["jobs"].items() if "timeout-minutes" not in job] == []
    granted = {(path.stem, name): job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job}
    assert granted == {job: rights for job, rights in RIGHTS.items() if job[0] == path.stem}


def test_who_signs_runs_nothing_of_the_code():
    steps = load(ROOT / ".github" / "workflows" / "release.yml")["jobs"]["sign"]["steps"]
    assert not [step for step in steps if "checkout" in step.get("uses", "") or "make " in step.get("run", "")]


def test_a_release_publishes_only_what_a_tag_points_to():
    release = load(ROOT / ".github" / "workflows" / "release.yml")
    # YAML reads the key `on` as a truth value.
    assert release[True]["push"] == {"tags": ["v*"]}


@workflows
def test_actions_are_pinned_by_commit(path):
    """A tag can be moved; a comment tells people and Dependabot which version the commit is."""
    used = [line.strip().removeprefix("- ") for line in path.read_text().splitlines() if "uses:" in line]
    assert used
    assert [line for line in used if not PINNED.match(line)] == []


def test_a_bug_report_asks_for_what_explain_and_version_say():
    text = (ROOT / ".github" / "ISSUE_TEMPLATE" / "bug.yml").read_text()
    assert "forestall explain -n NAMESPACE OBJECTIVE -o json" in text
    assert "forestall version -o json" in text
    fields = [field for field in load(ROOT / ".github" / "ISSUE_TEMPLATE" / "bug.yml")["body"] if "id" in field]
    required = {field["id"] for field in fields if field.get("validations", {}).get("required")}
    assert {"explain", "versions"} <= required


def test_the_menu_of_the_site_has_every_page():
    docs = ROOT / "docs"
    pages = {str(path.relative_to(docs)) for path in docs.rglob("*.md")}
    menu = set(re.findall(r"[\w/-]+\.md", str(load(ROOT / "mkdocs.yml")["nav"])))
    outside = set(re.findall(r'": "([\w-]+\.md)"', (ROOT / "scripts" / "site.py").read_text()))
    assert len(outside) > 4
    assert menu == pages | outside


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_decision_records_are_short_and_listed(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"# {path.name[:4]}: ")
    assert len(text.splitlines()) <= 40
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    status = re.search(r"^\*\*Status\*\*: (proposed|accepted|superseded by)", text, re.MULTILINE)
    assert status is not None
    row = next(line for line in (path.parent / "README.md").read_text().splitlines() if f"({path.name})" in line)
    assert status[1] in row


def test_decision_records_are_numbered_without_gaps():
    assert [path.name[:4] for path in RECORDS] == [f"{number:04}" for number in range(1, len(RECORDS) + 1)]
