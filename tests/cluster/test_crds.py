"""The CRDs on a real API server: refusals with their messages, defaults, and printed columns."""

import copy
import json
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from forestall.api import API_VERSION, KINDS, Resource
from forestall.api.crd import crd
from forestall.api.remediation_policy import ACTIONS
from forestall.core.duration import parse_duration
from forestall.devcluster.kwok import KwokCluster

Body = dict[str, Any]
# Where the chart's admission policies are in force, only the operator writes Remediations and status.
OPERATOR = "system:serviceaccount:forestall-system:forestall"
AS_OPERATOR = (f"--as={OPERATOR}", "--as-group=system:masters")

ONE_ACTION = f"give exactly one action: {', '.join(ACTIONS[:-1])} or {ACTIONS[-1]}"
SLO: Body = {
    "target": {"name": "shop"},
    "indicator": {"latency": {"histogram": 'http_request_duration_seconds{app="shop"}', "threshold": "250ms"}},
    "objective": 99.5,
    "leadingIndicators": [{"name": "busy", "query": "max(busy_slots)", "limit": 0.8}],
}
WINDOWS = [{"cron": "0 22 * * 1-5", "duration": "6h", "timeZone": "Europe/Berlin"}]
PATCH: Body = {
    "target": {"apiVersion": "v1", "kind": "ConfigMap", "resource": "configmaps", "name": "flags"},
    "field": "/data/recommendations",
    "value": "off",
}
POLICY: Body = {
    "when": {"within": "5m"},
    "actions": [
        {"scale": {"maxReplicas": 10}},
        {"restart": {}},
        {"rollback": {}},
        {"patch": PATCH},
        {"evict": {}},
        {"cordon": {}},
        {"drain": {}},
    ],
    "blackoutWindows": WINDOWS,
    "maintenanceWindows": WINDOWS,
}
SOURCE: Body = {"url": "http://prometheus.monitoring:9090"}
GUARDRAIL: Body = {
    "budget": {"actions": 5},
    "namespaceBudget": {"actions": 1},
    "blackoutWindows": WINDOWS,
    "maintenanceWindows": WINDOWS,
}
INTENT: Body = {
    "policy": {"apiVersion": API_VERSION, "kind": "RemediationPolicy", "name": "shop"},
    "objective": {"apiVersion": API_VERSION, "kind": "ServiceLevelObjective", "name": "shop"},
    "episode": 1,
    "target": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"},
    "action": {"scale": {"maxReplicas": 10}},
    "mode": "Approve",
    "from": 2,
    "to": 4,
    "evidence": {"indicator": "busy"},
    "created": "2026-01-01T00:00:00Z",
    "deadline": "2026-01-01T00:30:00Z",
}
GOOD = {
    "ServiceLevelObjective": SLO,
    "RemediationPolicy": POLICY,
    "MetricSource": SOURCE,
    "Guardrail": GUARDRAIL,
    "Remediation": {"intent": INTENT},
    "NotificationChannel": {"type": "Webhook", "url": "https://pager.example/hook?team=a"},
    "Pause": {"objective": "shop", "until": "2026-01-31T18:00:00Z"},
}
DELETED = object()


def document(kind: str, spec: Body, name: str = "shop") -> Body:
    labels = {"forestall.dev/action": "scale"} if kind == "Remediation" else {}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name, "labels": labels}, "spec": spec}


def changed(spec: Body, path: str, value: object) -> Body:
    """Return `spec` with the field at `path` set to `value`, or deleted."""
    result = copy.deepcopy(spec)
    keys: list[Any] = [int(part) if part.isdigit() else part for part in path.split(".")]
    *parents, last = keys
    inner: Any = result
    for part in parents:
        inner = inner[part] if isinstance(inner, list) else inner.setdefault(part, {})
    if value is DELETED:
        del inner[last]
    else:
        inner[last] = value
    return result


def attempt(cluster: KwokCluster, body: Body, *more: str) -> subprocess.CompletedProcess[str]:
    """Create `body` in a dry run."""
    options = ("--dry-run=server", *AS_OPERATOR, *more)
    return cluster.kubectl("apply", "-f", "-", *options, stdin=json.dumps(body), check=False)


def create(cluster: KwokCluster, namespace: str, body: Body) -> None:
    cluster.kubectl("create", "-n", namespace, "-f", "-", *AS_OPERATOR, stdin=json.dumps(body))


