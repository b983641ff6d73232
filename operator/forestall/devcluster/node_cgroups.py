"""The control groups of nodes: one for each node in each hierarchy of the machine, of version 1 or 2.

As a program, ``python -m forestall.devcluster.node_cgroups PREFIX`` kills what runs in the groups whose names begin so,
and removes them.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from forestall.errors import CommandFailed

INIT: Final = "init"
"""The group, inside that of a node, in which the node's own processes are: with version 2 only leaves have any."""
_MOUNTS: Final = Path("/proc/self/mountinfo")
_NEEDED: Final = ("cpu", "cpuset", "memory", "pids")
_V1: Final = (*_NEEDED, "cpuacct", "devices", "freezer", "blkio")
_REMOVE_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """A mounted tree of control groups."""

    mount: Path
    controllers: tuple[str, ...]
    """What it controls; ``name=systemd`` alone for a tree that only names groups."""
    unified: bool = False
    """Whether it is version 2's."""

    @property
    def options(self) -> str:
        """What `mount` is told, to mount it again."""
        named = self.controllers[0].startswith("name=")
        return ",".join(("none", *self.controllers) if named else self.controllers)

    @property
    def delegation(self) -> str:
        """What the groups of a tree of version 2 are told, so that those inside them are controlled too."""
        return " ".join(f"+{name}" for name in self.controllers if name in {*_NEEDED, "io"})


def hierarchies(mounts: Path = _MOUNTS) -> list[Hierarchy]:
    """Return the trees that a node takes part in: that of version 2 if it controls memory, else all of version 1."""
    hierarchies_found = list(_mounted(mounts))
    unified = [tree for tree in hierarchies_found if tree.unified and "memory" in tree.controllers]
    return unified or [tree for tree in hierarchies_found if not tree.unified]


def missing_controllers(trees: list[Hierarchy]) -> list[str]:
    """Return the controllers that a kubelet needs and that no tree has."""
    present = {controller for tree in trees for controller in tree.controllers}
    return [controller for controller in _NEEDED if controller not in present]


def is_occupied(tree: Hierarchy) -> bool:
    """Say whether processes are in the root of a tree of version 2 that is itself a group, as in a container.

    The kernel lets such a group control no groups inside it. The machine's own root is no group, and may.
    """
    if not tree.unified or not (tree.mount / "cgroup.type").exists():
        return False
    return bool((tree.mount / "cgroup.procs").read_text().split())


def create(name: str, memory_bytes: int, trees: list[Hierarchy]) -> None:
    """Make a node's group in each tree; raises CommandFailed, saying which file the kernel refused."""
    for tree in trees:
        group = tree.mount / name
        try:
            if tree.unified:
                _create_unified(tree, group, memory_bytes)
            else:
                _create(tree, group, memory_bytes)
        except OSError as error:
            raise CommandFailed(f"the control group {group} cannot be made: {error.strerror}") from error


def roots(name: str, trees: list[Hierarchy]) -> list[Path]:
    """Return the files that take the id of a process that is to see the node's groups as all there are."""
    return [tree.mount / name / "cgroup.procs" for tree in trees]


def entrances(name: str, trees: list[Hierarchy]) -> list[Path]:
    """Return the files that take the id of a process that is to run on the node."""
    return [(tree.mount / name / INIT if tree.unified else tree.mount / name) / "cgroup.procs" for tree in trees]


def remove(prefix: str, trees: list[Hierarchy]) -> None:
    """Kill what runs in the groups whose names begin with `prefix`, and remove them; waits until they are gone."""
    deadline = time.monotonic() + _REMOVE_S
    while (groups := _groups(prefix, trees)) and time.monotonic() < deadline:
        for group in groups:
            _kill(group)
            for folder in (*sorted(_below(group), key=lambda path: -len(path.parts)), group):
                with suppress(OSError):  # what was killed is not collected yet
                    folder.rmdir()
        time.sleep(0.05)


def removal(prefix: str) -> list[str]:
    """Return the command that does what `remove` does."""
    return [sys.executable, "-m", "forestall.devcluster.node_cgroups", prefix]


def _mounted(mounts: Path) -> Iterator[Hierarchy]:
    for line in mounts.read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        mount = Path(before.split(" ")[4])
        if kind == "cgroup2":
            with suppress(OSError):
                yield Hierarchy(mount, tuple((mount / "cgroup.controllers").read_text().split()), unified=True)
        elif kind == "cgroup":
            controllers = tuple(option for option in options.split(",") if option in _V1 or option == "name=systemd")
            if controllers:
                yield Hierarchy(mount, controllers)


def _create(tree: Hierarchy, group: Path, memory_bytes: int) -> None:
    group.mkdir()
    if "cpuset" in tree.controllers:
        for file in ("cpuset.cpus", "cpuset.mems"):  # a new group has none, and takes no process before it has
            (group / file).write_text((tree.mount / file).read_text())
    if "memory" in tree.controllers:
        (group / "memory.limit_in_bytes").write_text(str(memory_bytes))


def _create_unified(tree: Hierarchy, group: Path, memory_bytes: int) -> None:
    (tree.mount / "cgroup.subtree_control").write_text(tree.delegation)
    group.mkdir()
    (group / INIT).mkdir()
    (group / "memory.max").write_text(str(memory_bytes))


def _groups(prefix: str, trees: list[Hierarchy]) -> list[Path]:
    return [group for tree in trees for group in tree.mount.glob(f"{prefix}*") if group.is_dir()]


def _below(group: Path) -> list[Path]:
    return [path for path in group.rglob("*") if path.is_dir()]


def _kill(group: Path) -> None:
    """Kill the processes of a group and of those inside it."""
    for folder in (group, *_below(group)):
        with suppress(OSError):
            for pid in (folder / "cgroup.procs").read_text().split():
                with suppress(OSError):
                    os.kill(int(pid), signal.SIGKILL)


if __name__ == "__main__":
    remove(sys.argv[1], hierarchies())
