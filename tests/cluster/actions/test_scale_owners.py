"""Scaling workloads that another controller owns: KEDA's ScaledObject, and managers that apply the field."""

import json
from typing import Any

import pytest

TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
SCALE = {"scale": {"maxReplicas": 6, "stabilizationWindow": "1m"}}
AT_RISK = {"replicas_forecast": 5, "replicas_observed": 4}
CALM = {"probability": 0.0, "replicas_forecast": 1, "replicas_observed": 1}
SCALED_OBJECTS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "scaledobjects.keda.sh"},
    "spec": {
        "group": "keda.sh",
        "names": {"kind": "ScaledObject", "plural": "scaledobjects", "singular": "scaledobject"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                    }
                },
            }
        ],
    },
}


@pytest.fixture(scope="module")
def keda(cluster):
    """The CRD of ScaledObjects; KEDA itself is not needed to check what forestall writes into them."""
    cluster.apply(SCALED_OBJECTS)
    cluster.kubectl("wait", "--for=condition=Established", "crd/scaledobjects.keda.sh", "--timeout=180s")
    yield
    cluster.kubectl("delete", "crd", "scaledobjects.keda.sh")


def deployment(replicas: int | None = 3) -> dict[str, Any]:
    labels = {"app": "web"}
    pod = {"containers": [{"name": "main", "image": "example.com/main"}]}
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    size = {} if replicas is None else {"replicas": replicas}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {**spec, **size}}


def autoscaler(least: int | None, labels: dict[str, str] | None = None) -> dict[str, Any]:
    spec = {"scaleTargetRef": TARGET, "maxReplicas": 8, **({} if least is None else {"minReplicas": least})}
    metadata = {"name": "web", "labels": labels or {}}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}


def scaled_object(annotations: dict[str, str] | None = None, **spec: Any) -> list[dict[str, Any]]:
    """Return a ScaledObject and the HorizontalPodAutoscaler that KEDA creates for it."""
    body = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "web", "annotations": annotations or {}},
        "spec": {"scaleTargetRef": {"name": "web"}, "triggers": [], **spec},
    }
    return [body, autoscaler(max(1, spec.get("minReplicaCount", 0)), {"scaledobject.keda.sh/name": "web"})]


def apply_as(life, manager: str, body: dict[str, Any]) -> None:
    """Apply server-side, as GitOps does."""
    options = ("--server-side", "--force-conflicts", f"--field-manager={manager}", "-n", life.namespace, "-f", "-")
    life.cluster.kubectl("apply", *options, stdin=json.dumps(body))


def floor(life) -> int | None:
    found: int | None = life.cluster.get("scaledobject", "web", life.namespace)["spec"].get("minReplicaCount")
    return found


@pytest.mark.parametrize("found", [2, 0, None])
async def test_minimum_of_a_scaled_object_is_raised_and_reverted(guarded, keda, found):
    spec = {} if found is None else {"minReplicaCount": found}
    guarded.cluster.apply(deployment(), *scaled_object(**spec), namespace=guarded.namespace)
    target = guarded.ref("apps/v1", "Deployment", "web")
    await guarded.open(target, SCALE, **{"from": found or 0, "to": 5})
    await guarded.cycle(**AT_RISK)
    assert (guarded.end[0], floor(guarded)) == ("Verifying", 5)
    assert "minReplicaCount of scaledobject" in guarded.remediation.status.steps[0].change
    assert guarded.cluster.get("horizontalpodautoscaler", "web", guarded.namespace)["spec"]["minReplicas"] == (
        found or 1
    ), "the autoscaler is KEDA's"
    # No load is said to need one replica too; the last one is the autoscaler's to keep.
    await guarded.until("Succeeded", after=10, **CALM)
    assert floor(guarded) == (found or 0)


async def test_maximum_of_a_scaled_object_applies(guarded, keda):
    objects = scaled_object(minReplicaCount=2, maxReplicaCount=4)
    guarded.cluster.apply(deployment(), *objects, namespace=guarded.namespace)
    await guarded.open(guarded.ref("apps/v1", "Deployment", "web"), SCALE, **{"from": 2, "to": 5})
    await guarded.cycle(**AT_RISK)
    assert floor(guarded) == 4