PATCHES: list[tuple[str, object, str]] = [
    ("target.name", "../secrets/a", "not the name of an object of this namespace"),
    ("target.apiVersion", "apps/v1/namespaces/other", "not an API version: write group and version"),
    ("field", "/spec/replicas", "a size is changed by the action scale"),
    ("type", "Boolean", "neither true nor false, as `type` asks for"),
    ("value", 5, "must be of type string"),
]
"""Patches that are refused: like REFUSED."""
REFUSED: list[tuple[str, str, object, str]] = [
    *(("RemediationPolicy", f"actions.3.patch.{path}", value, message) for path, value, message in PATCHES),
    ("ServiceLevelObjective", "objective", 0.999, "the objective is in percent: write 99.9, not 0.999 or 100"),
    ("ServiceLevelObjective", "objective", 100, "the objective is in percent: write 99.9, not 0.999 or 100"),
    ("ServiceLevelObjective", "objective", "99.9", "must be of type number"),
    ("ServiceLevelObjective", "objective", "99.5%", "must be of type number"),
    ("ServiceLevelObjective", "indicator.latency.threshold", 500, "must be of type string"),
    ("ServiceLevelObjective", "leadingIndicators.0.limit", "500Mi", "must be of type number"),
    ("RemediationPolicy", "actions", {"scale": {"maxReplicas": 9}}, 'unknown field "spec.actions.scale"'),
    ("ServiceLevelObjective", "objective", DELETED, "spec.objective: Required value"),
    ("ServiceLevelObjective", "window", "30x", "not a duration: write it like 90s, 5m, 1h30m or 30d"),
    ("ServiceLevelObjective", "window", "", "not a duration: write it like 90s, 5m, 1h30m or 30d"),
    ("ServiceLevelObjective", "window", "9999999999d", "not a duration: write it like 90s, 5m, 1h30m or 30d"),
    (
        "ServiceLevelObjective",
        "dependsOn",
        ["shop"],
        "spec.dependsOn: Invalid value: an objective cannot depend on itself",
    ),
    ("ServiceLevelObjective", "dependsOn", ["cart", "cart"], 'spec.dependsOn[1]: Duplicate value: "cart"'),
    ("ServiceLevelObjective", "source", "My_Prometheus", "not a name: use lower-case letters, digits and dashes"),
    (
        "ServiceLevelObjective",
        "target.apiVersion",
        "apps",
        "not an API version: write group and version, such as apps/v1",
    ),
    ("ServiceLevelObjective", "target.name", DELETED, "spec.target.name: Required value"),
    ("ServiceLevelObjective", "indicator", {}, "give exactly one indicator: ratio, latency, threshold or raw"),
    (
        "ServiceLevelObjective",
        "indicator.raw",
        {"errorRatio": "x"},
        "give exactly one indicator: ratio, latency, threshold or raw",
    ),
    (
        "ServiceLevelObjective",
        "indicator.latency.histogram",
        "rate(http_request_duration_seconds_bucket[5m])",
        "not a series selector: write the series alone",
    ),
    (
        "ServiceLevelObjective",
        "indicator",
        {"ratio": {"good": "a", "bad": "b", "total": "c"}},
        "spec.indicator.ratio: Invalid value: give exactly one of `good` and `bad`",
    ),
    (
        "ServiceLevelObjective",
        "indicator",
        {"ratio": {"total": "c"}},
        "spec.indicator.ratio: Invalid value: give exactly one of `good` and `bad`",
    ),
    (
        "ServiceLevelObjective",
        "indicator",
        {"threshold": {"query": "x", "operator": "<", "value": 1}},
        'supported values: "lt", "lte", "gt", "gte"',
    ),
    ("ServiceLevelObjective", "leadingIndicators.0.limit", 1e39, "spec.leadingIndicators[0].limit"),
    ("ServiceLevelObjective", "leadingIndicators.0.limit", -1.1e15, "spec.leadingIndicators[0].limit"),
    ("ServiceLevelObjective", "leadingIndicators.0.limit", 5e-324, "must be 0 or at least 1e-12 in size"),
    ("ServiceLevelObjective", "leadingIndicators.0.limit", -9e-13, "must be 0 or at least 1e-12 in size"),
    ("ServiceLevelObjective", "indicator", {"threshold": {"query": "x", "operator": "lt", "value": 1e39}}, "value"),
    ("ServiceLevelObjective", "leadingIndicators.0.per", "k8s pod", "not a Prometheus label"),
    ("ServiceLevelObjective", "leadingIndicators.0.name", "Busy", "not a name: use lower-case letters"),
    ("ServiceLevelObjective", "leadingIndicators.0.direction", "Up", 'supported values: "Above", "Below"'),
    ("ServiceLevelObjective", "leadingIndicators.0.query", "", "spec.leadingIndicators[0].query"),
    (
        "ServiceLevelObjective",
        "leadingIndicators",
        [{"name": "busy", "query": "x", "limit": 1}, {"name": "busy", "query": "y", "limit": 2}],
        'spec.leadingIndicators[1]: Duplicate value: {"name":"busy"}',
    ),
    ("RemediationPolicy", "mode", "auto", 'supported values: "Observe", "Approve", "Auto"'),
    ("RemediationPolicy", "actions", [], "should have at least 1 items"),
    (
        "RemediationPolicy",
        "actions.3.patch.field",
        "data.recommendations",
        "field: Invalid value: not a JSON Pointer: write it like /data/flag",
    ),
    (
        "RemediationPolicy",
        "actions.3.patch.field",
        "/status/phase",
        "only a field of `spec`, a key of `data` or an annotation can be patched",
    ),
    (
        "RemediationPolicy",
        "actions.3.patch.field",
        "/metadata/labels/app",
        "only a field of `spec`, a key of `data` or an annotation can be patched",
    ),
    (
        "RemediationPolicy",
        "actions.3.patch.field",
        "/metadata/annotations/a/b",
        "an annotation is a text without fields of its own",
    ),
    (
        "RemediationPolicy",
        "actions.3.patch.field",
        "/metadata/annotations/forestall.dev~1protected",
        "annotations that forestall, kubectl",
    ),
    (
        "RemediationPolicy",
        "actions.3.patch.field",
        "/spec/containers/0/cpu",
        "name the element of a list, such as /containers/name=main",
    ),
    (
        "RemediationPolicy",
        "actions.3.patch.field",
        "/spec/template/spec/containers/name=main/image",
        "what a container runs, as whom",
    ),
    (
        "RemediationPolicy",
        "actions.3.patch.field",
        "/spec/template/spec/serviceAccountName",
        "what a container runs, as whom",
    ),
    (
        "RemediationPolicy",
        "actions.3.patch.field",
        "/spec/template/spec/containers/name=main/securityContext/privileged",
        "what a container runs",
    ),
    (
        "RemediationPolicy",
        "actions.3.patch.field",
        "/spec/template/spec/priorityClassName",
        "of a pod template only requests and limits",
    ),
    (
        "RemediationPolicy",
        "actions.3.patch.target.kind",
        "Secret",
        "target.kind: Invalid value: Namespace, Node, Pod, Secret, ServiceAccount can't be",
    ),
    (
        "RemediationPolicy",
        "actions.3.patch.target.apiVersion",
        "rbac.authorization.k8s.io/v1",
        "objects that decide about rights, admission",
    ),
    (
        "RemediationPolicy",
        "actions.3.patch.target.apiVersion",
        "forestall.dev/v1alpha1",
        "objects that decide about rights, admission",
    ),
    (
        "RemediationPolicy",
        "actions.3.patch.type",
        "Integer",
        "value: Invalid value: not an integer, which `type` asks for",
    ),
    ("RemediationPolicy", "actions.0", {}, ONE_ACTION),
    ("RemediationPolicy", "actions.0.restart", {}, ONE_ACTION),
    (
        "RemediationPolicy",
        "actions.0.scale.minReplicas",
        11,
        "minReplicas: Invalid value: minReplicas is above maxReplicas",
    ),
    ("RemediationPolicy", "actions.0.scale.maxReplicas", 0, "should be greater than or equal to 1"),
    ("RemediationPolicy", "actions.0.scale.maxReplicas", 2.5, "must be of type integer"),
    ("RemediationPolicy", "actions.0.scale.capacity.type", "Declared", "a Declared capacity needs `perReplica`"),
    ("RemediationPolicy", "actions.0.scale.capacity", {"type": "Declared", "perReplica": 5e-324}, "perReplica"),
    ("RemediationPolicy", "actions.0.scale.capacity", {"type": "Declared", "perReplica": 1e39}, "perReplica"),
    ("RemediationPolicy", "actions.0.scale.capacity.confidence", 5e-324, "confidence"),
    ("RemediationPolicy", "actions.0.scale.capacity.perReplica", 5, "`perReplica` goes with type Declared"),
    ("RemediationPolicy", "actions.0.indicators", ["busy", "busy"], 'Duplicate value: "busy"'),
    ("RemediationPolicy", "when.probability", 1, "should be less than 1"),
    ("RemediationPolicy", "when.probability", 0, "should be greater than 0"),
    (
        "RemediationPolicy",
        "when.probability",
        0.4,
        "verification.probability (0.5 when not set) is above when.probability",
    ),
    ("RemediationPolicy", "verification.probability", 0.9, "the risk would count as fallen before it has moved"),
    (
        "RemediationPolicy",
        "objectives.matchExpressions",
        [{"key": "team", "operator": "In"}],
        "In and NotIn need `values`; Exists and DoesNotExist take none",
    ),
    (
        "RemediationPolicy",
        "objectives.matchExpressions",
        [{"key": "team", "operator": "Exists", "values": ["a"]}],
        "In and NotIn need `values`; Exists and DoesNotExist take none",
    ),
    ("MetricSource", "perNamespace", {"size": "32MB"}, "not a size: write it like 512Ki, 32Mi or 1Gi"),
    ("MetricSource", "url", "prometheus:9090", "not a base URL: write http:// or https://"),
    ("MetricSource", "url", "http://me:secret@prometheus", "without credentials, query or fragment"),
    (
        "MetricSource",
        "headers",
        {"authorization": "Bearer x"},
        "spec.headers: Invalid value: a header's name has letters, digits and dashes; credentials belong in `auth`",
    ),
    ("MetricSource", "trustedLabels", ["node-name"], "not a Prometheus label: use letters, digits and underscores"),
    ("MetricSource", "headers", {"X-Scope-OrgID": "a\nb"}, "a header's value has printable ASCII characters only"),
    (
        "MetricSource",
        "auth",
        {
            "bearerToken": {"name": "a", "key": "b"},
            "basic": {"username": {"name": "a", "key": "b"}, "password": {"name": "a", "key": "b"}},
        },
        "give at most one of `bearerToken` and `basic`",
    ),
    ("MetricSource", "enforceLabel", "name-space", "not a Prometheus label"),
    ("MetricSource", "maxSeries", 0, "should be greater than or equal to 1"),
    ("Guardrail", "budget.actions", -1, "should be greater than or equal to 0"),
    ("Guardrail", "nodes.maxCordoned", "1", "must be of type integer"),
    ("Guardrail", "pauseUntil", "2026-01-31T18:00:00", "not a time: write it with its zone, like 2026-01-31T18:00:00Z"),
    ("Guardrail", "blackoutWindows.0.cron", "at night", "not a schedule: give the five fields of the crontab"),
    ("Guardrail", "blackoutWindows.0.timeZone", "+02:00", "not a time zone: write it like Europe/Berlin or UTC"),
    ("Guardrail", "storm", {"objectives": 1}, "should be greater than or equal to 2"),
    ("NotificationChannel", "url", DELETED, "give exactly one of `url` and `urlFrom`"),
    ("NotificationChannel", "urlFrom", {"name": "a", "key": "b"}, "give exactly one of `url` and `urlFrom`"),
    ("NotificationChannel", "url", "pager.example", "not a URL: write http:// or https://, host and path"),
    ("NotificationChannel", "url", "https://me:x@pager.example", "not a URL: write http:// or https://, host and path"),
    ("NotificationChannel", "type", "Fax", 'supported values: "Slack", "Webhook", "Alertmanager", "CloudEvents"'),
    ("NotificationChannel", "headers", {"Authorization": "x"}, "credentials belong in `auth`, which reads a Secret"),
    ("NotificationChannel", "timeout", "1m", "must be from 100ms to 10s"),
    ("RemediationPolicy", "notify", [{"channel": "Pager!"}], "not a name: use lower-case letters, digits and dashes"),
    (
        "RemediationPolicy",
        "notify",
        [{"channel": "pager", "topics": ["Everything"]}],
        '"ApprovalRequired", "LadderExhausted"',
    ),
    ("Pause", "until", "tomorrow", "not a time: write it with its zone, like 2026-01-31T18:00:00Z"),
    ("Pause", "until", "2026-02-30T18:00:00Z", "not a time: write it with its zone"),
    ("Pause", "policy", "early", "give at most one of `objective` and `policy`; neither: the whole namespace"),
    ("Guardrail", "allow", [{"actions": ["Reboot"]}], 'supported values: "Scale", "Restart", "Rollback"'),
]


