"""Real nodes with the operator from its image, a Prometheus with usual settings, and a prober."""

import json
import os
import platform
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import requests
import urllib3
from benchmarks.nodes.apps import Body, source
from benchmarks.nodes.prober import EVERY_S
from kubernetes import client, config

from forestall import __version__
from forestall.api.remediation import TERMINAL
from forestall.demo.pod_losses import losses_of
from forestall.devcluster.node import NodeSize
from forestall.devcluster.node_network import node_address
from forestall.devcluster.nodes import RealNodes
from forestall.devcluster.programs import Programs
from forestall.devcluster.progress import Steps
from forestall.devcluster.prometheus import PrometheusServer
from forestall.devcluster.provider import local_programs
from forestall.devcluster.repeating import repeatedly

ROOT = Path(__file__).resolve().parents[2]
OPERATOR = "forestall-system"
SCRAPE = "15s"
"""As in Prometheus' own example; the kubelet's own interval of 10 s and its timestamps are left as they are."""
SIZE = NodeSize(memory_bytes=8 * 2**30, disk_bytes=2 * 2**30)
SETTLE_S = 40.0
"""How long applications run before they are watched and before they fail: more than two scrapes."""
_WATCH_S = 2.0


class NodesBench:
    """The cluster of a benchmark, and what happened in it."""

    def __init__(self, cluster: RealNodes, prometheus: PrometheusServer) -> None:
        self.cluster = cluster
        self.prometheus = prometheus
        self.kills: Counter[str] = Counter()
        """OOM kills of each namespace."""
        self.evictions: Counter[str] = Counter()
        """Pods that a kubelet evicted, of each namespace."""
        self.starts: defaultdict[str, list[float]] = defaultdict(list)
        """When the pods of each application, as NAMESPACE/NAME, were created."""
        self._reported: set[tuple[str, int]] = set()
        self._targets: dict[str, str] = {}
        self._lock = threading.Lock()

    @property
    def folder(self) -> Path:
        """A folder that goes with the cluster."""
        return self.cluster.workspace.path

    def namespace(self, name: str, **annotations: str) -> None:
        """Create a namespace."""
        metadata = {"name": name, "annotations": annotations, "labels": {"benchmark": "nodes"}}
        self.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        self.cluster.kubectl(
            "wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=180s", timeout_s=190
        )

    def deploy(self, bodies: Sequence[Body], namespace: str) -> None:
        """Create applications and wait until they are ready; their Services are probed from then on."""
        self.cluster.apply(*bodies, namespace=namespace)
        for body in bodies:
            name = body["metadata"]["name"]
            if body["kind"] == "Deployment":
                wait = ("rollout", "status", f"deployment/{name}", "-n", namespace, "--timeout=600s")
                self.cluster.kubectl(*wait, timeout_s=610)
        for body in bodies:
            if body["kind"] == "Service":
                name = body["metadata"]["name"]
                port = self.cluster.get("service", name, namespace)["spec"]["ports"][0]["nodePort"]
                self._probe(f"{namespace}/{name}", f"http://{node_address(1)}:{port}/")

    def _probe(self, name: str, url: str) -> None:
        with self._lock:
            self._targets[name] = url
            unfinished = self.folder / "targets.tmp"
            unfinished.write_text(json.dumps(self._targets))
            unfinished.rename(self.folder / "targets.json")

    def bad_seconds(self, namespace: str, begins: float, ends: float) -> int:
        """Return for how many seconds the applications of a namespace did not answer, all together."""
        printed = (self.folder / "probes.jsonl").read_text().splitlines()
        probes = (json.loads(line) for line in printed if line.endswith("]"))
        bad: float = sum(
            max(EVERY_S, took)
            for at, name, good, took in probes
            if not good and name.startswith(f"{namespace}/") and begins <= at <= ends
        )
        return round(bad)

    def remediations(self, namespace: str) -> list[dict[str, str]]:
        """Return what was decided in a namespace, the oldest first."""
        bodies = self.cluster.items("remediations", namespace)
        return [_summary(body) for body in sorted(bodies, key=lambda body: body["metadata"]["creationTimestamp"])]

    def until_ended(self, namespace: str, seconds: float) -> None:
        """Wait until no Remediation of a namespace is under way, at most so many seconds."""
        until(lambda: all(body["phase"] in TERMINAL for body in self.remediations(namespace)), seconds, 3.0)

    def locked(self, namespace: str) -> int:
        """Return how many policies of a namespace are locked."""
        conditions = [
            condition
            for body in self.cluster.items("remediationpolicies", namespace)
            for condition in body.get("status", {}).get("conditions", [])
        ]
        return sum(condition["type"] == "Locked" and condition["status"] == "True" for condition in conditions)

    def query(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        """Return the series of an instant query, now or at a time (s since the epoch)."""
        url = f"{self.prometheus.url}/api/v1/query"
        parameters: dict[str, Any] = {"query": expression} | ({} if at is None else {"time": at})
        return list(requests.get(url, params=parameters, timeout=30).json()["data"]["result"])

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Probe all applications and record what happens to their pods during the body."""
        (self.folder / "targets.json").write_text("{}")
        command = [sys.executable, "-m", "benchmarks.nodes.prober"]
        command += [str(self.folder / "targets.json"), str(self.folder / "probes.jsonl")]
        variables = {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        self.cluster.workspace.start("prober", self.cluster.network.inside(command), env=variables)
        api = client.CoreV1Api(config.new_client_from_config(str(self.cluster.kubeconfig)))  # type: ignore[no-untyped-call]
        with repeatedly(_WATCH_S, partial(self._watch, api)):
            yield

    def _watch(self, api: client.CoreV1Api) -> None:
        with suppress(client.ApiException, urllib3.exceptions.HTTPError):
            pods: list[Any] = api.list_pod_for_all_namespaces(label_selector="app", _request_timeout=10).items
            for pod in pods:
                self._record(pod)

    def _record(self, pod: Any) -> None:
        namespace, uid = pod.metadata.namespace, pod.metadata.uid
        if (uid, 0) not in self._reported:
            self._reported.add((uid, 0))
            created = pod.metadata.creation_timestamp.timestamp()
            self.starts[f"{namespace}/{pod.metadata.labels['app']}"].append(created)
        for number, _ in losses_of(pod):
            if (uid, number) not in self._reported:
                self._reported.add((uid, number))
                (self.evictions if number < 0 else self.kills)[namespace] += 1


def _summary(body: Body) -> dict[str, str]:
    status = body.get("status", {})
    verified = [condition for condition in status.get("conditions", []) if condition["type"] == "Verified"]
    return {
        "objective": body["spec"]["intent"]["objective"]["name"],
        "name": body["metadata"]["name"],
        "phase": status.get("phase", ""),
        "verified": verified[0]["status"] if verified else "",
        "reason": verified[0].get("reason", "") if verified else "",
        "message": status.get("message", ""),
        "at": next((step["at"] for step in status.get("steps", [])), ""),
    }


@contextmanager
def open_bench(nodes: int, interval: str, *values: str) -> Iterator[NodesBench]:
    """Start a cluster with the operator of the image in it; `interval` of its cycles, and `values` of the chart."""
    steps = Steps()
    programs: Programs = local_programs(steps, "nodes")
    with RealNodes(programs, nodes=nodes, size=SIZE) as cluster:
        with steps.step("bring the images onto the nodes"):
            for name in ("forestall", "shop"):
                cluster.import_image(ROOT / "build" / f"{name}-image.tar")
        server = PrometheusServer(
            cluster.workspace,
            programs,
            scrape_configs=_jobs(cluster),
            scrape_interval=SCRAPE,
            past_days=2,
            network=cluster.network,
        )
        with server:
            bench = NodesBench(cluster, server)
            with steps.step("install the chart"):
                _install(cluster, interval, values)
                cluster.apply(source(server.pod_url))
            yield bench


def _install(cluster: RealNodes, interval: str, values: Sequence[str]) -> None:
    settings = [
        f"--set=image.repository=localhost/forestall,image.tag={__version__}",
        f"--set=operator.interval={interval}",
    ]
    chart = ROOT / "charts" / "forestall"
    settings += [f"--set={value}" for value in values]
    cluster.helm("install", "forestall", chart, "-n", OPERATOR, "--create-namespace", *settings)
    wait = ("rollout", "status", "deployment/forestall", "-n", OPERATOR, "--timeout=300s")
    cluster.kubectl(*wait, timeout_s=310)


def _jobs(cluster: RealNodes) -> list[dict[str, Any]]:
    pods = [{"role": "pod", "kubeconfig_file": str(cluster.kubeconfig)}]
    relabel = [
        {"source_labels": ["__meta_kubernetes_pod_label_app"], "regex": ".+", "action": "keep"},
        {"source_labels": ["__meta_kubernetes_pod_phase"], "regex": "Failed|Succeeded", "action": "drop"},
        {
            "source_labels": ["__meta_kubernetes_pod_ip"],
            "regex": "(.+)",
            "replacement": "$1:8080",
            "target_label": "__address__",
        },
        {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
        {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
    ]
    return [
        cluster.kubelet_job("cadvisor"),
        {"job_name": "pods", "kubernetes_sd_configs": pods, "relabel_configs": relabel},
    ]


def until(reached: Callable[[], bool], seconds: float, pause_s: float = 1.0) -> bool:
    """Return whether it was reached within so many seconds."""
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause_s)
    return True


def machine() -> dict[str, Any]:
    """Return what it was measured on."""
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "load": [round(load, 1) for load in os.getloadavg()],
        "at": time.strftime("%Y-%m-%d %H:%M"),
    }
