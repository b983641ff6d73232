"""A disk that really fills, beside a kubelet that evicts: the operator is first, and its verdict is right.

What fills the disk is no pod, so neither the kubelet's evictions nor a drain can empty it. The kubelet would evict the
pods of the node one after the other, whatever their PodDisruptionBudgets say.
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.waiting import until

from forestall.devcluster.node_disk import FILLED, set_used
from forestall.devcluster.nodes import RealNodes
from forestall.devcluster.prometheus import PrometheusServer

LONG = "FORESTALL_LONG"
NAMESPACE = "shop"
LABELS = {"scenario": "disk"}
NODE = "node-2"
DISKS = '{id="/",device=~"/dev/loop.+"}'
DISK = f"max by (node) (container_fs_usage_bytes{DISKS} / container_fs_limit_bytes{DISKS})"
LIMIT = 0.7
RANKED = re.compile(r'pods ranked for eviction" pods=(\[.*?\])')
"""What the kubelet logs before it evicts; it evicts where 10 % of the disk are left."""
EVERYTHING_IS_FINE = {"errorRatio": "0 * count(up)"}
"""As an SLI: the disks alone are the risk."""


def disk_objects(url: str, actions: list[dict[str, Any]], **policy: Any) -> list[dict[str, Any]]:
    """Return the source, an objective on the nodes' disks, a policy with these actions, and the leave to use them."""
    disk = {"name": "disk", "query": DISK, "limit": LIMIT, "per": "node", "trend": "Saturation", "horizon": "30s"}
    specs: dict[tuple[str, str], dict[str, Any]] = {
        ("MetricSource", "kubelets"): {
            "url": url,
            "timeout": "5s",
            "staleAfter": "20s",
            "namespaces": {"matchLabels": {"team": "shop"}},
            "trustedLabels": ["node"],
        },
        ("Guardrail", "disks"): {
            "nodes": {"maxCordoned": 1},
            "allow": [{"namespaces": {"matchLabels": {"team": "shop"}}, "actions": ["Cordon", "Drain"]}],
        },
        ("ServiceLevelObjective", "shop"): {
            "source": "kubelets",
            "target": {"kind": "Deployment", "name": "shop"},
            "indicator": {"raw": EVERYTHING_IS_FINE},
            "objective": 95,
            "window": "1h",
            "leadingIndicators": [disk],
        },
        ("RemediationPolicy", "disks"): {
            "mode": "Auto",
            "when": {"probability": 0.7, "for": "0s"},
            "actions": [{"indicators": ["disk"], **action} for action in actions],
            "verification": {"within": "5s"},
            "cooldown": "0s",
            **policy,
        },
    }
    return [
        {"apiVersion": "forestall.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        for (kind, name), spec in specs.items()
    ]


def shop_manifests(root: Path, replicas: int) -> list[dict[str, Any]]:
    """Return the shop with so many small pods, of which one at a time may be missing."""
    manifests = list(yaml.safe_load_all((root / "examples" / "shop" / "workload.yaml").read_text()))
    (deployment,) = [manifest for manifest in manifests if manifest["kind"] == "Deployment"]
    deployment["spec"]["replicas"] = replicas
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    container["args"] = [argument for argument in container["args"] if not argument.startswith("--drain=")]
    container["resources"] = {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}}
    budget = {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "shop"}}}
    manifests.append(
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "shop"}, "spec": budget}
    )
    return manifests


