"""Attempts at the API server: user, command, and the component that must refuse it."""

import json
from dataclasses import dataclass
from typing import Any, Literal

Body = dict[str, Any]
Refuser = Literal["RBAC", "schema", "ValidatingAdmissionPolicy", "operator"]
API = "forestall.dev/v1alpha1"
OPERATOR = "forestall-system"
TENANT, OTHER = "shop", "treasury"
DRY = "--dry-run=server"


@dataclass(frozen=True)
class Attempt:
    """One case of the table."""

    description: str
    user: str
    refuser: Refuser
    arguments: tuple[str, ...]
    body: Body | None = None
    message: str = ""
    """Text that the refusal must contain."""


def document(kind: str, name: str, spec: Body, **metadata: Any) -> Body:
    """Return one of forestall's objects."""
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}


def policy(*actions: Body, mode: str = "Auto", **spec: Any) -> Body:
    """Return a policy."""
    return document("RemediationPolicy", "mine", {"mode": mode, "actions": list(actions), **spec})


def slo(name: str = "mine", **spec: Any) -> Body:
    """Return an objective."""
    least = {"target": {"name": "web"}, "indicator": {"raw": {"errorRatio": "x"}}, "objective": 99}
    return document("ServiceLevelObjective", name, {**least, **spec})


SCALE: Body = {"scale": {"maxReplicas": 3}}
RESTART: Body = {"restart": {}}
CORDON: Body = {"cordon": {}}
DRAIN: Body = {"drain": {}}


def patch(kind: str, resource: str, field: str = "/data/x", api_version: str = "v1", value: str = "y") -> Body:
    """Return a rung that patches an object called `x`."""
    target = {"apiVersion": api_version, "kind": kind, "resource": resource, "name": "x"}
    return {"patch": {"target": target, "field": field, "value": value}}


_REF: Body = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x"}
_INTENT: Body = {
    "policy": _REF,
    "objective": _REF,
    "episode": 1,
    "target": {"apiVersion": "v1", "kind": "Node", "name": "node-1"},
    "action": CORDON,
    "mode": "Approve",
    "evidence": {"indicator": "busy"},
    "created": "2026-01-01T00:00:00Z",
    "deadline": "2026-01-01T00:30:00Z",
}
REMEDIATION = document("Remediation", "entry", {"intent": _INTENT})
POOL: Body = {"apiVersion": "example.com/v1", "kind": "Pool", "name": "workers"}
"""A workload of a kind that editors of a namespace have no permission for."""


def _create(
    user: str, description: str, refuser: Refuser, body: Body, message: str = "", namespace: str = TENANT
) -> Attempt:
    return Attempt(description, user, refuser, ("create", DRY, "-f", "-", "-n", namespace), body, message)


def _patch(
    user: str, description: str, refuser: Refuser, subject: str, change: Body, *options: str, message: str = ""
) -> Attempt:
    arguments = ("patch", *subject.split(), DRY, "--type=merge", "-p", json.dumps(change), *options)
    in_namespace = () if "-n" in arguments else ("-n", TENANT)
    return Attempt(description, user, refuser, (*arguments, *in_namespace), None, message)


def _run(user: str, description: str, refuser: Refuser, *arguments: str, dry: bool = True) -> Attempt:
    return Attempt(description, user, refuser, (*arguments, DRY) if dry else arguments)


def _decision(by: str, verdict: str = "Approved") -> Body:
    return {"spec": {"approval": {"decision": verdict, "by": by}}}


_VAP: Refuser = "ValidatingAdmissionPolicy"
_STATUS = "--subresource=status"
_NODES = "may patch nodes"
_ALONE = "by forestall alone"
_OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "00000000-0000-0000-0000-000000000000"}

