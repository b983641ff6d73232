"""The main job, for real: the shop's SLO breaks by itself, and does not when the operator is there.

The control plane, Prometheus, the requests and their queues are real, and the operator runs with the rights of the
chart's ServiceAccount. The scenarios are those of the demo, each cut to the part around its breach. They mostly wait,
so they are played side by side.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from forestall.demo.programs import Programs

PLAYER = Path(__file__).with_name("player.py")
PARTS = {"surge": ("3.5", "13.0"), "leak": ("10.0", "14.25"), "node": ("10.0", "14.75")}
LONGEST_S = 600

Plays = dict[str, tuple[subprocess.Popen[str], IO[str]]]


@pytest.fixture(scope="module")
def plays(programs: Programs, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plays]:
    """All scenarios, under way, each with its log."""
    folder = tmp_path_factory.mktemp("scenarios")
    started: Plays = {}
    for name, hours in PARTS.items():
        log = (folder / f"{name}.log").open("w+")
        command = [sys.executable, str(PLAYER), name, *hours]
        started[name] = (subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=log, text=True), log)
    yield started
    for process, written in started.values():
        process.terminate()
        process.communicate()
        written.close()


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("surge", "replicas of deployment shop/shop: 3 -> "),
        ("leak", "restart deployment shop/shop"),
        ("node", "cordon node node-2"),
    ],
)
def test_the_slo_breaks_without_the_operator_and_not_with_it(plays: Plays, name: str, action: str) -> None:
    process, log = plays[name]
    output, _ = process.communicate(timeout=LONGEST_S)
    log.seek(0)
    assert process.returncode == 0, log.read()
    found = json.loads(output)
    assert found["valid"], found["problem"]
    assert found["without"]["badMinutes"] > 0
    assert found["with"]["badMinutes"] == 0
    assert found["done"]
    assert found["done"][0].startswith(action)
    assert found["leadTimeSeconds"] > 0
