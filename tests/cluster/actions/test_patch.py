"""A declared patch and its reversal, with the chart's permissions, on a real API server."""

import json
from typing import Any

import pytest

from forestall.actions import ACTIONS, TargetRequest
from forestall.actions.patch import PATCHED_BY
from forestall.api.remediation import ObjectRef
from forestall.api.remediation_policy import Rung
from forestall.core.decision import Hold

CALM = {"probability": 0.0}
LIMIT = "/spec/template/spec/containers/name=main/resources/limits/memory"
LABELS = {"app": "web"}


def rung(field: str, value: str, kind: str = "ConfigMap", **more: Any) -> Rung:
    resource = {"ConfigMap": ("v1", "configmaps"), "Deployment": ("apps/v1", "deployments")}[kind]
    target = {"apiVersion": resource[0], "kind": kind, "resource": resource[1], "name": "web"}
    return Rung.model_validate({"patch": {"target": target, "field": field, "value": value, **more}})


FLAG = rung("/data/recommendations", "off", stabilizationWindow="1m")


def config(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}, "data": data}


def deployment(memory: str | None = "256Mi") -> dict[str, Any]:
    resources = {"limits": {"cpu": "1", **({"memory": memory} if memory else {})}}
    side, main = ({"name": name, "image": f"example.com/{name}"} for name in ("side", "main"))
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [side, {**main, "resources": resources}]}}
    spec = {"selector": {"matchLabels": LABELS}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


def data(life) -> dict[str, str]:
    found: dict[str, str] = life.cluster.get("configmap", "web", life.namespace)["data"]
    return found


def annotations(life, kind: str = "configmap") -> dict[str, str]:
    found: dict[str, str] = life.cluster.get(kind, "web", life.namespace)["metadata"].get("annotations", {})
    return found


def apply_as(life, manager: str, body: dict[str, Any]) -> None:
    options = ("--server-side", "--force-conflicts", f"--field-manager={manager}", "-n", life.namespace, "-f", "-")
    life.cluster.kubectl("apply", *options, stdin=json.dumps(body))


@pytest.fixture
async def life(guarded):
    """The intent to switch recommendations off."""
    guarded.cluster.apply(config(recommendations="on", other="kept"), namespace=guarded.namespace)
    await guarded.open(guarded.ref("v1", "ConfigMap", "web"), FLAG.dump())
    return guarded


async def aim(life, what: Rung) -> ObjectRef | Hold:
    target = ObjectRef(api_version="apps/v1", kind="Deployment", namespace=life.namespace, name="web")
    found = await ACTIONS["Patch"].resolve_target(life.port, TargetRequest(what, target, {}, 0.0))
    assert isinstance(found, ObjectRef | Hold)
    return found


async def test_flag_is_patched_and_reverted(life):
    await life.cycle()
    assert (life.end[0], data(life)) == ("Verifying", {"recommendations": "off", "other": "kept"})
    assert annotations(life)[PATCHED_BY] == life.remediation.uid
    assert life.remediation.status.steps[0].previous == '"on"'
    await life.cycle(30, **CALM)
    assert data(life)["recommendations"] == "off"
    await life.until("Succeeded", after=31, **CALM)
    assert (life.end, data(life)) == (("Succeeded", "Released"), {"recommendations": "on", "other": "kept"})
    assert PATCHED_BY not in annotations(life)


async def test_patch_that_did_not_help_is_reverted_at_once(life):
    await life.cycle()
    await life.cycle(310)
    await life.cycle()
    assert (life.end, data(life)["recommendations"]) == (("RolledBack", "NotHelped"), "on")


async def test_field_that_did_not_exist_is_removed_again(guarded):
    guarded.cluster.apply(config(other="kept"), namespace=guarded.namespace)
    await guarded.open(guarded.ref("v1", "ConfigMap", "web"), FLAG.dump())
    await guarded.cycle()
    assert data(guarded) == {"recommendations": "off", "other": "kept"}
    await guarded.until("Succeeded", after=20, **CALM)
    assert (guarded.end[0], data(guarded)) == ("Succeeded", {"other": "kept"})


async def test_patched_annotation_leaves_the_others(guarded):
    body = {**config(), "metadata": {"name": "web", "annotations": {"example.com/rate": "100", "a": "b"}}}
    guarded.cluster.apply(body, namespace=guarded.namespace)
    action = rung("/metadata/annotations/example.com~1rate", "50", stabilizationWindow="0s")
    await guarded.open(guarded.ref("v1", "ConfigMap", "web"), action.dump())
    await guarded.cycle()
    assert annotations(guarded)["example.com/rate"] == "50"
    await guarded.until("Succeeded", after=60, **CALM)
    assert (annotations(guarded)["example.com/rate"], annotations(guarded)["a"]) == ("100", "b")


@pytest.mark.parametrize("memory", ["256Mi", None])
async def test_limit_of_one_container_is_raised_by_a_rollout(guarded, memory):
    guarded.cluster.apply(deployment(memory), namespace=guarded.namespace)
    guarded.cluster.kubectl("rollout", "status", "deployment/web", "-n", guarded.namespace, "--timeout=240s")
    before = guarded.cluster.get("deployment", "web", guarded.namespace)["spec"]["template"]
    # Not how Kubernetes writes it: the field is known by who manages it, not by its text.
    action = rung(LIMIT, "0.5Gi", "Deployment", stabilizationWindow="0s")
    await guarded.open(guarded.ref("apps/v1", "Deployment", "web"), action.dump())
    await guarded.cycle()
    assert guarded.end in {("Executing", "InProgress"), ("Verifying", "Verifying")}  # pods may be there at once
    await guarded.until("Verifying")
    side, main = guarded.cluster.get("deployment", "web", guarded.namespace)["spec"]["template"]["spec"]["containers"]
    assert (main["resources"]["limits"], side["image"]) == ({"cpu": "1", "memory": "512Mi"}, "example.com/side")
    await guarded.until("Succeeded", after=60, **CALM)
    after = guarded.cluster.get("deployment", "web", guarded.namespace)["spec"]["template"]
    assert after == before


@pytest.mark.parametrize("value", ["half", "off"])
async def test_field_that_another_client_changed_since_is_left_alone(life, value):
    await life.cycle()
    life.cluster.kubectl(
        *("patch", "configmap", "web", "-n", life.namespace, "-p", '{"data":{"recommendations":"on"}}')
    )
    life.cluster.apply(config(recommendations=value, other="kept"), namespace=life.namespace)
    await life.cycle(**CALM)
    assert (life.end, data(life)["recommendations"]) == (("Aborted", "Superseded"), value)


async def test_field_applied_by_gitops_is_left_alone(guarded):
    apply_as(guarded, "flux", config(recommendations="on"))
    found = await aim(guarded, FLAG)
    assert isinstance(found, Hold)
    assert found.reason == "FieldOwned"
    await guarded.open(guarded.ref("v1", "ConfigMap", "web"), FLAG.dump())
    await guarded.cycle()
    assert (guarded.end, data(guarded)["recommendations"]) == (("Aborted", "FieldOwned"), "on")
    assert "flux" in guarded.remediation.status.message


async def test_other_fields_applied_by_gitops_do_not_matter(guarded):
    apply_as(guarded, "flux", config(other="kept"))
    await guarded.open(guarded.ref("v1", "ConfigMap", "web"), FLAG.dump())
    await guarded.cycle()
    assert data(guarded)["recommendations"] == "off"


@pytest.mark.parametrize(
    ("again", "reason", "after"), [(False, "TargetGone", 0), (True, "TargetReplaced", 0), (False, "TargetGone", 1)]
)
async def test_deleted_object_is_left_alone(life, again, reason, after):
    for _ in range(after):
        await life.cycle()
    life.cluster.kubectl("delete", "configmap", "web", "-n", life.namespace)
    if again:
        life.cluster.apply(config(recommendations="on"), namespace=life.namespace)
    await life.cycle()
    assert life.end == ("Aborted", reason)


async def test_paused_deployment_is_left_alone(guarded):
    guarded.cluster.apply(deployment(), namespace=guarded.namespace)
    guarded.cluster.kubectl("rollout", "pause", "deployment/web", "-n", guarded.namespace)
    await guarded.open(guarded.ref("apps/v1", "Deployment", "web"), rung(LIMIT, "1Gi", "Deployment").dump())
    await guarded.cycle()
    assert guarded.end == ("Aborted", "TargetPaused")


async def test_value_that_the_server_refuses_ends_the_remediation(guarded):
    guarded.cluster.apply(deployment(), namespace=guarded.namespace)
    await guarded.open(guarded.ref("apps/v1", "Deployment", "web"), rung(LIMIT, "much", "Deployment").dump())
    await guarded.cycle()
    assert guarded.end == ("Aborted", "Refused")
    assert "quantities must match" in guarded.remediation.status.message


async def test_kind_that_the_admin_did_not_allow_is_not_patched(guarded):
    limits = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "web"}, "spec": {"limits": []}}
    guarded.cluster.apply(limits, namespace=guarded.namespace)
    target = {"apiVersion": "v1", "kind": "LimitRange", "resource": "limitranges", "name": "web"}
    action = {"patch": {"target": target, "field": "/spec/limit", "value": "1"}}
    await guarded.open(guarded.ref("v1", "LimitRange", "web"), action)
    await guarded.cycle()
    assert guarded.end == ("Authorized", "Forbidden"), "it waits for the right, and is not given up"
    assert "workloads.extraRules" in guarded.remediation.status.message


