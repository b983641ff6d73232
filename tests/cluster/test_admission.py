"""The chart's admission policies: nobody can do through forestall what they may not do themselves."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from forestall.api import API_VERSION
from forestall.devcluster.local import LocalCluster
from forestall.devcluster.programs import Programs
from forestall.devcluster.provider import local_cluster

Body = dict[str, Any]
OPERATOR = "system:serviceaccount:forestall-system:forestall"
DEADLINE_S = 30
# Bound in the namespace `shop`, each to one role.
ROLES = {"admin": "admin", "editor": "edit", "viewer": "view", "planner": "planner", "newcomer": "edit"}
FURTHER = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "Role",
    "metadata": {"name": "further"},
    "rules": [{"apiGroups": ["keda.sh"], "resources": ["scaledobjects"], "verbs": ["patch"]}],
}
"""Permissions for opt-ins that the default roles of Kubernetes lack; admin and editor have them, the newcomer does
not.
"""
SCALE: Body = {"scale": {"maxReplicas": 3}}
RESTART: Body = {"restart": {}}
ROLLBACK: Body = {"rollback": {}}
PATCH: Body = {
    "patch": {
        "target": {"apiVersion": "v1", "kind": "ConfigMap", "resource": "configmaps", "name": "flags"},
        "field": "/data/a",
        "value": "b",
    }
}
JOB: Body = {"job": {"cronJob": "runbook"}}
EVICT: Body = {"evict": {}}
CORDON: Body = {"cordon": {}}
DRAIN: Body = {"drain": {}}
REF: Body = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x"}
INTENT: Body = {
    "policy": REF,
    "objective": REF,
    "episode": 1,
    "target": REF,
    "action": SCALE,
    "mode": "Approve",
    "evidence": {"indicator": "busy"},
    "created": "2026-01-01T00:00:00Z",
    "deadline": "2026-01-01T00:30:00Z",
}


def foreign(kind: str, version: str) -> Body:
    """Return a patch of a kind that no default role of Kubernetes may write."""
    target = {"apiVersion": version, "kind": kind, "resource": f"{kind.lower()}s", "name": "a"}
    return {"patch": {**PATCH["patch"], "target": target, "field": "/spec/a"}}


def document(kind: str, name: str, spec: Body) -> Body:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


def policy(mode: str, *actions: Body, name: str = "new") -> Body:
    return document("RemediationPolicy", name, {"mode": mode, "actions": list(actions)})


REMEDIATION = document("Remediation", "entry", {"intent": INTENT})
OBJECTS = {
    "slo": document(
        "ServiceLevelObjective",
        "slo",
        {"target": {"name": "shop"}, "indicator": {"raw": {"errorRatio": "x"}}, "objective": 99},
    ),
    "policy": policy("Auto", SCALE, name="policy"),
    "source": document("MetricSource", "source", {"url": "http://prometheus:9090"}),
    "guardrail": document("Guardrail", "guardrail", {}),
    "channel": document("NotificationChannel", "channel", {"type": "Webhook", "url": "http://pager:9"}),
    "pause": document("Pause", "pause", {"until": "2026-01-01T00:00:00Z"}),
}


class Tenancy:
    """A cluster with the chart, and people in the namespace `shop` with the roles that Kubernetes ships."""

    def __init__(self, plane: LocalCluster) -> None:
        self.plane = plane

    def run(self, user: str, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        groups = ["--as-group=system:masters"] if user == "root" else []
        return self.plane.kubectl(*arguments, "-n", "shop", f"--as={user}", *groups, stdin=stdin, check=False)

    def create(self, user: str, body: Body) -> str:
        """Return the server's refusal of `user` creating `body`, in a dry run."""
        return self.run(user, "create", "--dry-run=server", "-f", "-", stdin=json.dumps(body)).stderr

    def patch(self, user: str, what: str, change: Body, *more: str) -> str:
        """Return the server's refusal of `user` patching `what`, such as `fslo/slo`, in a dry run."""
        options = ("--type=merge", "--dry-run=server", "-p", json.dumps(change), *more)
        return self.run(user, "patch", what, *options).stderr

    def ready(self) -> bool:
        """Say whether policies and roles are in effect, which takes a moment after they are written."""
        return (
            "denied request" in self.create("planner", policy("Auto", SCALE))
            and "denied request" in self.create("root", REMEDIATION)
            and "denied request" in self.patch("root", "metricsource/source", {"status": {"objectives": 1}}, STATUS)
            and self.run("admin", "auth", "can-i", "approve", "remediations.forestall.dev").returncode == 0
        )


