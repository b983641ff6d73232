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
from forestall.cli.asking import SourceOptions, metrics_of, prometheus_options
from forestall.cli.files import FILE
from forestall.core.wording import plural
from forestall.documents import Document, read
from forestall.engine.objective_check import ObjectiveChecker
from forestall.errors import InvalidInput
from forestall.registry import describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forestall.cli.app import State

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
    findings: list[tuple[Document, Finding]] = field(default_factory=list)
    objectives: list[tuple[Document, ServiceLevelObjective]] = field(default_factory=list)
    policies: list[tuple[Document, RemediationPolicy]] = field(default_factory=list)
    sources: dict[str, MetricSource] = field(default_factory=dict)
    askable: list[tuple[Document, ServiceLevelObjective]] = field(default_factory=list)
    """The objectives whose queries are PromQL."""

    def add(self, document: Document, findings: Sequence[Finding]) -> None:
        self.findings += [(document, finding) for finding in findings]


@click.command
@click.option(
    "-f",
    "--filename",
    "files",
    type=FILE,
    multiple=True,
    required=True,
    help="A YAML file, a folder, or - for standard input.",
)
@options.namespace_of_files
@prometheus_options("The URL of a Prometheus to check objectives against. Default: none.")
@click.option(
    "--interval", callback=options.duration, metavar="DURATION", help="The operator's interval. Default: 30s."
)
@click.option(
    "--start-up",
    callback=options.duration,
    metavar="DURATION",
    help="The time until a new replica serves. Default: 1m.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 on warnings too.")
@click.option("-o", "--output", "form", type=click.Choice(["json"]), help="Output format for scripts. Default: text.")
@options.debug
@click.pass_obj
def validate(state: State, /, **values: Any) -> int:
    """Validate objects in files: report errors and likely mistakes, and what to write instead.

    It checks fields, values, PromQL, and whether objectives and policies fit together; with --prometheus also whether
    series, buckets and labels exist, and whether limits are plausible for the last day. It changes nothing. It exits
    with 1 on errors.

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
        findings = [_data(*document_and_finding) for document_and_finding in checked.findings]
        click.echo(json.dumps({"objects": len(documents), "findings": findings}, indent=2, ensure_ascii=False))
    else:
        _show(checked, len(documents))
    failed = any(finding.level == "error" or chosen.strict for _, finding in checked.findings)
    return 1 if failed else 0


def _check(documents: Sequence[Document], chosen: ValidateOptions) -> _Checked:
    """Check all that needs no data."""
    checked = _Checked(chosen.namespace or "default")
    first_documents: dict[tuple[str, str, str], Document] = {}
    for document in documents:
        findings = check(document.body)
        checked.add(document, findings)
        if not findings and (resource := _read(checked, document)) is not None:
            before = first_documents.setdefault((resource.KIND, resource.namespace, resource.name), document)
            if before is not document:
                message = f"it is there twice, also at {before.location(('metadata', 'name'))}: the last would count"
                checked.add(document, [Finding("error", ("metadata", "name"), message)])
    interval = chosen.interval or _INTERVAL
    for document, slo in checked.objectives:
        wrong = list(query_errors(slo))
        checked.add(document, wrong or about_objective(slo, interval))
        checked.askable += [] if wrong else [(document, slo)]
    for document, policy in checked.policies:
        checked.add(document, _policy_findings(policy, checked, chosen.start_up or _START_UP))
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
        resource = model.read(body)
    except ValidationError as error:
        checked.add(document, [Finding("error", (), describe(error))])
        return None
    match resource:
        case ServiceLevelObjective():
            checked.objectives.append((document, resource))
        case RemediationPolicy():
            checked.policies.append((document, resource))
        case MetricSource():
            checked.sources[resource.name] = resource
    return resource


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(child) for key, child in value.items() if child is not None}
    return [_without_nulls(child) for child in value] if isinstance(value, list) else value


def _policy_findings(policy: RemediationPolicy, checked: _Checked, start_up: float) -> list[Finding]:
    """Return what of a policy does not suit the other objects in the files."""
    matching = [slo for _, slo in checked.objectives if policy.spec.objectives.matches(slo.metadata.labels)]
    selected = [slo for slo in matching if slo.namespace == policy.namespace]
    if checked.objectives and not selected:
        return [_selects_nothing(policy, matching)]
    right = {(slo.namespace, slo.name) for _, slo in checked.askable}
    findings = about_policy(policy, [slo for slo in selected if (slo.namespace, slo.name) in right], start_up)
    earlier = [
        other for _, other in checked.policies if other.namespace == policy.namespace and other.name < policy.name
    ]
    shared = next(filter(None, (rivals(policy, earlier, slo) for slo in selected)), "")
    return [*findings, Finding("warning", ("spec", "objectives"), shared)] if shared else findings


def _selects_nothing(policy: RemediationPolicy, elsewhere: Sequence[ServiceLevelObjective]) -> Finding:
    if elsewhere:
        slo = elsewhere[0]
        message = (
            f"it selects {slo.name} of namespace {slo.namespace}, but a policy acts in its own namespace only, here "
            f"{policy.namespace}: write metadata.namespace: {slo.namespace}"
        )
        return Finding("error", ("metadata", "namespace"), message)
    message = f"no objective of namespace {policy.namespace} in these files has the labels of spec.objectives"
    return Finding("warning", ("spec", "objectives"), message)


async def _against_data(state: State, checked: _Checked, chosen: ValidateOptions) -> None:
    sources = sorted({slo.spec.source for _, slo in checked.askable})
    async with metrics_of(state, chosen, sources) as metrics:
        examiner = ObjectiveChecker(metrics, time.time(), chosen.interval or _INTERVAL)
        for document, slo in checked.askable:
            name = slo.spec.source
            source = checked.sources.get(name) or MetricSource.read(
                {"metadata": {"name": name}, "spec": {"url": "http://prometheus"}}
            )
            checked.add(document, await examiner.check(slo, source))


def _data(document: Document, finding: Finding) -> dict[str, Any]:
    return {
        "file": document.file,
        "document": document.number,
        "line": document.line(finding.path),
        "object": document.title,
        "level": finding.level,
        "path": finding.location,
        "message": finding.message,
    }


def _show(checked: _Checked, objects: int) -> None:
    for document, finding in checked.findings:
        location = f"{document.file}:{document.line(finding.path)}"
        click.echo(f"{location}: {finding.level}: {document.title}: {finding}")
    errors = sum(finding.level == "error" for _, finding in checked.findings)
    warnings = len(checked.findings) - errors
    counted = [plural(errors, "error")] * bool(errors) + [plural(warnings, "warning")] * bool(warnings)
    click.echo(f"{plural(objects, 'object')}: {', '.join(counted) or 'all is right'}")