@pytest.mark.parametrize(("kind", "path", "value", "message"), REFUSED)
def test_bad_input_is_refused_with_a_message(
    cluster: KwokCluster, kind: str, path: str, value: object, message: str
) -> None:
    tried = attempt(cluster, document(kind, changed(GOOD[kind], path, value)))
    assert tried.returncode == 1
    assert message in tried.stderr


def test_approval_period_longer_than_the_deadline_is_refused(cluster: KwokCluster) -> None:
    spec = POLICY | {"mode": "Approve", "deadline": "1d", "approvalExpiry": "24h1s"}
    tried = attempt(cluster, document("RemediationPolicy", spec))
    assert (
        "spec.approvalExpiry: Invalid value: approvalExpiry (15m when not set) is longer than deadline" in tried.stderr
    )
    assert attempt(cluster, document("RemediationPolicy", spec | {"approvalExpiry": "24h"})).returncode == 0


@pytest.mark.parametrize(
    "field",
    [
        "/metadata/annotations/nginx.ingress.kubernetes.io~1limit-rps",
        "/spec/template/spec/containers/name=main/resources/limits/memory",
    ],
)
def test_allowed_patches_are_admitted(cluster: KwokCluster, field: str) -> None:
    tried = attempt(cluster, document("RemediationPolicy", {"actions": [{"patch": changed(PATCH, "field", field)}]}))
    assert tried.returncode == 0, tried.stderr