@pytest.mark.parametrize(
    ("annotations", "replicas", "reason"),
    [
        ({"autoscaling.keda.sh/paused-replicas": "3"}, 3, "TargetPaused"),
        ({"autoscaling.keda.sh/paused": "true"}, 3, "TargetPaused"),
        ({}, 0, "BelowMinimum"),
    ],
)
async def test_paused_or_idle_scaled_object_is_left_alone(guarded, keda, annotations, replicas, reason):
    guarded.cluster.apply(deployment(replicas), *scaled_object(annotations), namespace=guarded.namespace)
    await guarded.open(guarded.ref("apps/v1", "Deployment", "web"), SCALE, **{"from": 0, "to": 5})
    await guarded.cycle(**AT_RISK)
    assert (*guarded.end, floor(guarded)) == ("Aborted", reason, None)


async def test_deleted_scaled_object_is_named(guarded, keda):
    guarded.cluster.apply(deployment(), scaled_object()[1], namespace=guarded.namespace)
    await guarded.open(guarded.ref("apps/v1", "Deployment", "web"), SCALE, **{"from": 1, "to": 5})
    await guarded.cycle(**AT_RISK)
    assert guarded.end == ("Aborted", "ScaledByKeda")


async def test_scaled_object_that_another_client_changed_is_left_alone(guarded, keda):
    guarded.cluster.apply(deployment(), *scaled_object(minReplicaCount=2), namespace=guarded.namespace)
    await guarded.open(guarded.ref("apps/v1", "Deployment", "web"), SCALE, **{"from": 2, "to": 5})
    await guarded.cycle(**AT_RISK)
    guarded.cluster.apply(scaled_object(minReplicaCount=3)[0], namespace=guarded.namespace)
    await guarded.cycle(**AT_RISK)
    assert (*guarded.end, floor(guarded)) == ("Aborted", "Superseded", 3)


async def test_replicas_that_a_user_confirmed_belong_to_the_user(guarded):
    guarded.cluster.apply(deployment(3), namespace=guarded.namespace)
    await guarded.open(guarded.ref("apps/v1", "Deployment", "web"), SCALE, **{"from": 3, "to": 5})
    await guarded.cycle(**AT_RISK)
    for size in (6, 5):
        guarded.cluster.kubectl("scale", "deployment/web", "-n", guarded.namespace, f"--replicas={size}")
    await guarded.cycle(**CALM)
    assert guarded.end == ("Aborted", "Superseded")
    assert guarded.cluster.get("deployment", "web", guarded.namespace)["spec"]["replicas"] == 5


@pytest.mark.parametrize("what", ["replicas", "minReplicas", "minReplicaCount"])
async def test_field_applied_by_gitops_is_left_alone(guarded, keda, what):
    objects = {
        "replicas": [deployment(3)],
        "minReplicas": [autoscaler(3)],
        "minReplicaCount": scaled_object(minReplicaCount=3),
    }
    guarded.cluster.apply(deployment(3), namespace=guarded.namespace)
    for body in objects[what]:
        apply_as(guarded, "kustomize-controller", body)
    await guarded.open(guarded.ref("apps/v1", "Deployment", "web"), SCALE, **{"from": 3, "to": 5})
    await guarded.cycle(**AT_RISK)
    assert guarded.end == ("Aborted", "FieldOwned")
    assert f"spec.{what} of" in guarded.remediation.status.message
    assert "is applied by kustomize-controller" in guarded.remediation.status.message
    assert "set it once by hand" in guarded.remediation.status.message


async def test_field_released_by_gitops_is_raised(guarded):
    guarded.cluster.apply(deployment(3), namespace=guarded.namespace)
    apply_as(guarded, "kustomize-controller", deployment(3))
    apply_as(guarded, "kustomize-controller", deployment(None))
    guarded.cluster.kubectl("scale", "deployment/web", "-n", guarded.namespace, "--replicas=3")
    await guarded.open(guarded.ref("apps/v1", "Deployment", "web"), SCALE, **{"from": 3, "to": 5})
    await guarded.cycle(**AT_RISK)
    assert guarded.cluster.get("deployment", "web", guarded.namespace)["spec"]["replicas"] == 5


async def test_field_taken_over_by_gitops_is_not_reverted(guarded):
    guarded.cluster.apply(deployment(3), namespace=guarded.namespace)
    await guarded.open(guarded.ref("apps/v1", "Deployment", "web"), SCALE, **{"from": 3, "to": 5})
    await guarded.cycle(**AT_RISK)
    apply_as(guarded, "kustomize-controller", deployment(5))
    await guarded.cycle(**CALM)
    assert guarded.end == ("Aborted", "FieldOwned")
    assert guarded.cluster.get("deployment", "web", guarded.namespace)["spec"]["replicas"] == 5
