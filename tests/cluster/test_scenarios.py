"""The main job end to end: the shop's SLO breaks without the operator, and does not with it.

The control plane, Prometheus, the requests and their queues are real, and the operator runs with the permissions of the
chart's ServiceAccount. The scenarios are those of the demo, each cut to the part around its breach. They mostly wait,
so they run concurrently.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from forestall.devcluster.programs import Programs

LONGEST_S = 1800
pytestmark = pytest.mark.timeout(LONGEST_S + 60)
PLAYER = Path(__file__).with_name("player.py")
PARTS = {"surge": ("3.5", "13.0"), "leak": ("10.0", "14.25"), "node": ("10.0", "15.5")}


class Played(NamedTuple):
    """The result of a scenario."""

    status: int
    printed: str
    log: str


@pytest.fixture(scope="module")
def played(
    programs: Programs, root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Played]]:
    """Play all scenarios; yield a function that waits for one and returns its result."""
    folder = tmp_path_factory.mktemp("scenarios")
    plays: dict[str, subprocess.Popen[str]] = {}
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


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("surge", "replicas of deployment shop/shop: 3 -> "),
        ("leak", "restart deployment shop/shop"),
        ("node", "cordon node node-2"),
    ],
)
def test_slo_breaks_without_the_operator_and_not_with_it(played, name, action):
    status, printed, log = played(name)
    assert status == 0, log
    figures = json.loads(printed)
    assert figures["valid"], figures["problem"]
    assert figures["without"]["badMinutes"] > 0
    assert figures["with"]["badMinutes"] == 0
    assert figures["done"]
    assert figures["done"][0].startswith(action)
    assert figures["leadTimeSeconds"] > 0