STATUS = "--subresource=status"


@pytest.fixture(scope="module")
def tenancy(programs: Programs) -> Iterator[Tenancy]:
    chart = Path(__file__).resolve().parents[2] / "charts" / "forestall"
    with local_cluster(programs) as plane:
        plane.kubectl("create", "namespace", "shop")
        plane.helm(
            "install",
            "forestall",
            chart,
            "-n",
            "forestall-system",
            "--create-namespace",
            "--wait",
            "--set",
            "image.repository=forestall,replicas=0,workloads.keda=true",
        )
        planner = ("--verb=create,update,patch,get", "--resource=remediationpolicies.forestall.dev")
        plane.kubectl("create", "clusterrole", "planner", *planner)
        for user, role in ROLES.items():
            plane.kubectl("create", "rolebinding", user, "-n", "shop", f"--user={user}", f"--clusterrole={role}")
        plane.apply(FURTHER, namespace="shop")
        users = ("--user=admin", "--user=editor")
        plane.kubectl("create", "rolebinding", "further", "-n", "shop", "--role=further", *users)
        # An admin of the namespace who may patch nodes, but evict pods in this namespace alone.
        plane.kubectl("create", "rolebinding", "warden", "-n", "shop", "--user=warden", "--clusterrole=admin")
        plane.kubectl("create", "clusterrole", "nodes", "--verb=patch", "--resource=nodes")
        plane.kubectl("create", "clusterrolebinding", "warden", "--user=warden", "--clusterrole=nodes")
        plane.apply(*OBJECTS.values(), namespace="shop")
        plane.kubectl("create", "-n", "shop", "-f", "-", f"--as={OPERATOR}", stdin=json.dumps(REMEDIATION))
        tenancy = Tenancy(plane)
        end = time.monotonic() + DEADLINE_S
        while not tenancy.ready():
            assert time.monotonic() < end, "the admission policies are not in force"
            time.sleep(0.2)
        yield tenancy


@pytest.mark.parametrize(
    ("user", "body", "message"),
    [
        ("planner", policy("Auto", SCALE), "may patch deployments/scale in this namespace; mode Observe needs none"),
        ("planner", policy("Approve", SCALE), "the action scale needs an author"),
        ("newcomer", policy("Auto", SCALE), "may patch scaledobjects in this namespace"),
        ("planner", policy("Auto", RESTART), "may patch deployments in this namespace"),
        ("planner", policy("Auto", ROLLBACK), "the action rollback needs an author who may patch deployments"),
        ("planner", policy("Auto", PATCH), "needs an author who may patch configmaps flags in this namespace; mode"),
        ("editor", policy("Auto", SCALE, PATCH, foreign("LimitRange", "v1")), "author who may patch limitranges a in"),
        ("editor", policy("Auto", *[PATCH] * 7, foreign("Gateway", "example.com/v1")), "author who may patch gateways"),
        ("planner", policy("Auto", JOB), "the action job needs an author who may create jobs in this namespace"),
        ("planner", policy("Auto", EVICT), "may create pods/eviction in this namespace"),
        ("planner", policy("Auto", CORDON), "the action cordon needs an author who may patch nodes"),
        ("editor", policy("Auto", SCALE, CORDON), "the action cordon needs an author who may patch nodes"),
        ("admin", policy("Auto", DRAIN), "the action drain needs an author who may patch nodes"),
        ("warden", policy("Auto", DRAIN), "may create pods/eviction in all namespaces; mode Observe needs none"),
        ("admin", policy("Auto", CORDON), "the action cordon needs an author who may patch nodes"),
        ("viewer", policy("Observe", SCALE), 'cannot create resource "remediationpolicies"'),
    ],
)
def test_author_of_a_policy_needs_its_permissions(tenancy: Tenancy, user: str, body: Body, message: str) -> None:
    assert message in tenancy.create(user, body)


