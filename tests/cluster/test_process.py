"""The operator's process as a container starts it: an unknown user, an empty environment."""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from forestall.devcluster.kwok import KwokCluster
from forestall.devcluster.ports import free_ports
from forestall.devcluster.workspace import Workspace

UNKNOWN = ("unshare", "--user", "--map-user=65532", "--map-group=65532")
DEADLINE_S = 120


def answer(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def test_it_becomes_ready_as_a_user_without_a_name(cluster: KwokCluster, namespace: str, root: Path) -> None:
    """The kind: what a library asks the machine for, and an image does not have, such as the user's name."""
    if subprocess.run([*UNKNOWN, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody be another user: unshare --user fails")
    (port,) = free_ports(1)
    nothing = ("env", "-i", "PATH=/usr/bin:/bin", f"PYTHONPATH={root / 'operator'}", "HOME=/nonexistent")
    command = [*UNKNOWN, *nothing, sys.executable, "-B", "-m", "forestall", "run", f"--namespace={namespace}"]
    command += [f"--kubeconfig={cluster.kubeconfig}", f"--listen=127.0.0.1:{port}", "--interval=1s", "--dry-run"]
    with Workspace("unknown-user") as workspace:
        process = workspace.start("operator", command)
        deadline = time.monotonic() + DEADLINE_S
        while (status := answer(f"http://127.0.0.1:{port}/readyz")) != 200:
            words = workspace.last_words("operator")
            assert process.poll() is None, words
            assert time.monotonic() < deadline, f"/readyz answers {status}: {words}"
            time.sleep(0.2)
        process.terminate()
        assert process.wait(60) == 0, workspace.last_words("operator")