def test_unknown_action_is_named_by_kubectl_and_explained_by_the_server(cluster: KwokCluster) -> None:
    body = document("RemediationPolicy", {"actions": [{"reboot": {}}]})
    assert 'unknown field "spec.actions[0].reboot"' in attempt(cluster, body).stderr
    lenient = attempt(cluster, body, "--validate=false")
    assert f"{ONE_ACTION} (an action of another name is not known)" in lenient.stderr


# Durations: each field's own bounds, from the definitions.

_BOUNDS = re.compile(r"^must be from (\S+) to (\S+)$")
WITH_DURATIONS = [kind for kind in KINDS if kind.KIND not in {"Remediation", "Pause"}]


def bounded(kind: type[Resource]) -> dict[str, tuple[str, str]]:
    """Return the path of each bounded duration in the spec of `kind`, with its bounds."""
    root = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return {re.sub(r"^actions\.0\.(\w+)", _in_its_rung, path): bounds for path, bounds in _bounded(root, "")}


def _in_its_rung(action: re.Match[str]) -> str:
    """Return the path of an action in the rung of GOOD that has it: a rung has one."""
    rungs = enumerate(GOOD["RemediationPolicy"]["actions"])
    return next((f"actions.{number}.{action[1]}" for number, rung in rungs if action[1] in rung), action[0])


