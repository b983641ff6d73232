"""The test environment: a control plane with the chart, a Prometheus with settable series, and operator processes."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import requests

from forestall.devcluster.kwok import KwokCluster
from forestall.devcluster.ports import free_ports
from forestall.devcluster.programs import Programs, find_programs
from forestall.devcluster.prometheus import PrometheusServer
from forestall.devcluster.provider import local_cluster
from forestall.devcluster.remote_write import Series
from forestall.devcluster.repeating import repeatedly
from forestall.devcluster.workspace import Workspace
from forestall.errors import CommandFailed

Body = dict[str, Any]
API = "forestall.dev/v1alpha1"
OPERATOR = "forestall-system"
ACCOUNT = "forestall"
_CHART = Path(__file__).resolve().parents[2] / "charts" / "forestall"
_RIGHTS = ("workloads.clusterWide", "workloads.rollback", "workloads.jobs", "nodes.enabled", "nodes.drain")
_OTHERS = [
    {"apiGroups": ["example.com"], "resources": ["pools", "pools/scale"], "verbs": ["get", "patch"]},
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "patch"]},
]
_EXTRA = f"--set-json=workloads.extraRules={json.dumps(_OTHERS)}"
_VALUES = ("--set=image.repository=forestall,replicas=0", _EXTRA, *(f"--set={right}=true" for right in _RIGHTS))


class SafetyEnvironment:
    """A cluster with the chart, in which the operator may act everywhere, and a workspace for other processes."""

    def __init__(self, cluster: KwokCluster, programs: Programs, workspace: Workspace) -> None:
        self.cluster = cluster
        self.programs = programs
        self.workspace = workspace

    def apply(self, kind: str, name: str, spec: Body, namespace: str = "default", **metadata: Any) -> None:
        """Create or change one of forestall's own objects."""
        body = {"apiVersion": API, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}
        self.cluster.apply(body, namespace=namespace)

    @contextmanager
    def namespace(self, name: str) -> Iterator[str]:
        """Create a namespace for the body."""
        self.cluster.kubectl("create", "namespace", name)
        try:
            yield name
        finally:
            self.cluster.kubectl("delete", "namespace", name, "--wait=false")

    def kubeconfig(self, url: str, name: str) -> Path:
        """Return a kubeconfig file that reaches the API server through a plain-text proxy as the operator."""
        token = self.cluster.kubectl("create", "token", ACCOUNT, "-n", OPERATOR, "--duration=12h").stdout.strip()
        path = self.workspace.path / f"{name}.kubeconfig"
        path.write_text(json.dumps(plain_kubeconfig(url, OPERATOR, token)))
        return path

    def operate(self, name: str, kubeconfig: Path, interval: str) -> "Operator":
        """Start the operator."""
        return Operator(self.workspace, name, kubeconfig, interval)


class Operator:
    """One process of `forestall run`; its probes and its metrics are at `url`."""

    def __init__(self, workspace: Workspace, name: str, kubeconfig: Path, interval: str) -> None:
        (port,) = free_ports(1)
        self._workspace = workspace
        self._name = name
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "forestall", "run", "--kubeconfig", str(kubeconfig), "--namespace", OPERATOR]
        command += ["--identity", name, "--interval", interval, "--listen", f"127.0.0.1:{port}"]
        self.process: subprocess.Popen[bytes] = workspace.start(name, command)

    @property
    def ends(self) -> bool:
        """Whether the process has ended."""
        return self.process.poll() is not None

    async def until_ready(self, seconds: float = 90.0) -> None:
        """Wait until the operator has listed everything and completed a cycle."""
        try:
            await until(lambda: asyncio.to_thread(self.ready), seconds, "an operator is ready")
        except TimeoutError:
            print(self.last_words(), file=sys.stderr)
            raise

    def ready(self) -> bool:
        """Return whether the operator has listed everything and completed a cycle."""
        try:
            text = requests.get(f"{self.url}/metrics", timeout=2).text
            return requests.get(f"{self.url}/readyz", timeout=2).ok and "forestall_cycle_seconds_count 0.0" not in text
        except requests.RequestException:
            return False

    def stop(self) -> None:
        """Stop the process."""
        self._workspace.stop(self.process)

    def last_words(self) -> str:
        """Return the end of its output."""
        return self._workspace.last_words(self._name)


class Signals:
    """A Prometheus, and series that keep their last value."""

    def __init__(self, environment: SafetyEnvironment) -> None:
        self._server = PrometheusServer(environment.workspace, environment.programs, past_days=1)
        self._values: dict[tuple[tuple[str, str], ...], float] = {}
        self.url = ""

    def set(self, name: str, app: str, value: float, **labels: str) -> None:
        """Set the series `name{app=…, …}` to this value now."""
        key = (("__name__", name), ("app", app), *labels.items())
        self._values[key] = value
        if self.url:
            self._server.write([_sample(key, value)])

    def set_later(self, name: str, app: str, value: float, **labels: str) -> None:
        """Set the series `name{app=…, …}` to this value from the next round of samples on."""
        self._values[("__name__", name), ("app", app), *labels.items()] = value

    def remove(self, name: str, app: str, **labels: str) -> None:
        """Stop writing samples of this series."""
        del self._values[("__name__", name), ("app", app), *labels.items()]

    @contextmanager
    def live(self) -> Iterator["Signals"]:
        """Write all series continuously during the body."""
        with self._server:
            self.url = self._server.url
            with repeatedly(1.0, self._write):
                yield self

    def _write(self) -> None:
        with suppress(CommandFailed):
            self._server.write(_sample(key, value) for key, value in list(self._values.items()))


def _sample(labels: tuple[tuple[str, str], ...], value: float) -> Series:
    return Series(dict(labels), [time.time()], [value])


@contextmanager
def open_environment(kubeconfig: Path | None, *, nodes: int = 3) -> Iterator[SafetyEnvironment]:
    """Start a control plane, or use one that runs, and install the chart."""
    programs = find_programs()
    with ExitStack() as closing:
        workspace = closing.enter_context(Workspace("safety"))
        if kubeconfig is None:
            cluster: KwokCluster = closing.enter_context(local_cluster(programs, nodes=nodes))
        else:
            cluster = KwokCluster(kubeconfig, programs, workspace.path)
        install = ("upgrade", "forestall", _CHART, "--install", "--namespace", OPERATOR, "--create-namespace")
        cluster.helm(*install, *_VALUES, "--take-ownership", "--force-conflicts", "--wait")
        cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        yield SafetyEnvironment(cluster, programs, workspace)


def plain_kubeconfig(url: str, namespace: str = "default", token: str = "") -> Body:
    """Return a kubeconfig for an API server behind a plain-text proxy."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "proxy", "cluster": {"server": url}}],
        "users": [{"name": "proxy", "user": {"token": token} if token else {}}],
        "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy", "namespace": namespace}}],
        "current-context": "proxy",
    }


async def until(condition: Callable[[], Any | Awaitable[Any]], seconds: float, description: str) -> float:
    """Wait until a condition holds; return how long that took (s).

    Raises:
        TimeoutError: it did not hold in time.
    """
    began = time.monotonic()
    while True:
        result = condition()
        if isinstance(result, Awaitable):
            result = await result
        if result:
            return time.monotonic() - began
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"{description}: not within {seconds:g} s")
        await asyncio.sleep(0.05)
