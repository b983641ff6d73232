"""`forestall validate`: what is wrong with objects in files, and what is likely not meant, before they are applied."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from pydantic import ValidationError

from forestall.api import KINDS, MetricSource, RemediationPolicy, Resource, ServiceLevelObjective
from forestall.api.advice import about_objective, about_policy, rivals
from forestall.api.findings import Finding
from forestall.api.query_texts import query_errors
from forestall.api.schema import check
from forestall.cli import options
from forestall.cli.asking import SourceOptions, asked, prometheus_options
from forestall.cli.backtest import duration_option
from forestall.core.wording import plural
from forestall.documents import Document, read
from forestall.engine.examine import Examiner
from forestall.errors import InvalidInput
from forestall.registry import describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forestall.cli.app import State

_FILE = click.Path(path_type=Path)
_INTERVAL = 30.0
_START_UP = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateOptions(SourceOptions):
    """What `forestall validate` was told; durations are seconds."""

    files: tuple[Path, ...]
    namespace: str | None
    interval: float | None
    start_up: float | None
    strict: bool
    form: Literal["json"] | None


@dataclass(slots=True)
class _Checked:
    """The objects of all files, and what was found."""

    namespace: str
    found: list[tuple[Document, Finding]] = field(default_factory=list)
    objectives: list[tuple[Document, ServiceLevelObjective]] = field(default_factory=list)
    policies: list[tuple[Document, RemediationPolicy]] = field(default_factory=list)
    sources: dict[str, MetricSource] = field(default_factory=dict)
    askable: list[tuple[Document, ServiceLevelObjective]] = field(default_factory=list)
    """The objectives whose queries are PromQL."""

    def add(self, document: Document, findings: Sequence[Finding]) -> None:
        self.found += [(document, each) for each in findings]


@click.command
@click.option(
    "-f", "--filename", "files", type=_FILE, multiple=True, required=True, help="YAML; a folder; - for standard input."
)
@options.namespace_of_files
@prometheus_options("The URL of a Prometheus: hold objectives against its data too.")
@click.option(
    "--interval", callback=duration_option, metavar="DURATION", help="The operator's interval; 30s by default."
)
@click.option(
    "--start-up", callback=duration_option, metavar="DURATION", help="From a new replica to serving; 1m by default."
)
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings too.")
@click.option("-o", "--output", "form", type=click.Choice(["json"]), help="For programs.")
@options.debug
@click.pass_obj
def validate(state: State, /, **values: Any) -> int:
    """Say what is wrong with objects in files, what is likely not meant, and what to write instead.

    Fields, values, PromQL, and whether objectives and policies suit each other; with --prometheus also whether the
    series, buckets and labels exist, and whether limits are in proportion to the last day. Nothing is changed anywhere.
    It exits with 1 where there are errors.

    \b
    Examples:
      forestall validate -f slo.yaml
      forestall validate -f manifests/ --prometheus http://localhost:9090 --strict
      helm template . | forestall validate -f - -o json
    """
    chosen = ValidateOptions(**values)
    documents = read(chosen.files, sys.stdin)
    if not documents:
        raise InvalidInput("there is no object of forestall in the files given by -f")
    checked = _check(documents, chosen)
    if chosen.url:
        asyncio.run(_against_data(state, checked, chosen))
    if chosen.form == "json":
        findings = [_data(*each) for each in checked.found]
        click.echo(json.dumps({"objects": len(documents), "findings": findings}, indent=2, ensure_ascii=False))
    else:
        _show(checked, len(documents))
    failed = any(each.level == "error" or chosen.strict for _, each in checked.found)
    return 1 if failed else 0


def _check(documents: Sequence[Document], chosen: ValidateOptions) -> _Checked:
    """Check all that needs no data."""
    checked = _Checked(chosen.namespace or "default")
    seen: dict[tuple[str, str, str], Document] = {}
    for document in documents:
        findings = check(document.body)
        checked.add(document, findings)
        if not findings and (one := _read(checked, document)) is not None:
            before = seen.setdefault((one.KIND, one.namespace, one.name), document)
            if before is not document:
                words = f"it is there twice, also at {before.where(('metadata', 'name'))}: the last would count"
                checked.add(document, [Finding("error", ("metadata", "name"), words)])
    interval = chosen.interval or _INTERVAL
    for document, slo in checked.objectives:
        wrong = list(query_errors(slo))
        checked.add(document, wrong or about_objective(slo, interval))
        checked.askable += [] if wrong else [(document, slo)]
    for document, policy in checked.policies:
        checked.add(document, _about(policy, checked, chosen.start_up or _START_UP))
    return checked


def _read(checked: _Checked, document: Document) -> Resource | None:
    """Read one object that fits its definition, and sort it in."""
    model = next(kind for kind in KINDS if document.body["kind"] == kind.KIND)
    metadata = dict(document.body["metadata"])
    if model.NAMESPACED:
        metadata["namespace"] = metadata.get("namespace") or checked.namespace
    body = _without_nulls({**document.body, "metadata": metadata})
    body.pop("status", None)
    try:
        one = model.read(body)
    except ValidationError as error:
        checked.add(document, [Finding("error", (), describe(error))])
        return None
    match one:
        case ServiceLevelObjective():
            checked.objectives.append((document, one))
        case RemediationPolicy():
            checked.policies.append((document, one))
        case MetricSource():
            checked.sources[one.name] = one
    return one


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value


def _about(policy: RemediationPolicy, checked: _Checked, start_up: float) -> list[Finding]:
    """Return what of a policy does not suit the other objects in the files."""
    matching = [slo for _, slo in checked.objectives if policy.spec.objectives.matches(slo.metadata.labels)]
    selected = [slo for slo in matching if slo.namespace == policy.namespace]
    if checked.objectives and not selected:
        return [_selects_nothing(policy, matching)]
    right = {(slo.namespace, slo.name) for _, slo in checked.askable}
    found = about_policy(policy, [slo for slo in selected if (slo.namespace, slo.name) in right], start_up)
    others = [one for _, one in checked.policies if one.namespace == policy.namespace and one.name < policy.name]
    shared = next(filter(None, (rivals(policy, others, slo) for slo in selected)), "")
    return [*found, Finding("warning", ("spec", "objectives"), shared)] if shared else found


def _selects_nothing(policy: RemediationPolicy, elsewhere: Sequence[ServiceLevelObjective]) -> Finding:
    if elsewhere:
        slo = elsewhere[0]
        words = (
            f"it selects {slo.name} of namespace {slo.namespace}, but a policy acts in its own namespace only, here "
            f"{policy.namespace}: write metadata.namespace: {slo.namespace}"
        )
        return Finding("error", ("metadata", "namespace"), words)
    words = f"no objective of namespace {policy.namespace} in these files has the labels of spec.objectives"
    return Finding("warning", ("spec", "objectives"), words)


async def _against_data(state: State, checked: _Checked, chosen: ValidateOptions) -> None:
    sources = sorted({slo.spec.source for _, slo in checked.askable})
    async with asked(state, chosen, sources) as metrics:
        examiner = Examiner(metrics, time.time(), chosen.interval or _INTERVAL)
        for document, slo in checked.askable:
            name = slo.spec.source
            source = checked.sources.get(name) or MetricSource.read(
                {"metadata": {"name": name}, "spec": {"url": "http://prometheus"}}
            )
            checked.add(document, await examiner.examine(slo, source))


def _data(document: Document, finding: Finding) -> dict[str, Any]:
    return {
        "file": document.file,
        "document": document.number,
        "line": document.line(finding.path),
        "object": document.title,
        "level": finding.level,
        "path": finding.where,
        "message": finding.message,
    }


def _show(checked: _Checked, objects: int) -> None:
    for document, each in checked.found:
        place = f"{document.file}:{document.line(each.path)}"
        click.echo(f"{place}: {each.level}: {document.title}: {each}")
    errors = sum(each.level == "error" for _, each in checked.found)
    warnings = len(checked.found) - errors
    counted = [plural(errors, "error")] * bool(errors) + [plural(warnings, "warning")] * bool(warnings)
    click.echo(f"{plural(objects, 'object')}: {', '.join(counted) or 'all is right'}")