def _bounded(node: Body, path: str) -> Iterator[tuple[str, tuple[str, str]]]:
    for rule in node.get("x-kubernetes-validations", []):
        if bounds := _BOUNDS.match(rule["message"]):
            yield path.removeprefix("."), (bounds[1], bounds[2])
    for name, inner in node.get("properties", {}).items():
        yield from _bounded(inner, f"{path}.{name}")
    if "items" in node:
        yield from _bounded(node["items"], f"{path}.0")


def with_durations(kind: type[Resource], durations: dict[str, str]) -> Body:
    spec = GOOD[kind.KIND]
    for path, value in durations.items():
        spec = changed(spec, path, value)
    return document(kind.KIND, spec)


def below(bound: str) -> str:
    seconds = parse_duration(bound)
    return f"{round(seconds) - 1}s" if seconds > 1 else f"{round(seconds * 1000) - 1}ms"


@pytest.mark.parametrize("kind", WITH_DURATIONS, ids=lambda kind: kind.KIND)
def test_durations_are_bounded_by_value_in_any_unit(cluster: KwokCluster, kind: type[Resource]) -> None:
    bounds = bounded(kind)
    assert bounds

    for end in (0, 1):
        accepted = attempt(cluster, with_durations(kind, {path: each[end] for path, each in bounds.items()}))
        assert accepted.returncode == 0, accepted.stderr

    too_short = {path: below(low) for path, (low, _) in bounds.items() if parse_duration(low)}
    too_long = {path: f"{round(parse_duration(high)) + 1}s" for path, (_, high) in bounds.items()}
    for wrong in (too_short, too_long):
        refused = attempt(cluster, with_durations(kind, wrong)).stderr
        for path, value in wrong.items():
            low, high = bounds[path]
            where = re.sub(r"\.(\d+)", r"[\1]", path)
            assert f'spec.{where}: Invalid value: "{value}": must be from {low} to {high}' in refused


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("4w2d", True),
        ("12w5d23h59m59s999ms", True),
        ("12w6d1ms", False),
        ("3599s999ms", False),
        ("59m60s", True),
        ("59m59s1000ms", True),
        ("60m", True),
        ("3600000ms", True),
        ("3599999ms", False),
        ("0w0d1h", True),
        ("007d", True),
    ],
)
def test_a_duration_of_several_units_is_their_sum(cluster: KwokCluster, text: str, fits: bool) -> None:
    """The window, from 1h to 90d; the same bounds hold in the models."""
    low, high = (parse_duration(bound) for bound in ("1h", "90d"))
    assert (low <= parse_duration(text) <= high) is fits
    tried = attempt(cluster, document("ServiceLevelObjective", SLO | {"window": text}))
    assert (tried.returncode == 0) is fits
    assert ("must be from 1h to 90d" in tried.stderr) is not fits


