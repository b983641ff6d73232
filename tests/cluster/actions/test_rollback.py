"""A rollback to the previous revision, with the chart's permissions, on the real controllers."""

import json
import time
from typing import Any

import pytest

from forestall.actions import ACTIONS, TargetRequest, TargetWithLevels
from forestall.actions.rollback import ROLLED_BACK_BY
from forestall.api.remediation_policy import Rung
from forestall.core.decision import Hold

ROLLBACK = Rung.model_validate({"rollback": {"within": "1h"}})


def workload(kind: str, image: str, **spec: Any) -> dict[str, Any]:
    labels = {"app": "web"}
    container = {"name": "main", "image": f"example.com/main:{image}"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    size = {} if kind == "DaemonSet" else {"replicas": 2}
    if image == "v2":  # what the newer revision adds must go, too
        container["env"] = [{"name": "MODE", "value": "new"}]  # type: ignore[assignment]
        template["metadata"]["annotations"] = {"example.com/build": "2"}  # type: ignore[index]
    body = {"selector": {"matchLabels": labels}, "template": template, **size, **spec}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "web"}, "spec": body}


def roll_out(life, kind: str, image: str, **spec: Any) -> None:
    life.cluster.apply(workload(kind, image, **spec), namespace=life.namespace)
    life.cluster.kubectl("rollout", "status", f"{kind}/web", "-n", life.namespace, "--timeout=240s")
    made = int(time.time())
    while int(time.time()) == made:  # the age of a revision is known to the second
        time.sleep(0.05)


def template(life, kind: str = "Deployment") -> dict[str, Any]:
    found: dict[str, Any] = life.cluster.get(kind, "web", life.namespace)["spec"]["template"]
    return found


async def aim(life, kind: str = "Deployment", since: float | None = None) -> TargetWithLevels | Hold:
    target = life.ref("apps/v1", kind, "web")
    found = await ACTIONS["Rollback"].resolve_target(
        life.port, TargetRequest(ROLLBACK, target, {}, since or time.time() + 5)
    )
    assert isinstance(found, TargetWithLevels | Hold)
    return found


async def decided(life, kind: str = "Deployment") -> TargetWithLevels:
    """Decide on a rollback, and create its Remediation."""
    found = await aim(life, kind)
    assert isinstance(found, TargetWithLevels), found
    await life.open(found.target, ROLLBACK.dump(), **{"from": found.from_, "to": found.to})
    return found


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
async def test_previous_revision_is_restored_once(guarded, kind):
    roll_out(guarded, kind, "v1")
    before = template(guarded, kind)
    roll_out(guarded, kind, "v2")
    found = await decided(guarded, kind)
    assert (found.from_, found.to) == (2, 1)
    await guarded.until("Verifying")
    body = guarded.cluster.get(kind, "web", guarded.namespace)
    assert body["spec"]["template"] == before
    assert body["metadata"]["annotations"][ROLLED_BACK_BY] == guarded.remediation.uid
    assert (
        "rolled back from revision 2"
        in guarded.cluster.kubectl("rollout", "history", f"{kind}/web", "-n", guarded.namespace).stdout
        or kind != "Deployment"
    )
    generation = body["metadata"]["generation"]
    await guarded.cycle(probability=0.1)
    assert guarded.end == ("Succeeded", "Verified")
    assert guarded.cluster.get(kind, "web", guarded.namespace)["metadata"]["generation"] == generation
    again = await aim(guarded, kind)
    assert isinstance(again, Hold), "what was rolled back is not rolled forward"


async def test_rollback_that_did_not_help_stays_and_says_how_to_roll_forward(guarded):
    roll_out(guarded, "Deployment", "v1")
    roll_out(guarded, "Deployment", "v2")
    await decided(guarded)
    await guarded.until("Verifying")
    await guarded.cycle(400)
    assert guarded.end == ("Failed", "NotHelped")
    message = guarded.remediation.status.message
    command = message[message.index("kubectl rollout undo") :].partition("`")[0]
    assert template(guarded)["spec"]["containers"][0]["image"].endswith("v1")
    guarded.cluster.kubectl(*command.split()[1:])
    assert template(guarded)["spec"]["containers"][0]["image"].endswith("v2")


async def test_stuck_rollout_is_rolled_back(guarded):
    roll_out(guarded, "Deployment", "v1")
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": {"pods": "2"}}}
    guarded.cluster.apply(quota, namespace=guarded.namespace)
    full = "jsonpath={.status.used.pods}=2"
    guarded.cluster.kubectl("wait", f"--for={full}", "resourcequota/full", "-n", guarded.namespace, "--timeout=180s")
    guarded.cluster.apply(workload("Deployment", "v2"), namespace=guarded.namespace)
    updated = "jsonpath={.status.observedGeneration}=2"
    guarded.cluster.kubectl("wait", f"--for={updated}", "deployment/web", "-n", guarded.namespace, "--timeout=180s")
    await decided(guarded)
    await guarded.until("Verifying")
    assert template(guarded)["spec"]["containers"][0]["image"].endswith("v1")


