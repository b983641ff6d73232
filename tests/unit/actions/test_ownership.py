"""Who manages a field."""

from typing import Any

import pytest

from forestall.actions.ownership import appliers, field_owned, holds_scale, signer, taken_over
from forestall.api.remediation import ObjectRef

REF = ObjectRef(api_version="apps/v1", kind="Deployment", namespace="shop", name="checkout")
REPLICAS = ("spec", "replicas")
LIMIT = ("spec", "template", "spec", "containers", "name=main", "resources", "limits", "memory")


def entry(manager: str, operation: str, fields: dict[str, Any], **more: str) -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "fieldsV1": fields, **more}


def body(*entries: dict[str, Any], **annotations: str) -> dict[str, Any]:
    return {"metadata": {"managedFields": list(entries), "annotations": annotations}}


def containers(*names: str) -> dict[str, Any]:
    limits: dict[str, Any] = {"f:resources": {"f:limits": {"f:memory": {}}}}
    named = {f'k:{{"name":"{name}"}}': {".": {}, **limits} for name in names}
    return {"f:spec": {"f:template": {"f:spec": {"f:containers": named}}}}


def test_who_applies_a_field_owns_it_and_who_updates_it_does_not():
    fields: dict[str, Any] = {"f:spec": {"f:replicas": {}}}
    assert appliers(body(entry("flux", "Apply", fields), entry("kubectl", "Update", fields)), REPLICAS) == ("flux",)
    assert appliers(body(entry("flux", "Apply", {"f:spec": {"f:paused": {}}})), REPLICAS) == ()
    assert appliers(body(entry("flux", "Apply", fields, subresource="status")), REPLICAS) == ()
    assert appliers({"metadata": {}}, REPLICAS) == ()


def test_a_field_is_owned_by_who_applies_anything_below_it_or_all_above_it():
    assert appliers(body(entry("argo", "Apply", containers("main"))), ("spec", "template")) == ("argo",)
    assert appliers(body(entry("argo", "Apply", {"f:spec": {}})), LIMIT) == ("argo",)


def test_an_element_of_a_list_is_found_by_its_name():
    assert appliers(body(entry("argo", "Apply", containers("main"))), LIMIT) == ("argo",)
    assert appliers(body(entry("argo", "Apply", containers("sidecar"))), LIMIT) == ()


def test_the_hold_names_every_manager_and_the_field():
    fields: dict[str, Any] = {"f:spec": {"f:replicas": {}}}
    hold = field_owned(body(entry("b", "Apply", fields), entry("a", "Apply", fields)), REF, REPLICAS)
    assert hold is not None
    assert hold.reason == "FieldOwned"
    assert "spec.replicas of deployment shop/checkout is applied by a and b" in hold.message


SIGNATURE: dict[str, Any] = {"f:metadata": {"f:annotations": {"f:by": {}}}}
FIELD: dict[str, Any] = {"f:spec": {"f:replicas": {}}}


@pytest.mark.parametrize(
    ("mine", "theirs", "expected"),
    [
        (SIGNATURE | FIELD, {}, "u-1"),
        (SIGNATURE, FIELD, None),
        (SIGNATURE | {"f:spec": {}}, {}, "u-1"),
        ({}, {"f:metadata": {"f:annotations": {}}} | FIELD, None),
    ],
    ids=["still ours", "taken over", "a whole that holds it", "somebody who has all annotations as one"],
)
def test_a_signature_holds_as_long_as_its_writer_manages_the_field(mine, theirs, expected):
    managed = body(entry("forestall", "Update", mine), entry("somebody", "Update", theirs), by="u-1")
    assert signer(managed, "by", REPLICAS) == expected


def test_without_an_annotation_there_is_no_signer_and_without_managers_it_is_believed():
    assert signer(body(entry("forestall", "Update", SIGNATURE | FIELD)), "by", REPLICAS) is None
    assert signer(body(by="u-1"), "by", REPLICAS) == "u-1"


@pytest.mark.parametrize(
    ("managers", "expected"),
    [(["forestall"], False), (["kubectl-edit"], True), (["forestall", "kubectl-edit"], False), ([], False)],
)
def test_a_field_is_taken_over_by_whoever_changed_it_last(managers, expected):
    fields: dict[str, Any] = {"f:spec": {"f:replicas": {}}}
    others = entry("kubelet", "Update", {"f:status": {}})
    managed = body(others, *(entry(manager, "Update", fields, subresource="scale") for manager in managers))
    assert taken_over(managed, REPLICAS) is expected


def test_who_sets_replicas_by_scale_holds_them_whatever_field_they_are():
    """Kind: a field of another meaning is taken for the replicas. Captured of a resource with `.spec.a.b.count`."""
    count: dict[str, Any] = {"f:spec": {"f:a": {"f:b": {"f:count": {}}}}}
    other: dict[str, Any] = {"f:spec": {"f:a": {"f:b": {}}, "f:replicas": {}}}
    theirs = entry("kubectl-client-side-apply", "Update", other)
    ours = entry("forestall", "Update", count, subresource="scale")
    assert taken_over(body(theirs, ours), REPLICAS)
    assert holds_scale(body(theirs, ours))
    assert not holds_scale(body(theirs))
    assert not holds_scale(body(entry("other", "Update", count, subresource="scale")))