# Remediation: what never changes, and what a person may do once.


def remediation(cluster: KwokCluster, namespace: str, **intent: object) -> None:
    body = document("Remediation", {"intent": INTENT | intent})
    create(cluster, namespace, body)


def patch(
    cluster: KwokCluster, namespace: str, change: Body, *more: str, check: bool = False
) -> subprocess.CompletedProcess[str]:
    return cluster.kubectl(
        "patch",
        "remediation",
        "shop",
        "-n",
        namespace,
        "--type=merge",
        "-p",
        json.dumps(change),
        *AS_OPERATOR,
        *more,
        check=check,
    )


APPROVED = {"spec": {"approval": {"decision": "Approved", "by": OPERATOR}}}


def test_intent_never_changes(cluster: KwokCluster, namespace: str) -> None:
    remediation(cluster, namespace)
    for intent in ({"to": 5}, {"action": {"scale": {"maxReplicas": 20}}}, {"rollback": "x"}, {"from": None}):
        refused = patch(cluster, namespace, {"spec": {"intent": intent}})
        assert "the intent of a Remediation never changes; change the RemediationPolicy instead" in refused.stderr
    assert cluster.get("remediation", "shop", namespace)["metadata"]["generation"] == 1


def test_remediation_is_decided_once(cluster: KwokCluster, namespace: str) -> None:
    remediation(cluster, namespace)
    patch(cluster, namespace, {"status": {"phase": "AwaitingApproval"}}, "--subresource=status", check=True)
    patch(cluster, namespace, APPROVED, check=True)
    for second in ({"decision": "Rejected"}, {"by": "somebody"}, None):
        refused = patch(cluster, namespace, {"spec": {"approval": second}})
        assert "this was decided already: a Remediation is approved or rejected once" in refused.stderr
    patch(cluster, namespace, {"status": {"phase": "Executing"}}, "--subresource=status", check=True)
    feedback = {"spec": {"feedback": {"verdict": "Helpful", "by": OPERATOR}}}
    patch(cluster, namespace, feedback, check=True)


def test_late_approval_is_refused(cluster: KwokCluster, namespace: str) -> None:
    remediation(cluster, namespace)
    patch(cluster, namespace, {"status": {"phase": "Aborted"}}, "--subresource=status", check=True)
    refused = patch(cluster, namespace, APPROVED)
    assert "spec.approval: Invalid value: too late: this Remediation no longer waits for an approval" in refused.stderr


