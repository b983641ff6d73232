"""The API calls of a scale-out: each object is read once to decide, and once more right before the write.

The kind: the same object read again by each part of the engine that needs it.
"""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from forestall.sim.controllers.base import FixedReplicas
from forestall.sim.model_cluster import ModelCluster
from forestall.sim.operator import SimulatedOperator
from forestall.sim.recommend import PolicyTuning, recommended_setup
from forestall.sim.run import run

READS = ("read", "find", "read_scale")
WRITES = ("write_scale", "patch", "create", "delete", "evict", "replace_status", "apply_status")
SURGE = [*[50.0] * 20, *np.linspace(50, 500, 40)]
EVERY_CYCLE = {("find", "Node"): 1, ("find", "Guardrail"): 1, ("find", "Pause"): 1}
"""Reads of each cycle, independent of actions."""


class Counting:
    """Counts the calls of a cluster by name and kind, in the cycle that creates a Remediation."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self.calls: Counter[tuple[str, str]] = Counter()
        self.at_creation: Counter[tuple[str, str]] = Counter()

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._cluster, name)
        if name not in (*READS, *WRITES):
            return call

        async def counted(*args: Any, **options: Any) -> Any:
            kind = args[1] if name == "find" else args[0]["kind"] if name == "create" else args[0].kind
            self.calls[name, kind] += 1
            return await call(*args, **options)

        return counted

    def end_cycle(self) -> None:
        if not self.at_creation and ("create", "Remediation") in self.calls:
            self.at_creation = self.calls
        self.calls = Counter()


@pytest.fixture
def counting(monkeypatch):
    """Count the calls of every run's cluster."""
    clusters: list[Counting] = []

    class Counted(SimulatedOperator):
        async def run_if_due(self) -> None:
            await super().run_if_due()
            clusters[-1].end_cycle()

    def wrapped(*args: Any, **options: Any) -> Counting:
        clusters.append(Counting(ModelCluster(*args, **options)))
        return clusters[-1]

    monkeypatch.setattr("forestall.sim.operator.ModelCluster", wrapped)
    monkeypatch.setattr("forestall.sim.run.SimulatedOperator", Counted)
    return clusters


@pytest.mark.parametrize("autoscalers", [False, True])
async def test_a_scale_out_reads_each_object_once_to_decide_and_once_to_write(make_service, counting, autoscalers):
    service = make_service(SURGE, 4, past=[50.0] * 120 + SURGE, min_replicas=3, start_up=120.0)
    setup = recommended_setup([service], [PolicyTuning(headroom=0.2)], autoscalers=autoscalers, interval=60.0)
    await run([service], FixedReplicas(), setup)
    calls = counting[-1].at_creation - Counter(EVERY_CYCLE)
    assert calls["patch" if autoscalers else "write_scale", "HorizontalPodAutoscaler" if autoscalers else "Deployment"]
    # To decide, right before the change, and to see what came of it.
    assert calls["read", "Deployment"] == 3
    assert calls["find", "Pause"] == 2, "pauses are listed again, not from the cache"
    assert calls["read_scale", "Deployment"] == 0
    assert sum(number for (name, _), number in calls.items() if name in READS) <= 12
    own_kinds = {"Remediation", "ServiceLevelObjective"}
    assert sum(number for (name, kind), number in calls.items() if name in WRITES and kind in own_kinds) <= 8