async def test_restart_is_no_rollout(guarded):
    roll_out(guarded, "Deployment", "v1")
    roll_out(guarded, "Deployment", "v2")
    guarded.cluster.kubectl("rollout", "restart", "deployment/web", "-n", guarded.namespace)
    guarded.cluster.kubectl("rollout", "status", "deployment/web", "-n", guarded.namespace, "--timeout=240s")
    found = await decided(guarded)
    assert (found.from_, found.to) == (3, 1)
    await guarded.until("Verifying")
    assert template(guarded)["spec"]["containers"][0]["image"].endswith("v1")


async def test_only_a_rollout_shortly_before_the_risk_is_rolled_back(guarded):
    roll_out(guarded, "Deployment", "v1")
    first = await aim(guarded)
    assert isinstance(first, Hold)
    assert first.reason == "NoRevisions"
    roll_out(guarded, "Deployment", "v2")
    for since in (time.time() + 4000, time.time() - 4000):
        found = await aim(guarded, since=since)
        assert isinstance(found, Hold)
        assert found.reason == "NoRolloutBefore"


async def test_kind_without_revisions_is_not_rolled_back(guarded):
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}}
    guarded.cluster.apply(config, namespace=guarded.namespace)
    target = guarded.ref("v1", "ConfigMap", "web")
    found = await ACTIONS["Rollback"].resolve_target(guarded.port, TargetRequest(ROLLBACK, target, {}, time.time()))
    assert isinstance(found, Hold)
    assert found.reason == "NoRevisions"


async def test_template_applied_by_gitops_is_left_alone(guarded):
    roll_out(guarded, "Deployment", "v1")
    body = json.dumps(workload("Deployment", "v2"))
    options = ("--server-side", "--force-conflicts", "--field-manager=argocd", "-n", guarded.namespace, "-f", "-")
    guarded.cluster.kubectl("apply", *options, stdin=body)
    guarded.cluster.kubectl("rollout", "status", "deployment/web", "-n", guarded.namespace, "--timeout=240s")
    found = await aim(guarded)
    assert isinstance(found, Hold)
    assert found.reason == "FieldOwned"
    assert "argocd" in found.message


async def test_concurrent_rollout_is_left_alone(guarded):
    roll_out(guarded, "Deployment", "v1")
    roll_out(guarded, "Deployment", "v2")
    await decided(guarded)
    roll_out(guarded, "Deployment", "v3")
    await guarded.cycle()
    assert guarded.end == ("Aborted", "Superseded")
    assert template(guarded)["spec"]["containers"][0]["image"].endswith("v3")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("rollout", "pause", "deployment/web"), "TargetPaused"),
        (("delete", "deployment/web"), "TargetGone"),
    ],
)
async def test_paused_or_deleted_target_is_left_alone(guarded, change, reason):
    roll_out(guarded, "Deployment", "v1")
    roll_out(guarded, "Deployment", "v2")
    await decided(guarded)
    guarded.cluster.kubectl(*change, "-n", guarded.namespace)
    await guarded.cycle()
    assert guarded.end == ("Aborted", reason)


async def test_deleted_revision_is_not_guessed(guarded):
    roll_out(guarded, "Deployment", "v1")
    roll_out(guarded, "Deployment", "v2")
    await decided(guarded)
    revisions = guarded.cluster.items("replicasets", guarded.namespace)
    (old,) = [each["metadata"]["name"] for each in revisions if not each["spec"]["replicas"]]
    guarded.cluster.kubectl("delete", "replicaset", old, "-n", guarded.namespace)
    await guarded.cycle()
    assert guarded.end == ("Aborted", "NoRevisions")


async def test_recreated_target_is_left_alone(guarded):
    roll_out(guarded, "Deployment", "v1")
    roll_out(guarded, "Deployment", "v2")
    await decided(guarded)
    guarded.cluster.kubectl("delete", "deployment/web", "-n", guarded.namespace)
    roll_out(guarded, "Deployment", "v2")
    await guarded.cycle()
    assert guarded.end == ("Aborted", "TargetReplaced")


async def test_missing_permission_is_named_without_the_chart_value(guarded, cluster, namespace):
    roll_out(guarded, "Deployment", "v1")
    roll_out(guarded, "Deployment", "v2")
    await decided(guarded)
    cluster.kubectl("delete", "rolebinding", "forestall-workloads", "-n", namespace)
    await guarded.cycle()
    assert guarded.end[1] == "Forbidden"
    assert "workloads.rollback" in guarded.remediation.status.message
