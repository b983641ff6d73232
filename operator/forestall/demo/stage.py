"""Where the demonstration takes place: a control plane, Prometheus, the installed chart, and the shop."""

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

from forestall.demo.readings import Readings
from forestall.demo.scenarios import LOAD, NAMESPACE, WORKLOAD, Scenario, project_folder
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
"""How long the load generator may take to end after its last request was due; it mostly waits for answers."""


class Stage:
    """A control plane with Prometheus, the chart and one scenario's objects; it lasts for the body of a ``with``."""

    def __init__(
        self, scenario: Scenario, programs: Programs, steps: Steps, cluster: LocalCluster | None = None
    ) -> None:
        self.scenario = scenario
        self.folder = project_folder()
        self._steps = steps
        self._closing = ExitStack()
        self._shop_port, self._operator_port = free_ports(2)
        self.cluster = cluster or local_cluster(programs, nodes=scenario.nodes)
        self.prometheus = PrometheusServer(
            self.cluster.workspace,
            programs,
            scrape_configs=[
                {"job_name": "shop", "static_configs": [{"targets": [f"127.0.0.1:{self._shop_port}"]}]},
                {"job_name": "operator", "static_configs": [{"targets": [f"127.0.0.1:{self._operator_port}"]}]},
            ],
        )
        self._operator_kubeconfig: Path | None = None
        self._kept = False

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
        """End everything, unless it is kept."""
        self._closing.__exit__(kind, error, trace)

    @property
    def readings(self) -> Readings:
        """What Prometheus knows."""
        return Readings(self.prometheus.url)

    @property
    def shop_url(self) -> str:
        """Where the shop answers."""
        return f"http://127.0.0.1:{self._shop_port}/"

    def keep(self) -> None:
        """Leave the cluster and all that runs in it as it is when the body ends."""
        self._kept = True
        self.cluster.keep()
        self._closing.pop_all()

    def fresh_pods(self) -> None:
        """Deploy anew, so that no run inherits the pods, the size or the memory of the one before."""
        self.cluster.kubectl("delete", "deployment", WORKLOAD, "-n", NAMESPACE, "--ignore-not-found", "--wait=true")
        self.cluster.kubectl(
            "wait", "--for=delete", "pod", "-l", f"app={WORKLOAD}", "-n", NAMESPACE, "--timeout=30s", check=False
        )
        self._deploy()
        wait = f"--timeout={_ROLLOUT_S:.0f}s"
        self.cluster.kubectl("rollout", "status", f"deployment/{WORKLOAD}", "-n", NAMESPACE, wait, timeout_s=_ROLLOUT_S)

    @contextmanager
    def shop(self, begins: float) -> Iterator[None]:
        """Run the shop; what goes wrong begins to do so at `begins` (s since the epoch)."""
        command = [sys.executable, "-m", "shop", "serve", "--kubeconfig", str(self.cluster.kubeconfig)]
        command += ["--port", str(self._shop_port), "--namespace", NAMESPACE, "--selector", f"app={WORKLOAD}"]
        command += ["--at", str(begins), *self.scenario.arguments]
        with self._running("shop", command) as process:
            self._until_scraped("shop", process)
            yield

    @contextmanager
    def traffic(self, begins: float) -> Iterator[Callable[[], dict[str, Any] | None]]:
        """Send the scenario's traffic from `begins` (s since the epoch); yields what returns the tally afterwards.

        There is none where the generator is not done in time, which is no failure of it but of the machine.
        """
        one = self.scenario
        command = [sys.executable, "-m", "shop", "load", self.shop_url, "--at", str(begins)]
        command += ["--duration", str(one.duration), "--lead-in", str(one.lead_in), "--peak", str(one.peak)]
        command += ["--hours", *map(str, one.hours), "--seed", str(one.seed)]
        name = f"load-{begins:.0f}"
        with self._running(name, command) as process:
            yield lambda: tally_of(process, self.cluster.workspace.log(name), _END_S)

    @contextmanager
    def operator(self) -> Iterator[None]:
        """Run the operator with the rights of the chart's ServiceAccount."""
        if self._operator_kubeconfig is None:
            self._operator_kubeconfig = self.cluster.kubeconfig_for(OPERATOR_NAMESPACE, RELEASE)
        command = [sys.executable, "-m", "forestall", "run", "--kubeconfig", str(self._operator_kubeconfig)]
        command += ["--namespace", OPERATOR_NAMESPACE, "--interval", INTERVAL, "--log-format", "json"]
        command += ["--listen", f"127.0.0.1:{self._operator_port}"]
        with self._running("operator", command) as process:
            self._until_scraped("operator", process)
            yield

    def release(self, image: str) -> None:
        """Roll out a new version of the shop."""
        self.cluster.kubectl("set", "image", f"deployment/{WORKLOAD}", f"shop={image}", "-n", NAMESPACE)

    def apply(self, manifest: str, change: Callable[[dict[str, Any]], None] | None = None) -> None:
        """Apply one of the shop's manifests, each object changed by `change`."""
        text = (self.folder / "examples" / "shop" / manifest).read_text()
        objects = [each for each in yaml.safe_load_all(text) if each]
        for each in objects:
            if change:
                change(each)
        self.cluster.apply(*objects, namespace=NAMESPACE)

    def prepare(self) -> None:
        """Put everything onto the cluster that the scenario needs."""
        with self._steps.step("deploy the shop"):
            self._deploy()
        with self._steps.step("helm install forestall"):
            image = "image.repository=forestall"  # its pods are played, or the image is there already
            values = [
                image,
                f"workloads.namespaces={{{NAMESPACE}}}",
                f"nodes.enabled={str(self.scenario.cordons).lower()}",
            ]
            chart = self.folder / "charts" / "forestall"
            settings = [word for value in values for word in ("--set", value)]
            self.cluster.helm(
                "install", RELEASE, chart, "--namespace", OPERATOR_NAMESPACE, "--create-namespace", *settings
            )
        with self._steps.step("declare the objective and the policy"):
            self.apply("source.yaml", self._at_prometheus)
            self.declare()

    def resize(self, scenario: Scenario) -> None:
        """Play another size of the scenario from now on."""
        self.scenario = scenario
        self.declare()

    def declare(self) -> None:
        """Declare the scenario's objective and policy, for a shop of its size."""
        self.apply(f"{self.scenario.name}.yaml", self._scaled)

    def _scaled(self, body: dict[str, Any]) -> None:
        size, spec = self.scenario.size, body["spec"]
        for each in spec.get("leadingIndicators", ()):
            if each["name"].startswith(LOAD):
                each["limit"] *= size
        for each in spec.get("actions", ()):
            capacity = each.get("scale", {}).get("capacity", {})
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
        environment: Mapping[str, str] = {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
        process = self.cluster.workspace.start(name, command, env=environment)
        try:
            yield process
        finally:
            if not self._kept:
                self.cluster.workspace.stop(process)

    def _until_scraped(self, job: str, process: subprocess.Popen[bytes]) -> None:
        """Wait until Prometheus gets something from a process that has just been started."""
        deadline = time.monotonic() + _START_S
        while self.readings.value(f'up{{job="{job}"}}') != 1:
            if process.poll() is not None or time.monotonic() > deadline:
                words = self.cluster.workspace.last_words(job)
                if process.returncode is not None:
                    raise CommandFailed(f"the {job} ended with status {process.returncode}:\n{words}")
                raise CommandFailed(
                    f"the {job} runs, but did not answer within {_START_S:.0f} s: this machine is too busy for the "
                    f"demo. End other programs, then try again. It printed last:\n{words}"
                )
            time.sleep(0.2)


def tally_of(process: subprocess.Popen[bytes], log: Path, patience_s: float) -> dict[str, Any] | None:
    """Return what became of the load generator's requests; None where it is not done after `patience_s`.

    Raises:
        CommandFailed: it failed.
    """
    try:
        status = process.wait(patience_s)
    except subprocess.TimeoutExpired:
        return None
    printed = log.read_text(errors="replace")
    try:
        tally: dict[str, Any] = json.loads(printed)
    except ValueError as error:
        words = last_lines(printed)
        raise CommandFailed(f"the load generator ended with status {status}, and without a tally:\n{words}") from error
    return tally
