"""Tests that every implementation of the port `Cluster` must pass: the one in memory and the one for the API server.

Subclasses need the fixtures `port`, a `Cluster`, and `namespace`, a namespace that no other test uses.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from forestall.api import API_VERSION
from forestall.api.remediation import ObjectRef
from forestall.errors import ClusterError, Conflict, NotFound
from forestall.ports import MANAGER, Cluster

T = TypeVar("T")
OTHER_UID = "11111111-1111-1111-1111-111111111111"


def objective(namespace: str, name: str = "checkout", **labels: str) -> dict[str, Any]:
    """Return an objective to create."""
    spec = {"target": {"name": "web"}, "indicator": {"raw": {"errorRatio": "x"}}, "objective": 99}
    metadata = {"namespace": namespace, "name": name, "labels": labels}
    return {"apiVersion": API_VERSION, "kind": "ServiceLevelObjective", "metadata": metadata, "spec": spec}


def flags(namespace: str, **data: str) -> dict[str, Any]:
    """Return a ConfigMap to create."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": namespace, "name": "flags"},
        "data": data,
    }


def deployment(namespace: str, replicas: int) -> dict[str, Any]:
    """Return a Deployment to create."""
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "example.com/x"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"namespace": namespace, "name": "web"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }


def ref_to(body: Any, *, uid: str | None = None) -> ObjectRef:
    """Return a reference to a created object, with its UID or another one."""
    return ObjectRef(
        api_version=body["apiVersion"],
        kind=body["kind"],
        namespace=body["metadata"].get("namespace", ""),
        name=body["metadata"]["name"],
        uid=body["metadata"]["uid"] if uid is None else uid,
    )


def version_of(body: Any) -> str:
    """Return the resource version of an object."""
    return str(body["metadata"]["resourceVersion"])


async def settled(call: Callable[[], Awaitable[T]], error: type[ClusterError] = Conflict) -> T:
    """Return the result of `call` once it raises no `error`, because no controller writes in between."""
    async with asyncio.timeout(180):
        while True:
            try:
                return await call()
            except error:
                await asyncio.sleep(0.1)


