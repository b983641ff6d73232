"""What is said of a rollout under way, and from when on."""

from typing import Any

import pytest

from forestall.api.times import stamp

START = 1_000_000.0
RESTART: dict[str, Any] = {"action": {"restart": {}}, "from": None, "to": None}


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
