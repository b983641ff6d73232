"""A minimum in an autoscaler that really scales: raised by the operator, kept by the autoscaler, and given back.

The load that the operator foresees is not the one that the autoscaler measures. So it shows that above the minimum the
autoscaler goes on by itself, up and down. The pods are the shop's, and really start.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.scaling import CALM, Load, metric_source, scaling_objects
from tests.support.waiting import until

from forestall.devcluster import keda
from forestall.devcluster.metrics_server import start_metrics_server
from forestall.devcluster.nodes import RealNodes
from forestall.devcluster.programs import find_programs
from forestall.devcluster.prometheus import PrometheusServer
from forestall.devcluster.workspace import Workspace

LONG = "FORESTALL_LONG"
pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not os.environ.get(LONG),
        reason=f"metrics-server, built in five minutes, and its autoscaler take their time: `make nodes`, by {LONG}=1",
    ),
]

SOURCE = "autoscaled"
FORESEEN = 140.0
"""A load for which the operator wants three replicas."""
CPU_MILLICORES = 200
"""What a pod may use at most."""
CALM_AT_ONCE = {"scaleDown": {"stabilizationWindowSeconds": 0}}
BURN = "while True: pass"


def shop(root: Path) -> dict[str, Any]:
    """Return the shop's Deployment, called `app`, of one pod with bounded CPU."""
    manifests = yaml.safe_load_all((root / "examples" / "shop" / "workload.yaml").read_text())
    (deployment,) = [manifest for manifest in manifests if manifest["kind"] == "Deployment"]
    deployment["metadata"] = {"name": "app"}
    deployment["spec"]["replicas"] = 1
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    container["resources"] = {
        "requests": {"cpu": "20m", "memory": "64Mi"},
        "limits": {"cpu": f"{CPU_MILLICORES}m", "memory": "256Mi"},
    }
    return dict(deployment)


class App:
    """The shop, and who scales it."""

    def __init__(self, cluster: RealNodes, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace

    def items(self, kind: str) -> list[dict[str, Any]]:
        return self.cluster.items(kind, self.namespace)

    @property
    def replicas(self) -> int:
        return int(self.cluster.get("deployment", "app", self.namespace)["spec"]["replicas"])

    @property
    def ready(self) -> int:
        return int(self.cluster.get("deployment", "app", self.namespace)["status"].get("readyReplicas", 0))

    @property
    def hpa_minimum(self) -> int:
        (hpa,) = self.items("hpa")
        return int(hpa["spec"].get("minReplicas", 1))

    def outcomes(self) -> list[tuple[str, str]]:
        """Return phase and reason of each Remediation."""
        statuses = [remediation.get("status", {}) for remediation in self.items("remediations")]
        return [(status.get("phase", ""), status.get("reason", "")) for status in statuses]

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Let one pod use all the CPU that it may, while the body runs."""
        name = self.items("pods")[0]["metadata"]["name"]
        command = ["exec", "-n", self.namespace, name, "--", "python3", "-c", BURN]
        kubectl = [str(self.cluster._programs["kubectl"]), *command]
        with subprocess.Popen(kubectl, env={**os.environ, **self.cluster.environment}) as process:
            try:
                yield
            finally:
                process.kill()
                # What runs in the container goes on without its client.
                self.cluster.kubectl("delete", "pod", name, "-n", self.namespace, "--wait=false")


@pytest.fixture
def app(operator: RealNodes, prometheus: PrometheusServer, namespace: str, root: Path) -> Iterator[App]:
    """The shop with one pod, which nobody scales yet, beside a source of metrics."""
    operator.apply(shop(root), namespace=namespace)
    operator.kubectl("rollout", "status", "deployment/app", "-n", namespace, "--timeout=180s")
    operator.apply(metric_source(SOURCE, prometheus.pod_url))
    yield App(operator, namespace)
    operator.kubectl("delete", "metricsource", SOURCE, "--wait=false")


def forestall(app: App) -> None:
    """Have the operator scale the shop by the load that it foresees."""
    scale = {"maxReplicas": 6, "capacity": {"type": "Declared", "perReplica": 50, "headroom": 0}}
    actions = [{"indicators": ["load"], "scale": {**scale, "stabilizationWindow": "2s"}}]
    app.cluster.apply(*scaling_objects(app.namespace, SOURCE, actions=actions), namespace=app.namespace)


def story(app: App, load: Load, minimum: Callable[[], int], autoscaled: Callable[[], Any]) -> None:
    """Raise the minimum, let the autoscaler go above it and come back, and see the minimum given back."""
    assert minimum() == 1
    forestall(app)
    load.value = FORESEEN
    until(lambda: minimum() == 3, seconds=240)
    until(lambda: app.ready == 3, seconds=240)
    with autoscaled():
        until(lambda: app.replicas > 3, seconds=240)
        until(lambda: app.ready > 3, seconds=240)
        assert minimum() == 3
    until(lambda: app.replicas == 3, seconds=300)
    assert minimum() == 3
    load.value = CALM
    until(lambda: minimum() == 1, seconds=240)
    until(lambda: app.replicas == 1, seconds=240)
    until(lambda: app.outcomes() == [("Succeeded", "Released")], seconds=60)


def test_the_minimum_of_an_autoscaler_by_cpu_is_raised_and_given_back(app, prometheus):
    """By the metrics-server's figures, which come from the kubelets."""
    start_metrics_server(app.cluster, find_programs(["metrics-server"]))
    target = {"type": "AverageValue", "averageValue": f"{CPU_MILLICORES // 10}m"}
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "app"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "app"},
            "minReplicas": 1,
            "maxReplicas": 6,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
            "behavior": CALM_AT_ONCE,
        },
    }
    app.cluster.apply(autoscaler, namespace=app.namespace)
    until(lambda: bool(app.items("hpa")[0].get("status", {}).get("currentMetrics")), seconds=240)
    with Load(prometheus, app.namespace).live() as load:
        story(app, load, lambda: app.hpa_minimum, app.busy)


