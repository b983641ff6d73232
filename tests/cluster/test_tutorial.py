"""The tutorial, run as it stands: every command of docs/tutorial.md, in order, on a real control plane.

What a reader's cluster has and this one must be given: the workload, its metrics in a real Prometheus, and the
operator's process, which runs beside the cluster under the token of the chart's ServiceAccount, since KWOK only plays
the pods. Two things differ from the page: the address of Prometheus, and that the package is installed already.
"""

import math
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from forestall.demo.controlplane import ControlPlane
from forestall.demo.prometheus import PrometheusServer
from forestall.demo.remote_write import Series

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HISTORY = 3 * 3600
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
    """Return what a shown output matches: `...` stands for anything."""
    return re.compile(".*".join(re.escape(part) for part in output.strip().split("...")), re.DOTALL)


def requests_until(at: float) -> float:
    """Return how many requests were counted until a time: 60 a second, a little more or less by the hour."""
    return 60.0 * (at % 1e8) - 3600 / math.tau * 5.0 * math.cos(math.tau * at / 3600)


def samples(times: list[float]) -> list[Series]:
    labels = {"__name__": "http_requests_total", "app": "checkout"}
    good = [requests_until(at) for at in times]
    bad = [count / 10_000 for count in good]
    return [Series({**labels, "code": "200"}, times, good), Series({**labels, "code": "500"}, times, bad)]


@pytest.fixture(scope="module")
def reader(programs) -> Iterator[ControlPlane]:
    """A cluster with the workload of the tutorial; its own, for the tutorial installs and pauses everything."""
    with ControlPlane(programs, nodes=2) as cluster:
        cluster.kubectl("create", "namespace", "shop")
        cluster.kubectl("create", "deployment", "checkout", "-n", "shop", "--image=checkout", "--replicas=3")
        cluster.kubectl("rollout", "status", "deployment/checkout", "-n", "shop", "--timeout=60s")
        yield cluster


@pytest.fixture(scope="module")
def prometheus(reader, programs) -> Iterator[PrometheusServer]:
    """A Prometheus with some hours of the workload's metrics, which goes on."""
    done = threading.Event()
    with PrometheusServer(reader.workspace, programs) as server:
        now = time.time()
        server.write(samples([now - HISTORY + STEP * step for step in range(HISTORY // STEP)]))

        def go_on() -> None:
            while not done.wait(1.0):
                server.write(samples([time.time()]))

        feeder = threading.Thread(target=go_on)
        feeder.start()
        try:
            yield server
        finally:
            done.set()
            feeder.join()


@pytest.fixture(scope="module")
def environment(reader, programs, tmp_path_factory) -> dict[str, str]:
    """What a reader's shell has: kubectl, helm and forestall on the PATH."""
    folder = tmp_path_factory.mktemp("bin")
    for name in ("kubectl", "helm"):
        (folder / name).symlink_to(programs[name])
    path = [str(folder), str(Path(sys.executable).parent), os.environ["PATH"]]
    return {**os.environ, **reader.environment, "PATH": os.pathsep.join(path), "NO_COLOR": "1"}


@pytest.fixture(scope="module")
def operator(reader, environment):
    """Return what starts the operator, once its chart is installed."""

    def start() -> None:
        kubeconfig = reader.kubeconfig_for("forestall-system", "forestall")
        command = [sys.executable, "-m", "forestall", "run", "--namespace=forestall-system", "--identity=tutorial"]
        command += ["--interval=2s", "--listen=127.0.0.1:0", f"--kubeconfig={kubeconfig}"]
        reader.workspace.start("operator", command, env=environment)

    return start


def test_every_command_works_and_shows_what_the_page_shows(root, reader, prometheus, environment, operator):
    page = root / "docs" / "tutorial.md"
    steps = blocks(page)
    assert len(steps) > 10
    for block in steps:
        commands = block.commands.replace("http://prometheus.monitoring:9090", prometheus.url)
        commands = re.sub(r"^python3 -m pip install .*$", "", commands, flags=re.MULTILINE)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        told = f"block {block.number}:\n{commands}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == 0, f"{told}\n{reader.workspace.last_words('operator')}"
        if block.output:
            assert pattern(block.output).search(done.stdout), f"{told}\nThe page shows:\n{block.output}"
        if "helm install" in commands:
            operator()
