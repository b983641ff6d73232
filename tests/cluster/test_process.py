"""The operator's process as a container starts it: an unknown user, an empty environment."""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from tests.support.image_root import ImageRoot, why_not

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


def test_process_becomes_ready_as_a_user_without_a_name(cluster: KwokCluster, namespace: str, root: Path) -> None:
    """The kind: a library needs something that an image lacks, such as the user's name."""
    if subprocess.run([*UNKNOWN, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody be another user: unshare --user fails")
    (port,) = free_ports(1)
    nothing = ("env", "-i", "PATH=/usr/bin:/bin", f"PYTHONPATH={root / 'operator'}", "HOME=/nonexistent")
    command = [*UNKNOWN, *nothing, sys.executable, "-B", "-m", "forestall", "run", f"--namespace={namespace}"]
    command += [f"--kubeconfig={cluster.kubeconfig}", f"--listen=127.0.0.1:{port}", "--interval=1s", "--dry-run"]
    with Workspace("unknown-user") as workspace:
        becomes_ready_and_ends(workspace, command, port)


def test_image_becomes_ready(cluster: KwokCluster, namespace: str, root: Path, tmp_path: Path) -> None:
    """The kind: a program imports or opens something late that the image lacks."""
    archive = root / "build" / "forestall-image.tar"
    if reason := why_not(archive):
        pytest.skip(reason)
    shared, unpacked = tmp_path / "shared", tmp_path / "image"
    for folder in (shared, unpacked):
        folder.mkdir()
    config = shared / "config"
    config.write_text(cluster.kubectl("config", "view", "--raw", "--flatten", "-o", "json").stdout)
    for path in (shared, config):
        path.chmod(0o755)
    (port,) = free_ports(1)
    options = [f"--namespace={namespace}", f"--listen=127.0.0.1:{port}", "--interval=1s", "--dry-run"]
    image = ImageRoot(archive, unpacked)
    command, environment = image.command("forestall", "run", "--kubeconfig=/tmp/shared/config", *options, shared=shared)
    with Workspace("image") as workspace:
        becomes_ready_and_ends(workspace, command, port, environment)


def becomes_ready_and_ends(
    workspace: Workspace, command: Sequence[str], port: int, environment: Mapping[str, str] | None = None
) -> None:
    process = workspace.start("operator", command, env=environment)
    deadline = time.monotonic() + DEADLINE_S
    while (status := answer(f"http://127.0.0.1:{port}/readyz")) != 200:
        output = workspace.last_words("operator")
        assert process.poll() is None, output
        assert time.monotonic() < deadline, f"/readyz answers {status}: {output}"
        time.sleep(0.2)
    process.terminate()
    assert process.wait(60) == 0, workspace.last_words("operator")
