"""Which rights are asked for, how often, and what is said. The kind: what could not be done is not tried."""

import pytest

from forestall.actions import ACTIONS
from forestall.api.remediation import ObjectRef
from forestall.engine.permissions import Permissions
from forestall.engine.snapshot import Snapshot
from forestall.errors import ClusterError
from forestall.ports import Right

WEB = ObjectRef(api_version="apps/v1", kind="Deployment", namespace="shop", name="checkout", uid="d-1")
FLOOR = ObjectRef(api_version="autoscaling/v2", kind="HorizontalPodAutoscaler", namespace="shop", name="checkout")
NODE = ObjectRef(api_version="v1", kind="Node", name="n1")
USER = 'User "system:serviceaccount:forestall-system:forestall" cannot patch'


class Cluster:
    """Refuses some rights."""

    def __init__(self):
        self.asked: list[Right] = []
        self.refuses = lambda _: None

    async def refusal(self, right):
        self.asked.append(right)
        return self.refuses(right)


@pytest.fixture
def cluster():
    return Cluster()


@pytest.fixture
def permissions(cluster):
    return Permissions(cluster)


@pytest.mark.parametrize(
    ("action", "target", "subject", "rights"),
    [
        ("Scale", WEB, None, {("patch", "Deployment", "scale")}),
        ("Scale", WEB, WEB, {("patch", "Deployment", "scale")}),
        ("Scale", WEB, FLOOR, {("patch", "HorizontalPodAutoscaler", "")}),
        ("Restart", WEB, None, {("patch", "Deployment", "")}),
        ("Rollback", WEB, None, {("patch", "Deployment", "")}),
        ("Patch", WEB, None, {("patch", "Deployment", "")}),
        ("Evict", WEB, None, {("create", "Pod", "eviction")}),
        ("Job", WEB, None, {("create", "Job", "")}),
        ("Cordon", NODE, None, {("patch", "Node", "")}),
        ("Drain", NODE, None, {("patch", "Node", ""), ("create", "Pod", "eviction")}),
        ("Notify", WEB, None, set()),
    ],
)
def test_the_rights_of_an_action(action, target, subject, rights):
    asked = ACTIONS[action].rights(target, subject)
    assert {(right.verb, right.kind, right.subresource) for right in asked} == rights


async def test_a_right_for_all_of_a_kind_is_asked_once_for_all(permissions, cluster):
    for number in range(50):
        assert await permissions.why_not("Scale", WEB.model_copy(update={"name": f"w{number}"})) is None
    assert len(cluster.asked) == 1


async def test_a_right_for_one_object_by_its_name_is_enough(permissions, cluster):
    cluster.refuses = lambda right: None if right.name == "checkout" else USER
    assert await permissions.why_not("Scale", WEB) is None
    hold = await permissions.why_not("Scale", WEB.model_copy(update={"name": "basket"}))
    assert hold.reason == "Forbidden"
    assert "kubectl create rolebinding forestall-workloads --clusterrole=forestall-workloads" in hold.message


async def test_what_can_not_be_asked_holds_nothing(permissions, cluster):
    def silent(_):
        raise ClusterError("no answer")

    cluster.refuses = silent
    assert await permissions.why_not("Scale", WEB) is None


async def test_what_was_refused_is_asked_again_soon_and_what_was_granted_later(permissions, cluster, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("forestall.engine.permissions._time", lambda: clock[0])
    cluster.refuses = lambda _: USER
    assert await permissions.why_not("Restart", WEB)
    cluster.refuses = lambda _: None
    clock[0] = 20.0
    assert await permissions.why_not("Restart", WEB), "bounded cost"
    clock[0] = 31.0
    assert await permissions.why_not("Restart", WEB) is None
    cluster.asked.clear()
    clock[0] = 300.0
    await permissions.why_not("Restart", WEB)
    assert not cluster.asked
    clock[0] = 340.0
    await permissions.why_not("Restart", WEB)
    assert cluster.asked


@pytest.mark.parametrize(("mode", "status"), [("Observe", None), ("Approve", "False"), ("Auto", "False")])
async def test_a_policy_tells_as_soon_as_it_may_act_what_the_operator_may_not(
    permissions, cluster, slo, make_policy, mode, status
):
    cluster.refuses = lambda right: USER if right.kind == "Deployment" and not right.subresource else None
    policy = make_policy(mode=mode)  # which scales, and then restarts
    scene = Snapshot({slo.uid: slo}, {slo.uid: [policy]}, [], [])
    await permissions.check(scene, [policy])
    condition = permissions.condition(policy)
    assert (condition and condition.status) == status
    assert bool(cluster.asked) == (status is not None)


async def test_a_policy_that_selects_nothing_yet_has_all_the_rights_it_needs(permissions, make_policy):
    policy = make_policy(mode="Auto")
    await permissions.check(Snapshot({}, {}, [], []), [policy])
    assert permissions.condition(policy).status == "True"
