"""The trees of control groups that a node takes part in, as machines mount them."""

import pytest

from forestall.devcluster import node_cgroups
from forestall.devcluster.node_cgroups import Hierarchy
from forestall.errors import CommandFailed

ROOT = "25 1 254:0 / / rw,relatime - ext4 /dev/vda rw"


def mounts(folder, *lines):
    path = folder / "mountinfo"
    path.write_text("\n".join([ROOT, *lines]) + "\n")
    return path


def unified(folder, controllers):
    """Return the line of a mounted tree of version 2, which has these controllers."""
    tree = folder / "unified"
    tree.mkdir()
    (tree / "cgroup.controllers").write_text(controllers + "\n")
    (tree / "cgroup.subtree_control").touch()
    return f"35 30 0:29 / {tree} rw,relatime - cgroup2 cgroup2 rw"


def test_all_trees_of_version_1_are_taken_by_the_names_under_which_they_are_mounted(tmp_path):
    file = mounts(
        tmp_path,
        "31 30 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct",
        "32 30 0:27 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory",
        "33 30 0:28 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd",
        "34 30 0:30 / /sys/fs/cgroup/rdma rw,relatime - cgroup cgroup rw,rdma",
        unified(tmp_path, ""),
    )
    trees = node_cgroups.hierarchies(file)
    assert [(tree.mount.name, tree.options) for tree in trees] == [
        ("cpu,cpuacct", "cpu,cpuacct"),
        ("memory", "memory"),
        ("systemd", "none,name=systemd"),
    ]
    assert node_cgroups.missing_controllers(trees) == ["cpuset", "pids"]


def test_version_2_is_taken_where_it_controls(tmp_path):
    (tree,) = node_cgroups.hierarchies(mounts(tmp_path, unified(tmp_path, "cpuset cpu io memory hugetlb pids")))
    assert tree.unified
    assert tree.delegation == "+cpuset +cpu +io +memory +pids"
    node_cgroups.create("node-1", 2**30, [tree])
    assert (tree.mount / "cgroup.subtree_control").read_text() == tree.delegation
    assert (tree.mount / "node-1" / "memory.max").read_text() == str(2**30)
    assert node_cgroups.roots("node-1", [tree]) == [tree.mount / "node-1" / "cgroup.procs"]
    assert node_cgroups.entrances("node-1", [tree]) == [tree.mount / "node-1" / "init" / "cgroup.procs"]


def test_a_group_that_the_kernel_refuses_is_named(tmp_path):
    tree = Hierarchy(tmp_path / "memory", ("memory",))
    with pytest.raises(CommandFailed, match=r"control group .*/memory/node-1 cannot be made: No such file"):
        node_cgroups.create("node-1", 2**30, [tree])


def test_only_groups_of_the_prefix_are_removed(tmp_path):
    tree = Hierarchy(tmp_path, ("memory",))
    for name in ("mine-node-1/pods/pod", "mine-node-2", "other-node-1"):
        (tmp_path / name).mkdir(parents=True)
    node_cgroups.remove("mine-", [tree])
    assert [path.name for path in tmp_path.iterdir()] == ["other-node-1"]
