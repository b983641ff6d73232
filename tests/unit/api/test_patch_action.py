"""What can be patched, and what never."""

from typing import Any

import pytest

from forestall.api.patch_action import PatchAction, refusal

LIMIT = "/spec/template/spec/containers/name=main/resources/limits/memory"


def action(field: str = "/data/flag", kind: str = "ConfigMap", version: str = "v1", **more: Any) -> PatchAction:
    target = {"apiVersion": version, "kind": kind, "resource": "x", "name": "n"}
    return PatchAction.model_validate({"target": target, "field": field, "value": "1", **more})


@pytest.mark.parametrize(
    "field",
    [
        "/data/flag",
        "/data/image",
        "/data/1",
        "/metadata/annotations/nginx.ingress.kubernetes.io~1limit-rps",
        "/metadata/annotations/plain",
        "/spec/limits/rate",
        "/spec/paused",
        LIMIT,
        "/spec/jobTemplate/spec/template/spec/initContainers/name=a/resources/requests/cpu",
    ],
)
def test_settings_can_be_patched(field):
    assert refusal(action(field)) is None


@pytest.mark.parametrize(
    ("field", "why"),
    [
        ("data/flag", "JSON Pointer"),
        ("/data", "only a field of"),
        ("/data/", "JSON Pointer"),
        ("/data/a~2b", "JSON Pointer"),
        ("/status/phase", "only a field of"),
        ("/metadata/labels/app", "only a field of"),
        ("/metadata/finalizers", "only a field of"),
        ("/metadata/annotations/a/b", "an annotation is a text"),
        ("/metadata/annotations/forestall.dev~1protected", "annotations that forestall"),
        ("/metadata/annotations/x.forestall.dev~1protected", "annotations that forestall"),
        ("/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration", "annotations that forestall"),
        ("/metadata/annotations/container.apparmor.security.beta.kubernetes.io~1main", "annotations that forestall"),
        ("/spec/containers/0/cpu", "name the element"),
        ("/spec/replicas", "action scale"),
        ("/spec/minReplicaCount", "action scale"),
        ("/spec/template/spec/containers/name=main/image", "can't be patched"),
        ("/spec/template/spec/serviceAccountName", "can't be patched"),
        ("/spec/securityContext/runAsUser", "can't be patched"),
        ("/spec/selector/app", "can't be patched"),
        ("/spec/template/spec/priorityClassName", "only requests and limits"),
        ("/spec/template/metadata/annotations/a", "only requests and limits"),
        (LIMIT + "/more", "only requests and limits"),
    ],
)
def test_what_runs_and_with_which_rights_can_not(field, why):
    message = refusal(action(field))
    assert message is not None
    assert why in message


@pytest.mark.parametrize("kind", ["Secret", "ServiceAccount", "Pod", "Node", "Namespace"])
def test_some_kinds_can_not(kind):
    assert "can't be patched" in (refusal(action(kind=kind)) or "")


@pytest.mark.parametrize("group", ["rbac.authorization.k8s.io", "forestall.dev", "policy", "apiextensions.k8s.io"])
def test_objects_that_decide_about_rights_can_not(group):
    assert "decide about rights" in (refusal(action("/spec/x", kind="Any", version=f"{group}/v1")) or "")


@pytest.mark.parametrize(
    ("kind", "value", "wanted"), [("String", "5", "5"), ("Integer", "-5", -5), ("Boolean", "false", False)]
)
def test_a_value_has_its_type(kind, value, wanted):
    found = action(value=value, type=kind).wanted
    assert (found, type(found)) == (wanted, type(wanted))


def test_a_path_is_unescaped():
    assert action("/metadata/annotations/a.b~1c~0d").path == ("metadata", "annotations", "a.b/c~d")