@pytest.mark.parametrize(
    ("target", "field", "words"),
    [
        (("v1", "ConfigMap", "secrets"), "/data/a", "rights know a ConfigMap as configmaps"),
        (("v1", "PersistentVolume", "persistentvolumes"), "/spec/a", "is in no namespace"),
        (("v1", "Secret", "secrets"), "/data/a", "can't be patched"),
        (("apps/v1", "Deployment", "deployments"), "/spec/replicas", "action scale"),
    ],
)
async def test_operator_refuses_fields_that_are_never_patched(guarded, target, field, words):
    version, kind, resource = target
    where = {"apiVersion": version, "kind": kind, "resource": resource, "name": "web"}
    found = await aim(guarded, Rung.model_validate({"patch": {"target": where, "field": field, "value": "1"}}))
    assert isinstance(found, Hold)
    assert found.reason == "PatchRefused"
    assert words in found.message


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (FLAG, "AlreadySet"),
        (rung("/data/other/deep", "1"), "FieldMissing"),
        (rung("/data", "1"), "PatchRefused"),
    ],
)
async def test_impossible_patch_passes_to_the_next_rung(guarded, what, reason):
    guarded.cluster.apply(config(recommendations="off", other="x"), namespace=guarded.namespace)
    found = await aim(guarded, what)
    assert isinstance(found, Hold)
    assert found.reason == reason


async def test_missing_object_passes_to_the_next_rung(guarded):
    found = await aim(guarded, FLAG)
    assert isinstance(found, Hold)
    assert found.reason == "ObjectMissing"


async def test_patch_is_reverted_when_its_policy_is_deleted(life):
    await life.cycle()
    assert data(life)["recommendations"] == "off"
    gone = Hold("Withdrawn", "its policy does not exist any more")
    await life.cycle(withdrawn=gone)
    await life.cycle(withdrawn=gone)
    assert (life.end, data(life)["recommendations"]) == (("RolledBack", "Withdrawn"), "on")


async def test_maximum_duration_ends_the_patch_even_at_risk(guarded):
    guarded.cluster.apply(config(recommendations="on"), namespace=guarded.namespace)
    action = rung("/data/recommendations", "off", holdAtMost="1h")
    await guarded.open(guarded.ref("v1", "ConfigMap", "web"), action.dump())
    await guarded.cycle()
    await guarded.cycle(**CALM)
    await guarded.cycle(3600)
    await guarded.cycle()
    assert (guarded.end, data(guarded)["recommendations"]) == (("RolledBack", "DeadlineExceeded"), "on")