@pytest.mark.parametrize("mode", ["Auto", "Observe"])
def test_remediation_that_needs_no_approval_is_not_approved(cluster: KwokCluster, namespace: str, mode: str) -> None:
    remediation(cluster, namespace, mode=mode)
    refused = patch(cluster, namespace, APPROVED)
    assert "this Remediation does not wait for an approval: its policy's mode was not Approve" in refused.stderr


UNDONE = {"spec": {"undo": {"by": OPERATOR, "comment": "too much"}}}


def test_remediation_is_undone_once(cluster: KwokCluster, namespace: str) -> None:
    remediation(cluster, namespace)
    patch(cluster, namespace, {"status": {"phase": "Verifying"}}, "--subresource=status", check=True)
    patch(cluster, namespace, UNDONE, check=True)
    for second in ({"comment": "more"}, {"by": "somebody"}, None):
        refused = patch(cluster, namespace, {"spec": {"undo": second}})
        assert "this was asked for already: a Remediation is undone once" in refused.stderr


def test_ended_remediation_is_not_undone(cluster: KwokCluster, namespace: str) -> None:
    remediation(cluster, namespace)
    patch(cluster, namespace, {"status": {"phase": "Succeeded"}}, "--subresource=status", check=True)
    assert "too late: this Remediation has ended" in patch(cluster, namespace, UNDONE).stderr


def test_action_without_reversal_is_not_undone(cluster: KwokCluster, namespace: str) -> None:
    remediation(cluster, namespace, action={"restart": {}})
    assert "this action can't be undone" in patch(cluster, namespace, UNDONE).stderr


def test_restored_status_never_changes(cluster: KwokCluster, namespace: str) -> None:
    create(cluster, namespace, document("Remediation", {"intent": INTENT, "restored": {"uid": "first"}}))
    for other in ({"uid": "second"}, {"undo": {"by": OPERATOR, "comment": "x"}}, None):
        refused = patch(cluster, namespace, {"spec": {"restored": other}})
        assert "what a Remediation was before it was deleted never changes" in refused.stderr


SAID_ELSEWHERE = {
    "what a Remediation was before it was deleted never changes",
    "this was asked for already: a Remediation is undone once",
    "too late: this Remediation has ended, and holds nothing that could be reverted",
    "this action can't be undone: only scale, patch, cordon and drain can",
    "not a duration: write it like 90s, 5m, 1h30m or 30d",
    "approvalExpiry (15m when not set) is longer than deadline: an approval could come too late to act",
    "the intent of a Remediation never changes; change the RemediationPolicy instead",
    "this was decided already: a Remediation is approved or rejected once",
    "too late: this Remediation no longer waits for an approval",
    "this Remediation does not wait for an approval: its policy's mode was not Approve",
}


def test_every_rule_has_a_test() -> None:
    messages = {message for kind in KINDS for message in _messages(crd(kind)) if not _BOUNDS.match(message)}
    tried = [message.partition("Invalid value: ")[2] or message for *_, message in REFUSED]
    assert {message for message in messages if not any(each in message for each in tried)} <= SAID_ELSEWHERE
    assert messages >= SAID_ELSEWHERE


def _messages(node: object) -> Iterator[str]:
    match node:
        case {"rule": _, "message": str(message)}:
            yield message
        case dict():
            for inner in node.values():
                yield from _messages(inner)
        case list():
            for inner in node:
                yield from _messages(inner)


# What the server fills in, and what people see.


def filled_in(cluster: KwokCluster, body: Body) -> Body:
    """Return `body` as the server would store it."""
    options = ("--dry-run=server", "-o", "json", *AS_OPERATOR)
    kept: Body = json.loads(cluster.kubectl("create", "-f", "-", *options, stdin=json.dumps(body)).stdout)
    return kept


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.KIND)
def test_defaults_are_those_of_the_models(cluster: KwokCluster, kind: type[Resource]) -> None:
    body = document(kind.KIND, GOOD[kind.KIND])
    kept = filled_in(cluster, body)
    assert "status" not in kept
    assert kind.read(kept).model_dump(exclude={"metadata"}) == kind.read(body).model_dump(exclude={"metadata"})


def test_policy_observes_by_default(cluster: KwokCluster) -> None:
    spec = filled_in(cluster, document("RemediationPolicy", {"actions": [{"scale": {"maxReplicas": 3}}]}))["spec"]
    assert (spec["mode"], spec["when"], spec["cooldown"]) == ("Observe", {"probability": 0.8, "for": "0s"}, "10m")
    assert spec["actions"][0]["scale"]["minReplicas"] == 1