class Shop:
    """The shop on two nodes, of which the disk of the second fills."""

    def __init__(self, cluster: RealNodes, url: str) -> None:
        self.cluster = cluster
        self._url = url
        self._objective = ""
        self.node = cluster.nodes[1]

    def watch(self, *actions: dict[str, Any], **policy: Any) -> None:
        """Have the operator act on a full disk."""
        for manifest in disk_objects(self._url, list(actions), **policy):
            self.cluster.apply(manifest, namespace=NAMESPACE)
        self._objective = str(self.cluster.get("servicelevelobjective", "shop", NAMESPACE)["metadata"]["uid"])

    def fill(self, share: float) -> None:
        """Fill the disk of the second node to this share."""
        set_used(self.node, share)

    def clear(self) -> None:
        """Free the disk."""
        self.node.run("rm", "-f", FILLED)

    def items(self, kind: str) -> list[dict[str, Any]]:
        return self.cluster.items(kind, NAMESPACE)

    def pods(self) -> list[dict[str, Any]]:
        """Return the pods that are not about to go."""
        return [pod for pod in self.items("pods") if not pod["metadata"].get("deletionTimestamp")]

    def evicted(self) -> list[str]:
        """Return the names of the pods that a kubelet has evicted."""
        return [pod["metadata"]["name"] for pod in self.items("pods") if pod["status"].get("reason") == "Evicted"]

    def homes(self) -> list[str]:
        """Return the nodes of the pods that serve."""
        return sorted(pod["spec"]["nodeName"] for pod in self.pods() if is_true(pod, "Ready"))

    def remediations(self) -> list[dict[str, Any]]:
        """Return the Remediations of this story's objective, oldest first.

        Those that budgets count are written again when a namespace is deleted and another of its name is there at once.
        """
        own = [item for item in self.items("remediations") if self._objective == objective_of(item)]
        return sorted(own, key=lambda item: str(item["metadata"]["creationTimestamp"]))

    def outcome(self) -> tuple[str, str]:
        """Return phase and reason of the last Remediation."""
        status = self.remediations()[-1].get("status", {}) if self.remediations() else {}
        return status.get("phase", ""), status.get("reason", "")

    def is_cordoned(self) -> bool:
        return bool(self.cluster.get("node", NODE)["spec"].get("unschedulable"))

    def has_pressure(self) -> bool:
        return is_true(self.cluster.get("node", NODE), "DiskPressure")


def objective_of(remediation: dict[str, Any]) -> str:
    return str(remediation["spec"]["intent"]["objective"]["uid"])


def is_true(body: dict[str, Any], condition: str) -> bool:
    conditions = body.get("status", {}).get("conditions", [])
    return any(item["type"] == condition and item["status"] == "True" for item in conditions)


def condition(body: dict[str, Any], kind: str) -> tuple[str, str]:
    """Return status and reason of a condition."""
    conditions = body.get("status", {}).get("conditions", [])
    return next(((item["status"], item["reason"]) for item in conditions if item["type"] == kind), ("", ""))


@pytest.fixture(scope="module")
def attentive(operator: RealNodes) -> Iterator[RealNodes]:
    """The cluster with the operator, whose kubelets measure every second instead of every ten or more."""
    for node in operator.nodes:
        node.stop("kubelet")
        node.start_kubelet(housekeeping="1s")
    yield operator
    for node in operator.nodes:
        node.stop("kubelet")
        node.start_kubelet()


@pytest.fixture
def deployed(operator: RealNodes, prometheus: PrometheusServer, root: Path) -> Iterator[Shop]:
    """The shop with four pods, two on each node, and an operator that watches nothing yet."""
    shop = Shop(operator, prometheus.pod_url)
    for manifest in shop_manifests(root, 4):
        operator.apply(manifest, namespace=NAMESPACE)
    operator.kubectl("rollout", "status", "deployment/shop", "-n", NAMESPACE, "--timeout=180s")
    try:
        yield shop
    finally:
        shop.clear()
        operator.kubectl("uncordon", NODE)
        operator.kubectl("delete", "metricsource/kubelets", "guardrail/disks", "--ignore-not-found", "--wait=false")
        operator.kubectl("delete", "namespace", NAMESPACE, timeout_s=120)
        until(lambda: not shop.has_pressure())


@pytest.fixture
def shop(attentive: RealNodes, deployed: Shop) -> Shop:
    """The shop on nodes whose kubelets measure every second."""
    return deployed


def ranked_for_eviction(shop: Shop) -> list[str]:
    """Return the pods that the kubelet of the second node has considered for an eviction so far, in each round."""
    return RANKED.findall(shop.node.log("kubelet"))


def test_a_node_whose_disk_fills_is_drained_before_its_kubelet_evicts(shop):
    """Kind: a verdict that asks of an action what it can't do. The disk stays full, and the pods serve elsewhere."""
    shop.watch({"drain": {"healthyFor": "0s"}})
    shop.fill(LIMIT + 0.05)
    fewest = 4

    def has_moved() -> bool:
        nonlocal fewest
        homes = shop.homes()
        fewest = min(fewest, len(homes))
        return bool(homes == ["node-1"] * 4)

    until(has_moved)
    assert fewest >= 3, "the PodDisruptionBudget lets one go at a time"
    before = len(ranked_for_eviction(shop))
    shop.fill(0.95)
    until(shop.has_pressure)
    until(lambda: shop.outcome() == ("Holding", "Contained"))
    until(lambda: len(ranked_for_eviction(shop)) > before)
    assert NAMESPACE not in " ".join(ranked_for_eviction(shop)[before:])
    assert shop.evicted() == []
    shop.clear()
    until(lambda: not shop.is_cordoned())
    until(lambda: shop.outcome() == ("RolledBack", "Contained"))
    (policy,) = shop.items("remediationpolicies")
    assert condition(policy, "Locked") == ("False", "NotLocked")
    assert shop.homes() == ["node-1"] * 4


