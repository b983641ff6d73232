"""The environment of the demo: a control plane, Prometheus, the installed chart, and the shop."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from forestall.demo.metrics import PLAYED, DemoMetrics, live_queries, run_queries
from forestall.demo.scenarios import LOAD, NAMESPACE, WORKLOAD, Scenario, project_folder
from forestall.demo.watcher import Watcher
from forestall.devcluster.local import LocalCluster
from forestall.devcluster.ports import free_ports
from forestall.devcluster.processes import last_lines
from forestall.devcluster.programs import Programs
from forestall.devcluster.progress import Steps
from forestall.devcluster.prometheus import PrometheusServer
from forestall.devcluster.provider import local_cluster
from forestall.errors import CommandFailed

OPERATOR_NAMESPACE = "forestall-system"
RELEASE = "forestall"
INTERVAL = "1s"
_START_S = 120.0
_ROLLOUT_S = 180.0
_END_S = 90.0
"""Time for the load generator to end after its last request is due; it mostly waits for answers."""


class DemoEnvironment:
    """A control plane with Prometheus, the chart and the objects of one scenario; use it in a ``with`` statement."""

    INDICATORS: Mapping[str, str] = PLAYED
    """Queries of the leading indicators."""
    REQUESTS_FROM = "shop"
    """The scrape job that counts the requests."""
    OPERATOR_NOTE = (
        "KWOK simulates the chart's pods, and nothing runs in them. So the operator runs as a process on this machine"
    )
    """What runs the operator, and why."""

    def __init__(
        self, scenario: Scenario, programs: Programs, steps: Steps, cluster: LocalCluster | None = None
    ) -> None:
        self.scenario = scenario
        self.folder = project_folder()
        self._steps = steps
        self._closing = ExitStack()
        self._shop_port, self._operator_port = free_ports(2)
        self.cluster = cluster or local_cluster(programs, nodes=scenario.nodes)
        self.prometheus = self._prometheus(programs)
        self._operator_kubeconfig: Path | None = None
        self._is_kept = False

    def __enter__(self) -> Self:
        """Start everything but the shop and the operator."""
        with ExitStack() as closing:
            with self._steps.step("start the control plane and its nodes"):
                closing.enter_context(self.cluster)
            with self._steps.step("start Prometheus"):
                closing.enter_context(self.prometheus)
            self._closing = closing.pop_all()
            try:
                self.prepare()
            except BaseException:
                self._closing.close()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop everything, unless it is kept."""
        self._closing.__exit__(kind, error, trace)

    def _prometheus(self, programs: Programs) -> PrometheusServer:
        return PrometheusServer(
            self.cluster.workspace,
            programs,
            scrape_configs=[static_job("shop", self._shop_port), static_job("operator", self._operator_port)],
        )

    @property
    def metrics(self) -> DemoMetrics:
        """The metrics in Prometheus."""
        return DemoMetrics(self.prometheus.url)

    @property
    def run_queries(self) -> Mapping[str, str]:
        """The queries of the figures of a run."""
        return run_queries(self.INDICATORS, self.REQUESTS_FROM)

    def watcher(self, begins: float, *, operator: bool) -> Watcher:
        """Return what watches a run that begins at `begins` (s since the epoch)."""
        queries = live_queries(self.INDICATORS, self.REQUESTS_FROM)
        return Watcher(self.metrics, queries, str(self.cluster.kubeconfig), begins, operator=operator)

    @property
    def shop_url(self) -> str:
        """The URL of the shop."""
        return f"http://127.0.0.1:{self._shop_port}/"

    @property
    def load_url(self) -> str:
        """The URL that the load generator sends to."""
        return self.shop_url

    def _load_arguments(self) -> list[str]:
        """Return further arguments of the load generator."""
        return []

    def _placed(self, command: Sequence[str]) -> Sequence[str | Path]:
        """Return the command that runs `command` where it reaches the cluster."""
        return command

    def keep(self) -> None:
        """Keep the cluster and its programs running after the body."""
        self._is_kept = True
        self.cluster.keep()
        self._closing.pop_all()

    def redeploy(self) -> None:
        """Deploy the shop again, so that no run inherits pods, replicas or memory of an earlier one."""
        self.cluster.kubectl("delete", "deployment", WORKLOAD, "-n", NAMESPACE, "--ignore-not-found", "--wait=true")
        self.cluster.kubectl(
            "wait", "--for=delete", "pod", "-l", f"app={WORKLOAD}", "-n", NAMESPACE, "--timeout=30s", check=False
        )
        self._deploy()
        wait = f"--timeout={_ROLLOUT_S:.0f}s"
        self.cluster.kubectl("rollout", "status", f"deployment/{WORKLOAD}", "-n", NAMESPACE, wait, timeout_s=_ROLLOUT_S)

    @contextmanager
    def shop(self, begins: float) -> Iterator[None]:
        """Run the shop; its faults start at `begins` (s since the epoch)."""
        command = [sys.executable, "-m", "shop", "serve", "--kubeconfig", str(self.cluster.kubeconfig)]
        command += ["--port", str(self._shop_port), "--namespace", NAMESPACE, "--selector", f"app={WORKLOAD}"]
        command += ["--at", str(begins), *self.scenario.arguments]
        with self._running("shop", command) as process:
            self._until_scraped("shop", process)
            yield

    @contextmanager
    def traffic(self, begins: float) -> Iterator[Callable[[], dict[str, Any] | None]]:
        """Send the scenario's traffic from `begins` (s since the epoch); yields a function that returns the tally.

        The tally is None where the generator does not end in time, because the machine is too slow.
        """
        scenario = self.scenario
        command = [sys.executable, "-m", "shop", "load", self.load_url, "--at", str(begins), *self._load_arguments()]
        command += [
            "--duration",
            str(scenario.duration),
            "--lead-in",
            str(scenario.lead_in),
            "--peak",
            str(scenario.peak),
        ]
        command += ["--hours", *map(str, scenario.hours), "--seed", str(scenario.seed)]
        name = f"load-{begins:.0f}"
        with self._running(name, self._placed(command)) as process:
            yield lambda: read_tally(process, self.cluster.workspace.log(name), _END_S)

    @contextmanager
    def operator(self) -> Iterator[None]:
        """Run the operator with the permissions of the chart's ServiceAccount."""
        if self._operator_kubeconfig is None:
            self._operator_kubeconfig = self.cluster.kubeconfig_for(OPERATOR_NAMESPACE, RELEASE)
        command = [sys.executable, "-m", "forestall", "run", "--kubeconfig", str(self._operator_kubeconfig)]
        command += ["--namespace", OPERATOR_NAMESPACE, "--interval", INTERVAL, "--log-format", "json"]
        command += ["--listen", f"127.0.0.1:{self._operator_port}"]
        with self._running("operator", self._placed(command)) as process:
            self._until_scraped("operator", process)
            yield

    def release(self, image: str) -> None:
        """Roll out a new version of the shop."""
        self.cluster.kubectl("set", "image", f"deployment/{WORKLOAD}", f"shop={image}", "-n", NAMESPACE)

    def apply(self, manifest: str, change: Callable[[dict[str, Any]], None] | None = None) -> None:
        """Apply one of the shop's manifests, each object changed by `change`."""
        text = (self.folder / "examples" / "shop" / manifest).read_text()
        objects = [body for body in yaml.safe_load_all(text) if body]
        for body in objects:
            if change:
                change(body)
        self.cluster.apply(*objects, namespace=NAMESPACE)

    def prepare(self) -> None:
        """Create everything in the cluster that the scenario needs."""
        with self._steps.step("deploy the shop"):
            self._deploy()
        with self._steps.step("helm install forestall"):
            values = [*self._chart_values(), f"workloads.namespaces={{{NAMESPACE}}}"]
            chart = self.folder / "charts" / "forestall"
            settings = [word for value in values for word in ("--set", value)]
            self.cluster.helm(
                "install", RELEASE, chart, "--namespace", OPERATOR_NAMESPACE, "--create-namespace", *settings
            )
        with self._steps.step("declare the objective and the policy"):
            self.apply("source.yaml", self._at_prometheus)
            self.declare()

    def _chart_values(self) -> list[str]:
        image = "image.repository=forestall"  # its pods are simulated, or the image exists
        return [image, f"nodes.enabled={str(self.scenario.cordons).lower()}"]

    def resize(self, scenario: Scenario) -> None:
        """Use another size of the scenario from now on."""
        self.scenario = scenario
        self.declare()

    def declare(self) -> None:
        """Apply the scenario's objective and policy, for a shop of its size."""
        self.apply(self.scenario.manifest, self._scaled)

    def _scaled(self, body: dict[str, Any]) -> None:
        size, spec = self.scenario.size, body["spec"]
        for indicator in spec.get("leadingIndicators", ()):
            if indicator["name"].startswith(LOAD):
                indicator["limit"] *= size
        for action in spec.get("actions", ()):
            capacity = action.get("scale", {}).get("capacity", {})
            if "perReplica" in capacity:
                capacity["perReplica"] *= size

    def _deploy(self) -> None:
        self.apply("workload.yaml", self._sized)

    def _sized(self, body: dict[str, Any]) -> None:
        if body["kind"] == "Deployment":
            body["spec"]["replicas"] = self.scenario.replicas

    def _at_prometheus(self, body: dict[str, Any]) -> None:
        body["spec"]["url"] = self.prometheus.url

    @contextmanager
    def _running(self, name: str, command: Sequence[str | Path]) -> Iterator[subprocess.Popen[bytes]]:
        path = os.pathsep.join([str(self.folder / "examples" / "shop"), str(self.folder / "operator")])
        variables: Mapping[str, str] = {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
        process = self.cluster.workspace.start(name, command, env=variables)
        try:
            yield process
        finally:
            if not self._is_kept:
                self.cluster.workspace.stop(process)

    def _until_scraped(self, job: str, process: subprocess.Popen[bytes]) -> None:
        """Wait until Prometheus scrapes a new process."""
        deadline = time.monotonic() + _START_S
        while self.metrics.value(f'up{{job="{job}"}}') != 1:
            if process.poll() is not None or time.monotonic() > deadline:
                output = self.cluster.workspace.last_words(job)
                if process.returncode is not None:
                    raise CommandFailed(f"the {job} ended with status {process.returncode}:\n{output}")
                raise CommandFailed(
                    f"the {job} runs, but did not answer within {_START_S:.0f} s: this machine is too busy for the "
                    f"demo. Stop other programs, then try again. The end of its output:\n{output}"
                )
            time.sleep(0.2)


def static_job(name: str, port: int) -> dict[str, Any]:
    """Return the scrape config of a job whose only target is a port of the loopback interface."""
    return {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}


def read_tally(process: subprocess.Popen[bytes], log: Path, timeout_s: float) -> dict[str, Any] | None:
    """Return the load generator's tally of requests; None where it does not end within `timeout_s`.

    Raises:
        CommandFailed: it failed.
    """
    try:
        status = process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return None
    printed = log.read_text(errors="replace")
    try:
        tally: dict[str, Any] = json.loads(printed)
    except ValueError as error:
        output = last_lines(printed)
        raise CommandFailed(f"the load generator ended with status {status}, and without a tally:\n{output}") from error
    return tally
