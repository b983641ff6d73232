"""Privilege escalation: users try to do more through the operator than they may do themselves. Who refuses it?

The namespace `shop` has users with the default roles of Kubernetes; `treasury` belongs to another team. Each case names
the component that must refuse: RBAC, the schema (with its CEL rules), a ValidatingAdmissionPolicy, or the operator,
which accepts the object and explains in a condition or a decision why it does nothing.
"""

import asyncio
import contextlib
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.safety.attempts import (
    ATTEMPTS,
    CORDON,
    OTHER,
    REMEDIATION,
    SCALE,
    TENANT,
    Attempt,
    Refuser,
    document,
    policy,
    slo,
)
from benchmarks.safety.environment import ACCOUNT, OPERATOR, Body, SafetyEnvironment, Signals, until
from benchmarks.safety.pools import POOLS
from benchmarks.safety.trials import deployment

from forestall.errors import CommandFailed

ROLES = {"admin": "admin", "editor": "edit", "viewer": "view", "planner": "planner"}
INTERVAL = "5s"
_ACCOUNT = f"system:serviceaccount:{OPERATOR}:{ACCOUNT}"
_WAIT_S = 40.0

INJECTIONS = {
    "asks for the other namespace": f'load{{namespace="{OTHER}"}}',
    "asks for every namespace": 'load{namespace=~".+"}',
    "asks by the name of the metric": f'{{__name__="load",namespace="{OTHER}"}}',
    "joins the other namespace's series": f'load{{app="none"}} or load{{namespace="{OTHER}"}}',
    "hides it in a subquery": f'max_over_time(load{{namespace="{OTHER}"}}[5m:10s])',
    "relabels it": f'label_replace(load{{namespace="{OTHER}"}}, "namespace", "{TENANT}", "", "")',
    "reads around the selectors": 'info(load, {namespace=~".+"})',
    "comments the label out": f'load{{namespace="{OTHER}"}} # }}',
    "closes the selector early": f'load{{app="none"}}) or (load{{namespace="{OTHER}"}}',
    "counts what is absent": f'300 * absent(load{{app="none"}}) * on() group_left() load{{namespace="{OTHER}"}}',
    "quotes the label": f'{{"load","namespace"="{OTHER}"}}',
}
"""Leading indicators that would see the load of the other namespace, which is past the limit."""


class AdmissionChecks:
    """Runs the attempts of users in a cluster with the chart."""

    def __init__(self, environment: SafetyEnvironment) -> None:
        self._environment = environment
        self._cluster = environment.cluster

    @contextmanager
    def session(self) -> Iterator[None]:
        """Create namespaces, roles, and the attacked objects for the body."""
        try:
            for namespace in (TENANT, OTHER):
                self._cluster.kubectl("create", "namespace", namespace)
            planner = ("--verb=create,update,patch,get", "--resource=remediationpolicies.forestall.dev")
            self._cluster.kubectl("create", "clusterrole", "planner", *planner)
            for user, role in ROLES.items():
                bind = ("create", "rolebinding", user, f"--user={user}", f"--clusterrole={role}", "-n", TENANT)
                self._cluster.kubectl(*bind)
            self._create_objects()
            yield
        finally:
            with contextlib.suppress(CommandFailed):
                self._cluster.kubectl("delete", "namespace", TENANT, OTHER, "--wait=false", "--ignore-not-found")
                self._cluster.kubectl("delete", "clusterrole", "planner", "--ignore-not-found")

    def _create_objects(self) -> None:
        self._cluster.apply(POOLS, namespace=TENANT)
        self._cluster.kubectl("wait", "--for=condition=Established", "crd/pools.example.com", "--timeout=30s")
        self._environment.apply("MetricSource", "default", {"url": "http://prometheus:9090"})
        self._environment.apply("Guardrail", "guardrail", {})
        # Whose absence would be told to whoever may read it, before the server says that they may not take it.
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "forestall"}, "spec": {}}
        self._cluster.apply(lease, namespace=OPERATOR)
        bodies = (slo("slo"), policy(SCALE, objectives=_labelled("nothing")) | {"metadata": {"name": "policy"}})
        self._cluster.apply(*bodies, namespace=TENANT)
        running = document("Remediation", "running", {"intent": {**REMEDIATION["spec"]["intent"], "mode": "Auto"}})
        for body in (REMEDIATION, running):
            self._cluster.kubectl("create", "-n", TENANT, "-f", "-", f"--as={_ACCOUNT}", stdin=json.dumps(body))

    def attempt(self, attempt: Attempt) -> tuple[Refuser | None, str]:
        """Return the component that refuses, and its message; None where the attempt succeeds."""
        groups = ["--as-group=system:masters"] if attempt.user == "root" else []
        body = None if attempt.body is None else json.dumps(attempt.body)
        result = self._cluster.kubectl(*attempt.arguments, f"--as={attempt.user}", *groups, stdin=body, check=False)
        return (None, result.stdout.strip()) if result.returncode == 0 else (_refuser(result), result.stderr.strip())

    async def in_force(self) -> None:
        """Wait until roles and admission policies are in force."""
        probes = [_named("planner, who may not scale, has it scaled"), _named("editor approves")]
        probes += [_named("root forges the status of fslo slo"), _named("editor pauses in another's name")]
        probes += [
            _named("editor has a kind scaled that editors may not scale"),
            _named("editor relabels a Remediation"),
        ]

        async def refused() -> bool:
            answers = [await asyncio.to_thread(self.attempt, probe) for probe in probes]
            return all(refuser == probe.refuser for (refuser, _), probe in zip(answers, probes, strict=True))

        with contextlib.suppress(TimeoutError):  # then the table tells which one is not
            await until(refused, _WAIT_S, "the admission policies are in force")