@pytest.fixture
def real_keda(operator: RealNodes, tmp_path: Path) -> Iterator[None]:
    """KEDA's operator and adapter, running in the cluster's network."""
    programs = find_programs(["keda-operator", "keda-adapter"])
    proofs, prefix = keda.certificates(tmp_path / "keda"), operator.network.inside(())
    with Workspace("keda") as workspace:
        service = keda.start_operator(operator, workspace, programs, proofs, prefix=prefix)
        keda.start_adapter(operator, workspace, programs, proofs, service, prefix=prefix)
        yield
        operator.kubectl("delete", "scaledobjects", "--all", "-A", "--timeout=240s", timeout_s=300)
    operator.kubectl("delete", "apiservice", "v1beta1.external.metrics.k8s.io")
    operator.kubectl("delete", "-f", keda.definitions(), "--timeout=240s", timeout_s=300)
    operator.kubectl("delete", "namespace", keda.NAMESPACE, "--wait=false")


def test_the_minimum_of_keda_is_raised_and_given_back(app, real_keda, prometheus):
    orders = f"{app.namespace}-orders"
    trigger = {
        "serverAddress": prometheus.pod_url,
        "query": f'sum(load{{namespace="{orders}"}})',
        "threshold": "50",
    }
    scaled_object = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "app"},
        "spec": {
            "scaleTargetRef": {"name": "app"},
            "pollingInterval": 2,
            "minReplicaCount": 1,
            "maxReplicaCount": 6,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": CALM_AT_ONCE}},
            "triggers": [{"type": "prometheus", "metricType": "AverageValue", "metadata": trigger}],
        },
    }
    with Load(prometheus, app.namespace).live() as load, Load(prometheus, orders).live() as waiting:

        @contextmanager
        def many_orders() -> Iterator[None]:
            waiting.value = 240.0
            try:
                yield
            finally:
                waiting.value = CALM

        app.cluster.apply(scaled_object, namespace=app.namespace)
        until(lambda: bool(app.items("hpa")), seconds=240)

        def minimum() -> int:
            return int(app.cluster.get("scaledobject", "app", app.namespace)["spec"]["minReplicaCount"])

        story(app, load, minimum, many_orders)