def test_a_guardrail_may_be_empty(cluster: KwokCluster) -> None:
    body = document("Guardrail", {})
    del body["spec"]
    assert attempt(cluster, body).returncode == 0


def test_explain_describes_every_field(cluster: KwokCluster) -> None:
    explained = cluster.kubectl("explain", "servicelevelobjective.spec.leadingIndicators").stdout
    assert "limit\t<number> -required-" in explained
    assert "The value past which the indicator hurts the SLI." in explained
    for kind in KINDS:
        assert (
            "<no description>" not in cluster.kubectl("explain", f"{kind.PLURAL}.forestall.dev", "--recursive").stdout
        )


def test_printed_columns(cluster: KwokCluster, namespace: str) -> None:
    for kind in ("ServiceLevelObjective", "Remediation"):
        create(cluster, namespace, document(kind, GOOD[kind]))

    def status(resource: str, fields: Body) -> None:
        cluster.kubectl(
            "patch",
            resource,
            "shop",
            "-n",
            namespace,
            "--subresource=status",
            "--type=merge",
            "-p",
            json.dumps({"status": fields}),
            *AS_OPERATOR,
        )

    status(
        "fslo",
        {
            "sli": "99.71 %",
            "budgetRemaining": "42 %",
            "breachProbability": "87 %",
            "timeToBreach": "6m",
            "state": "AtRisk",
            "lastEvaluated": (datetime.now(UTC) - timedelta(days=3, hours=1)).isoformat(),
            "conditions": [{"type": "Ready", "status": "True", "reason": "Monitoring"}],
        },
    )
    status("remed", {"phase": "Verifying", "reason": "AwaitingSamples", "change": "3 → 8 → 6"})
    assert _table(cluster, "fslo", namespace) == {
        "NAME": "shop",
        "SLI": "99.71 %",
        "OBJECTIVE": "99.5",
        "BUDGET LEFT": "42 %",
        "BREACH": "87 %",
        "IN": "6m",
        "STATE": "AtRisk",
        "READY": "True",
        "EVALUATED": "3d1h",
    }
    assert _table(cluster, "remed", namespace) == {
        "NAME": "shop",
        "ACTION": "scale",
        "TARGET": "shop",
        "CHANGE": "3 → 8 → 6",
        "PHASE": "Verifying",
        "REASON": "AwaitingSamples",
    }


def _table(cluster: KwokCluster, resource: str, namespace: str) -> dict[str, str]:
    head, row = cluster.kubectl("get", resource, "-n", namespace).stdout.splitlines()
    cells = {match[0].strip(): match.start() for match in re.finditer(r"\S+( \S+)*\s*", head)}
    ends = [*list(cells.values())[1:], None]
    table = {name: row[start:end].strip() for (name, start), end in zip(cells.items(), ends, strict=True)}
    assert table.pop("AGE")
    return table


def test_category_and_short_names_find_the_objects(cluster: KwokCluster) -> None:
    known = cluster.kubectl("api-resources", "--categories=forestall", "--no-headers").stdout
    rows = [line.split() for line in known.splitlines()]
    assert {row[0]: row[1] for row in rows} == {kind.PLURAL: ",".join(kind.SHORT_NAMES) for kind in KINDS}
    names = cluster.kubectl("api-resources", "--no-headers").stdout.split()
    for kind in KINDS:
        for name in (*kind.SHORT_NAMES, kind.PLURAL):
            assert names.count(name) == 1, f"{name} is taken"


def test_definitions_are_structural_and_established(cluster: KwokCluster) -> None:
    for kind in KINDS:
        found = cluster.get("crd", f"{kind.PLURAL}.forestall.dev")
        conditions = {each["type"]: each["status"] for each in found["status"]["conditions"]}
        assert conditions["Established"] == "True"
        assert conditions["NamesAccepted"] == "True"
        assert conditions.get("NonStructuralSchema", "False") == "False"


def test_examples_are_accepted_as_they_are(cluster: KwokCluster, root: Path) -> None:
    files = sorted((root / "examples").glob("*.yaml"))
    assert len(files) >= 4
    for file in files:
        cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", file)
