"""Scaling a workload, or the minReplicas of its autoscaler, on the real controllers."""

import json

import pytest

from forestall.remediation import has_helped

CALM = {"probability": 0.0, "replicas_forecast": 1, "replicas_observed": 1}
SCALE = {"scale": {"maxReplicas": 6, "stabilizationWindow": "1m"}}


@pytest.fixture
def web(guarded):
    """A Deployment of three replicas that are all ready."""
    return guarded.run(replicas=3)


async def test_scale_out_is_held_and_reverted(guarded, web):
    await guarded.open(web, SCALE, **{"from": 3, "to": 5})
    assert (await guarded.cycle()).status.phase == "Verifying"
    assert guarded.replicas() == 5
    guarded.cluster.kubectl("rollout", "status", "deployment/web", "-n", guarded.namespace, "--timeout=240s")
    assert has_helped(await guarded.cycle(replicas_forecast=9, probability=0.1)) is True
    assert guarded.replicas() == 6
    seen = []
    for _ in range(14):
        await guarded.cycle(10, **CALM)
        seen.append(guarded.replicas())
    assert seen == sorted(seen, reverse=True)
    assert set(seen) == {6, 5, 4, 3}
    assert (guarded.remediation.status.phase, guarded.remediation.status.reason) == ("Succeeded", "Released")


async def test_scale_out_is_reported_in_events(guarded, web, eventually):
    await guarded.open(web, SCALE, **{"from": 3, "to": 5})
    await guarded.cycle()

    def told() -> bool:
        listed = guarded.cluster.kubectl("get", "events", "-n", guarded.namespace, "-o", "json").stdout
        return any(
            event["involvedObject"]["kind"] == "Deployment" and "3 -> 5" in event["message"]
            for event in json.loads(listed)["items"]
        )

    await eventually(told)


async def test_workload_that_another_client_scaled_is_left_alone(guarded, web):
    await guarded.open(web, SCALE, **{"from": 3, "to": 5})
    await guarded.cycle()
    guarded.cluster.kubectl("scale", "deployment/web", "-n", guarded.namespace, "--replicas=4")
    after = await guarded.cycle(replicas_forecast=6)
    assert (after.status.phase, after.status.reason, guarded.replicas()) == ("Aborted", "Superseded", 4)


@pytest.mark.parametrize("action", [SCALE, {"restart": {}}])
@pytest.mark.parametrize(("again", "reason"), [(False, "TargetGone"), (True, "TargetReplaced")])
async def test_deleted_target_is_left_alone(guarded, web, action, again, reason):
    sizes = {"from": 3, "to": 5} if "scale" in action else {}
    await guarded.open(web, action, **sizes)
    guarded.cluster.kubectl("delete", "deployment", "web", "-n", guarded.namespace)
    if again:
        guarded.run(replicas=3)
    after = await guarded.cycle()
    assert (after.status.phase, after.status.reason) == ("Aborted", reason)
    if again:
        assert guarded.replicas() == 3


async def test_kind_without_scale_is_not_scaled(guarded):
    await guarded.open(guarded.run("DaemonSet"), SCALE, **{"from": 3, "to": 5})
    after = await guarded.cycle()
    assert (after.status.phase, after.status.reason) == ("Aborted", "NotScalable")


async def test_missing_permission_is_named_with_the_command_that_grants_it(cluster, namespace, live_as):
    remediations = "--resource=remediations.forestall.dev,remediations.forestall.dev/status"
    workloads = "--resource=deployments.apps,deployments.apps/scale,horizontalpodautoscalers.autoscaling"
    roles = (("remediations", "create,get,update", remediations), ("look", "get,list", workloads))
    for name, verbs, resources in roles:
        cluster.kubectl("create", "role", name, "-n", namespace, f"--verb={verbs}", resources)
        subject = f"--serviceaccount={namespace}:default"
        cluster.kubectl("create", "rolebinding", name, "-n", namespace, f"--role={name}", subject)
    async with live_as(cluster.kubeconfig_for(namespace, "default")) as life:
        await life.open(life.run(replicas=3), SCALE, **{"from": 3, "to": 5})
        after = await life.cycle()
        assert life.replicas() == 3
    assert (after.status.phase, after.status.reason) == ("Executing", "Forbidden")
    assert 'cannot patch resource "deployments/scale"' in after.status.message
    assert f"--serviceaccount={namespace}:default -n {namespace}`" in after.status.message


async def test_scale_raises_min_replicas_of_an_autoscaler(guarded, web, eventually):
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    spec = {"scaleTargetRef": target, "minReplicas": 3, "maxReplicas": 8}
    autoscaler = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"}}
    guarded.cluster.apply({**autoscaler, "spec": spec}, namespace=guarded.namespace)
    await guarded.open(web, SCALE, **{"from": 3, "to": 5})
    assert (await guarded.until("Verifying")).status.steps[0].to == 5
    await eventually(lambda: guarded.replicas() == 5, seconds=60)  # by the autoscaler itself
    await guarded.until("Succeeded", after=10, **CALM)
    floor = guarded.cluster.get("horizontalpodautoscaler", "web", guarded.namespace)["spec"]["minReplicas"]
    assert floor == 3
