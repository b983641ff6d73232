"""Who decides about the size of a workload is found by what points at it, and asked whether it may be raised."""

from typing import Any

import pytest

from forestall.actions.base import Deferred
from forestall.actions.floor import Floor, find_floor, find_raised
from forestall.api.remediation import ObjectRef
from forestall.core.decision import Hold
from forestall.errors import Forbidden, NotFound
from forestall.ports import ScaleSubresource, Served

WEB = ObjectRef(api_version="apps/v1", kind="Deployment", namespace="shop", name="web", uid="d-1")
HPA = ObjectRef(api_version="autoscaling/v2", kind="HorizontalPodAutoscaler", namespace="shop", name="web", uid="h-1")
SCALED = ObjectRef(api_version="keda.sh/v1alpha1", kind="ScaledObject", namespace="shop", name="web", uid="s-1")
POINTER = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
KEDA = "autoscaling.keda.sh/"
DISABLED = {"scaleUp": {"selectPolicy": "Disabled"}}


def kept_by(kind: str, name: str = "web") -> dict[str, Any]:
    owner = {"apiVersion": "example.com/v1", "kind": kind, "name": name, "uid": "o", "controller": True}
    return {"ownerReferences": [owner]}


class Shop:
    """A Deployment of three replicas, and what a test adds to it."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.served = True
        self.errors: dict[str, Exception] = {}
        self.add(WEB, spec={"replicas": 3}, status={"readyReplicas": 3})

    def add(self, ref: ObjectRef, metadata: dict[str, Any] | None = None, **content: Any) -> None:
        own = {"name": ref.name, "namespace": "shop", "uid": ref.uid, "resourceVersion": "7", **(metadata or {})}
        self.objects[ref.kind] = {"kind": ref.kind, "metadata": own, **content}

    def autoscale(self, metadata: dict[str, Any] | None = None, **spec: Any) -> None:
        self.add(HPA, metadata, spec={"scaleTargetRef": POINTER, "minReplicas": 2, "maxReplicas": 8, **spec})

    def keda(self, *, alone: bool = False, **content: Any) -> None:
        """Add a ScaledObject, and the autoscaler that KEDA keeps unless it is `alone`."""
        annotations = {f"{KEDA}{key.replace('_', '-')}": value for key, value in content.pop("says", {}).items()}
        spec = {"scaleTargetRef": {"name": "web"}, "minReplicaCount": 2, **content}
        self.add(SCALED, {"annotations": annotations}, spec=spec)
        if not alone:
            self.autoscale({"name": "keda-hpa-web", **kept_by("ScaledObject")})

    async def read(self, ref: ObjectRef) -> Any:
        if ref.kind in self.errors:
            raise self.errors[ref.kind]
        body = self.objects.get(ref.kind)
        if body is None or body["metadata"]["name"] != ref.name or (ref.uid and body["metadata"]["uid"] != ref.uid):
            raise NotFound(ref.name)
        return body

    async def find(self, api_version: str, kind: str, namespace: str = "") -> list[Any]:
        if kind in self.errors:
            raise self.errors[kind]
        if kind == "ScaledObject" and not self.served:
            raise NotFound(f"no kind {kind} of {api_version} in {namespace}")
        return [self.objects[kind]] if kind in self.objects else []

    async def serves(self, api_version: str, kind: str) -> Served:
        if kind == "ScaledObject" and not self.served:
            raise NotFound(f"no kind {kind} of {api_version}")
        return Served(kind.lower(), namespaced=True)

    async def read_scale(self, ref: ObjectRef) -> ScaleSubresource:
        body = await self.read(ref)
        size = body["spec"]["replicas"]
        return ScaleSubresource(size, size, "", "7", body["metadata"]["uid"])


@pytest.fixture
def shop() -> Shop:
    return Shop()


async def held(shop: Shop) -> str:
    """Return why the workload is not scaled out, or ``."""
    found = await find_floor(shop, WEB)  # type: ignore[arg-type]
    hold = found.blocked if isinstance(found, Floor) else found
    return hold.reason if hold else ""


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        ({"paused": "true"}, "TargetPaused"),
        ({"paused": "1"}, "TargetPaused"),
        ({"paused": ""}, "TargetPaused"),
        ({"paused": "until Monday"}, "TargetPaused"),
        ({"paused_replicas": "3"}, "TargetPaused"),
        ({"paused_replicas": "3", "paused": "false"}, "TargetPaused"),
        ({"paused_scale_out": "true"}, "TargetPaused"),
        ({"paused": "false"}, ""),
        ({"paused": "F"}, ""),
        ({"paused_scale_out": "0"}, ""),
        ({"paused_scale_in": "true"}, ""),
        ({}, ""),
    ],
)
@pytest.mark.parametrize("alone", [True, False])
async def test_a_scaled_object_is_asked_whether_its_autoscaler_is_there_or_not(shop, says, reason, alone):
    """Kind: owners are found by their instruments. KEDA deletes its HorizontalPodAutoscaler while it is paused."""
    shop.keda(alone=alone, says=says)
    assert await held(shop) == reason
    if not reason:
        floor = await find_floor(shop, WEB)
        assert isinstance(floor, Floor)
        assert (floor.subject, floor.level, floor.ceiling) == (SCALED, 2, 100)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda shop: shop.add(WEB, spec={"replicas": 3, "paused": True}), "TargetPaused"),
        (lambda shop: shop.add(WEB, spec={"replicas": 3, "suspend": True}), "TargetPaused"),
        (lambda shop: shop.add(WEB, spec={"replicas": 3}, status={"pauseConditions": [{}]}), "TargetPaused"),
        (lambda shop: shop.add(WEB, {"deletionTimestamp": "2026-01-01T00:00:00Z"}, spec={"replicas": 3}), "TargetGone"),
        (lambda shop: shop.add(WEB, kept_by("Kafka"), spec={"replicas": 3}), "OwnedByController"),
        (lambda shop: shop.autoscale(kept_by("Canary")), "OwnedByController"),
        (lambda shop: shop.autoscale(behavior=DISABLED), "TargetPaused"),
        (
            lambda shop: shop.keda(advanced={"horizontalPodAutoscalerConfig": {"behavior": DISABLED}}),
            "TargetPaused",
        ),
        (lambda shop: (shop.keda(alone=True), shop.autoscale()), "AmbiguousAutoscaler"),
        (lambda shop: shop.autoscale(kept_by("ScaledObject", "gone")), "ScaledByKeda"),
        (lambda shop: shop.errors.update(ScaledObject=Forbidden("no right")), "ScaledByKeda"),
        (lambda shop: shop.autoscale(behavior={"scaleDown": {"selectPolicy": "Disabled"}}), ""),
        (lambda shop: shop.keda(scaleTargetRef={"name": "other"}), "ScaledByKeda"),
        (lambda shop: shop.keda(alone=True, scaleTargetRef={"name": "web", "kind": "StatefulSet"}), ""),
    ],
)
async def test_who_else_decides_is_respected(shop, change, reason):
    change(shop)
    assert await held(shop) == reason


async def test_a_workload_that_somebody_controls_is_scaled_by_the_autoscaler_that_points_at_it(shop):
    shop.add(WEB, kept_by("Kafka"), spec={"replicas": 3})
    shop.autoscale()
    floor = await find_floor(shop, WEB)
    assert isinstance(floor, Floor)
    assert floor.subject == HPA


def gone(shop: Shop) -> None:
    del shop.objects["ScaledObject"]
    del shop.objects["HorizontalPodAutoscaler"]


def anew(shop: Shop) -> None:
    shop.add(SCALED.model_copy(update={"uid": "s-2"}), spec={"scaleTargetRef": {"name": "web"}})
    del shop.objects["HorizontalPodAutoscaler"]


def unserved(shop: Shop) -> None:
    gone(shop)
    shop.served = False


@pytest.mark.parametrize(
    ("change", "reason", "waits"),
    [
        (lambda shop: shop.keda(alone=True, says={"paused": "true"}), "TargetPaused", True),
        (lambda shop: shop.errors.update(ScaledObject=Forbidden("no right")), "FloorHidden", True),
        (unserved, "FloorHidden", True),
        (gone, "FloorGone", False),
        (anew, "FloorReplaced", False),
    ],
)
async def test_what_was_raised_is_remembered_while_it_is_hidden(shop, change, reason, waits):
    """Kind: what was written is not remembered. A floor is looked at where it was raised, and nowhere else."""
    shop.keda()
    change(shop)
    found = await find_raised(shop, WEB, SCALED)
    assert isinstance(found, Hold)
    assert (found.reason, isinstance(found, Deferred)) == (reason, waits)


@pytest.mark.parametrize("says", [{}, {"paused_scale_out": "true"}])
async def test_what_was_raised_is_given_back_though_it_may_not_be_raised(shop, says):
    shop.keda(says=says, minReplicaCount=5)
    found = await find_raised(shop, WEB, SCALED)
    assert isinstance(found, Floor)
    assert (found.level, found.subject, bool(found.blocked), found.orphaned) == (5, SCALED, bool(says), None)


@pytest.mark.parametrize(
    "change",
    [
        lambda shop: shop.objects.pop("Deployment"),
        lambda shop: shop.add(WEB.model_copy(update={"uid": "d-2"}), spec={"replicas": 3}),
        lambda shop: shop.autoscale(minReplicas=5, scaleTargetRef={**POINTER, "name": "other"}),
    ],
    ids=["gone", "made anew", "scales another"],
)
async def test_a_floor_outlives_the_workload_that_it_was_raised_for(shop, change):
    shop.autoscale(minReplicas=5)
    change(shop)
    found = await find_raised(shop, WEB, HPA)
    assert isinstance(found, Floor)
    assert (found.level, found.subject) == (5, HPA)
    assert found.orphaned is not None


async def test_an_autoscaler_that_comes_later_is_not_taken_for_what_was_raised(shop):
    shop.autoscale(minReplicas=3)
    found = await find_raised(shop, WEB, WEB)
    assert isinstance(found, Hold)
    assert (found.reason, isinstance(found, Deferred)) == ("Superseded", False)


async def test_a_paused_workload_is_waited_for(shop):
    shop.add(WEB, spec={"replicas": 5, "paused": True})
    assert isinstance(await find_raised(shop, WEB, WEB), Deferred)
