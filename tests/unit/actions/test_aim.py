"""What an action would change: found from the labels of the series that caused the risk."""

from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from forestall.actions import ACTIONS, NotApplicable, TargetRequest
from forestall.api.remediation import ObjectRef
from forestall.api.remediation_policy import ACTIONS as FIELDS
from forestall.api.remediation_policy import CordonAction, Rung
from forestall.core.decision import Hold
from forestall.errors import NotFound
from forestall.ports import Served

WORKLOAD = ObjectRef(api_version="apps/v1", kind="Deployment", namespace="shop", name="checkout", uid="w")
OWNER = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "checkout-1", "uid": "rs", "controller": True}


def aim(**labels: str) -> TargetRequest:
    return TargetRequest(Rung(cordon=CordonAction()), WORKLOAD, labels, risk_since=0.0)


def test_every_action_of_the_api_is_there():
    assert [field.capitalize() for field in FIELDS] == list(ACTIONS)


async def test_a_cordon_is_of_the_node_that_the_cause_names():
    cluster = SimpleNamespace(read=AsyncMock(return_value={"metadata": {"uid": "n"}}))
    target = await ACTIONS["Cordon"].resolve_target(cluster, aim(node="n1"))
    assert isinstance(target, ObjectRef)
    assert (target.kind, target.name, target.uid) == ("Node", "n1", "n")


@pytest.mark.parametrize("action", ["Cordon", "Drain"])
@pytest.mark.parametrize("labels", [{}, {"node": "gone"}])
async def test_a_node_that_is_not_known_is_not_touched_and_left_to_the_next_rung(action, labels):
    """The kind: a cause without its label, which holds the ladder in one action and passes on in another."""
    cluster = SimpleNamespace(read=AsyncMock(side_effect=NotFound("no such node")))
    hold = await ACTIONS[action].resolve_target(cluster, aim(**labels))
    assert isinstance(hold, NotApplicable), "the next rung is asked, as where an eviction finds no pod in the labels"
    assert hold.reason == "NodeUnknown"


class Shop:
    """A Deployment, its ReplicaSet, and one of its two pods."""

    def __init__(self) -> None:
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        self.objects: dict[str, Any] = {
            "Pod": {"metadata": {"name": "a", "uid": "p", "ownerReferences": [OWNER]}, "status": ready},
            "ReplicaSet": {"metadata": {"uid": "rs", "ownerReferences": [{**OWNER, "kind": "Deployment", "uid": "w"}]}},
            "Deployment": {"metadata": {"uid": "w"}, "status": {"readyReplicas": 2}},
        }

    async def read(self, ref: ObjectRef) -> Any:
        body = self.objects.get(ref.kind)
        if body is None or ref.namespace != "shop":
            raise NotFound(ref.name)
        return body


@pytest.fixture
def shop():
    return Shop()


async def test_an_eviction_is_of_the_pod_that_the_cause_names(shop):
    target = await ACTIONS["Evict"].resolve_target(shop, aim(pod="a", namespace="shop"))
    assert isinstance(target, ObjectRef)
    assert (target.kind, target.namespace, target.name, target.uid) == ("Pod", "shop", "a", "p")


async def test_the_only_pod_that_serves_is_not_evicted_but_one_that_does_not_serve_is(shop):
    shop.objects["Deployment"]["status"] = {"readyReplicas": 1}
    hold = await ACTIONS["Evict"].resolve_target(shop, aim(pod="a"))
    assert isinstance(hold, NotApplicable)
    assert hold.reason == "LastReadyPod"
    shop.objects["Pod"]["status"] = {}
    assert isinstance(await ACTIONS["Evict"].resolve_target(shop, aim(pod="a")), ObjectRef)


@pytest.mark.parametrize(
    ("kind", "metadata", "reason"),
    [
        ("Pod", {"ownerReferences": []}, "PodNotOfTarget"),
        ("Pod", {"ownerReferences": [{**OWNER, "kind": "StatefulSet", "uid": "x"}]}, "PodNotOfTarget"),
        ("ReplicaSet", {"ownerReferences": [{**OWNER, "kind": "Deployment", "uid": "x"}]}, "PodNotOfTarget"),
        ("ReplicaSet", None, "PodNotOfTarget"),
        ("Pod", {"annotations": {"forestall.dev/protected": "true"}}, "PodProtected"),
        ("Pod", {"annotations": {"karpenter.sh/do-not-disrupt": "true"}}, "PodProtected"),
    ],
)
async def test_a_pod_of_others_or_a_protected_one_is_left_to_the_next_rung(shop, kind, metadata, reason):
    if metadata is None:
        del shop.objects[kind]
    else:
        shop.objects[kind]["metadata"].update(metadata)
    hold = await ACTIONS["Evict"].resolve_target(shop, aim(pod="a"))
    assert isinstance(hold, NotApplicable)
    assert hold.reason == reason


@pytest.mark.parametrize("labels", [{}, {"pod": "a", "namespace": "other"}])
async def test_a_cause_that_names_no_pod_of_the_namespace_is_left_to_the_next_rung(shop, labels):
    hold = await ACTIONS["Evict"].resolve_target(shop, aim(**labels))
    assert isinstance(hold, NotApplicable)
    assert hold.reason == "PodUnknown"


@pytest.mark.parametrize("gone", [True, False])
async def test_a_pod_that_goes_already_is_not_evicted_nor_anything_else_done(shop, gone):
    if gone:
        del shop.objects["Pod"]
    else:
        shop.objects["Pod"]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    hold = await ACTIONS["Evict"].resolve_target(shop, aim(pod="a"))
    assert isinstance(hold, Hold)
    assert not isinstance(hold, NotApplicable)
    assert hold.reason == "PodUnknown"


@pytest.mark.parametrize(
    ("served", "reason"),
    [(NotFound("no such kind"), "ObjectMissing"), (Served("widgets", namespaced=False), "PatchRefused")],
)
async def test_a_patch_that_can_never_be_made_is_left_to_the_next_rung(served, reason):
    effect = {"side_effect": served} if isinstance(served, Exception) else {"return_value": served}
    target = {"apiVersion": "example.com/v1", "kind": "Widget", "resource": "widgets", "name": "w"}
    rung = Rung.model_validate({"patch": {"target": target, "field": "/spec/limit", "value": "1"}})
    hold = await ACTIONS["Patch"].resolve_target(
        SimpleNamespace(serves=AsyncMock(**effect)), TargetRequest(rung, WORKLOAD, {}, 0.0)
    )
    assert isinstance(hold, NotApplicable)
    assert hold.reason == reason
