"""What is said of a rollout under way, and from when on."""

from typing import Any

import pytest

from forestall.api.meta import Condition
from forestall.api.times import stamp

START = 1_000_000.0
RESTART: dict[str, Any] = {"action": {"restart": {}}, "from": None, "to": None}


async def test_a_target_that_changes_before_the_write_is_read_again_in_the_same_cycle(run, world):
    changes = 0

    def change_once(call: str) -> None:
        nonlocal changes
        if call == "find":
            changes += 1
            if changes == 1:
                world.change("Deployment", "checkout", {"metadata": {"annotations": {"by": "somebody"}}})

    await run.open()
    world.after_call = change_once
    after = await run.cycle()
    assert (run.replicas, after.status.phase) == (5, "Verifying")
    assert changes > 1


async def test_a_condition_that_is_set_is_written_and_returned(run, world):
    await run.open()
    told = Condition(type="NotifiedLocked", status="True", reason="Delivered", message="x")
    after = await run.reconciler.set_condition(world.remediation(), told)
    assert after == world.remediation()
    assert [condition.message for condition in after.status.conditions if condition.type == "NotifiedLocked"] == ["x"]


@pytest.mark.parametrize(
    ("created", "after", "reason"),
    [(stamp(START), 19.9, "InProgress"), (stamp(START), 20.0, "PodsNotReady"), (None, 1000.0, "InProgress")],
)
async def test_pods_that_start_are_told_after_20_s_and_not_where_their_age_is_not_known(
    run, world, created, after, reason
):
    await run.open(**RESTART)
    labels = {"matchLabels": {"app": "checkout"}}
    world.change("Deployment", "checkout", {"spec": {"selector": labels}, "status": {"updatedReplicas": 1}})
    metadata = {"name": "new", "namespace": "shop", "labels": {"app": "checkout"}, "creationTimestamp": created}
    world.put("Pod", "shop", "new", "n-1", metadata=metadata, status={"phase": "Running"})
    waiting = await run.cycle(after)
    assert (waiting.status.phase, waiting.status.reason) == ("Executing", reason)


async def test_a_rollout_whose_pods_all_serve_is_waited_for_until_its_controller_says_so(run, world):
    target = {"apiVersion": "apps/v1", "kind": "StatefulSet", "namespace": "shop", "name": "db", "uid": "s-1"}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "db"}}, "template": {"metadata": {"labels": {}}}}
    world.put("StatefulSet", "shop", "db", "s-1", spec=spec, status={"observedGeneration": 1, "updatedReplicas": 0})
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    world.put("Pod", "shop", "db-0", "p-0", metadata={"name": "db-0", "namespace": "shop", "labels": {"app": "db"}},
              spec={}, status=ready)  # fmt: skip
    await run.open(**RESTART, target=target)
    after = await run.cycle(100)
    assert (after.status.phase, after.status.reason) == ("Executing", "InProgress")


async def test_a_target_that_is_deleted_before_the_write_is_reported_in_the_next_cycle(run, world):
    def delete(call: str) -> None:
        if call == "find":
            world.objects.pop(("Deployment", "shop", "checkout"), None)

    await run.open()
    world.after_call = delete
    after = await run.cycle()
    assert (after.status.phase, [step.done for step in after.status.steps]) == ("Executing", [False])
    after = await run.cycle()
    assert (after.status.phase, after.status.reason) == ("Aborted", "TargetGone")