@pytest.mark.parametrize(
    ("user", "body"),
    [
        ("planner", policy("Observe", SCALE, RESTART, ROLLBACK, PATCH, JOB, EVICT, CORDON, DRAIN)),
        ("editor", policy("Auto", SCALE, RESTART, ROLLBACK, PATCH, JOB, EVICT)),
        ("admin", policy("Auto", SCALE, RESTART, ROLLBACK, PATCH, JOB, EVICT)),
        ("warden", policy("Auto", CORDON)),
        ("root", policy("Auto", SCALE, RESTART, ROLLBACK, PATCH, JOB, EVICT, CORDON, DRAIN)),
        ("editor", OBJECTS["slo"] | {"metadata": {"name": "another"}}),
    ],
)
def test_author_with_the_permissions_may_write_a_policy(tenancy: Tenancy, user: str, body: Body) -> None:
    assert tenancy.create(user, body) == ""


def test_existing_policy_of_another_author_is_no_way_around(tenancy: Tenancy) -> None:
    assert "the action scale needs" in tenancy.patch("planner", "rempol/policy", {"spec": {"cooldown": "0s"}})
    assert "the action cordon needs" in tenancy.patch("editor", "rempol/policy", {"spec": {"actions": [CORDON]}})
    assert tenancy.patch("planner", "rempol/policy", {"metadata": {"labels": {"a": "b"}}}) == ""
    assert tenancy.patch("planner", "rempol/policy", {"spec": {"mode": "Observe"}}) == ""


@pytest.mark.parametrize("user", ["planner", "viewer", "editor", "admin"])
def test_roles_do_not_let_people_create_remediations(tenancy: Tenancy, user: str) -> None:
    assert 'cannot create resource "remediations"' in tenancy.create(user, REMEDIATION)


def test_not_even_an_administrator_writes_remediations(tenancy: Tenancy) -> None:
    forged = REMEDIATION | {"metadata": {"name": "forged"}}
    assert "Remediations are created by forestall alone; write a RemediationPolicy" in tenancy.create("root", forged)
    assert tenancy.create(OPERATOR, forged) == ""


def test_labels_do_not_exempt_a_remediation(tenancy: Tenancy) -> None:
    change = {"metadata": {"labels": {"forestall.dev/action": "restart"}}}
    for user in ("editor", "admin", "root"):
        assert "labels of a Remediation are changed by forestall alone" in tenancy.patch(user, "remed/entry", change)


@pytest.mark.parametrize(
    "what",
    [
        "fslo/slo",
        "rempol/policy",
        "remed/entry",
        "metricsource/source",
        "grail/guardrail",
        "pause/pause",
        "notchan/channel",
    ],
)
def test_only_the_operator_writes_status(tenancy: Tenancy, what: str) -> None:
    change = {"status": {"phase": "Succeeded"} if what.startswith("remed") else {"observedGeneration": 1}}
    refused = tenancy.patch("root", what, change, STATUS)
    assert f"the status is written by forestall ({OPERATOR}) alone" in refused
    assert "Forbidden" in tenancy.patch("admin", what, change, STATUS)
    assert tenancy.patch(OPERATOR, what, change, STATUS) == ""