slowly = pytest.mark.skipif(
    not os.environ.get(LONG),
    reason=f"a steady disk and a kubelet that stops take minutes: `make nodes`, by {LONG}=1",
)


@slowly
def test_of_a_silent_node_nothing_is_concluded_and_its_own_cordon_comes_off_when_it_is_back(shop):
    shop.watch({"cordon": {"healthyFor": "0s"}})
    shop.fill(LIMIT + 0.05)
    until(shop.is_cordoned)
    shop.node.stop("kubelet")
    try:
        until(lambda: not is_true(shop.cluster.get("node", NODE), "Ready"))
        shop.clear()
        until(lambda: state(shop) == ("Unknown", "SubjectSilent"))
        assert shop.is_cordoned()
        assert not shop.cluster.get("node", "node-1")["spec"].get("unschedulable")
        assert [item["status"]["phase"] for item in shop.remediations()] in (["Verifying"], ["Holding"])
    finally:
        shop.node.start_kubelet(housekeeping="1s")
    until(lambda: not shop.is_cordoned())
    assert is_true(shop.cluster.get("node", NODE), "Ready")
    assert len(shop.remediations()) == 1


def state(shop: Shop) -> tuple[str, str]:
    """Return the state of the objective, and why its data is not fresh."""
    (objective,) = shop.items("servicelevelobjectives")
    return objective.get("status", {}).get("state", ""), condition(objective, "DataFresh")[1]


def test_a_node_that_a_person_cordoned_stays_so(shop):
    shop.cluster.kubectl("cordon", NODE)
    shop.watch({"cordon": {"healthyFor": "0s"}})
    shop.fill(LIMIT + 0.05)
    until(lambda: shop.outcome() == ("Aborted", "AlreadyCordoned"))
    shop.clear()
    until(lambda: state(shop)[0] not in ("", "AtRisk"))
    assert shop.is_cordoned()


def test_a_cordon_that_nobody_holds_any_more_comes_off_while_the_disk_is_full(shop):
    shop.watch({"cordon": {"healthyFor": "0s"}})
    shop.fill(LIMIT + 0.05)
    until(shop.is_cordoned)
    shop.cluster.kubectl(
        *("delete", "servicelevelobjectives,remediationpolicies,remediations", "--all", "-n", NAMESPACE)
    )
    until(lambda: not shop.is_cordoned())
    # It may be written again, as an action was taken that budgets count, and holds nothing.
    assert shop.outcome() in (("", ""), ("Aborted", "Deleted"))


def fill_steadily(shop: Shop, until_full: float, seconds: float, look: Callable[[], object]) -> None:
    """Fill the disk at a steady pace, and look after each step."""
    begin = time.monotonic()
    while (elapsed := time.monotonic() - begin) < seconds:
        shop.fill(0.15 + (until_full - 0.15) * elapsed / seconds)
        look()


@slowly
@pytest.mark.timeout(900)
@pytest.mark.parametrize("forestalled", [True, False])
def test_who_is_first_on_a_disk_that_fills_steadily(deployed, forestalled):
    """With the kubelet's own intervals. Without the operator it evicts the shop's pods, budget or not."""
    if forestalled:
        deployed.watch({"drain": {"healthyFor": "0s"}})
    moved: list[float] = []
    pressed: list[float] = []

    def look() -> bool:
        if not moved and deployed.homes() == ["node-1"] * 4:
            moved.append(time.monotonic())
        if not pressed and deployed.has_pressure():
            pressed.append(time.monotonic())
        return bool(pressed)

    fill_steadily(deployed, 0.96, 240, look)
    until(look)
    if forestalled:
        assert moved, "the node was not drained while its disk filled"
        assert moved[0] < pressed[0]
        until(lambda: deployed.outcome() == ("Holding", "Contained"))
        assert deployed.evicted() == []
    else:
        until(lambda: bool(deployed.evicted()))
