"""Machines that can't run real nodes, and archives that are no images: said in words, and nothing is left behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from forestall.devcluster.image_archive import write_image
from forestall.devcluster.nodes import RealNodes
from forestall.devcluster.programs import Programs
from forestall.errors import CommandFailed, InvalidInput

CLUSTER = (sys.executable, "-m", "forestall.devcluster", "cluster", "--nodes", "1")
SMALL_DISK = 'mount -t tmpfs -o size=64m small "$TMPDIR" && "$@"; status=$?; ls -A "$TMPDIR"; exit $status'
NO_LOOP = """
mount -t tmpfs devices "$TMPDIR"
for name in null zero random urandom; do touch "$TMPDIR/$name"; mount --bind "/dev/$name" "$TMPDIR/$name"; done
mount --rbind "$TMPDIR" /dev
export TMPDIR=/tmp
exec "$@"
"""


@pytest.mark.parametrize(
    ("command", "message"),
    [
        pytest.param(["unshare", "--user", "--map-user=1000"], "it lacks root, as by sudo", id="another user"),
        pytest.param(["unshare", "--user", "--map-root-user"], "it lacks root of the machine itself", id="rootless"),
        pytest.param(["unshare", "--mount", "sh", "-c", SMALL_DISK, "sh"], "set TMPDIR to a folder", id="full disk"),
        pytest.param(["unshare", "--mount", "sh", "-c", NO_LOOP, "sh"], "a free loop device", id="no loop device"),
    ],
)
@pytest.mark.usefixtures("node_programs")
def test_a_machine_that_can_not_run_nodes_says_what_it_lacks(tmp_path, command, message):
    environment = {**os.environ, "FORESTALL_CLUSTER": "nodes", "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [*command, *CLUSTER], env=environment, capture_output=True, text=True, timeout=180, check=False
    )
    assert message in " ".join(done.stderr.split())
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def damaged(archive: Path, damage: str) -> Path:
    content = archive.read_bytes()
    broken = archive.with_name(f"{damage}.tar")
    broken.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "text": b"no archive\n" * 100}[damage])
    return broken


@pytest.mark.parametrize(
    ("damage", "message"),
    [("empty", "unrecognized image format"), ("cut", "unexpected EOF"), ("text", "invalid tar header")],
)
def test_an_archive_that_is_no_image_is_named(nodes: RealNodes, node_programs: Programs, tmp_path, damage, message):
    whole = write_image(tmp_path / "whole.tar", f"forestall.test/{damage}:1", {"/x": node_programs["pause"]}, ["/x"])
    archive = damaged(whole, damage)
    with pytest.raises(CommandFailed, match=rf"{archive} cannot be imported on node-\d: .*{message}"):
        nodes.import_image(archive)
    assert f"forestall.test/{damage}" not in nodes.nodes[0].run("ctr", "-n", "k8s.io", "images", "ls", "-q")


def test_an_archive_that_is_not_there_is_named(nodes: RealNodes, tmp_path):
    with pytest.raises(InvalidInput, match=r"absent.tar cannot be read: No such file"):
        nodes.import_image(tmp_path / "absent.tar")