def decision(verdict: str, by: str | None) -> Body:
    return {"spec": {"approval": {"decision": verdict} | ({"by": by} if by is not None else {})}}


@pytest.mark.parametrize("verdict", ["Approved", "Rejected"])
def test_decision_needs_the_verb_approve(tenancy: Tenancy, verdict: str) -> None:
    assert "needs the verb approve" in tenancy.patch("editor", "remed/entry", decision(verdict, "editor"))
    assert "Forbidden" in tenancy.patch("viewer", "remed/entry", decision(verdict, "viewer"))
    assert "Forbidden" in tenancy.patch(OPERATOR, "remed/entry", decision(verdict, OPERATOR))
    assert tenancy.patch("admin", "remed/entry", decision(verdict, "admin")) == ""


@pytest.mark.parametrize("by", ["root", "", None])
def test_decision_carries_the_name_of_its_user(tenancy: Tenancy, by: str | None) -> None:
    refused = tenancy.patch("admin", "remed/entry", decision("Approved", by))
    assert "spec.approval.by must be your own user name: admin" in refused


def test_undo_needs_the_permission_to_approve(tenancy: Tenancy) -> None:
    def undo(by: str) -> Body:
        return {"spec": {"undo": {"comment": "a load test", "by": by}}}

    assert "needs the verb approve" in tenancy.patch("editor", "remed/entry", undo("editor"))
    assert "Forbidden" in tenancy.patch("viewer", "remed/entry", undo("viewer"))
    assert "spec.undo.by must be your own user name: admin" in tenancy.patch("admin", "remed/entry", undo("root"))
    assert "spec.undo.by must be your own user name: admin" in tenancy.patch("admin", "remed/entry", undo(""))
    assert tenancy.patch("admin", "remed/entry", undo("admin")) == ""


def test_feedback_carries_the_name_of_its_user_and_needs_no_approver(tenancy: Tenancy) -> None:
    def feedback(by: str) -> Body:
        return {"spec": {"feedback": {"verdict": "Helpful", "by": by}}}

    assert tenancy.patch("editor", "remed/entry", feedback("editor")) == ""
    refused = tenancy.patch("editor", "remed/entry", feedback("admin"))
    assert "spec.feedback.by must be your own user name: editor" in refused
    assert "Forbidden" in tenancy.patch("viewer", "remed/entry", feedback("viewer"))


def test_pause_carries_the_name_of_its_user_or_none(tenancy: Tenancy) -> None:
    def pause(by: str) -> Body:
        return document("Pause", "new", {"by": by, "reason": "x"})

    assert tenancy.create("editor", pause("editor")) == ""
    assert tenancy.create("editor", document("Pause", "new", {})) == ""
    assert "spec.by must be your own user name: editor" in tenancy.create("editor", pause("admin"))
    assert "cannot create" in tenancy.create("viewer", pause("viewer"))
    assert "Forbidden" in tenancy.create(OPERATOR, pause(OPERATOR)), "the operator neither pauses nor resumes"
    assert "must be your own user name: editor" in tenancy.patch("editor", "pause/pause", {"spec": {"by": "admin"}})
    assert tenancy.patch("editor", "pause/pause", {"metadata": {"labels": {"a": "b"}}}) == ""


def test_cluster_pause_carries_the_name_of_its_user(tenancy: Tenancy) -> None:
    def pause(**said: Any) -> Body:
        return {"spec": {"paused": True, **said}}

    assert tenancy.patch("root", "grail/guardrail", pause(pausedBy="root")) == ""
    assert tenancy.patch("root", "grail/guardrail", pause()) == ""
    assert tenancy.patch("root", "grail/guardrail", {"spec": {"budget": {"actions": 1}}}) == ""
    assert "spec.pausedBy must be your own user name: root" in tenancy.patch(
        "root", "grail/guardrail", pause(pausedBy="admin")
    )
    for user in ("viewer", "editor", "admin"):
        assert "Forbidden" in tenancy.patch(user, "grail/guardrail", pause()), "not by a role of a namespace"


