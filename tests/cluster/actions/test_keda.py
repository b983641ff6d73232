"""A workload that the real KEDA scales: its pauses are respected, and the minReplicaCount of its ScaledObject is
reverted.

KEDA's operator is built once a machine, which takes some eight minutes of CPU time.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from forestall.devcluster.keda import NAMESPACE, certificates, definitions, start_operator
from forestall.devcluster.kwok import KwokCluster
from forestall.devcluster.programs import FOLDER_VARIABLE, find_programs
from forestall.devcluster.workspace import Workspace
from forestall.errors import MissingTool

SCALE = {"scale": {"maxReplicas": 6, "stabilizationWindow": "1m"}}
AT_RISK = {"replicas_forecast": 5, "replicas_observed": 4}
CALM = {"probability": 0.0, "replicas_forecast": 1, "replicas_observed": 1}
KEDA = "autoscaling.keda.sh"


@pytest.fixture(scope="module")
def keda(cluster: KwokCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """KEDA's operator, running."""
    try:
        programs = find_programs(["keda-operator"])
    except MissingTool:
        if FOLDER_VARIABLE not in os.environ:
            raise
        pytest.skip(f"the folder of {FOLDER_VARIABLE} has no keda-operator")
    with Workspace("keda") as workspace:
        start_operator(cluster, workspace, programs, certificates(tmp_path_factory.mktemp("keda")))
        yield
        # It finalizes its own objects.
        cluster.kubectl("delete", "scaledobjects", "--all", "-A", "--timeout=240s", timeout_s=300)
    cluster.kubectl("delete", "-f", definitions(), "--timeout=240s", timeout_s=300)
    cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


class Shop:
    """The workload `web`, its ScaledObject of at least two replicas, and what KEDA makes of it."""

    def __init__(self, life: Any, eventually: Any) -> None:
        self.life = life
        self._eventually = eventually

    async def start(self) -> Any:
        """Create both, and return when KEDA's autoscaler exists."""
        target = self.life.run(replicas=2)
        always = {"timezone": "UTC", "start": "0 0 * * *", "end": "59 23 * * *", "desiredReplicas": "2"}
        spec = {
            "scaleTargetRef": {"name": "web"},
            "pollingInterval": 2,
            "minReplicaCount": 2,
            "maxReplicaCount": 8,
            "triggers": [{"type": "cron", "metadata": always}],
        }
        body = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "web"}, "spec": spec}
        self.life.cluster.apply(body, namespace=self.life.namespace)
        await self.autoscaled()
        return target

    async def autoscaled(self, *, there: bool = True) -> None:
        """Wait until KEDA's autoscaler exists, or does not."""
        await self._eventually(lambda: bool(self.find("horizontalpodautoscaler")) is there, seconds=90)

    async def sized(self, replicas: int) -> None:
        """Wait until the workload has this number of replicas."""
        await self._eventually(lambda: self.life.replicas() == replicas, seconds=90)

    def find(self, kind: str) -> str:
        where = ("-n", self.life.namespace, "--ignore-not-found", "-o", "jsonpath={.items[*].metadata.uid}")
        found: str = self.life.cluster.kubectl("get", kind, *where).stdout
        return found

    def say(self, annotation: str) -> None:
        """Annotate the ScaledObject; a trailing minus removes the annotation."""
        where = ("-n", self.life.namespace, "--overwrite")
        self.life.cluster.kubectl("annotate", "scaledobject", "web", f"{KEDA}/{annotation}", *where)

    @property
    def floor(self) -> int:
        spec = self.life.cluster.get("scaledobject", "web", self.life.namespace)["spec"]
        floor: int = spec["minReplicaCount"]
        return floor

    async def raised(self) -> None:
        """Begin a scale-out to five."""
        await self.life.open(await self.start(), SCALE, **{"from": 2, "to": 5})
        await self.life.cycle(**AT_RISK)
        assert (self.life.end[0], self.floor) == ("Verifying", 5)
        await self.sized(5)


@pytest.fixture
def shop(guarded: Any, keda: None, eventually: Any) -> Shop:
    return Shop(guarded, eventually)


@pytest.mark.parametrize(
    ("annotation", "autoscaled", "replicas"),
    [("paused=true", False, 2), ("paused-replicas=3", False, 3), ("paused-scale-out=true", True, 2)],
)
async def test_paused_scaled_object_is_left_alone(shop, annotation, autoscaled, replicas):
    """Kind: owners are recognized by the objects that they create. While it is paused, KEDA's autoscaler does not
    exist.
    """
    target = await shop.start()
    shop.say(annotation)
    await shop.autoscaled(there=autoscaled)
    await shop.sized(replicas)
    await shop.life.open(target, SCALE, **{"from": 2, "to": 5})
    await shop.life.cycle(**AT_RISK)
    assert shop.life.end == ("Aborted", "TargetPaused")
    assert (shop.floor, shop.life.replicas()) == (2, replicas)


@pytest.mark.parametrize("annotation", ["paused=true", "paused-replicas=5"])
async def test_raised_minimum_is_reverted_after_the_end_of_a_pause(shop, annotation):
    """Kind: a written value is forgotten while its object is hidden for a time."""
    await shop.raised()
    shop.say(annotation)
    await shop.autoscaled(there=False)
    for _ in range(3):
        await shop.life.cycle(1000, **CALM)
    assert shop.life.end == ("Verifying", "TargetPaused")
    assert (shop.floor, shop.life.replicas()) == (5, 5), "nothing is written while it is paused"
    shop.say(annotation.partition("=")[0] + "-")
    await shop.autoscaled()
    await shop.life.until("Succeeded", after=10, **CALM)
    assert shop.floor == 2


async def test_minimum_is_reverted_while_scaling_out_is_paused(shop):
    await shop.raised()
    shop.say("paused-scale-out=true")
    await shop.life.cycle(**{**AT_RISK, "replicas_forecast": 9})
    assert (*shop.life.end, shop.floor) == ("Verifying", "TargetPaused", 5)
    await shop.life.until("Succeeded", after=10, **CALM)
    assert shop.floor == 2


async def test_recreated_autoscaler_is_not_the_one_with_the_raised_minimum(shop):
    await shop.raised()
    before = shop.find("horizontalpodautoscaler")
    shop.life.cluster.kubectl("delete", "horizontalpodautoscaler", "--all", "-n", shop.life.namespace)
    await shop.life.cycle(**AT_RISK)
    assert (shop.life.end[0], shop.floor) == ("Verifying", 5)
    await shop._eventually(lambda: shop.find("horizontalpodautoscaler") not in ("", before), seconds=90)
    await shop.life.until("Succeeded", after=10, **CALM)
    assert shop.floor == 2
