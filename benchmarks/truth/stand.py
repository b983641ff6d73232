"""The real thing: a control plane whose autoscaler runs fast, Prometheus, the shop, and an hour of its traffic."""

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
from forestall.devcluster.controlplane import ControlPlane
from forestall.devcluster.programs import Programs
from forestall.devcluster.progress import Steps

SPEED = 15
"""Seconds of the modeled hour in one second of the run: the autoscaler's 15 s between two looks are one second."""
CARRIES = 38.0
"""Requests a second that a pod of the shop carries: four slots, a tenth of a second each, and some variance."""
CORES = 0.5
"""What a pod of the shop requests, and uses when all its slots work."""
LOOK_S = 0.25
ARRIVALS = "shop_arrivals_total"


@dataclass(frozen=True, slots=True)
class Seen:
    """What was recorded, in seconds since the traffic began."""

    duration: float
    arrived: Sequence[float]
    """All requests until each second."""
    replicas: Sequence[tuple[float, int]]
    """When the workload asked for how many."""


class Stand(DemoEnvironment):
    """A stage without forestall, on which something else scales the shop."""

    def __init__(self, programs: Programs, steps: Steps, *, hours: tuple[float, float], start_up_s: float) -> None:
        scenario = Scenario(
            name="truth",
            title="Traffic rises",
            story="",
            indicator="load-per-pod",
            unit="requests/s a pod",
            limit=CARRIES,
            hours=hours,
            duration=3600.0 / SPEED,
            peak=200.0,
        )
        cluster = ControlPlane(programs, nodes=3, arguments={"kube-controller-manager": _fast()})
        super().__init__(scenario, programs, steps, cluster)
        self._start_up_s = start_up_s

    def prepare(self) -> None:
        """Deploy the shop with the start-up time that is asked for."""
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

    def autoscaler(self, metrics: Sequence[Mapping[str, Any]], least: int, most: int) -> dict[str, Any]:
        """Return an autoscaler of the shop with the default behaviour, made as much faster as everything is."""
        return {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": WORKLOAD},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": WORKLOAD},
                "minReplicas": least,
                "maxReplicas": most,
                "metrics": list(metrics),
                "behavior": behavior(),
            },
        }

    @contextmanager
    def metrics_api(self) -> Iterator[None]:
        """Serve the pods' CPU usage."""
        with MetricsApi(NAMESPACE, {"app": WORKLOAD}, self._usage, f"{30 / SPEED:g}s") as api:
            self.serve(GROUP, "v1beta1", api.port)
            yield

    def serve(self, group: str, version: str, port: int) -> None:
        """Have the API server ask a process beside it for an API group."""
        name = group.replace(".", "-")
        self.cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name, "namespace": "default"},
                "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]},
            },
            {
                "apiVersion": "apiregistration.k8s.io/v1",
                "kind": "APIService",
                "metadata": {"name": f"{version}.{group}"},
                "spec": {
                    "group": group,
                    "version": version,
                    "groupPriorityMinimum": 100,
                    "versionPriority": 100,
                    "insecureSkipTLSVerify": True,
                    "service": {"name": name, "namespace": "default", "port": port},
                },
            },
        )
        self.cluster.kubectl("wait", "--for=condition=Available", f"apiservice/{version}.{group}", "--timeout=60s")

    def play(self) -> Seen:
        """Let the hour's traffic arrive, and return what was seen."""
        one = self.scenario
        begins = time.time() + 5 + one.lead_in
        replicas: list[tuple[float, int]] = []
        with self.shop(begins), self.traffic(begins) as tally:
            while (now := time.time()) < begins + one.duration:
                if now >= begins:
                    deployment = self._get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{WORKLOAD}")
                    replicas.append((now - begins, int(deployment["spec"]["replicas"])))
                time.sleep(LOOK_S)
            tally()
            time.sleep(2)  # the last scrape
            found = self.metrics.samples({"arrived": f"sum({ARRIVALS})"}, begins, begins + one.duration)
        return Seen(one.duration, found["arrived"], replicas)

    def _usage(self) -> Mapping[str, float]:
        done = self.metrics.value(f"sum(rate(shop_requests_total[{30 / SPEED:g}s]))")
        pods = self._get(f"/api/v1/namespaces/{NAMESPACE}/pods")["items"]
        ready = [
            str(pod["metadata"]["name"])
            for pod in pods
            if any((each["type"], each["status"]) == ("Ready", "True") for each in pod["status"].get("conditions", []))
        ]
        if done is None or not ready:
            return {}
        return dict.fromkeys(ready, CORES * min(1.0, done / CARRIES / len(ready)))

    def _get(self, path: str) -> Any:
        answer = self._api.call_api("GET", self._api.configuration.host + path, _request_timeout=5)
        return json.loads(answer.read())


def behavior() -> dict[str, Any]:
    """Return the autoscaler's default behaviour, faster by SPEED."""
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
    """Return the controller manager's times, of which each is the default, faster by SPEED."""
    return {
        "horizontal-pod-autoscaler-sync-period": f"{15 / SPEED:g}s",
        "horizontal-pod-autoscaler-cpu-initialization-period": f"{300 / SPEED:g}s",
        "horizontal-pod-autoscaler-initial-readiness-delay": f"{30 / SPEED:g}s",
    }
