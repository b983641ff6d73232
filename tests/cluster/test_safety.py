"""Two subjects of `benchmarks/safety`: privilege escalation through the operator, and concurrent writers.

The other subjects take minutes each, and have tests of their own.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from forestall.devcluster.programs import Programs
from forestall.devcluster.provider import local_cluster

LONGEST_S = 600


@pytest.fixture(scope="module")
def kubeconfig(programs: Programs) -> Iterator[Path]:
    """A disposable control plane: its admission policies would keep other tests from acting as the operator."""
    with local_cluster(programs, nodes=3) as cluster:
        yield cluster.kubeconfig


@pytest.mark.parametrize("figure", ["escalation", "writers"])
def test_safety_subject_holds(figure: str, kubeconfig: Path, root: Path, tmp_path: Path) -> None:
    output = tmp_path / "safety.json"
    command: list[str | Path] = [sys.executable, "-m", "benchmarks.safety", "--quick", "--only", figure]
    command += ["--output", output, "--kubeconfig", kubeconfig]
    done = subprocess.run(command, check=False, cwd=root, capture_output=True, text=True, timeout=LONGEST_S)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-4000:]}"
    assert json.loads(output.read_text())[figure]["holds"] is True
