"""What a machine lacks for real nodes is said in words, all of it at once; nothing is tried before."""

import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest

from forestall.devcluster import __main__, node_cgroups, node_packages, node_requirements
from forestall.devcluster.node import Node
from forestall.devcluster.node_requirements import lacking
from forestall.devcluster.nodes import RealNodes
from forestall.devcluster.programs import Programs
from forestall.errors import CommandFailed, MissingTool


class Usage(NamedTuple):
    free: int


@pytest.fixture
def machine(monkeypatch):
    """A machine that has everything, as far as it can be played."""
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(2**40))
    monkeypatch.setattr(node_cgroups, "hierarchies", list)
    monkeypatch.setattr(node_requirements, "_control_groups", list)
    monkeypatch.setattr(node_requirements, "_owns_machine", lambda: True)
    monkeypatch.setattr(node_requirements, "_free_inotify", lambda needed: needed)
    monkeypatch.setattr(node_requirements, "_status", lambda field: "ffffffffffffffff")
    monkeypatch.setattr(node_requirements, "_works", lambda *command: True)
    return monkeypatch


def test_a_machine_that_has_everything_lacks_nothing_but_perhaps_overlay(machine, tmp_path):
    assert [words for words in lacking(tmp_path, 2) if "overlay" not in words] == []


@pytest.mark.parametrize(
    ("owner", "name", "value", "words"),
    [
        (platform, "system", lambda: "Darwin", "a Linux kernel"),
        (os, "geteuid", lambda: 1000, "root, as by sudo: a node makes mounts"),
        (node_requirements, "_free_inotify", lambda needed: 3, "22 inotify instances, of which 3 are free: sysctl"),
        (node_requirements, "_owns_machine", lambda: False, "root of the machine itself"),
        (shutil, "which", lambda name: None if name == "nsenter" else name, "the program nsenter"),
        (shutil, "disk_usage", lambda folder: Usage(2**30), "which has 1.0 GiB left: free some, or set TMPDIR"),
        (node_requirements, "_status", lambda field: "0", "the capability CAP_SYS_ADMIN"),
        (node_requirements, "_works", lambda *command: command[0] != "losetup", "a free loop device"),
        (node_requirements, "_works", lambda *command: command[0] != "unshare", "namespaces that may be made"),
        (node_requirements, "_works", lambda *command: "veth" not in command, "virtual network devices"),
        (node_requirements, "_works", lambda *command: "bridge" not in command, "network bridges"),
    ],
)
def test_what_is_missing_is_said(machine, tmp_path, owner, name, value, words):
    machine.setattr(owner, name, value)
    assert [phrase for phrase in lacking(tmp_path, 2) if words in phrase]


@pytest.mark.parametrize(
    ("uid_map", "owns"),
    [
        ("         0          0 4294967295\n", True),
        ("         0       1000          1\n", False),
        ("         0          0 1\n         1     100000      65536\n", False),
    ],
)
def test_root_of_a_user_namespace_is_not_that_of_the_machine(tmp_path, uid_map, owns):
    file = tmp_path / "uid_map"
    file.write_text(uid_map)
    assert node_requirements._owns_machine(file) is owns


def test_the_inotify_instances_that_are_free_are_counted_and_given_back():
    """A kubelet ends with `too many open files` where other clusters hold those of the machine."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert 0 <= node_requirements._free_inotify(3) <= 3
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_control_groups_of_a_container_that_has_processes_in_them_are_said(monkeypatch, tmp_path):
    """Version 2: only the machine's own root may have processes and control groups inside it."""
    for name, text in (("cgroup.procs", "1\n17\n"), ("cgroup.type", "domain\n")):
        (tmp_path / name).write_text(text)
    tree = node_cgroups.Hierarchy(tmp_path, ("cpu", "cpuset", "memory", "pids"), unified=True)
    monkeypatch.setattr(node_cgroups, "hierarchies", lambda: [tree])
    (phrase,) = node_requirements._control_groups()
    assert phrase.startswith(f"an empty control group at {tmp_path}: it has processes of its own")
    (tmp_path / "cgroup.procs").write_text("")
    assert node_requirements._control_groups() == []
    (tmp_path / "cgroup.procs").write_text("1\n")
    (tmp_path / "cgroup.type").unlink()  # the machine's own root has no type
    assert node_requirements._control_groups() == []


def test_control_groups_that_are_not_mounted_are_said(monkeypatch):
    monkeypatch.setattr(node_cgroups, "hierarchies", list)
    assert node_requirements._control_groups() == ["mounted control groups, of version 1 or 2"]


def test_a_cluster_that_cannot_run_here_says_all_reasons_and_leaves_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(
        "forestall.devcluster.node_requirements.lacking", lambda folder, nodes: ["root", "a free loop device"]
    )
    cluster = RealNodes(Programs({}), nodes=1)
    with pytest.raises(MissingTool, match="it lacks root; a free loop device"):
        cluster.__enter__()
    assert not cluster.workspace.path.exists()


def test_packages_that_cannot_be_fetched_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    with pytest.raises(MissingTool, match=r"need runc, containernetworking-plugins, iptables, which are not installed"):
        node_packages.unpacked(node_packages.NODE_PACKAGES)


@pytest.mark.parametrize("kind", ["nodes", "kwok"])
def test_what_the_machine_lacks_is_said_before_anything_is_built(monkeypatch, capsys, kind):
    """A build takes many minutes: nobody waits for it only to read that root is missing."""
    monkeypatch.setenv("FORESTALL_CLUSTER", kind)
    monkeypatch.setattr("forestall.devcluster.node_requirements.lacking", lambda folder, nodes: ["root"])
    monkeypatch.setattr("sys.argv", ["devcluster", "cluster", "--nodes", "1"])
    built = []

    def build(*_):
        built.append(kind)
        raise MissingTool("nothing is built in this test")

    monkeypatch.setattr(__main__, "local_programs", build)
    assert __main__.main() == 1
    assert built == ([] if kind == "nodes" else ["kwok"])
    assert ("it lacks root" in capsys.readouterr().err) is (kind == "nodes")


class Ended(RealNodes):
    """Nodes that never join: the kubelet of one of them ended."""

    def kubectl(self, *arguments, **options):
        return subprocess.CompletedProcess(arguments, 1, "", "timed out")


def test_a_kubelet_that_ends_is_said_at_once_with_its_last_words(monkeypatch):
    monkeypatch.setattr(Node, "inside", lambda node, command: list(command))
    cluster = Ended(Programs({}), nodes=2)
    try:
        cluster.nodes[1].start("kubelet", ["sh", "-c", "echo unknown flag: --shiny; exit 3"])
        with pytest.raises(
            CommandFailed, match=r"kubelet of node-2 ended with status 3. Its last words:\nunknown flag"
        ):
            cluster._wait_for_nodes(["node/node-1", "node/node-2"])
    finally:
        cluster.stop()


def test_a_cluster_without_a_folder_says_what_to_set(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(MissingTool, match=r"no folder can be made for temporary files: .* set TMPDIR"):
        RealNodes(Programs({}), nodes=1)
