"""Rolling restarts on the real controllers."""

import json

import pytest

from forestall.actions.restart import RESTARTED_BY


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
async def test_restart_replaces_every_pod_once(guarded, kind):
    web = guarded.run(kind, **({} if kind == "DaemonSet" else {"replicas": 2}))
    before = guarded.pods().keys()
    opened = await guarded.open(web, {"restart": {}})
    await guarded.until("Verifying")
    after = guarded.pods().keys()
    assert len(after) >= len(before) > 0
    assert not after & before
    template = guarded.cluster.get(kind, "web", guarded.namespace)["spec"]["template"]
    assert template["metadata"]["annotations"] == {RESTARTED_BY: opened.uid}
    generation = guarded.cluster.get(kind, "web", guarded.namespace)["metadata"]["generation"]
    after_that = await guarded.cycle(probability=0.1)
    assert (after_that.status.phase, after_that.status.reason) == ("Succeeded", "Verified")
    assert guarded.cluster.get(kind, "web", guarded.namespace)["metadata"]["generation"] == generation


async def test_paused_deployment_is_not_restarted(guarded):
    web = guarded.run(replicas=3)
    guarded.cluster.kubectl("rollout", "pause", "deployment/web", "-n", guarded.namespace)
    await guarded.open(web, {"restart": {}})
    after = await guarded.cycle()
    assert (after.status.phase, after.status.reason) == ("Aborted", "TargetPaused")


async def test_rollout_without_progress_fails(guarded, eventually):
    web = guarded.run(replicas=3)
    deadline = json.dumps({"spec": {"progressDeadlineSeconds": 2}})
    guarded.cluster.kubectl("patch", "deployment", "web", "-n", guarded.namespace, "-p", deadline)
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": {"pods": "0"}}}
    guarded.cluster.apply(quota, namespace=guarded.namespace)
    await eventually(lambda: bool(guarded.cluster.get("resourcequota", "full", guarded.namespace).get("status")))
    await guarded.open(web, {"restart": {}})
    after = await guarded.until("Failed")
    assert after.status.reason == "RolloutStuck"
