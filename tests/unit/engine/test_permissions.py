"""Which permissions are checked, how often, and with which message. The kind: an action without permission is not
tried.
"""

import asyncio

import pytest
from tests.support.virtual_time import run

from forestall.actions import ACTIONS
from forestall.api import RemediationPolicy
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
def test_permissions_of_an_action(action, target, subject, rights):
    asked = ACTIONS[action].rights(target, subject)
    assert {(right.verb, right.kind, right.subresource) for right in asked} == rights


async def test_permission_for_a_whole_kind_is_checked_once(permissions, cluster):
    for number in range(50):
        assert await permissions.why_not("Scale", WEB.model_copy(update={"name": f"w{number}"})) is None
    assert len(cluster.asked) == 1


async def test_permission_for_one_object_by_name_is_enough(permissions, cluster):
    cluster.refuses = lambda right: None if right.name == "checkout" else USER
    assert await permissions.why_not("Scale", WEB) is None
    hold = await permissions.why_not("Scale", WEB.model_copy(update={"name": "basket"}))
    assert hold.reason == "Forbidden"
    assert "kubectl create rolebinding forestall-workloads --clusterrole=forestall-workloads" in hold.message


async def test_failed_check_holds_nothing(permissions, cluster):
    def silent(_):
        raise ClusterError("no answer")

    cluster.refuses = silent
    assert await permissions.why_not("Scale", WEB) is None


async def test_missing_permission_is_checked_again_soon_and_a_granted_one_later(permissions, cluster, monkeypatch):
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
async def test_acting_policy_reports_missing_permissions(permissions, cluster, slo, make_policy, mode, status):
    cluster.refuses = lambda right: USER if right.kind == "Deployment" and not right.subresource else None
    policy = make_policy(mode=mode)  # which scales, and then restarts
    scene = Snapshot({slo.uid: slo}, {slo.uid: [policy]}, [], [])
    await permissions.check(scene, [policy])
    condition = permissions.condition(policy)
    assert (condition and condition.status) == status
    assert bool(cluster.asked) == (status is not None)


async def test_policy_without_objectives_lacks_no_permission(permissions, make_policy):
    policy = make_policy(mode="Auto")
    await permissions.check(Snapshot({}, {}, [], []), [policy])
    assert permissions.condition(policy).status == "True"


async def test_what_is_known_of_a_right_lasts_so_long(permissions, cluster, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("forestall.engine.permissions._time", lambda: clock[0])

    async def asked(at, refusal=None):
        clock[0], cluster.refuses = at, lambda _: refusal
        before = len(cluster.asked)
        await permissions.why_not("Restart", WEB)
        return len(cluster.asked) > before

    assert await asked(0.0, USER)
    assert not await asked(29.5)
    assert await asked(30.0)
    assert not await asked(329.5)
    assert await asked(330.0)


async def test_a_right_that_can_not_be_asked_for_is_asked_for_again_soon(permissions, cluster, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("forestall.engine.permissions._time", lambda: clock[0])

    def silent(_):
        raise ClusterError("no answer")

    for at, count in ((0.0, 1), (29.5, 1), (30.0, 2)):
        clock[0], cluster.refuses = at, silent
        await permissions.why_not("Restart", WEB)
        assert len(cluster.asked) == count


class Slow(Cluster):
    """Takes some seconds for each answer, and then refuses."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    async def refusal(self, right):
        self.asked.append(right)
        await asyncio.sleep(self.seconds)
        return USER


@pytest.mark.parametrize(("seconds", "is_held"), [(2.4, True), (4.9, True), (5.1, False)])
def test_a_review_that_takes_long_holds_nothing(seconds, is_held):
    hold = run(Permissions(Slow(seconds)).why_not("Restart", WEB))
    assert (hold is not None) is is_held


def policies_of(make_policy, count, namespace="shop", **spec):
    body = make_policy(mode="Auto", actions=[{"restart": {}}], **spec).dump()
    return [
        RemediationPolicy.read(
            {**body, "metadata": {"name": f"p{n}", "namespace": namespace, "uid": f"{namespace}-{n}"}}
        )
        for n in range(count)
    ]


def test_no_more_than_fifty_policies_are_checked_in_one_cycle_the_others_first_in_the_next(make_policy):
    permissions = Permissions(Cluster())
    policies = policies_of(make_policy, 51)

    async def checked(seconds):
        await asyncio.sleep(seconds)
        await permissions.check(Snapshot({}, {}, [], []), policies)
        return [policy.uid for policy in policies if permissions.condition(policy) is not None]

    async def twice():
        first = await checked(1.0)
        permissions._missing.clear()
        return first, await checked(1.0)

    first, second = run(twice())
    assert (len(first), len(second), "shop-50" in first, "shop-50" in second) == (50, 50, False, True)


def test_reviews_that_are_not_over_keep_the_earlier_result_and_no_other_namespaces_policies(slo, make_policy):
    cluster = Slow(2.0)
    permissions = Permissions(cluster)
    mine, theirs = policies_of(make_policy, 1), policies_of(make_policy, 1, "bank")
    scene = Snapshot({slo.uid: slo}, {slo.uid: mine}, [], [])

    async def check(until):
        await permissions.check(scene, [*mine, *theirs], asyncio.get_running_loop().time() + until)
        return [condition and condition.status for condition in map(permissions.condition, [*mine, *theirs])]

    async def both():
        first = await check(1.0)
        await asyncio.sleep(30.0)
        return first, await check(10.0)

    assert run(both()) == ([None, "True"], ["False", "True"])


async def test_a_policy_that_does_not_act_any_more_is_forgotten(permissions, slo, make_policy):
    (policy,) = policies_of(make_policy, 1)
    scene = Snapshot({slo.uid: slo}, {slo.uid: [policy]}, [], [])
    await permissions.check(scene, [policy])
    condition = permissions.condition(policy)
    assert (condition.type, condition.status, condition.reason) == ("Permitted", "True", "Allowed")
    await permissions.check(scene, [])
    assert permissions.condition(policy) is None


@pytest.mark.parametrize(
    ("rung", "kinds"),
    [
        ({"restart": {}}, {"Deployment"}),
        ({"evict": {}}, {"Pod"}),
        ({"cordon": {}}, set()),
        ({"notify": {"channel": "a"}}, set()),
    ],
)
async def test_permissions_for_targets_that_the_cause_names_are_not_checked_in_advance(
    permissions, cluster, slo, make_policy, rung, kinds
):
    policy = make_policy(mode="Auto", actions=[rung])
    other = slo.model_copy(update={"metadata": slo.metadata.model_copy(update={"uid": "o-2"})})
    scene = Snapshot({"o-1": slo, "o-2": other}, {"o-1": [policy], "o-2": []}, [], [])
    await permissions.check(scene, [policy])
    assert {right.kind for right in cluster.asked} == kinds
    assert len(cluster.asked) <= 1