class ClusterConformance:
    """The conformance tests of the port `Cluster`."""

    async def test_an_object_is_created_once_with_a_uid_a_version_and_a_generation(self, port: Cluster, namespace):
        body = await port.create({**objective(namespace), "status": {"state": "Healthy"}})
        assert body["metadata"]["uid"]
        assert version_of(body)
        assert body["metadata"]["generation"] == 1
        assert "status" not in body, "a status is a subresource"
        with pytest.raises(Conflict, match="already exists"):
            await port.create(objective(namespace))
        assert version_of(await port.read(ref_to(body))) == version_of(body)

    async def test_read_checks_the_uid(self, port: Cluster, namespace):
        body = await port.create(flags(namespace, flag="on"))
        assert (await port.read(ref_to(body, uid="")))["data"] == {"flag": "on"}
        with pytest.raises(NotFound, match="another one of the same name"):
            await port.read(ref_to(body, uid=OTHER_UID))
        with pytest.raises(NotFound, match='"none" not found'):
            await port.read(ref_to(body).model_copy(update={"name": "none"}))
        with pytest.raises(NotFound, match=r"no kind Rocket of apps/v1"):
            await port.read(ref_to(body).model_copy(update={"kind": "Rocket", "api_version": "apps/v1"}))
        with pytest.raises(NotFound, match="no kind Rocket"):
            await port.find("apps/v1", "Rocket")
        with pytest.raises(NotFound, match="no kind Rocket"):
            await port.serves("apps/v1", "Rocket")

    async def test_kinds_are_served_by_their_plurals(self, port: Cluster):
        assert (await port.serves("v1", "Node")).namespaced is False
        assert (await port.serves(API_VERSION, "ServiceLevelObjective")).plural == "servicelevelobjectives"

    async def test_merge_patch_changes_its_fields_at_the_version_read(self, port: Cluster, namespace):
        body = await port.create(flags(namespace, flag="on", other="x"))
        change = {"data": {"flag": None, "new": "y"}, "metadata": {"annotations": {"by": "me"}}}
        after = await port.patch(ref_to(body), change, version_of(body))
        assert after["data"] == {"other": "x", "new": "y"}
        assert after["metadata"]["annotations"] == {"by": "me"}
        assert after["metadata"]["uid"] == body["metadata"]["uid"]
        assert version_of(after) != version_of(body)
        with pytest.raises(Conflict):
            await port.patch(ref_to(body), {"data": {"flag": "late"}}, version_of(body))
        with pytest.raises(ClusterError, match=r"(?i)uid"):
            await port.patch(ref_to(body, uid=OTHER_UID), {"data": {"flag": "late"}}, version_of(after))
        with pytest.raises(NotFound):
            await port.patch(ref_to(body).model_copy(update={"name": "none", "uid": ""}), change, "")
        assert (await port.read(ref_to(body)))["data"] == {"other": "x", "new": "y"}
        again = await port.patch(ref_to(body), {"data": {"new": "y"}}, version_of(after))
        assert version_of(again) == version_of(after), "what changes nothing is no write"

    async def test_operator_is_the_field_manager_of_its_patches(self, port: Cluster, namespace):
        body = await port.create(flags(namespace, flag="on"))
        after = await port.patch(ref_to(body), {"data": {"flag": "off"}, "metadata": {"annotations": {"by": "me"}}}, "")
        owned = [entry for entry in after["metadata"]["managedFields"] if entry["manager"] == MANAGER]
        assert any("f:flag" in entry["fieldsV1"].get("f:data", {}) for entry in owned)
        assert any("f:by" in entry["fieldsV1"].get("f:metadata", {}).get("f:annotations", {}) for entry in owned)

    async def test_changed_spec_increases_the_generation_and_a_changed_label_does_not(self, port: Cluster, namespace):
        body = await port.create(objective(namespace))
        labelled = await port.patch(ref_to(body), {"metadata": {"labels": {"a": "b"}}}, "")
        assert labelled["metadata"]["generation"] == 1
        changed = await port.patch(ref_to(body), {"spec": {"objective": 98}, "status": {"state": "AtRisk"}}, "")
        assert changed["metadata"]["generation"] == 2
        assert "status" not in changed, "a status is a subresource"

    @pytest.mark.parametrize("verb", ["replace_status", "apply_status"])
    async def test_status_is_replaced_at_the_version_read(self, port: Cluster, namespace, verb):
        body = await port.create(objective(namespace))
        write = getattr(port, verb)
        first = await write(ref_to(body), {"state": "AtRisk", "sli": "98 %"}, version_of(body))
        assert first["metadata"]["generation"] == 1
        with pytest.raises(Conflict):
            await write(ref_to(body), {"state": "Healthy"}, version_of(body))
        second = await write(ref_to(body), {"state": "AtRisk"}, version_of(first))
        assert second["status"] == {"state": "AtRisk"}
        assert second["spec"] == body["spec"]
        same = await write(ref_to(body), {"state": "AtRisk"}, version_of(second))
        assert version_of(same) == version_of(second), "what changes nothing is no write"
        with pytest.raises(NotFound):
            await write(ref_to(body).model_copy(update={"name": "none", "uid": ""}), {"state": "AtRisk"}, "")

    async def test_applied_map_may_become_empty(self, port: Cluster, namespace):
        body = await port.create(objective(namespace))
        cause = {"cause": {"indicator": "memory", "labels": {"pod": "a"}}}
        first = await port.apply_status(ref_to(body), cause, version_of(body))
        empty = {"cause": {"indicator": "sli", "labels": {}}}
        assert (await port.apply_status(ref_to(body), empty, version_of(first)))["status"] == {
            "cause": {"indicator": "sli"}
        }

    async def test_delete_checks_the_version_read(self, port: Cluster, namespace):
        body = await port.create(flags(namespace, flag="on"))
        with pytest.raises(Conflict):
            await port.delete(ref_to(body), "1")
        with pytest.raises(Conflict):
            await port.delete(ref_to(body, uid=OTHER_UID), version_of(body))
        await port.delete(ref_to(body), version_of(body))
        for gone in (port.read(ref_to(body)), port.delete(ref_to(body), version_of(body))):
            with pytest.raises(NotFound):
                await gone
        again = await port.create(flags(namespace, flag="on"))
        assert again["metadata"]["uid"] != body["metadata"]["uid"]

    async def test_replicas_are_written_through_scale_at_the_version_read(self, port: Cluster, namespace):
        body = await port.create(deployment(namespace, 2))
        ref = ref_to(body)
        before = await port.read_scale(ref)
        assert (before.spec_replicas, before.selector, before.uid) == (2, "app=web", ref.uid)

        async def scale() -> tuple[str, Any]:
            version = (await port.read_scale(ref)).resource_version
            return version, await port.write_scale(ref, 5, version)

        version, after = await settled(scale)
        assert after.spec_replicas == 5
        assert (await port.read(ref))["spec"]["replicas"] == 5
        with pytest.raises(Conflict):
            await port.write_scale(ref, 9, version)
        with pytest.raises(NotFound, match="another one"):
            await port.read_scale(ref_to(body, uid=OTHER_UID))
        with pytest.raises(NotFound, match="no /scale"):
            await port.read_scale(ref_to(await port.create(flags(namespace))))

    async def test_lists_are_filtered_by_namespace_labels_and_fields(self, port: Cluster, namespace):
        for name, team in (("a", "shop"), ("b", "bank"), ("c", "shop")):
            await port.create(objective(namespace, name, team=team))

        async def names(labels: str = "", fields: str = "") -> list[str]:
            selectors = {"label_selector": labels, "field_selector": fields}
            listed = await port.find(API_VERSION, "ServiceLevelObjective", namespace, **selectors)
            assert all(body["kind"] == "ServiceLevelObjective" for body in listed)
            return [body["metadata"]["name"] for body in listed]

        assert await names() == ["a", "b", "c"]
        assert await names("team=shop") == ["a", "c"]
        assert await names("team!=shop") == ["b"]
        assert await names("team in (bank,none)") == ["b"]
        assert await names("team notin (bank)") == ["a", "c"]
        assert await names("!team") == []
        assert await names("team,team=bank") == ["b"]
        assert await names(fields="metadata.name=b") == ["b"]
        assert await names(fields="metadata.name!=b") == ["a", "c"]
        assert await port.find(API_VERSION, "ServiceLevelObjective", f"{namespace}-none") == []

    async def test_cordoned_nodes_are_listed_by_their_field(self, port: Cluster, namespace):
        specs = {f"{namespace}-a": {"unschedulable": True}, f"{namespace}-b": {}}
        nodes = [
            await port.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": spec})
            for name, spec in specs.items()
        ]
        listed = await port.find("v1", "Node", field_selector="spec.unschedulable=true")
        for node in nodes:
            await port.delete(ref_to(node), "")
        assert [name for node in listed if (name := node["metadata"]["name"]) in specs] == [f"{namespace}-a"]

    async def test_metadata_is_listed_without_the_rest(self, port: Cluster, namespace):
        made = [await port.create(objective(namespace, name)) for name in ("a", "b")]
        listed = await port.find_metadata(API_VERSION, "ServiceLevelObjective", namespace)
        assert [item["name"] for item in listed] == ["a", "b"]
        assert [item["uid"] for item in listed] == [body["metadata"]["uid"] for body in made]
        assert all(item["namespace"] == namespace for item in listed)
        selected = await port.find_metadata(
            API_VERSION, "ServiceLevelObjective", namespace, field_selector="metadata.name!=a"
        )
        assert [item["name"] for item in selected] == ["b"]
        assert await port.find_metadata(API_VERSION, "ServiceLevelObjective", f"{namespace}-none") == []

    async def test_refusal_names_the_user(self, port: Cluster):
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {"name": ""}}
        assert (await port.create({**review, "metadata": {"name": "x"}}))["status"]["userInfo"]["username"]
