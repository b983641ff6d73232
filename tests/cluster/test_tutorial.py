"""Runs every command of docs/tutorial.md in order on a real control plane.

The test adds what a reader's cluster has: the workload, its metrics in a real Prometheus, and the operator's process,
which runs beside the cluster with the token of the chart's ServiceAccount, because KWOK only simulates the pods. Only
the address of Prometheus differs from the page.
"""

import math
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from forestall.devcluster.local import LocalCluster
from forestall.devcluster.prometheus import PrometheusServer
from forestall.devcluster.provider import local_cluster
from forestall.devcluster.remote_write import Series
from forestall.devcluster.repeating import repeatedly

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HISTORY = 3 * 3600
RECENT = 120
STEP = 15


@dataclass(frozen=True)
class Block:
    """A command block of the page, with the output that the page shows for it, if any."""

    number: int
    commands: str
    output: str


def blocks(page: Path) -> list[Block]:
    found: list[Block] = []
    for language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language == "bash":
            found.append(Block(len(found) + 1, text, ""))
        elif language == "text":
            last = found.pop()
            found.append(Block(last.number, last.commands, text))
    return found


def pattern(output: str) -> re.Pattern[str]:
    """Return what a shown output matches: `...` stands for anything in a line, and alone for any lines."""
    lines = [
        r"(?:.*\n)*?" if line == "..." else ".*".join(map(re.escape, line.split("..."))) + r"\n"
        for line in output.splitlines()
    ]
    return re.compile("^" + "".join(lines), re.MULTILINE)


def requests_until(at: float) -> float:
    """Return how many requests were counted until a time: 60 a second, a little more or less by the hour."""
    return 60.0 * (at % 1e8) - 3600 / math.tau * 5.0 * math.cos(math.tau * at / 3600)


def samples(times: list[float]) -> list[Series]:
    labels = {"__name__": "http_requests_total", "app": "checkout"}
    good = [requests_until(at) for at in times]
    bad = [count / 10_000 for count in good]
    return [Series({**labels, "code": "200"}, times, good), Series({**labels, "code": "500"}, times, bad)]


@pytest.fixture(scope="module")
def reader(programs) -> Iterator[LocalCluster]:
    """A separate cluster with the workload of the tutorial, because the tutorial installs and pauses everything."""
    with local_cluster(programs, nodes=2) as cluster:
        cluster.kubectl("create", "namespace", "shop")
        cluster.kubectl("create", "deployment", "checkout", "-n", "shop", "--image=checkout", "--replicas=3")
        cluster.kubectl("rollout", "status", "deployment/checkout", "-n", "shop", "--timeout=240s")
        yield cluster


@pytest.fixture(scope="module")
def prometheus(reader, programs) -> Iterator[PrometheusServer]:
    """A Prometheus with some hours of the workload's metrics, which continue."""
    with PrometheusServer(reader.workspace, programs) as server:
        now = time.time()
        # As dense at its end as what follows: rate() over both would tell less than there was.
        past = [*range(HISTORY, RECENT, -STEP), *range(RECENT, 0, -1)]
        server.write(samples([now - age for age in past]))

        with repeatedly(1.0, lambda: server.write(samples([time.time()]))):
            yield server


@pytest.fixture(scope="module")
def environment(reader, programs, tmp_path_factory) -> dict[str, str]:
    """The environment of a reader's shell: kubectl, helm and a Python on the PATH, and a home folder."""
    folder = tmp_path_factory.mktemp("bin")
    for name in ("kubectl", "helm"):
        (folder / name).symlink_to(programs[name])
    (folder / "python3").symlink_to(getattr(sys, "_base_executable", sys.executable))
    home = tmp_path_factory.mktemp("home")
    cache = os.environ.get("PIP_CACHE_DIR", str(Path.home() / ".cache" / "pip"))
    mine = {"PATH": os.pathsep.join([str(folder), os.environ["PATH"]]), "HOME": str(home), "PIP_CACHE_DIR": cache}
    there = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return {**there, **reader.environment, **mine, "NO_COLOR": "1"}


class Shell:
    """Runs the page's commands as a reader's shell does, with the operator's process from its installation on."""

    def __init__(self, reader: LocalCluster, environment: dict[str, str], folder: Path) -> None:
        self._reader = reader
        self._environment = environment
        self._folder = folder
        self._exported = Path(environment["HOME"]) / "exported"
        self._operator: subprocess.Popen[bytes] | None = None

    def run(self, commands: str) -> tuple[int, str]:
        """Return exit code and output; stop early when the operator has ended, because then nothing can succeed any
        more.

        Variables that a block exports are set in the next one.
        """
        self._exported.touch()
        script = f". {self._exported}\n{commands}\nexport -p > {self._exported}\n"
        with tempfile.TemporaryFile("w+") as output:
            shell = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", script],
                cwd=self._folder,
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            deadline = time.monotonic() + 240
            while shell.poll() is None and time.monotonic() < deadline and not self._operator_ended():
                time.sleep(0.1)
            shell.kill()
            output.seek(0)
            return shell.wait(), output.read()

    def start_operator(self) -> None:
        kubeconfig = self._reader.kubeconfig_for("forestall-system", "forestall")
        command = [sys.executable, "-m", "forestall", "run", "--namespace=forestall-system", "--identity=tutorial"]
        command += ["--interval=2s", "--listen=127.0.0.1:0", f"--kubeconfig={kubeconfig}"]
        self._operator = self._reader.workspace.start("operator", command, env=self._environment)

    def _operator_ended(self) -> bool:
        return self._operator is not None and self._operator.poll() is not None


def test_every_command_works_with_the_output_of_the_page(root, reader, prometheus, environment):
    shell = Shell(reader, environment, root)
    steps = blocks(root / "docs" / "tutorial.md")
    assert len(steps) > 10
    for block in steps:
        commands = block.commands.replace("http://prometheus.monitoring:9090", prometheus.url)
        code, output = shell.run(commands)
        told = f"block {block.number}:\n{commands}\n{output}\n{reader.workspace.last_words('operator')}"
        assert code == 0, told
        if block.output:
            assert pattern(block.output).search(output), f"{told}\nThe page shows:\n{block.output}"
        if "helm install" in commands:
            shell.start_operator()


def test_objects_of_the_readme_are_valid(root, cluster, namespace):
    """The shared control plane accepts them, with strict validation of fields."""
    (example,) = [
        text for language, text in BLOCK.findall((root / "README.md").read_text("utf-8")) if language == "yaml"
    ]
    mine = example.replace("namespace: shop", f"namespace: {namespace}")
    cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=mine)
