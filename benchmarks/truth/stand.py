"""A control plane with a fast autoscaler, Prometheus, the shop, and an hour of its traffic."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.truth.metrics_api import GROUP, MetricsApi
from kubernetes import config

from forestall.demo.environment import DemoEnvironment
from forestall.demo.scenarios import NAMESPACE, WORKLOAD, Scenario
from forestall.devcluster.api_service import serve_group
from forestall.devcluster.controlplane import ControlPlane
from forestall.devcluster.programs import Programs
from forestall.devcluster.progress import Steps

SPEED = 15
"""Seconds of the modeled hour in one second of the run: the autoscaler's 15 s between two looks are one second."""
CAPACITY = 38.0
"""Requests a second that a pod of the shop carries: four slots, a tenth of a second each, and some variance."""
CORES = 0.5
"""What a pod of the shop requests, and uses when all its slots work."""
POLL_INTERVAL_S = 0.25
ARRIVALS = "shop_arrivals_total"


@dataclass(frozen=True, slots=True)
class Recording:
    """The recording of a run; times in seconds since the start of the traffic."""

    duration: float
    arrived: Sequence[float]
    """Total requests until each second."""
    replicas: Sequence[tuple[float, int]]
    """Time and desired replicas of the workload."""


class Stand(DemoEnvironment):
    """A demo environment without forestall, in which an autoscaler scales the shop."""

    def __init__(self, programs: Programs, steps: Steps, *, hours: tuple[float, float], start_up_s: float) -> None:
        scenario = Scenario(
            name="truth",
            title="Traffic rises",
            story="",
            indicator="load-per-pod",
            unit="requests/s a pod",
            limit=CAPACITY,
            hours=hours,
            duration=3600.0 / SPEED,
            peak=200.0,
        )
        cluster = ControlPlane(programs, nodes=3, arguments={"kube-controller-manager": _fast()})
        super().__init__(scenario, programs, steps, cluster)
        self._start_up_s = start_up_s

    def prepare(self) -> None:
        """Deploy the shop with the requested start-up time."""
        with self._steps.step("deploy the shop"):
            self._deploy()
            self.cluster.set_start_up(self._start_up_s)
        self._api = config.new_client_from_config(str(self.cluster.kubeconfig))  # type: ignore[no-untyped-call]

    def apply(self, manifest: str, change: Any = None) -> None:
        """Apply one of the shop's manifests; its pods start as fast as the stand says."""

        def changed(body: dict[str, Any]) -> None:
            if change:
                change(body)
            if body["kind"] == "Deployment":
                del body["spec"]["template"]["metadata"]["annotations"]

        super().apply(manifest, changed)

    def autoscaler(self, metrics: Sequence[Mapping[str, Any]], min_replicas: int, max_replicas: int) -> dict[str, Any]:
        """Return an autoscaler of the shop with the default behavior, faster by SPEED."""
        return {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": WORKLOAD},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": WORKLOAD},
                "minReplicas": min_replicas,
                "maxReplicas": max_replicas,
                "metrics": list(metrics),
                "behavior": behavior(),
            },
        }

    @contextmanager
    def metrics_api(self) -> Iterator[None]:
        """Serve the pods' CPU usage."""
        with MetricsApi(NAMESPACE, {"app": WORKLOAD}, self._usage, f"{30 / SPEED:g}s") as api:
            serve_group(self.cluster, GROUP, "v1beta1", api.port)
            yield

    def record(self) -> Recording:
        """Send the hour's traffic, and return the recording."""
        scenario = self.scenario
        begins = time.time() + 5 + scenario.lead_in
        replicas: list[tuple[float, int]] = []
        with self.shop(begins), self.traffic(begins) as tally:
            while (now := time.time()) < begins + scenario.duration:
                if now >= begins:
                    deployment = self._get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{WORKLOAD}")
                    replicas.append((now - begins, int(deployment["spec"]["replicas"])))
                time.sleep(POLL_INTERVAL_S)
            tally()
            time.sleep(2)  # the last scrape
            samples = self.metrics.samples({"arrived": f"sum({ARRIVALS})"}, begins, begins + scenario.duration)
        return Recording(scenario.duration, samples["arrived"], replicas)

    def _usage(self) -> Mapping[str, float]:
        request_rate = self.metrics.value(f"sum(rate(shop_requests_total[{30 / SPEED:g}s]))")
        pods = self._get(f"/api/v1/namespaces/{NAMESPACE}/pods")["items"]
        ready = [
            str(pod["metadata"]["name"])
            for pod in pods
            if any(
                (condition["type"], condition["status"]) == ("Ready", "True")
                for condition in pod["status"].get("conditions", [])
            )
        ]
        if request_rate is None or not ready:
            return {}
        return dict.fromkeys(ready, CORES * min(1.0, request_rate / CAPACITY / len(ready)))

    def _get(self, path: str) -> Any:
        answer = self._api.call_api("GET", self._api.configuration.host + path, _request_timeout=5)
        return json.loads(answer.read())


def behavior() -> dict[str, Any]:
    """Return the autoscaler's default behavior, faster by SPEED."""
    return {
        "scaleUp": {
            "stabilizationWindowSeconds": 0,
            "policies": [
                {"type": "Percent", "value": 100, "periodSeconds": 1},
                {"type": "Pods", "value": 4, "periodSeconds": 1},
            ],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": 300 // SPEED,
            "policies": [{"type": "Percent", "value": 100, "periodSeconds": 1}],
        },
    }


def _fast() -> Mapping[str, str]:
    """Return the default times of the controller manager, faster by SPEED."""
    return {
        "horizontal-pod-autoscaler-sync-period": f"{15 / SPEED:g}s",
        "horizontal-pod-autoscaler-cpu-initialization-period": f"{300 / SPEED:g}s",
        "horizontal-pod-autoscaler-initial-readiness-delay": f"{30 / SPEED:g}s",
    }
