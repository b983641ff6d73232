"""A real control plane, started once for all cluster tests, and a namespace of its own for each test.

While working on a test, start one with `make cluster` and name its kubeconfig in FORESTALL_TEST_KUBECONFIG: then the
tests use that one, and leave it running.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pytest

from forestall.demo.kwok import KwokCluster
from forestall.demo.programs import Programs
from forestall.demo.provider import local_cluster

LONGEST_S = 600
PLAYER = Path(__file__).with_name("player.py")
PARTS = {"surge": ("3.5", "13.0"), "leak": ("10.0", "14.25"), "node": ("10.0", "14.75")}


class Played(NamedTuple):
    """What came of a scenario."""

    status: int
    printed: str
    log: str


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of what was played behind the others, as nothing of what they wait for is done by them."""
    items.sort(key=_is_played)


def _is_played(item: pytest.Item) -> bool:
    return item.path.name == "test_scenarios.py"


@pytest.fixture(scope="session", autouse=True)
def played(
    request: pytest.FixtureRequest, programs: Programs, root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Played]]:
    """Play the scenarios, if their tests are to be run, beside the other tests; wait for one and return what came."""
    folder = tmp_path_factory.mktemp("scenarios")
    plays: dict[str, subprocess.Popen[str]] = {}
    if any(_is_played(item) for item in request.session.items):
        for name, hours in PARTS.items():
            command = [sys.executable, str(PLAYER), name, *hours]
            with (folder / name).open("w") as log:
                plays[name] = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=log, text=True)

    def wait(name: str) -> Played:
        printed, _ = plays[name].communicate(timeout=LONGEST_S)
        return Played(plays[name].returncode, printed, (folder / name).read_text())

    yield wait
    for process in plays.values():
        process.terminate()
        process.communicate()


@pytest.fixture(scope="session")
def cluster(programs: Programs, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KwokCluster]:
    """A control plane with three nodes and forestall's CRDs."""
    if kubeconfig := os.environ.get("FORESTALL_TEST_KUBECONFIG"):
        running = KwokCluster(Path(kubeconfig), programs, tmp_path_factory.mktemp("cluster"))
        running.scale_nodes(3)
        _define(running, root)
        yield running
    else:
        with local_cluster(programs, nodes=3) as started:
            _define(started, root)
            yield started


def _define(cluster: KwokCluster, root: Path) -> None:
    """Apply the CRDs, and return when the API serves them."""
    crds = root / "crds"
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", crds)
    cluster.kubectl("wait", "--for=condition=Established", "-f", crds, "--timeout=30s")


@pytest.fixture
def namespace(cluster: KwokCluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace that nobody else uses, and that goes after the test with all that is in it."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    name = f"{words[:40].strip('-')}-{uuid4().hex[:6]}"
    cluster.kubectl("create", "namespace", name)
    cluster.kubectl("wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=30s")
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")