def _named(description: str) -> Attempt:
    return next(attempt for attempts in ATTEMPTS.values() for attempt in attempts if attempt.description == description)


def _refuser(result: subprocess.CompletedProcess[str]) -> Refuser | None:
    message = result.stderr
    if "ValidatingAdmissionPolicy" in message:
        return "ValidatingAdmissionPolicy"
    if "Forbidden" in message or "forbidden" in message:
        return "RBAC"
    invalid = ("is invalid", "unknown field", "strict decoding error", "Invalid value")
    return "schema" if any(text in message for text in invalid) else None


async def _check_server(checks: AdmissionChecks) -> list[dict[str, Any]]:
    await checks.in_force()
    cases = []
    for group, attempts in ATTEMPTS.items():
        for attempt in attempts:
            refuser, message = await asyncio.to_thread(checks.attempt, attempt)
            right = refuser == attempt.refuser and attempt.message in message
            case = {
                "group": group,
                "case": attempt.description,
                "by": attempt.refuser,
                "refusedBy": refuser,
                "asItShould": right,
            }
            cases.append(case | ({} if right else {"words": message[:500]}))
    return cases


class ForbiddenObjective:
    """An objective that the API server accepts and the operator must refuse."""

    def __init__(self, description: str, objective: Body, reason: str = "") -> None:
        self.description = description
        self.objective = objective
        self.reason = reason
        """The reason that the operator must give; empty where it must not see the other namespace's load."""

    def judge(self, objective: Body) -> dict[str, Any]:
        """Return the result of the case."""
        reasons, state = reasons_of(objective), objective.get("status", {}).get("state", "")
        refused = self.reason in reasons if self.reason else state not in ("AtRisk", "Breached")
        why = (
            self.reason if self.reason in reasons else ", ".join(sorted(reasons - {"BelowThreshold"})) or "sees its own"
        )
        case = {"group": "at the operator", "case": self.description, "by": "operator"}
        return case | {"refusedBy": f"operator ({why})" if refused else None, "asItShould": refused}


def _forbidden_objectives() -> list[ForbiddenObjective]:
    traps = [
        ForbiddenObjective(f"editor's query {name}", _watching(f"query-{number}", query))
        for number, (name, query) in enumerate(INJECTIONS.items())
    ]
    for number, query in enumerate((f'errors{{namespace="{OTHER}"}}', 'errors{app="x"} or errors{app="vault"}')):
        body = _watching(f"ratio-{number}", "load")
        body["spec"]["indicator"] = {"raw": {"errorRatio": query}}
        traps.append(ForbiddenObjective(f"editor's error ratio is {query}", body))
    closed = _watching("closed", "load", source="closed")
    traps.append(
        ForbiddenObjective("editor names a source that is closed to the namespace", closed, "SourceNotAllowed")
    )
    nodes = _watching("nodes", "disk", labels={"for": "disk"})
    return [*traps, ForbiddenObjective("a cordon that no Guardrail allows here", nodes, "NotAllowed")]


