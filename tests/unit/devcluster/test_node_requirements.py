"""What a machine lacks for real nodes is said in words, all of it at once; nothing is tried before."""

import os
import platform
import shutil
from typing import NamedTuple

import pytest

from forestall.devcluster import node_cgroups, node_packages, node_requirements
from forestall.devcluster.node_requirements import lacking
from forestall.devcluster.nodes import RealNodes
from forestall.devcluster.programs import Programs
from forestall.errors import MissingTool


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
    monkeypatch.setattr(node_requirements, "_status", lambda field: "ffffffffffffffff")
    monkeypatch.setattr(node_requirements, "_works", lambda *command: True)
    return monkeypatch


def test_a_machine_that_has_everything_lacks_nothing_but_perhaps_overlay(machine, tmp_path):
    assert [words for words in lacking(tmp_path, 2) if "overlay" not in words] == []


@pytest.mark.parametrize(
    ("owner", "name", "value", "words"),
    [
        (platform, "system", lambda: "Darwin", "a Linux kernel"),
        (os, "geteuid", lambda: 1000, "root: a node makes mounts"),
        (shutil, "which", lambda name: None if name == "nsenter" else name, "the program nsenter"),
        (shutil, "disk_usage", lambda folder: Usage(2**30), "which has 1.0 GiB left"),
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


def test_control_groups_that_are_not_mounted_are_said(monkeypatch):
    monkeypatch.setattr(node_cgroups, "hierarchies", list)
    assert node_requirements._control_groups() == ["mounted control groups, of version 1 or 2"]


def test_a_cluster_that_cannot_run_here_says_all_reasons_and_leaves_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr("forestall.devcluster.nodes.lacking", lambda folder, nodes: ["root", "a free loop device"])
    cluster = RealNodes(Programs({}), nodes=1)
    with pytest.raises(MissingTool, match="it lacks root; a free loop device"):
        cluster.__enter__()
    assert not cluster.workspace.path.exists()


def test_packages_that_cannot_be_fetched_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    with pytest.raises(MissingTool, match=r"need runc, containernetworking-plugins, iptables, which are not installed"):
        node_packages.unpacked(node_packages.NODE_PACKAGES)
