"""Whatever ends the owner of real nodes, nothing of them stays on the machine."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from forestall.devcluster.nodes import end_leftovers
from forestall.devcluster.programs import Programs

OWNER = """
import sys, time
from forestall.devcluster.nodes import RealNodes
from forestall.devcluster.provider import local_programs
with RealNodes(local_programs(purpose="nodes"), nodes=1) as cluster:
    print(cluster.workspace.path, flush=True)
    time.sleep(600)
"""


def traces(folder: Path) -> list[str]:
    """Return what is there of the cluster in this folder."""
    name = folder.name
    groups = [str(path) for path in Path("/sys/fs/cgroup").glob(f"*/{name}*")]
    loops = json.loads(subprocess.check_output(["losetup", "--json", "--list"], text=True) or '{"loopdevices": []}')
    disks = [loop["back-file"] for loop in loops["loopdevices"] if name in loop["back-file"]]
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if name in line]
    processes = [f"{process.pid} {line}" for process in psutil.process_iter() if name in (line := about(process))]
    return [*groups, *disks, *mounts, *processes, *([str(folder)] if folder.exists() else [])]


def about(process: psutil.Process) -> str:
    """Return a process's command line and control groups; what belongs to a node is in the node's."""
    try:
        return " ".join([*process.cmdline(), Path(f"/proc/{process.pid}/cgroup").read_text()])
    except (psutil.Error, OSError):
        return ""


@pytest.fixture
def owner(node_programs: Programs):
    """A process that has started a cluster with one node, and the cluster's folder."""
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        folder = Path(process.stdout.readline().strip())
        try:
            yield process, folder
        finally:
            process.kill()


def wait_for_nothing(folder: Path) -> None:
    deadline = time.monotonic() + 60
    while left := traces(folder):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def test_nothing_stays_when_the_owner_is_killed(owner):
    process, folder = owner
    assert len(traces(folder)) > 10
    process.kill()
    wait_for_nothing(folder)


def test_the_next_start_removes_what_a_killed_owner_and_its_reaper_left(owner):
    process, folder = owner
    (reaper,) = [process.pid for process in psutil.process_iter() if f"reap {folder}" in about(process)]
    os.kill(reaper, signal.SIGKILL)
    process.kill()
    process.wait()
    assert traces(folder)
    end_leftovers()
    assert traces(folder) == []
