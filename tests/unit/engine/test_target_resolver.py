"""How often targets are looked at where there are many."""

from typing import cast

from forestall.api import ServiceLevelObjective
from forestall.engine.target_resolver import TargetResolver
from forestall.errors import NotFound
from forestall.ports import Cluster

INTERVAL = 30.0


class Read:
    """Implements the `Cluster` port as far as reading goes: no workload exists."""

    def __init__(self):
        self.names = []

    async def read(self, ref):
        self.names.append(ref.name)
        raise NotFound(ref.name)


def objectives(slo, count):
    spec = slo.spec.dump()
    return [
        ServiceLevelObjective.read(
            {
                "metadata": {**slo.metadata.dump(), "uid": f"u-{number}"},
                "spec": {**spec, "target": {"name": f"w-{number}"}},
            }
        )
        for number in range(count)
    ]


async def test_many_targets_are_looked_at_over_several_cycles_and_then_seldom(slo):
    cluster = Read()
    targets = TargetResolver(cast("Cluster", cluster), INTERVAL, 16)
    every = objectives(slo, 250)
    assert len(await targets.check(every, 0.0)) == 200
    assert len(await targets.check(every, INTERVAL)) == 250
    assert len(cluster.names) == len(set(cluster.names)) == 250
    await targets.check(every, 2 * INTERVAL)
    assert len(cluster.names) == 250
    await targets.check(every, 10 * INTERVAL)
    assert cluster.names[250:] == cluster.names[:200]