async def _check_operator(environment: SafetyEnvironment, signals: Signals) -> list[dict[str, Any]]:
    """Create the objectives of the tenant; the load of the other namespace is past the limit."""
    cluster, traps = environment.cluster, _forbidden_objectives()
    for namespace in (TENANT, OTHER):
        cluster.apply(deployment("web", 1), namespace=namespace)
    # The source vouches for the label that names a node, so that the Guardrail alone stands in the way of a cordon.
    environment.apply(
        "MetricSource", "default", {"url": signals.url, "enforceLabel": "namespace", "trustedLabels": ["node"]}
    )
    closed = {"url": signals.url, "namespaces": {"matchLabels": {"team": "treasury"}}}
    environment.apply("MetricSource", "closed", closed)
    signals.set("load", "vault", 300.0, namespace=OTHER)
    signals.set("errors", "vault", 1.0, namespace=OTHER)
    signals.set("load", "web", 10.0, namespace=TENANT)
    signals.set("errors", "web", 0.0, namespace=TENANT)
    signals.set("disk", "web", 300.0, namespace=TENANT, node="node-1")
    cluster.apply(policy(CORDON, objectives=_labelled("disk")) | {"metadata": {"name": "nodes"}}, namespace=TENANT)
    cluster.apply(*(trap.objective for trap in traps), _watching("own", "load"), namespace=TENANT)
    cluster.apply(_watching("control", "load"), namespace=OTHER)
    operator = environment.operate(
        "checks", await asyncio.to_thread(cluster.kubeconfig_for, OPERATOR, ACCOUNT), INTERVAL
    )
    try:
        # The trap works: whoever may see that load is at risk, and everybody sees their own.
        await until(lambda: _has(environment, OTHER, "control", "AtRisk"), _WAIT_S, "the control is at risk")
        await until(lambda: _has(environment, TENANT, "own", "DataFresh"), _WAIT_S, "the tenant's own data is fresh")
        await until(lambda: _all_judged(environment, traps), _WAIT_S, "all traps are judged")
        bodies = [await asyncio.to_thread(cluster.get, "fslo", _name(trap), TENANT) for trap in traps]
        cases = [trap.judge(body) for trap, body in zip(traps, bodies, strict=True)]
        untouched = not cluster.get("node", "node-1")["spec"].get("unschedulable")
        cases[-1]["asItShould"] = cases[-1]["asItShould"] and untouched
        return cases
    finally:
        await asyncio.to_thread(operator.stop)


async def _has(environment: SafetyEnvironment, namespace: str, name: str, condition: str) -> bool:
    objective = await asyncio.to_thread(environment.cluster.get, "fslo", name, namespace)
    conditions = objective.get("status", {}).get("conditions", [])
    return any(entry["type"] == condition and entry["status"] == "True" for entry in conditions)


async def _all_judged(environment: SafetyEnvironment, traps: list[ForbiddenObjective]) -> bool:
    bodies = [await asyncio.to_thread(environment.cluster.get, "fslo", _name(trap), TENANT) for trap in traps]
    return all("state" in body.get("status", {}) for body in bodies)


def _name(trap: ForbiddenObjective) -> str:
    return str(trap.objective["metadata"]["name"])


def reasons_of(objective: Body) -> set[str]:
    """Return every reason in the conditions and decisions of an objective."""
    status = objective.get("status", {})
    conditions = [entry["reason"] for entry in status.get("conditions", []) if entry["status"] != "True"]
    return {*conditions, *(entry["reason"] for entry in status.get("decisions") or [])}


def _labelled(value: str) -> Body:
    return {"matchLabels": {"for": value}}


def _watching(name: str, query: str, *, source: str = "default", labels: dict[str, str] | None = None) -> Body:
    indicator = {"name": "load", "query": query, "limit": 100}
    ratio = {"raw": {"errorRatio": "errors"}}
    body = slo(name, source=source, leadingIndicators=[indicator], indicator=ratio)
    return body | {"metadata": {"name": name, "labels": labels or {}}}


async def measure(environment: SafetyEnvironment, *, quick: bool) -> dict[str, Any]:
    """Run all attempts; the benchmark is small and has no quick size."""
    del quick
    checks = AdmissionChecks(environment)
    with checks.session(), Signals(environment).live() as signals:
        cases = [*await _check_server(checks), *await _check_operator(environment, signals)]
    refused = sum(case["asItShould"] for case in cases)
    return {"cases": cases, "refused": refused, "of": len(cases), "holds": refused == len(cases)}