NODE_ACTIONS = [
    _create(user, f"{user} writes a policy that cordons{suffix}", _VAP, policy(*actions, CORDON), _NODES)
    for user in ("planner", "editor", "admin")
    for suffix, actions in (("", ()), (" after it scales", (SCALE,)))
    if not (user == "planner" and actions)
] + [
    _create("admin", "admin writes a policy that drains", _VAP, policy(DRAIN), _NODES),
    _patch("editor", "editor adds a cordon to a policy", _VAP, "rempol policy", {"spec": {"actions": [CORDON]}}),
    _run("admin", "admin cordons a node by hand", "RBAC", "cordon", "node-1"),
    _patch(
        "admin",
        "admin signs a node in a Remediation's name",
        "RBAC",
        "node node-1",
        {"metadata": {"annotations": {"forestall.dev/cordoned-by": "r-1"}}},
    ),
]
OWN_RIGHTS = [
    _create("planner", "planner, who may not scale, has it scaled", _VAP, policy(SCALE), "needs an author"),
    _create("planner", "planner, who may not restart, has it restarted", _VAP, policy(RESTART), "needs an author"),
    _create("planner", "planner has a rollout undone", _VAP, policy({"rollback": {}}), "needs an author"),
    _create("planner", "planner has a pod evicted", _VAP, policy({"evict": {}}), "needs an author"),
    _create("planner", "planner has a Job run", _VAP, policy({"job": {"cronJob": "x"}}), "needs an author"),
    _create("planner", "planner has a ConfigMap patched", _VAP, policy(patch("ConfigMap", "configmaps"))),
    _create(
        "planner",
        "planner names a right that they hold for another kind",
        _VAP,
        policy(patch("ConfigMap", "remediationpolicies")),
    ),
    _create("planner", "planner hides behind an approval", _VAP, policy(SCALE, mode="Approve"), "needs an author"),
    _patch("planner", "planner edits somebody else's policy", _VAP, "rempol policy", {"spec": {"cooldown": "0s"}}),
    _create(
        "editor",
        "editor has a kind scaled that editors may not scale",
        _VAP,
        slo(target=POOL),
        "may patch the /scale of its target",
    ),
    _create("viewer", "viewer writes a policy", "RBAC", policy(SCALE)),
    _create("viewer", "viewer writes an objective", "RBAC", slo()),
    _run(
        "editor",
        "editor gives the operator rights in the namespace",
        "RBAC",
        *("create", "rolebinding", "mine", "-n", TENANT),
        *("--clusterrole=forestall-workloads", f"--serviceaccount={OPERATOR}:forestall"),
    ),
    _run(
        "admin",
        "admin takes the operator's rights on nodes",
        "RBAC",
        *("create", "clusterrolebinding", "mine", "--clusterrole=forestall-nodes", "--user=admin"),
    ),
]
_ROLES = "rbac.authorization.k8s.io/v1"
_POD = "/spec/template/spec"
NEVER_PATCHED = [
    _create("admin", f"admin has {name} patched", "schema", policy(rung))
    for name, rung in (
        ("a Secret", patch("Secret", "secrets")),
        ("a ServiceAccount", patch("ServiceAccount", "serviceaccounts", "/metadata/annotations/x")),
        ("a Node", patch("Node", "nodes", "/spec/unschedulable")),
        ("a Role", patch("Role", "roles", "/metadata/annotations/x", _ROLES)),
        ("a RoleBinding's subjects", patch("RoleBinding", "rolebindings", "/subjects/x", _ROLES)),
        ("a Guardrail", patch("Guardrail", "guardrails", "/spec/paused", API)),
        ("a PodDisruptionBudget", patch("PodDisruptionBudget", "poddisruptionbudgets", "/spec/x", "policy/v1")),
        ("an image", patch("Deployment", "deployments", f"{_POD}/containers/name=x/image", "apps/v1")),
        ("a command", patch("Deployment", "deployments", f"{_POD}/containers/name=x/command", "apps/v1")),
        ("a ServiceAccount's name", patch("Deployment", "deployments", f"{_POD}/serviceAccountName", "apps/v1")),
        ("host's network", patch("Deployment", "deployments", f"{_POD}/hostNetwork", "apps/v1")),
        ("an owner", patch("ConfigMap", "configmaps", "/metadata/ownerReferences")),
        ("a finalizer", patch("ConfigMap", "configmaps", "/metadata/finalizers")),
        ("a signature", patch("ConfigMap", "configmaps", "/metadata/annotations/forestall.dev~1patched-by")),
        ("a size past the bounds of scale", patch("Deployment", "deployments", "/spec/replicas", "apps/v1")),
    )
]
OTHER_NAMESPACES = [
    _create("admin", "admin writes an objective in another namespace", "RBAC", slo(), "", OTHER),
    _create("admin", "admin writes a policy in another namespace", "RBAC", policy(SCALE), "", OTHER),
    _create("admin", "admin pauses another namespace", "RBAC", document("Pause", "mine", {}), "", OTHER),
    _run("admin", "admin reads another namespace's objectives", "RBAC", "get", "fslo", "-n", OTHER, dry=False),
    _create(
        "editor",
        "editor aims an objective at another namespace",
        "schema",
        slo(target={"name": "vault", "namespace": OTHER}),
        "unknown field",
    ),
    _create("editor", "editor reads a path out of a target's name", "schema", slo(target={"name": "../../x"})),
    _create("editor", "editor depends on another namespace", "schema", slo(dependsOn=[f"{OTHER}/vault"])),
    _create(
        "editor",
        "editor selects another namespace's objectives",
        "schema",
        policy(SCALE, objectives={"namespace": OTHER}),
        "unknown field",
    ),
    _patch("admin", "admin approves in another namespace", "RBAC", f"remed entry -n {OTHER}", _decision("admin")),
]
FORGED_REMEDIATIONS = [
    *(
        _create(user, f"{user} writes a Remediation", "RBAC", REMEDIATION | {"metadata": {"name": "forged"}})
        for user in ("planner", "viewer", "editor", "admin")
    ),
    _create(
        "root", "a cluster admin writes a Remediation", _VAP, REMEDIATION | {"metadata": {"name": "forged"}}, _ALONE
    ),
    _patch(
        "editor", "editor redirects an intent", "schema", "remed entry", {"spec": {"intent": {"target": {"name": "x"}}}}
    ),
    _patch("root", "a cluster admin redirects an intent", "schema", "remed entry", {"spec": {"intent": {"rung": 3}}}),
    _patch("editor", "editor relabels a Remediation", _VAP, "remed entry", {"metadata": {"labels": {"a": "b"}}}),
    _patch(
        "editor",
        "editor has the garbage collector delete a Remediation",
        _VAP,
        "remed entry",
        {"metadata": {"ownerReferences": [_OWNER]}},
        message=_ALONE,
    ),
    _patch(
        "editor",
        "editor keeps a Remediation from being deleted",
        _VAP,
        "remed entry",
        {"metadata": {"finalizers": ["example.com/stay"]}},
        message=_ALONE,
    ),
    _run("editor", "editor deletes a Remediation", "RBAC", "delete", "remed", "entry", "-n", TENANT),
    _run("admin", "admin deletes all Remediations", "RBAC", "delete", "remed", "--all", "-n", TENANT),
]
_FORGERS: tuple[tuple[str, Refuser], ...] = (("editor", "RBAC"), ("admin", "RBAC"), ("root", _VAP))
FORGED_STATUS = [
    _patch(user, f"{user} forges the status of {subject}", refuser, subject, {"status": status}, _STATUS)
    for subject, status in (
        ("fslo slo", {"episode": {"number": 99}}),
        ("rempol policy", {"active": 0}),
        ("remed entry", {"phase": "Succeeded"}),
        ("metricsource default", {"objectives": 1}),
        ("grail guardrail", {"observedGeneration": 1}),
    )
    for user, refuser in _FORGERS
]
APPROVALS = [
    _patch("viewer", "viewer approves", "RBAC", "remed entry", _decision("viewer")),
    _patch("editor", "editor approves", _VAP, "remed entry", _decision("editor"), message="the verb approve"),
    _patch("editor", "editor rejects", _VAP, "remed entry", _decision("editor", "Rejected")),
    _patch(
        "admin", "admin approves in another's name", _VAP, "remed entry", _decision("root"), message="your own user"
    ),
    _patch("admin", "admin approves in nobody's name", _VAP, "remed entry", _decision(""), message="your own user"),
    _patch(
        "editor",
        "editor gives feedback in another's name",
        _VAP,
        "remed entry",
        {"spec": {"feedback": {"verdict": "Helpful", "by": "admin"}}},
    ),
    _patch(
        f"system:serviceaccount:{OPERATOR}:forestall",
        "the operator approves for itself",
        "RBAC",
        "remed entry",
        _decision(f"system:serviceaccount:{OPERATOR}:forestall"),
    ),
    _patch("admin", "admin approves what waits for nobody", "schema", "remed running", _decision("admin")),
]
SOURCES = [
    _create("admin", "admin adds a metric source", "RBAC", document("MetricSource", "mine", {"url": "http://x"})),
    _patch("admin", "admin redirects a metric source", "RBAC", "metricsource default", {"spec": {"url": "http://x"}}),
    _patch("admin", "admin opens a guardrail", "RBAC", "grail guardrail", {"spec": {"paused": False}}),
    _create("admin", "admin adds a guardrail", "RBAC", document("Guardrail", "mine", {})),
    _create(
        "admin",
        "admin adds a channel to be told by",
        "RBAC",
        document("NotificationChannel", "mine", {"type": "Webhook", "url": "http://169.254.169.254"}),
    ),
    _create(
        "editor",
        "editor pauses in another's name",
        _VAP,
        document("Pause", "mine", {"by": "admin"}),
        "your own user name",
    ),
    _create("editor", "editor names an address as a source", "schema", slo(source="http://169.254.169.254/")),
    _run(
        "admin", "admin reads a source's credentials", "RBAC", "get", "secret", "prometheus", "-n", OPERATOR, dry=False
    ),
]
IDENTITY = [
    _run(
        "admin", "admin takes the operator's token", "RBAC", "create", "token", "forestall", "-n", OPERATOR, dry=False
    ),
    _run(
        "admin",
        "admin takes the operator's lease",
        "RBAC",
        *("patch", "lease", "forestall", "-n", OPERATOR, "--type=merge", "-p", '{"spec":{"holderIdentity":"me"}}'),
    ),
    _run(
        "admin",
        "admin runs a pod as the operator",
        "RBAC",
        *("run", "mine", "--image=x", "-n", OPERATOR, '--overrides={"spec":{"serviceAccountName":"forestall"}}'),
    ),
    _run(
        "admin",
        "admin switches an admission policy off",
        "RBAC",
        *("delete", "validatingadmissionpolicybinding", "forestall-remediationpolicies"),
    ),
]
ATTEMPTS: dict[str, list[Attempt]] = {
    "node actions": NODE_ACTIONS,
    "rights that one lacks": OWN_RIGHTS,
    "what is never patched": NEVER_PATCHED,
    "other namespaces": OTHER_NAMESPACES,
    "forged Remediations": FORGED_REMEDIATIONS,
    "forged status": FORGED_STATUS,
    "approvals": APPROVALS,
    "sources and guardrails": SOURCES,
    "the operator's identity": IDENTITY,
}