@pytest.fixture(scope="module")
def person(
    tenancy: Tenancy, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `forestall` as a user with a token and the role `edit` or `admin` in `shop`."""
    folder = tmp_path_factory.mktemp("people")
    view = json.loads(tenancy.plane.kubectl("config", "view", "--raw", "--flatten", "-o", "json").stdout)
    for role in ("edit", "admin"):
        name = f"person-{role}"
        tenancy.plane.kubectl("create", "serviceaccount", name, "-n", "shop")
        options = (f"--serviceaccount=shop:{name}", f"--clusterrole={role}")
        tenancy.plane.kubectl("create", "rolebinding", name, "-n", "shop", *options)
        token = tenancy.plane.kubectl("create", "token", name, "-n", "shop").stdout.strip()
        view["users"] = [{"name": "me", "user": {"token": token}}]
        view["contexts"][0]["context"] |= {"user": "me", "namespace": "shop"}
        (folder / role).write_text(json.dumps(view))

    def run(role: str, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "KUBECONFIG": str(folder / role), "NO_COLOR": "1"}
        command = [sys.executable, "-m", "forestall", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    return run


def test_decisions_and_feedback_by_commands_carry_the_name_of_the_user(tenancy: Tenancy, person: Any) -> None:
    entry = REMEDIATION | {"metadata": {"name": "asked"}}
    tenancy.plane.kubectl("create", "-n", "shop", "-f", "-", f"--as={OPERATOR}", stdin=json.dumps(entry))

    refused = person("edit", "approve", "asked")
    assert refused.returncode == 1
    assert "You (system:serviceaccount:shop:person-edit) may not decide" in refused.stderr
    assert person("admin", "approve", "asked", "--comment", "go").returncode == 0
    assert "was approved by system:serviceaccount:shop:person-admin" in person("admin", "reject", "asked").stderr
    assert person("edit", "feedback", "asked", "false-alarm").returncode == 0

    body = tenancy.plane.get("remediation", "asked", "shop")
    assert body["spec"]["approval"]["by"] == "system:serviceaccount:shop:person-admin"
    assert body["spec"]["feedback"] == {
        "verdict": "FalseAlarm",
        "by": "system:serviceaccount:shop:person-edit",
        "at": body["spec"]["feedback"]["at"],
        "comment": "",
    }
    managers = tenancy.plane.kubectl(
        "get", "remed", "asked", "-n", "shop", "--show-managed-fields", "-o", "json"
    ).stdout
    assert "forestall-cli" in {each["manager"] for each in json.loads(managers)["metadata"]["managedFields"]}


def test_users_pause_their_own_namespace(tenancy: Tenancy, person: Any) -> None:
    assert person("edit", "pause", "--reason", "an incident").returncode == 1, "the cluster is not an editor's"
    assert person("edit", "pause", "-n", "shop", "--for", "1h", "--reason", "an incident").returncode == 0
    status = person("admin", "status").stderr
    assert "PAUSED: namespace shop" in status
    assert "by system:serviceaccount:shop:person-edit" in status
    assert person("admin", "pause", "-n", "shop").returncode == 0, "another may take it over, in their own name"
    assert "by system:serviceaccount:shop:person-admin" in person("edit", "status").stderr
    assert person("edit", "resume", "-n", "shop").returncode == 0
    assert "PAUSED" not in person("edit", "status").stderr


def test_every_role_may_read(tenancy: Tenancy) -> None:
    for user in ("viewer", "editor", "admin"):
        assert tenancy.run(user, "get", "fslo,rempol,remed").returncode == 0


def test_users_of_another_namespace_have_no_access(tenancy: Tenancy) -> None:
    seen = tenancy.plane.kubectl("get", "fslo", "-n", "default", "--as=admin", check=False)
    assert "Forbidden" in seen.stderr
