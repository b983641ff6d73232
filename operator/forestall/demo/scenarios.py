"""The scenarios: what happens to the shop, and for how long."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from forestall.errors import MissingTool

OBJECTIVE = 95.0
"""The share of good requests that the shop's objective promises, in percent."""
THRESHOLD_S = 0.5
"""A request is good when it is answered within this time, and without an error."""
FULL_SLOTS = 4
"""Concurrent requests of a pod of the shop."""
LOAD = "load"
"""Prefix of indicators that grow with the requests."""
NAMESPACE = "shop"
WORKLOAD = "shop"


@dataclass(frozen=True, slots=True)
class Release:
    """A rollout of a new version during a run, as by a delivery pipeline."""

    at: float
    """Seconds after the start of the run."""
    image: str = "example.com/shop:1.1"


@dataclass(frozen=True, slots=True)
class DiskFill:
    """A real disk that something on its node fills, and cleans up later. Times are seconds of the run."""

    node: str
    start: float
    """The share that is used at first."""
    full_at: float
    cleaned_at: float

    def used(self, elapsed: float) -> float:
        """Return the share that is used `elapsed` seconds after the start of the run."""
        if elapsed >= self.cleaned_at:
            return self.start
        return self.start + (1.0 - self.start) * min(1.0, max(0.0, elapsed) / self.full_at)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A failure scenario of the shop. Times are seconds of the run; hours are those of the recorded day."""

    name: str
    title: str
    story: str
    """What happens, in a sentence."""
    indicator: str
    """The leading indicator."""
    unit: str
    """Unit of the indicator."""
    limit: float
    """Limit of the indicator, as in the manifest."""
    hours: tuple[float, float]
    """First and last hour of the recorded day."""
    duration: float
    """Length of the run."""
    peak: float
    """Requests a second at the peak of the recorded day."""
    shop: Sequence[str] = ()
    """Further arguments of the shop."""
    leak: float = 0.0
    """Memory leak of each request (MiB)."""
    slots: int = FULL_SLOTS
    """Concurrent requests of a pod."""
    cordons: bool = False
    """Whether the operator needs the right to cordon nodes."""
    real: bool = False
    """Whether it needs real nodes, with real pods: what fails is real, and nothing is played."""
    memory_mib: int = 512
    """Memory limit of a pod."""
    fill: DiskFill | None = None
    """The disk that fills up, on real nodes."""
    release: Release | None = None
    nodes: int = 3
    replicas: int = 3
    seed: int = 7
    lead_in: float = 8.0
    """Traffic before the start of the run (s)."""

    @property
    def minutes_per_second(self) -> float:
        """Minutes of the recorded day in one second of the run."""
        return (self.hours[1] - self.hours[0]) * 60 / self.duration

    @property
    def arguments(self) -> list[str]:
        """The arguments of the shop."""
        return ["--slots", str(self.slots), "--leak", f"{self.leak:g}", *self.shop]

    @property
    def manifest(self) -> str:
        """The file with the objective and the policy, in `examples/shop`."""
        return f"real/{self.name}.yaml" if self.real else f"{self.name}.yaml"

    @property
    def size(self) -> float:
        """Size of the shop, relative to the one in the manifests."""
        return self.slots / FULL_SLOTS

    @property
    def divisible(self) -> bool:
        """Whether the scenario can be halved for a busy machine."""
        return self.slots > 1

    def halved(self) -> "Scenario":
        """Return the scenario with half the requests, on pods with half the capacity, for a busy machine."""
        limit = self.limit / 2 if self.indicator.startswith(LOAD) else self.limit
        return replace(self, peak=self.peak / 2, slots=self.slots // 2, leak=self.leak * 2, limit=limit)

    def clock(self, elapsed: float) -> str:
        """Return the recorded day's clock `elapsed` seconds after the start of the run, such as `08:30`."""
        minutes = int(self.hours[0] * 60 + max(0.0, elapsed) * self.minutes_per_second)
        return f"{minutes // 60:02d}:{minutes % 60:02d}"


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            name="surge",
            title="Traffic rises",
            story="A day of traffic: three pods carry the night, but neither the morning nor the evening.",
            indicator="load-per-pod",
            unit="requests/s a pod",
            limit=30.0,
            hours=(2.0, 23.0),
            duration=112.0,
            peak=200.0,
        ),
        Scenario(
            name="leak",
            title="Memory leaks",
            story="Each request leaks memory; at its limit a pod is killed and needs eight seconds to come back.",
            indicator="memory",
            unit="MiB",
            limit=480.0,
            hours=(10.0, 16.0),
            duration=80.0,
            peak=100.0,
            leak=0.36,
        ),
        Scenario(
            name="node",
            title="A node's disk fills up",
            story="Pods that are started on a full disk fail every request, and a release starts new ones at 13:36.",
            indicator="disk",
            unit="share of the disk",
            limit=0.95,
            hours=(10.0, 16.0),
            duration=80.0,
            peak=100.0,
            shop=("--full-node", "node-2", "--fills-in", "40", "--cleaned-at", "66"),
            cordons=True,
            release=Release(at=48.0),
        ),
    )
}


REAL_SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            name="leak",
            title="Memory leaks, in real pods",
            story="Each request leaks memory; at its limit the kernel kills the container, which starts again.",
            indicator="memory",
            unit="MiB",
            limit=200.0,
            hours=(10.0, 16.0),
            duration=140.0,
            peak=80.0,
            leak=0.12,
            real=True,
            memory_mib=224,
            nodes=2,
            lead_in=20.0,
        ),
        Scenario(
            name="node",
            title="A real disk fills up",
            story="Something fills the disk of node-2; from 90 % on the kubelet evicts the node's pods at once.",
            indicator="disk",
            unit="share of the disk",
            limit=0.85,
            hours=(10.0, 16.0),
            duration=140.0,
            peak=125.0,
            real=True,
            fill=DiskFill(node="node-2", start=0.4, full_at=110.0, cleaned_at=125.0),
            cordons=True,
            nodes=2,
            replicas=4,
            lead_in=20.0,
        ),
    )
}
"""The scenarios for real nodes."""


def project_folder() -> Path:
    """Return the folder with `examples` and `charts`, beside the package in a checkout.

    Raises:
        MissingTool: the package was installed without them.
    """
    folder = Path(__file__).resolve().parents[3]
    if not (folder / "examples" / "shop").is_dir():
        raise MissingTool(
            "the demo needs a checkout of the project: the package alone has neither the shop nor the chart"
        )
    return folder
