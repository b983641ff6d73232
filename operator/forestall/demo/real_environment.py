"""The environment of the demo on real nodes: the shop runs in pods, and what fails is real."""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from forestall.demo.environment import DemoEnvironment, static_job
from forestall.demo.metrics import REAL, live_queries
from forestall.demo.pod_losses import PodLosses
from forestall.demo.scenarios import NAMESPACE, WORKLOAD, DiskFill, Scenario, project_folder
from forestall.demo.watcher import Watcher
from forestall.devcluster.node import Node, NodeSize
from forestall.devcluster.node_disk import FILLED, set_used
from forestall.devcluster.node_network import node_address
from forestall.devcluster.node_requirements import lacking
from forestall.devcluster.nodes import RealNodes
from forestall.devcluster.ports import free_ports
from forestall.devcluster.programs import Programs
from forestall.devcluster.progress import Steps
from forestall.devcluster.prometheus import PrometheusServer
from forestall.devcluster.repeating import repeatedly
from forestall.errors import MissingTool

MIB = 2**20
_IMAGE = "build/shop-image.tar"
_DISK_BYTES = 2 * 2**30
_KUBELET_EVERY = "5s"
_FILL_EVERY_S = 1.0


class RealDemoEnvironment(DemoEnvironment):
    """Real nodes with Prometheus, the chart and the shop in pods; use it in a ``with`` statement."""

    INDICATORS: Mapping[str, str] = REAL
    REQUESTS_FROM = "traffic"
    OPERATOR_NOTE = (
        "The operator runs as a process in the cluster's network, and the chart's Deployment has no replicas, so that "
        "the demo needs no image but the shop's"
    )

    def __init__(self, scenario: Scenario, programs: Programs, steps: Steps) -> None:
        size = NodeSize(disk_bytes=_DISK_BYTES)
        self.nodes = RealNodes(programs, nodes=scenario.nodes, size=size)
        self._image = shop_image(project_folder())
        (self._load_port,) = free_ports(1)
        self._node_port = 0
        super().__init__(scenario, programs, steps, self.nodes)

    def prepare(self) -> None:
        """Create everything in the cluster that the scenario needs."""
        with self._steps.step("bring the shop's image onto the nodes"):
            self.nodes.import_image(self._image)
        super().prepare()
        service = self.cluster.get("service", WORKLOAD, NAMESPACE)
        self._node_port = int(service["spec"]["ports"][0]["nodePort"])
        self.nodes.network.relay(self._node_port, node_address(1))
        self.nodes.network.forward(self._node_port)

    @property
    def shop_url(self) -> str:
        """The URL of the shop: its Service's port on the first node."""
        return f"http://127.0.0.1:{self._node_port}/"

    def watcher(self, begins: float, *, operator: bool) -> Watcher:
        """Return what watches a run, also the pods that it loses."""
        queries = live_queries(self.INDICATORS, self.REQUESTS_FROM)
        kubeconfig = str(self.cluster.kubeconfig)
        losses = PodLosses(kubeconfig, NAMESPACE)
        return Watcher(self.metrics, queries, kubeconfig, begins, operator=operator, losses=losses)

    def redeploy(self) -> None:
        """Deploy the shop again, on nodes that are as they were at first."""
        if self.scenario.fill:
            node = self._filled_node(self.scenario.fill)
            node.run("rm", "-f", FILLED)
            # Of a run that was stopped while the node was drained.
            self.cluster.kubectl("delete", "remediations", "--all", "-n", NAMESPACE)
            self.cluster.kubectl("annotate", "node", node.name, "forestall.dev/cordoned-by-")
            self.cluster.kubectl("uncordon", node.name)
            condition = "--for=condition=DiskPressure=false"
            self.cluster.kubectl("wait", condition, f"node/{node.name}", "--timeout=120s", timeout_s=130)
            # The kubelet deletes images that no pod uses before it evicts pods.
            self.nodes.import_image(self._image)
        super().redeploy()

    @contextmanager
    def shop(self, begins: float) -> Iterator[None]:
        """Let something fill the disk from `begins` (s since the epoch) on, where the scenario says so."""
        fill = self.scenario.fill
        if fill is None:
            yield
            return
        node = self._filled_node(fill)
        with repeatedly(_FILL_EVERY_S, lambda: set_used(node, min(fill.used(time.time() - begins), 1.0))):
            yield

    def _filled_node(self, fill: DiskFill) -> Node:
        return next(node for node in self.nodes.nodes if node.name == fill.node)

    def _prometheus(self, programs: Programs) -> PrometheusServer:
        jobs = [
            self.nodes.kubelet_job("cadvisor", scrape_interval=_KUBELET_EVERY),
            pod_job(self.cluster.kubeconfig),
            static_job("operator", self._operator_port),
            static_job("traffic", self._load_port),
        ]
        return PrometheusServer(self.cluster.workspace, programs, scrape_configs=jobs, network=self.nodes.network)

    def _load_arguments(self) -> list[str]:
        return ["--reconnect", "--listen", f"127.0.0.1:{self._load_port}"]

    def _placed(self, command: Sequence[str]) -> Sequence[str | Path]:
        return self.nodes.network.inside(command)

    def _chart_values(self) -> list[str]:
        cordons = str(self.scenario.cordons).lower()
        return ["image.repository=forestall", "replicas=0", f"nodes.enabled={cordons}", f"nodes.drain={cordons}"]

    def _sized(self, body: dict[str, Any]) -> None:
        super()._sized(body)
        if body["kind"] == "Service":
            body["spec"]["type"] = "NodePort"
        if body["kind"] == "Deployment":
            # Starting a process takes its time: so one after the other.
            body["spec"]["strategy"] = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
            (container,) = body["spec"]["template"]["spec"]["containers"]
            container["args"] += self.scenario.arguments
            limits = {"memory": f"{self.scenario.memory_mib}Mi"}
            container["resources"] = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": limits}

    def _at_prometheus(self, body: dict[str, Any]) -> None:
        body["spec"]["url"] = self.prometheus.pod_url
        body["spec"]["staleAfter"] = "1m"  # kubelets measure every ten to fifteen seconds


def pod_job(kubeconfig: Path) -> dict[str, Any]:
    """Return the scrape config of the shop's pods, by their annotations' usual names."""
    return {
        "job_name": "shop",
        "kubernetes_sd_configs": [
            {"role": "pod", "kubeconfig_file": str(kubeconfig), "namespaces": {"names": [NAMESPACE]}}
        ],
        "relabel_configs": [
            {"source_labels": ["__meta_kubernetes_pod_phase"], "regex": "Failed|Succeeded", "action": "drop"},
            {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
            {"source_labels": ["__meta_kubernetes_pod_node_name"], "target_label": "node"},
        ],
    }


def shop_image(folder: Path) -> Path:
    """Return the archive of the shop's image; raises MissingTool where it was not made."""
    archive = folder / _IMAGE
    if not archive.exists():
        raise MissingTool(
            f"the demo on real nodes runs the shop's image, and {_IMAGE} is not there: `make image` makes it"
        )
    return archive


def check_machine(nodes: int) -> None:
    """Raise MissingTool with all that this machine lacks for real nodes."""
    if missing := lacking(Path(tempfile.gettempdir()), nodes):
        raise MissingTool(
            f"the demo can't run on real nodes here: the machine lacks {'; '.join(missing)}. Without CLUSTER=nodes it "
            "runs on a control plane whose nodes are simulated, and needs none of that."
        )
